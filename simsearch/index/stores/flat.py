"""The exact store: vectors in memory, all of them compared with each query. Pure numpy.

FAISS's own flat index does no more than this; a question that also asks for classes would scan the gallery
again there, and loading FAISS takes longer than an answer from ten thousand vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simsearch.index.stores.base import (
    NOTHING,
    Block,
    Hits,
    Ids,
    Labels,
    Rows,
    Vectors,
    check_queries,
    positions,
)
from simsearch.index.stores.comparison import Comparison, blocks
from simsearch.index.stores.exact import STRETCH, Groups, Ranked, compared
from simsearch.index.stores.hits import leave_out, reshape

_SCANNED = 2**16  # vectors in a block of a scan
_NO_ROWS = np.empty(0, np.int64)


class FlatStore:
    """Vectors, ids and class numbers as arrays, row by row in ascending order of id."""

    def __init__(self, ids: Ids, labels: Labels | None, vectors: Vectors) -> None:
        """Wrap arrays whose row i is the item ids[i].

        :param ids: Strictly ascending, int64 (N,).
        :param labels: The number of each item's class, int64 (N,); None without labels.
        :param vectors: Unit rows, float32 (N, D).
        :raises ValueError: If they do not fit together.
        """
        if vectors.ndim != 2 or len(ids) != len(vectors):
            raise ValueError(f"{len(ids)} ids, vectors of shape {vectors.shape}")
        if ids.dtype != np.int64 or (ids[:1] < 0).any() or (ids[1:] <= ids[:-1]).any():
            raise ValueError("ids must be int64, non-negative and strictly ascending")
        if labels is not None and (
            labels.dtype != np.int64 or labels.shape != ids.shape or (labels < 0).any()
        ):
            raise ValueError(f"labels must be int64 ({len(ids)},), non-negative")
        self.ids, self.labels, self._vectors = ids, labels, vectors
        self._dense = len(ids) > 0 and int(ids[-1] - ids[0]) == len(ids) - 1  # no id between is missing
        self._rows_of, self._groups = _by_label(np.empty(0, np.int64) if labels is None else labels)

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return int(self._vectors.shape[1])

    @property
    def matrix(self) -> Vectors:
        """All vectors, row by row, (N, D)."""
        return self._vectors

    @property
    def is_exact(self) -> bool:
        """Whether every search looks at every vector."""
        return True

    @property
    def compared_at_once(self) -> int:
        """How many vectors are compared with all queries at once: a stretch, where they are read."""
        return len(self) if isinstance(self._vectors, np.ndarray) else min(len(self), STRETCH)

    @property
    def classes(self) -> tuple[int, ...]:
        """The numbers of the classes that have an item, ascending."""
        return tuple(self._rows_of)

    def __len__(self) -> int:
        return len(self.ids)

    def count(self, label: int | None = None) -> int:
        """Number of stored vectors, or of those in a class."""
        return len(self) if label is None else len(self._rows_of.get(label, ()))

    def search(
        self, queries: Vectors, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None
    ) -> Hits:
        """Find the k stored vectors most similar to each query; see `VectorStore.search`."""
        check_queries(queries, self.dim, k)
        return _joined(
            [
                FlatComparison(self, queries[part]).nearest(k, classes=classes, left_out=_of(left_out, part))
                for part in blocks(len(self), len(queries))
            ]
        )

    def search_each(
        self, queries: Vectors, k: int, classes: Sequence[int], *, left_out: Ids | None = None
    ) -> Hits:
        """Search inside each class, exactly, in one pass over the gallery; see `VectorStore.search_each`."""
        check_queries(queries, self.dim, k)
        return _joined(
            [
                FlatComparison(self, queries[part]).in_each(k, classes, left_out=_of(left_out, part))
                for part in blocks(len(self), len(queries))
            ]
        )

    def compare(self, queries: Vectors, *, exact: bool = False) -> Comparison:  # noqa: ARG002 - it always is
        """Compare queries with everything, to ask several questions of one product; see `Comparing`."""
        check_queries(queries, self.dim, 1)
        return FlatComparison(self, queries)

    def vectors(self, ids: Ids) -> Vectors:
        """The stored vectors of these ids; see `VectorStore.vectors`."""
        return self._vectors[positions(self.ids, ids, dense=self._dense)]

    def scan(self, after: int = -1) -> Iterator[Block]:
        """Everything with an id above `after`; blocks are views, without a copy."""
        for start in range(int(np.searchsorted(self.ids, after, "right")), len(self), _SCANNED):
            yield self._block(slice(start, start + _SCANNED))

    def sample(self, count: int, seed: int = 0) -> Block:
        """At most `count` items at random, the same for the same seed."""
        return self._block(np.sort(np.random.default_rng(seed).permutation(len(self))[:count]))

    def close(self) -> None:
        """Nothing is held open that does not end with the store."""

    def _block(self, rows: slice | Rows) -> Block:
        return Block(self.ids[rows], None if self.labels is None else self.labels[rows], self._vectors[rows])

    def rows_in(self, classes: Sequence[int]) -> Rows:
        """The rows of the items in these classes, ascending."""
        groups = [self.rows_of(label) for label in sorted(set(classes))]
        return groups[0] if len(groups) == 1 else np.sort(np.concatenate([_NO_ROWS, *groups]))

    def groups(self, classes: Sequence[int]) -> Groups:
        """The rows of the items in each of these classes; of all classes always the same object."""
        if tuple(classes) == self.classes:
            return self._groups
        return Groups.of([self.rows_of(label) for label in classes])

    def rows_of(self, label: int) -> Rows:
        """The rows of the items in this class, ascending."""
        return self._rows_of.get(label, _NO_ROWS)


class FlatComparison:
    """Queries compared with all of a store; see `Comparison`."""

    def __init__(self, store: FlatStore, queries: Vectors) -> None:
        """Compare unit rows, float32 (Q, D)."""
        self._store, self._count = store, len(queries)
        self._products = compared(queries, store.matrix)

    @property
    def is_exact(self) -> bool:
        """Whether every item was looked at."""
        return True

    def nearest(self, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None) -> Hits:
        """The k nearest of all items, or of those in some classes; see `Comparison.nearest`."""
        rows = None if classes is None else self._store.rows_in(classes)
        total = len(self._store) if rows is None else len(rows)
        fetch = min(k + (left_out is not None), total)
        if not fetch or not self._count:
            shape = (self._count, min(k, total))
            return Hits(np.empty(shape, np.float32), np.empty(shape, np.int64))
        if rows is None or total == len(self._store):
            hits = self._hits(self._products.best(fetch))
        else:
            hits = self._hits(self._products.best_among(rows, fetch))
        return hits if left_out is None else leave_out(hits, left_out, min(k, total))

    def in_each(self, k: int, classes: Sequence[int], *, left_out: Ids | None = None) -> Hits:
        """The k nearest in each class; see `Comparison.in_each`."""
        groups, count = self._store.groups(classes), len(classes)
        shape = (self._count, count, k)
        if not self._count or not count:
            return Hits(np.empty(shape, np.float32), np.empty(shape, np.int64))
        if left_out is None:
            return reshape(self._hits(self._products.best_in_each(groups, k)), *shape)
        found = self._hits(self._products.best_in_each(groups, k + 1))
        return reshape(leave_out(found, left_out.repeat(count), k), *shape)

    def in_own(self, k: int, own: Labels, *, left_out: Ids | None = None) -> Hits:
        """The k nearest in one class for each query; see `Comparison.in_own`."""
        classes, asked = self._store.classes, set(own.tolist())
        if not asked <= set(classes):  # of a class without an item nothing is near
            classes = tuple(sorted(asked))
        groups, places = self._store.groups(classes), np.searchsorted(classes, own)
        found = self._hits(self._products.best_in_own(groups, places, k + (left_out is not None)))
        return found if left_out is None else leave_out(found, left_out, k)

    def _hits(self, ranked: Ranked) -> Hits:
        """Rows as the ids that they have."""
        there = ranked.rows != NOTHING
        if there.all():
            return Hits(ranked.scores, self._store.ids[ranked.rows])
        ids = np.where(there, self._store.ids[np.where(there, ranked.rows, 0)], NOTHING)
        return Hits(ranked.scores, ids)


def _of(left_out: Ids | None, part: slice) -> Ids | None:
    return None if left_out is None else left_out[part]


def _joined(parts: Sequence[Hits]) -> Hits:
    """The answers to blocks of queries as one."""
    return parts[0] if len(parts) == 1 else Hits(*(np.concatenate(c) for c in zip(*parts, strict=True)))


def _by_label(labels: Labels) -> tuple[dict[int, Rows], Groups]:
    """The rows of each class, ascending, in ascending order of class number, and all of them as groups."""
    if len(labels) and labels.max() < 2**15:
        labels = labels.astype(np.int16)  # which are sorted in one pass
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    groups = [rows for rows in np.split(order, ends) if len(rows)]
    lengths = np.array([len(rows) for rows in groups], np.int64)
    return {int(labels[rows[0]]): rows for rows in groups}, Groups(order, lengths)
