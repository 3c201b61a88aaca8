"""What is doubtful in a gallery: labels, items far from all others, classes that overlap, and leaks.

Everything is read off the stored vectors: each item's nearest others, itself left out. What the findings say
follows the encoder: of classes that it cannot tell apart, no label can be judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BadInputError
from simsearch.index.audit.copies import Copy, find_copies
from simsearch.index.audit.neighbors import Progress, nearest_others
from simsearch.index.bundle import Bundle
from simsearch.index.stores.base import NOTHING, Hits
from simsearch.stats.label_errors import (
    NONE,
    LabelErrors,
    Votes,
    count_votes,
    find_label_errors,
    find_overlaps,
)

AUDIT_VERSION = 1
NEIGHBORS = 10


@dataclass(frozen=True)
class Neighbor:
    """An item near a doubtful one."""

    id: int
    label: str | None
    score: float


@dataclass(frozen=True)
class LabelError:
    """An item whose neighbors are of another class."""

    id: int
    source: str
    label: str
    suggested: str
    share: float  # of its neighbors that have its label
    suggested_share: float
    is_confident: bool  # off the diagonal of the confident joint
    neighbors: tuple[Neighbor, ...]


@dataclass(frozen=True)
class Outlier:
    """An item that is unlike all others."""

    id: int
    source: str
    label: str | None
    score: float  # mean cosine to its neighbors
    neighbors: tuple[Neighbor, ...]


@dataclass(frozen=True)
class Overlap:
    """Two classes whose items have neighbors in each other."""

    first: str
    second: str
    of_first: float  # mean share of neighbors of the second class, over the items of the first
    of_second: float


@dataclass(frozen=True)
class Leak:
    """An item that another index holds a copy of."""

    id: int
    source: str
    label: str | None
    other_id: int
    other_source: str
    other_label: str | None
    kind: str
    score: float


@dataclass(frozen=True)
class Audit:
    """All findings about one index, each list beginning with the worst."""

    index: str
    against: str | None
    items: int
    neighbors: int  # of an item at most
    judged: int  # items whose label can be judged: labeled, and not alone in their class
    confident: int  # label errors that are confident
    estimated: float  # wrong labels, by the calibrated confident joint
    label_errors: tuple[LabelError, ...]
    median: float | None  # of all items' mean cosines to their neighbors; None where nothing has any
    outliers: tuple[Outlier, ...]
    overlaps: tuple[Overlap, ...]
    leaking: int  # items with a copy in the other index
    leaks: tuple[Leak, ...]
    corrections: Mapping[int, str]  # id -> class, of every confident label error

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        fields = asdict(self)
        del fields["corrections"]
        return {"audit": AUDIT_VERSION, **fields}


def audit(
    bundle: Bundle,
    against: Bundle | None = None,
    *,
    k: int = NEIGHBORS,
    most: int = 50,
    on_progress: Progress = lambda _: None,
) -> Audit:
    """Look for what is doubtful in an index.

    :param against: Another index of the same encoder, whose items should be others: test against training.
    :param k: Neighbors that judge an item.
    :param most: Entries of each list; the counts are of all.
    :param on_progress: Called with the number of items of each finished block.
    :raises BadInputError: If the other index is of another encoder.
    """
    leaks = () if against is None else _leaks(bundle, against)
    hits = nearest_others(bundle.store, k, on_progress)
    finder = _Finder(bundle, hits)
    scores = np.where(hits.ids == NOTHING, np.nan, hits.scores).astype(np.float64)
    there = ~np.isnan(scores).all(axis=1)
    means = np.full(len(scores), np.nan)
    means[there] = np.nanmean(scores[there], axis=1)
    votes = errors = None
    if bundle.labels is not None:
        near = np.where(hits.ids == NOTHING, NONE, bundle.labels[finder.rows])
        votes = count_votes(np.asarray(bundle.labels), near)
        errors = find_label_errors(votes)
    return Audit(
        index=bundle.manifest.name,
        against=None if against is None else against.manifest.name,
        items=len(bundle.ids),
        neighbors=k,
        judged=0 if votes is None else int(votes.judged.sum()),
        confident=0 if errors is None else int(errors.is_confident.sum()),
        estimated=0.0 if errors is None else errors.estimated,
        label_errors=tuple(finder.label_errors(votes, errors, means, most)) if votes and errors else (),
        median=float(np.median(means[there])) if there.any() else None,
        outliers=tuple(finder.outliers(means, most)),
        overlaps=tuple(_overlaps(bundle, votes, most)) if votes else (),
        leaking=len({leak.id for leak in leaks}),
        leaks=leaks[:most],
        corrections=_corrections(bundle, errors) if errors else {},
    )


def corrected_labels(bundle: Bundle, found: Audit) -> Iterator[tuple[str, str, str]]:
    """Source, label and, where that is a correction, the label before: of every item.

    :raises BadInputError: If the index has no labels.
    """
    if bundle.labels is None:
        raise no_labels(bundle)
    classes = bundle.manifest.classes
    for item, source, label in zip(bundle.ids.tolist(), bundle.sources, bundle.labels.tolist(), strict=True):
        correction = found.corrections.get(item)
        yield source, correction or classes[label], classes[label] if correction else ""


def no_labels(bundle: Bundle) -> BadInputError:
    """The refusal to correct the labels of an index without any."""
    return BadInputError(
        f"{bundle.manifest.name} has no labels to correct", hint="audit it without --fix: outliers and leaks"
    )


class _Finder:
    """Records of items, by row, with their neighbors."""

    def __init__(self, bundle: Bundle, hits: Hits) -> None:
        self._bundle, self._hits = bundle, hits
        self.rows = bundle.rows(np.where(hits.ids == NOTHING, bundle.ids[0], hits.ids).ravel())
        self.rows = self.rows.reshape(hits.ids.shape)

    def label_errors(
        self, votes: Votes, errors: LabelErrors, closeness: NDArray[np.float64], most: int
    ) -> Iterator[LabelError]:
        """Smallest margin first; of equal ones those whose neighbors are nearest."""
        classes = self._bundle.manifest.classes
        order = np.lexsort((-closeness, errors.margin, ~errors.is_confident))
        order = order[(errors.suggested != NONE)[order]]
        for row in order[:most].tolist():
            yield LabelError(
                id=int(self._bundle.ids[row]),
                source=self._bundle.sources[row],
                label=classes[votes.labels[row]],
                suggested=classes[errors.suggested[row]],
                share=float(votes.own[row]),
                suggested_share=float(errors.suggested_share[row]),
                is_confident=bool(errors.is_confident[row]),
                neighbors=self._neighbors(row),
            )

    def outliers(self, means: NDArray[np.float64], most: int) -> Iterator[Outlier]:
        """The least near first."""
        for row in np.argsort(means, kind="stable")[:most].tolist():  # NaN comes last
            if not np.isnan(means[row]):
                yield Outlier(
                    id=int(self._bundle.ids[row]),
                    source=self._bundle.sources[row],
                    label=_label(self._bundle, row),
                    score=float(means[row]),
                    neighbors=self._neighbors(row),
                )

    def _neighbors(self, row: int) -> tuple[Neighbor, ...]:
        return tuple(
            Neighbor(item, _label(self._bundle, near), score)
            for item, near, score in zip(
                self._hits.ids[row].tolist(),
                self.rows[row].tolist(),
                self._hits.scores[row].tolist(),
                strict=True,
            )
            if item != NOTHING
        )


def _label(bundle: Bundle, row: int) -> str | None:
    return None if bundle.labels is None else bundle.manifest.classes[bundle.labels[row]]


def _overlaps(bundle: Bundle, votes: Votes, most: int) -> Iterator[Overlap]:
    classes, found = bundle.manifest.classes, find_overlaps(votes)
    for first, second, of_first, of_second in zip(*(column[:most].tolist() for column in found), strict=True):
        yield Overlap(classes[first], classes[second], of_first, of_second)


def _corrections(bundle: Bundle, errors: LabelErrors) -> dict[int, str]:
    rows = np.flatnonzero(errors.is_confident)
    classes = bundle.manifest.classes
    return {int(bundle.ids[row]): classes[errors.suggested[row]] for row in rows}


def _leaks(bundle: Bundle, against: Bundle) -> tuple[Leak, ...]:
    """Every item that has a copy in the other index, with its surest copy; surest first."""
    best: dict[int, Copy] = {}
    for copy in find_copies(bundle, against).pairs:  # surest first
        best.setdefault(copy.first, copy)
    rows = bundle.rows(np.array(list(best), np.int64))
    others = against.rows(np.array([copy.second for copy in best.values()], np.int64))
    return tuple(
        Leak(
            id=copy.first,
            source=bundle.sources[row],
            label=_label(bundle, row),
            other_id=copy.second,
            other_source=against.sources[other],
            other_label=_label(against, other),
            kind=copy.kind,
            score=copy.score,
        )
        for copy, row, other in zip(best.values(), rows.tolist(), others.tolist(), strict=True)
    )
