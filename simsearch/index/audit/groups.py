"""Groups of copies, and which one of each is kept: the largest, and of these the least compressed.

A lossless file is less compressed than any other; among others, and among lossless ones, more bytes are less.
"""

from __future__ import annotations

import contextlib
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from simsearch.data.collection import natural
from simsearch.errors import BadImageError
from simsearch.files import open_regular, size_of
from simsearch.index.audit.copies import Copies
from simsearch.index.audit.kinds import CopyKind
from simsearch.index.bundle import Bundle
from simsearch.index.originals import Originals
from simsearch.index.stores.exact import exact_scores
from simsearch.prepare.decode import pillow_errors
from simsearch.prepare.formats import HEAD_BYTES, Kind, kind_of, pillow_formats

DUPLICATES_VERSION = 1
_LOSSLESS = ("PNG", "BMP", "GIF", "TIFF")
CSV_COLUMNS = (
    "group",
    "best",
    "kind",
    "score",
    "index",
    "id",
    "label",
    "width",
    "height",
    "bytes",
    "source",
    "path",
)
Node = tuple[bool, int]  # whether it is of the other index, and its id
Links = dict[Node, list[tuple[CopyKind, Node]]]
_SURENESS = {kind: place for place, kind in enumerate(CopyKind)}


@dataclass(frozen=True)
class File:
    """What a picture's file says without being decoded."""

    path: Path
    kind: Kind
    width: int
    height: int
    bytes: int

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.width * self.height

    @property
    def is_lossless(self) -> bool:
        """Whether its kind keeps every pixel; WebP and TIFF may or may not, and count as what most are."""
        return self.kind in _LOSSLESS


@dataclass(frozen=True)
class Member:
    """One picture of a group."""

    id: int
    index: str
    source: str
    label: str | None
    kind: CopyKind  # of copy of the best, by the least sure step of the surest way there
    score: float  # cosine to the one that is kept
    width: int | None  # of the file, where it is there
    height: int | None
    bytes: int | None
    path: str | None


@dataclass(frozen=True)
class Group:
    """Pictures that show the same; the first is the one to keep."""

    best: Member
    why: str
    others: tuple[Member, ...]


@dataclass(frozen=True)
class Duplicates:
    """All groups of copies in an index, or of its copies in another."""

    index: str
    against: str | None
    items: int
    copies: int  # members that are not the best, all of the index itself where there is another
    files: int  # that could be compared byte by byte
    unreadable: int
    groups: tuple[Group, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"duplicates": DUPLICATES_VERSION, **asdict(self)}


def group_copies(bundle: Bundle, against: Bundle | None, copies: Copies) -> Duplicates:
    """Join pairs to groups, surest kind first, and choose the best of each.

    Against another index the best is always that one's picture: it is the index's own that are too many.
    """
    sides = (bundle, bundle if against is None else against)
    originals = tuple(Originals(side) for side in sides)
    links: Links = defaultdict(list)
    for copy in copies.pairs:
        first, second = (False, copy.first), (against is not None, copy.second)
        links[first].append((copy.kind, second))
        links[second].append((copy.kind, first))
    pairs = [(first, second) for first, near in links.items() for _, second in near]
    names = _names(bundle, sides[1])
    groups = [_group(nodes, sides, originals, names, links) for nodes in union(pairs)]
    groups.sort(key=lambda group: (_SURENESS[group.others[0].kind], natural(group.best.source)))
    return Duplicates(
        index=bundle.manifest.name,
        against=names[1] if against else None,
        items=len(bundle.ids),
        copies=sum(len(group.others) for group in groups),
        files=copies.files,
        unreadable=copies.unreadable,
        groups=tuple(groups),
    )


def union(links: Iterable[tuple[Node, Node]]) -> list[list[Node]]:
    """The groups that these links join, by union-find with path halving (Tarjan, van Leeuwen 1984)."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for first, second in links:
        parent[root(second)] = root(first)
    groups = defaultdict(list)
    for node in sorted(parent):
        groups[root(node)].append(node)
    return list(groups.values())


def read_file(path: Path) -> File | None:
    """A picture's size in pixels and bytes; None if it cannot be read."""
    with contextlib.suppress(OSError, BadImageError), open_regular(path) as file, pillow_errors(str(path)):
        head = file.read(HEAD_BYTES)
        kind = kind_of(head)
        if kind is None:
            return None
        file.seek(0)
        with Image.open(file, formats=pillow_formats(head, str(path))) as image:
            return File(path, kind, *image.size, size_of(file))
    return None


