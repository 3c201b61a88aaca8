"""The exact store: vectors in memory, all of them compared with each query. Pure numpy.

FAISS's own flat index does no more than this; a question that also asks for classes would scan the gallery
again there, and loading FAISS takes longer than an answer from ten thousand vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simsearch.index.stores.base import Block, Hits, Ids, Labels, Vectors, check_queries, positions
from simsearch.index.stores.exact import Rows, nearest_in_groups, nearest_rows
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
        self._rows_of = {} if labels is None else _rows_by_label(labels)

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return int(self._vectors.shape[1])

    @property
    def is_exact(self) -> bool:
        """Whether every search looks at every vector."""
        return True

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
        rows = None if classes is None else self._rows_in(classes)
        total = len(self) if rows is None else len(rows)
        fetch = min(k + (left_out is not None), total)
        hits = self._search_all(queries, fetch) if rows is None else self._scan(queries, fetch, rows)
        return hits if left_out is None else leave_out(hits, left_out, min(k, total))

    def search_each(
        self, queries: Vectors, k: int, classes: Sequence[int], *, left_out: Ids | None = None
    ) -> Hits:
        """Search inside each class, exactly, in one pass over the gallery; see `VectorStore.search_each`."""
        check_queries(queries, self.dim, k)
        groups = [self._rows_of.get(label, _NO_ROWS) for label in classes]
        if left_out is None:
            return nearest_in_groups(queries, self._vectors, self.ids, k, groups)
        found = nearest_in_groups(queries, self._vectors, self.ids, k + 1, groups)  # (Q, C, k + 1)
        lists = reshape(found, len(queries) * len(groups), k + 1)
        return reshape(leave_out(lists, left_out.repeat(len(groups)), k), len(queries), len(groups), k)

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

    def _search_all(self, queries: Vectors, k: int) -> Hits:
        return nearest_rows(queries, self._vectors, self.ids, k)

    def _scan(self, queries: Vectors, k: int, rows: Rows) -> Hits:
        """Exact search of some rows (ascending)."""
        if len(rows) == len(self):
            return nearest_rows(queries, self._vectors, self.ids, k)
        return nearest_rows(queries, self._vectors[rows], self.ids[rows], k)

    def _block(self, rows: slice | Rows) -> Block:
        return Block(self.ids[rows], None if self.labels is None else self.labels[rows], self._vectors[rows])

    def _rows_in(self, classes: Sequence[int]) -> Rows:
        """The rows of the items in these classes, ascending."""
        return np.sort(np.concatenate([_NO_ROWS, *(self._rows_of.get(n, _NO_ROWS) for n in set(classes))]))


def _rows_by_label(labels: Labels) -> dict[int, Rows]:
    """The rows of each class, ascending, in ascending order of class number."""
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    return {int(labels[rows[0]]): rows for rows in np.split(order, ends) if len(rows)}
