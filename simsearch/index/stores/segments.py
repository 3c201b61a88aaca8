"""Several stores that answer as one, without the items that were removed from them.

Removed items stay in the stores. A search asks each store for more than it needs, and again for more where
that did not suffice, so that what is dropped never leaves a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import (
    NOTHING,
    Block,
    Hits,
    Ids,
    Labels,
    Vectors,
    VectorStore,
    check_queries,
    positions,
)
from simsearch.index.stores.hits import leave_out, reshape, widen

_SLACK = 16  # hits beyond those wanted of a store from which items were removed
_NO_IDS = np.empty(0, np.int64)


class SegmentedStore:
    """Stores whose ids ascend from one store to the next, less some ids."""

    def __init__(self, parts: Sequence[VectorStore], removed: Ids = _NO_IDS) -> None:
        """Join stores.

        :param parts: At least one, of vectors of one length; all labeled, or none.
        :param removed: Ids that are stored in them and no longer answered, ascending, int64 (R,).
        :raises ValueError: If the parts do not fit together, or a removed id is not stored.
        """
        self._parts = tuple(parts)
        blocks = [_whole(part) for part in self._parts]
        if (
            len({part.dim for part in self._parts}) != 1
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
        return self._parts[0].dim

    @property
    def is_exact(self) -> bool:
        """Whether each part is."""
        return all(part.is_exact for part in self._parts)

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
        total = len(self) if classes is None else sum(self.count(number) for number in set(classes))
        fetch = min(k + (left_out is not None), total)
        if not fetch:
            return Hits(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))

        def ask(part: VectorStore, queries: Vectors, fetch: int) -> Hits:
            return part.search(queries, fetch, classes=classes)

        hits = self._best(queries, fetch, ask)
        return hits if left_out is None else leave_out(hits, left_out, min(k, total))

    def search_each(
        self, queries: Vectors, k: int, classes: Sequence[int], *, left_out: Ids | None = None
    ) -> Hits:
        """Search inside each class, exactly; see `VectorStore.search_each`."""
        check_queries(queries, self.dim, k)
        if not classes:
            shape = (len(queries), 0, k)
            return Hits(np.empty(shape, np.float32), np.empty(shape, np.int64))

        def ask(part: VectorStore, queries: Vectors, fetch: int) -> Hits:
            found = part.search_each(queries, fetch, classes)  # (Q, C, fetch)
            return reshape(found, len(queries) * len(classes), fetch)

        lists = self._best(queries, k + (left_out is not None), ask, lists=len(classes))
        if left_out is not None:
            lists = leave_out(lists, left_out.repeat(len(classes)), k)
        return reshape(lists, len(queries), len(classes), k)

    def vectors(self, ids: Ids) -> Vectors:
        """The vectors of these ids; see `VectorStore.vectors`."""
        positions(self._ids, ids)  # of a removed one too there is none
        found = np.empty((len(ids), self.dim), np.float32)
        part_of = np.searchsorted(self._ends, ids)
        for number in np.unique(part_of):
            chosen = part_of == number
            found[chosen] = self._parts[number].vectors(ids[chosen])
        return found

    def scan(self, after: int = -1) -> Iterator[Block]:
        """Everything with an id above `after`, in ascending order of id."""
        for part, gone in zip(self._parts, self._gone, strict=True):
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
            for block in map(_whole, self._parts)
            if block.labels is not None
        ]
        return Block(ids, np.concatenate(labels) if labels else None, self.vectors(ids))

    def close(self) -> None:
        """Close each part."""
        for part in self._parts:
            part.close()

    def _best(
        self,
        queries: Vectors,
        k: int,
        ask: Callable[[VectorStore, Vectors, int], Hits],
        lists: int = 1,
    ) -> Hits:
        """The k best of all parts, for each of so many lists a query: (Q * lists, k)."""
        found = [
            _kept(part, gone, queries, k, ask, lists)
            for part, gone in zip(self._parts, self._gone, strict=True)
        ]
        scores = np.concatenate([hits.scores for hits in found], axis=1)
        ids = np.concatenate([hits.ids for hits in found], axis=1)
        order = np.lexsort((ids, -scores), axis=1)[:, :k]  # a place without a hit is NaN, and last
        return widen(Hits(np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)), k)


def _kept(
    part: VectorStore,
    gone: Ids,
    queries: Vectors,
    k: int,
    ask: Callable[[VectorStore, Vectors, int], Hits],
    lists: int,
) -> Hits:
    """The k best of one part that are not gone, or all there are: (Q * lists, k)."""
    if not len(gone):
        return widen(ask(part, queries, k), k)
    hits = Hits(
        np.full((len(queries) * lists, k), np.nan, np.float32), np.full((len(queries) * lists, k), NOTHING)
    )
    pending, fetch = np.arange(len(queries)), k + _SLACK
    while len(pending):  # each query by itself: what it gets must not depend on the others
        fetch = min(fetch, len(part))
        asked = ask(part, queries[pending], fetch)
        kept, enough = _drop(asked, gone, k)
        done = (enough | (fetch == len(part)) | (asked.ids.shape[1] < fetch)).reshape(-1, lists).all(1)
        rows = (pending[done, None] * lists + np.arange(lists)).ravel()
        hits.scores[rows] = kept.scores[done.repeat(lists)]
        hits.ids[rows] = kept.ids[done.repeat(lists)]
        pending, fetch = pending[~done], fetch * 2
    return hits


def _drop(hits: Hits, gone: Ids, k: int) -> tuple[Hits, NDArray[np.bool_]]:
    """The first k hits of each list that are not gone; and whether they are k, or all that there are."""
    wide = widen(hits, k)
    dropped = gone[np.searchsorted(gone, wide.ids).clip(max=len(gone) - 1)] == wide.ids
    order = np.argsort(dropped, axis=1, kind="stable")[:, :k]
    lost = np.take_along_axis(dropped, order, 1)
    kept = Hits(
        np.where(lost, np.float32(np.nan), np.take_along_axis(wide.scores, order, 1)),
        np.where(lost, NOTHING, np.take_along_axis(wide.ids, order, 1)),
    )
    return kept, ~lost.any(1) | (wide.ids[:, -1] == NOTHING)


def _whole(part: VectorStore) -> Block:
    """The ids and class numbers of a store, and no vectors."""
    blocks = list(part.scan())
    ids = [block.ids for block in blocks]
    labels: list[Labels] = [block.labels for block in blocks if block.labels is not None]
    return Block(
        np.concatenate([_NO_IDS, *ids]),
        np.concatenate(labels) if labels else None,
        np.empty((0, part.dim), np.float32),
    )


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
