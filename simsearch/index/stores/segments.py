"""Several stores that answer as one, without the items that were removed from them.

An index of flat segments needs none of this: its vectors are read into one array (`index/segment.py`). Here
an approximate index is joined with what was added to it since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from simsearch.index.stores.base import (
    Block,
    Hits,
    Ids,
    Labels,
    Rows,
    Vectors,
    VectorStore,
    check_queries,
    outline,
    positions,
)
from simsearch.index.stores.comparison import Comparison, compare
from simsearch.index.stores.hits import leave_out, reshape
from simsearch.index.stores.merging import Ask, Asked, best_of

_NO_IDS = np.empty(0, np.int64)


class SegmentedStore:
    """Stores whose ids ascend from one store to the next, less some ids."""

    def __init__(self, parts: Sequence[VectorStore], removed: Ids = _NO_IDS) -> None:
        """Join stores.

        :param parts: At least one, of vectors of one length; all labeled, or none.
        :param removed: Ids that are stored in them and no longer answered, ascending, int64 (R,).
        :raises ValueError: If the parts do not fit together, or a removed id is not stored.
        """
        self.parts = tuple(parts)
        blocks = [outline(part) for part in self.parts]
        if (
            len({part.dim for part in self.parts}) != 1
            or len({block.labels is None for block in blocks}) != 1
        ):
            raise ValueError("the segments hold vectors of other lengths, or only some have labels")
        if any(not len(block.ids) for block in blocks) or any(
            before.ids[-1] >= after.ids[0] for before, after in pairwise(blocks)
        ):
            raise ValueError("the ids of the segments do not ascend")
        stored = np.concatenate([block.ids for block in blocks])
        kept = np.ones(len(stored), bool)
        kept[positions(stored, removed)] = False
        self._ids: Ids = stored[kept]
        self._ends = np.array([block.ids[-1] for block in blocks])
        self._gone = [_between(removed, int(block.ids[0]), int(block.ids[-1])) for block in blocks]
        self._counts: dict[int, int] = {}
        labels = [block.labels for block in blocks if block.labels is not None]
        if labels:
            counts = np.bincount(np.concatenate(labels)[kept])
            self._counts = {int(number): int(counts[number]) for number in np.flatnonzero(counts)}

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return self.parts[0].dim

    @property
    def is_exact(self) -> bool:
        """Whether each part is."""
        return all(part.is_exact for part in self.parts)

    @property
    def classes(self) -> tuple[int, ...]:
        """The numbers of the classes that have an item, ascending."""
        return tuple(self._counts)

    def __len__(self) -> int:
        return len(self._ids)

    def count(self, label: int | None = None) -> int:
        """Number of items, or of those in a class."""
        return len(self) if label is None else self._counts.get(label, 0)

    def search(
        self, queries: Vectors, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None
    ) -> Hits:
        """Find the k items most similar to each query; see `VectorStore.search`."""
        check_queries(queries, self.dim, k)

        def asking(part: VectorStore) -> Ask:
            return lambda rows, fetch: part.search(queries[rows], fetch, classes=classes)

        total = len(self) if classes is None else sum(self.count(number) for number in set(classes))
        return nearest_of(self.asked(asking), len(queries), k, total, left_out)

    def search_each(
        self, queries: Vectors, k: int, classes: Sequence[int], *, left_out: Ids | None = None
    ) -> Hits:
        """Search inside each class, exactly; see `VectorStore.search_each`."""
        check_queries(queries, self.dim, k)

        def asking(part: VectorStore) -> Ask:
            return lambda rows, fetch: part.search_each(queries[rows], fetch, classes)

        return each_of(self.asked(asking), len(queries), k, len(classes), left_out)

    def compare(self, queries: Vectors, *, exact: bool = False) -> Comparison:
        """Compare queries with everything, each part as it can; see `Comparing`."""
        check_queries(queries, self.dim, 1)
        return SegmentedComparison(self, queries, exact)

    def vectors(self, ids: Ids) -> Vectors:
        """The vectors of these ids; see `VectorStore.vectors`."""
        positions(self._ids, ids)  # of a removed one too there is none
        found = np.empty((len(ids), self.dim), np.float32)
        part_of = np.searchsorted(self._ends, ids)
        for number in np.unique(part_of):
            chosen = part_of == number
            found[chosen] = self.parts[number].vectors(ids[chosen])
        return found

    def scan(self, after: int = -1) -> Iterator[Block]:
        """Everything with an id above `after`, in ascending order of id."""
        for part, gone in zip(self.parts, self._gone, strict=True):
            for block in part.scan(after):
                kept = _without(block, gone)
                if len(kept.ids):
                    yield kept

    def sample(self, count: int, seed: int = 0) -> Block:
        """At most `count` items at random, the same for the same seed."""
        rows = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        ids = self._ids[rows]
        labels = [
            block.labels[positions(block.ids, _between(ids, int(block.ids[0]), int(block.ids[-1])))]
            for block in map(outline, self.parts)
            if block.labels is not None
        ]
        return Block(ids, np.concatenate(labels) if labels else None, self.vectors(ids))

    def close(self) -> None:
        """Close each part."""
        for part in self.parts:
            part.close()

    def asked(self, asking: Callable[[VectorStore], Ask]) -> list[Asked]:
        """The parts, each asked a question."""
        return [
            Asked(asking(part), gone, len(part)) for part, gone in zip(self.parts, self._gone, strict=True)
        ]


class SegmentedComparison:
    """Queries compared with each part; see `Comparison`."""

    def __init__(self, store: SegmentedStore, queries: Vectors, exact: bool) -> None:
        """Compare unit rows, float32 (Q, D)."""
        self._store, self._queries, self._exact = store, queries, exact
        self._compared = {part: compare(part, queries, exact=exact) for part in store.parts}

    @property
    def is_exact(self) -> bool:
        """Whether every item is looked at."""
        return all(compared.is_exact for compared in self._compared.values())

    def nearest(self, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None) -> Hits:
        """The k nearest of all items, or of those in some classes; see `Comparison.nearest`."""
        store = self._store
        total = len(store) if classes is None else sum(store.count(number) for number in set(classes))
        asked = self._asked(lambda compared, _, fetch: compared.nearest(fetch, classes=classes))
        return nearest_of(asked, len(self._queries), k, total, left_out)

    def in_each(self, k: int, classes: Sequence[int], *, left_out: Ids | None = None) -> Hits:
        """The k nearest in each class; see `Comparison.in_each`."""
        asked = self._asked(lambda compared, _, fetch: compared.in_each(fetch, classes))
        return each_of(asked, len(self._queries), k, len(classes), left_out)

    def in_own(self, k: int, own: Labels, *, left_out: Ids | None = None) -> Hits:
        """The k nearest in one class for each query; see `Comparison.in_own`."""
        asked = self._asked(lambda compared, rows, fetch: compared.in_own(fetch, own[rows]))
        found = best_of(asked, len(self._queries), k + (left_out is not None))
        return found if left_out is None else leave_out(found, left_out, k)

    def _asked(self, question: Callable[[Comparison, Rows, int], Hits]) -> list[Asked]:
        """The parts, each asked a question: all queries first, and then some of them for more."""

        def asking(part: VectorStore) -> Ask:
            first = [self._compared[part]]

            def ask(rows: Rows, fetch: int) -> Hits:
                # What was proposed to all stays as it is: an answer must not depend on other queries.
                compared = first.pop() if first else compare(part, self._queries[rows], exact=self._exact)
                return question(compared, rows, fetch)

            return ask

        return self._store.asked(asking)


def nearest_of(parts: Sequence[Asked], queries: int, k: int, total: int, left_out: Ids | None) -> Hits:
    """The k nearest of `total` items: (queries, k), or fewer columns where there are fewer items."""
    fetch = min(k + (left_out is not None), total)
    if not fetch:
        return Hits(np.empty((queries, 0), np.float32), np.empty((queries, 0), np.int64))
    hits = best_of(parts, queries, fetch)
    return hits if left_out is None else leave_out(hits, left_out, min(k, total))


def each_of(parts: Sequence[Asked], queries: int, k: int, classes: int, left_out: Ids | None) -> Hits:
    """The k nearest in each class: (queries, classes, k). The parts are asked for (queries, classes, ...)."""
    if not classes:
        shape = (queries, 0, k)
        return Hits(np.empty(shape, np.float32), np.empty(shape, np.int64))

    def flattened(ask: Ask) -> Ask:
        return lambda rows, fetch: reshape(ask(rows, fetch), len(rows) * classes, fetch)

    asked = [part._replace(ask=flattened(part.ask)) for part in parts]
    lists = best_of(asked, queries, k + (left_out is not None), classes)
    if left_out is not None:
        lists = leave_out(lists, left_out.repeat(classes), k)
    return reshape(lists, queries, classes, k)


def _between(ids: Ids, first: int, last: int) -> Ids:
    """The ids from the first to the last of a part."""
    return ids[np.searchsorted(ids, first) : np.searchsorted(ids, last, "right")]


def _without(block: Block, gone: Ids) -> Block:
    """A block without these ids; itself where it has none of them."""
    gone = _between(gone, int(block.ids[0]), int(block.ids[-1])) if len(block.ids) else _NO_IDS
    if not len(gone):
        return block
    kept = np.ones(len(block.ids), bool)
    kept[positions(block.ids, gone)] = False
    return Block(block.ids[kept], None if block.labels is None else block.labels[kept], block.vectors[kept])
