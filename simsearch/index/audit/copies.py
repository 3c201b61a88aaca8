"""Copies of pictures: the same file, the same pixels, and near copies by vector and a check of pixels.

A cosine alone is no proof: an encoder that was trained on classes calls all pictures of one class alike. So
what is near by vector is compared at a common size too, as it is and mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BadInputError
from simsearch.index.audit.agreement import Comparable, agreement
from simsearch.index.audit.kinds import CopyKind
from simsearch.index.audit.neighbors import Progress, nearest_in, nearest_others
from simsearch.index.audit.same_files import same_files
from simsearch.index.bundle import Bundle
from simsearch.index.stores.base import NOTHING
from simsearch.index.stores.exact import exact_scores

_BLOCK = 4_096  # pairs that are compared at once
_DIGITS = 0.99  # agreement of kept digits: different ones of MNIST's test images reach .986
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class CopyRules:
    """From where on two pictures are copies.

    From cosine `threshold` on they are near copies if their grays correlate by `agreement`, as they are or
    mirrored; from cosine `edited` on, edited ones if they correlate by `edited_agreement`. Of digits as they
    were encoded only the first counts, and by .99 at least: handwriting varies less than pictures do.
    """

    threshold: float = 0.7
    agreement: float = 0.98
    edited: float = 0.97
    edited_agreement: float = 0.8
    neighbors: int = 20  # of each item, that are looked at

    def kind(self, score: float, as_is: float, mirrored: float, *, digits: bool) -> CopyKind | None:
        """What a pair is of this cosine and these agreements; None if it is no copy."""
        if as_is >= (max(self.agreement, _DIGITS) if digits else self.agreement):
            return CopyKind.NEAR
        if digits:
            return None
        if mirrored >= self.agreement:
            return CopyKind.MIRRORED
        is_edited = score >= self.edited and max(as_is, mirrored) >= self.edited_agreement
        return CopyKind.EDITED if is_edited else None


class Copy(NamedTuple):
    """Two items, by id, that show the same."""

    first: int
    second: int  # in the other index, where there is one
    kind: CopyKind
    score: float  # cosine
    agreement: float  # correlation of their grays, the higher of both ways round, in [-1, 1]


@dataclass(frozen=True)
class Copies:
    """Pairs of copies: the surest kind first, then the highest agreement."""

    pairs: tuple[Copy, ...]
    files: int  # files that were where the index says, and compared
    unreadable: int  # files that were there, and could not be read


def find_copies(
    bundle: Bundle,
    against: Bundle | None = None,
    rules: CopyRules = CopyRules(),
    on_progress: Progress = lambda _: None,
) -> Copies:
    """Find the copies within an index, or those of its items in another.

    Files are compared where they still are; everything else is compared by what the index keeps, each item
    with its nearest few by vector, so that memory grows with their number and not with its square.

    :param on_progress: Called with the number of items of each finished block.
    :raises BadInputError: If the indexes are of two encoders.
    """
    other = bundle if against is None else against
    check_same_encoder(bundle, other)
    files = same_files(bundle, against)
    found = dict.fromkeys(files.pairs, CopyKind.FILE)
    near = _near_pairs(bundle, against, rules, on_progress)  # (P, 2)
    pairs = np.unique(np.concatenate([near, np.array(files.pairs, np.int64).reshape(-1, 2)]), axis=0)
    copies = [
        Copy(int(bundle.ids[first]), int(other.ids[second]), kind, score, alike)
        for first, second, kind, score, alike in _judge(bundle, other, pairs, rules, found)
    ]
    order = {kind: place for place, kind in enumerate(CopyKind)}
    copies.sort(key=lambda copy: (order[copy.kind], -copy.agreement, -copy.score, copy.first, copy.second))
    return Copies(tuple(copies), files.there - files.failed, files.failed)


def check_same_encoder(bundle: Bundle, other: Bundle) -> None:
    """Refuse to compare vectors of two encoders.

    :raises BadInputError: If they are.
    """
    if bundle.manifest.encoder != other.manifest.encoder:
        raise BadInputError(
            f"{bundle.manifest.name} is of model {bundle.manifest.model}, {other.manifest.name} of "
            f"{other.manifest.model}: vectors of two encoders say nothing of each other",
            hint="build one of them again with the other's model",
        )


def _near_pairs(bundle: Bundle, against: Bundle | None, rules: CopyRules, on_progress: Progress) -> Rows:
    """Rows of the pairs that are near by vector, each pair once, int64 (P, 2)."""
    if against is None:
        hits = nearest_others(bundle.store, rules.neighbors, on_progress)
    else:
        hits = nearest_in(bundle.store, against.store, rules.neighbors, on_progress)
    rows, columns = np.nonzero((hits.ids != NOTHING) & (hits.scores >= rules.threshold))
    others = (against or bundle).rows(hits.ids[rows, columns])
    pairs = np.stack([rows.astype(np.int64), others], axis=1)
    return pairs if against else np.sort(pairs, axis=1)


_Judged = tuple[int, int, CopyKind, float, float]


def _judge(
    bundle: Bundle, other: Bundle, pairs: Rows, rules: CopyRules, known: dict[tuple[int, int], CopyKind]
) -> Iterator[_Judged]:
    """Those of these pairs (P, 2) that are copies: rows, kind, cosine and agreement."""
    left = Comparable(bundle, pairs[:, 0])
    right = Comparable(other, pairs[:, 1])
    digits = bundle.keeps_digits
    for start in range(0, len(pairs), _BLOCK):
        first, second = pairs[start : start + _BLOCK].T
        alike = agreement(left.grays(first), right.grays(second))
        scores = exact_scores(bundle.store.vectors(bundle.ids[first]), other.store.vectors(other.ids[second]))
        columns = (first, second, scores, alike.as_is, alike.mirrored)
        for one, two, score, as_is, mirrored in zip(*(c.tolist() for c in columns), strict=True):
            kind = known.get((one, two)) or rules.kind(score, as_is, mirrored, digits=digits)
            if kind is CopyKind.NEAR and _same_pixels(bundle, one, other, two):
                kind = CopyKind.PIXELS
            if kind is not None:
                yield one, two, kind, score, max(as_is, mirrored)


def _same_pixels(bundle: Bundle, first: int, other: Bundle, second: int) -> bool:
    """Whether two rows were the same to the network; small pictures cannot tell."""
    if not (bundle.keeps_input and other.keeps_input):
        return False
    return bool(np.array_equal(bundle.thumbnails[first], other.thumbnails[second]))