def _group(
    nodes: Sequence[Node],
    sides: Sequence[Bundle],
    originals: Sequence[Originals],
    names: Sequence[str],
    links: Links,
) -> Group:
    files = {node: _file(originals[node[0]], node[1]) for node in nodes}
    sources = {node: sides[node[0]].sources[_row(sides[node[0]], node[1])] for node in nodes}
    ranked = sorted(nodes, key=lambda node: (not node[0], *_worth(files[node]), natural(sources[node])))
    best = ranked[0]
    kinds = _kinds(best, links)
    members = [
        _member(sides[side], names[side], item, files[side, item], kinds[side, item], score)
        for (side, item), score in zip(ranked, _scores(sides, ranked), strict=True)
        if (side, item) == best or not side
    ]
    return Group(members[0], _why([files[node] for node in ranked], is_other=best[0]), tuple(members[1:]))


def _kinds(best: Node, links: Links) -> dict[Node, CopyKind]:
    """What each of a group is to its best one: Prim's tree of the surest links, and their least sure one."""
    kinds: dict[Node, CopyKind] = {}
    waiting = [(0, best)]
    while waiting:
        least, node = heapq.heappop(waiting)
        if node not in kinds:
            kinds[node] = tuple(CopyKind)[least]
            for kind, near in links[node]:
                heapq.heappush(waiting, (max(least, _SURENESS[kind]), near))
    return kinds


def _names(bundle: Bundle, other: Bundle) -> tuple[str, str]:
    """What the two are called; by its folder the other one, if they have one name."""
    name, second = bundle.manifest.name, other.manifest.name
    return name, second if second != name or other is bundle else str(other.folder)


def _worth(file: File | None) -> tuple[int, bool, int]:
    """What sorts the best file first."""
    return (0, True, 0) if file is None else (-file.pixels, not file.is_lossless, -file.bytes)


def _why(files: Sequence[File | None], *, is_other: bool) -> str:
    """Why the first of these is the best."""
    best, *rest = files
    if is_other:
        return "it is the other index's"
    if best is None:
        return "the first; no file is there to be measured"
    known = [file for file in rest if file is not None]
    if not known:
        return "the only one whose file is there"
    size = f"{best.width} x {best.height} pixels"
    equal = [file for file in known if file.pixels == best.pixels]
    if not equal:
        return f"the largest: {size}"
    equal = [file for file in equal if file.is_lossless == best.is_lossless]
    if not equal:
        return f"the only lossless one of {size}: {best.kind}"
    if best.bytes > max(file.bytes for file in equal):
        return f"the least compressed of {size}: {best.bytes:,} bytes"
    return "the first of equal files"


def _member(bundle: Bundle, name: str, item: int, file: File | None, kind: CopyKind, score: float) -> Member:
    row = _row(bundle, item)
    label = None if bundle.labels is None else bundle.manifest.classes[bundle.labels[row]]
    return Member(
        id=item,
        index=name,
        source=bundle.sources[row],
        label=label,
        kind=kind,
        score=score,
        width=None if file is None else file.width,
        height=None if file is None else file.height,
        bytes=None if file is None else file.bytes,
        path=None if file is None else str(file.path),
    )


def _file(originals: Originals, item: int) -> File | None:
    path = originals.path(item)
    return None if path is None else read_file(path)


def _row(bundle: Bundle, item: int) -> int:
    return int(bundle.rows(np.array([item], np.int64))[0])


def _scores(sides: Sequence[Bundle], nodes: Sequence[Node]) -> list[float]:
    """The cosine of each to the first."""
    vectors = np.concatenate([sides[side].store.vectors(np.array([item], np.int64)) for side, item in nodes])
    scores: list[float] = exact_scores(np.repeat(vectors[:1], len(vectors), axis=0), vectors).tolist()
    return scores


def as_rows(found: Duplicates) -> Iterator[tuple[Any, ...]]:
    """The columns' names, then a row a picture, the best of each group first."""
    yield CSV_COLUMNS
    for number, group in enumerate(found.groups, 1):
        for it in (group.best, *group.others):
            is_best = str(it is group.best).lower()
            place = (number, is_best, it.kind.value, it.score, it.index, it.id, it.label)
            yield (*place, it.width, it.height, it.bytes, it.source, it.path)
