"""The default store: a FAISS index proposes candidates, exact scores decide their order.

FAISS promises no order on equal scores, computes slightly different scores for the same pair
depending on the batch, and approximate indexes return approximate scores. So it is asked for a few
more candidates than needed, and these are scored again from the stored vectors in float64.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BrokenBundleError
from simsearch.index.stores.base import Block, Hits, Ids, Labels, Vectors, check_queries, positions
from simsearch.index.stores.exact import (
    SMALL,
    Rows,
    nearest_in_groups,
    nearest_rows,
    order_rows,
    reaches,
)
from simsearch.index.stores.faiss_index import FLAT, make_index, reason_of, set_search_effort, write_index
from simsearch.index.stores.hits import leave_out, reshape

_OVERFETCH = 16  # candidates beyond k, so that ties at the cut are usually seen at once
_APPROXIMATE_OVERFETCH = 4  # times k, for indexes whose own scores are approximate
_SCANNED = 2**16  # vectors in a block of a scan
_NO_ROWS = np.empty(0, np.int64)
_REBUILD = "build the index again with `simsearch build-index`"

if hasattr(os, "register_at_fork"):  # a forked child would wait for ever for FAISS's threads: it has none
    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))


class FaissStore:
    """Vectors in a FAISS index under inner product; rows of the index are in ascending order of id."""

    def __init__(
        self, index: faiss.Index, ids: Ids, labels: Labels | None = None, vectors: Vectors | None = None
    ) -> None:
        """Wrap an index whose row i holds the vector of ids[i].

        :param ids: Strictly ascending, int64 (N,).
        :param labels: The number of each item's class, int64 (N,); None without labels.
        :param vectors: The exact vectors, float32 (N, D); a flat index holds them itself.
        :raises ValueError: If the parts do not fit together.
        """
        if index.metric_type != faiss.METRIC_INNER_PRODUCT or not index.is_trained:
            raise ValueError("the FAISS index must be trained, under inner product")
        if vectors is None:
            vectors = _flat_vectors(index)
        if not len(ids) == index.ntotal == len(vectors) or vectors.shape[1] != index.d:
            raise ValueError(
                f"{index.ntotal} vectors in the index, {len(ids)} ids, {len(vectors)} exact vectors"
            )
        if ids.dtype != np.int64 or (ids[:1] < 0).any() or (ids[1:] <= ids[:-1]).any():
            raise ValueError("ids must be int64, non-negative and strictly ascending")
        if labels is not None and (
            labels.dtype != np.int64 or labels.shape != ids.shape or (labels < 0).any()
        ):
            raise ValueError(f"labels must be int64 ({len(ids)},), non-negative")
        set_search_effort(index)
        self.index, self.ids, self.labels, self._vectors = index, ids, labels, vectors
        self._exact = isinstance(index, faiss.IndexFlat)
        self._dense = len(ids) > 0 and int(ids[-1] - ids[0]) == len(ids) - 1  # no id between is missing
        self._rows_of = {} if labels is None else _rows_by_label(labels)

    @classmethod
    def build(
        cls, vectors: Vectors, ids: Ids, labels: Labels | None = None, *, factory: str = FLAT
    ) -> FaissStore:
        """Index vectors.

        :param vectors: Unit rows, float32 (N, D).
        :param ids: Strictly ascending, int64 (N,).
        :param labels: The number of each item's class, int64 (N,); None without labels.
        :param factory: A FAISS factory string, such as `Flat`, `HNSW32` or `IVF100,Flat`.
        :raises ValueError: If FAISS cannot build such an index from these vectors.
        """
        vectors = np.ascontiguousarray(vectors)
        index = make_index(vectors, factory)
        return cls(index, ids, labels, None if isinstance(index, faiss.IndexFlat) else vectors)

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return int(self.index.d)

    @property
    def is_exact(self) -> bool:
        """Whether the index itself looks at every vector."""
        return self._exact

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
        hits = self._search_index(queries, fetch) if rows is None else self._scan(queries, fetch, rows)
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

    def write(self, path: Path) -> None:
        """Write the FAISS index to a file."""
        write_index(self.index, path)

    def _block(self, rows: slice | Rows) -> Block:
        return Block(self.ids[rows], None if self.labels is None else self.labels[rows], self._vectors[rows])

    def _rows_in(self, classes: Sequence[int]) -> Rows:
        """The rows of the items in these classes, ascending."""
        return np.sort(np.concatenate([_NO_ROWS, *(self._rows_of.get(n, _NO_ROWS) for n in set(classes))]))

    def _search_index(self, queries: Vectors, k: int) -> Hits:
        """Ask FAISS for candidates until they hold the k best it can find, and order those exactly."""
        hits = Hits(np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64))
        pending = np.arange(len(queries) if k else 0)
        fetch = k + _OVERFETCH if self._exact else _APPROXIMATE_OVERFETCH * k + _OVERFETCH
        while len(pending):
            fetch = min(fetch, len(self))
            asked = queries[pending]
            scores, rows = self._ask(asked, fetch)
            short = (rows < 0).any(1)  # an approximate index found too few: look at every vector
            whole = ~short & ((fetch == len(self)) | ~reaches(scores[:, -1], scores[:, k - 1]))
            if short.any():
                found = nearest_rows(asked[short], self._vectors, self.ids, k)
                hits.scores[pending[short]], hits.ids[pending[short]] = found
            if whole.any():
                near = reaches(scores[whole], scores[whole, k - 1 : k]) | (not self._exact)
                found = order_rows(asked[whole], self._vectors, self.ids, rows[whole], near, k)
                hits.scores[pending[whole]], hits.ids[pending[whole]] = found
            pending = pending[~short & ~whole]
            fetch *= 2
        return hits

    def _scan(self, queries: Vectors, k: int, rows: Rows) -> Hits:
        """Exact search of some rows (ascending) without the index."""
        if len(rows) == len(self):
            return nearest_rows(queries, self._vectors, self.ids, k)
        return nearest_rows(queries, self._vectors[rows], self.ids[rows], k)

    def _ask(self, queries: Vectors, fetch: int) -> tuple[NDArray[np.float32], Rows]:
        """FAISS's own answer; small questions by one thread, as starting others would take longer.

        :raises BrokenBundleError: If FAISS fails, or names a row that does not exist.
        """
        threads = faiss.omp_get_max_threads()  # of the calling thread alone, as is the limit set here
        if len(queries) * len(self) * self.dim < SMALL:
            faiss.omp_set_num_threads(1)
        try:
            scores, rows = self.index.search(queries, fetch)
        except RuntimeError as error:
            reason = f"FAISS cannot search the index: {reason_of(error)}"
            raise BrokenBundleError(reason, _REBUILD) from error
        finally:
            faiss.omp_set_num_threads(threads)
        if (rows >= len(self)).any():
            raise BrokenBundleError("the FAISS index answered with a row that does not exist", _REBUILD)
        return scores, rows


def _rows_by_label(labels: Labels) -> dict[int, Rows]:
    """The rows of each class, ascending, in ascending order of class number."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))  # np.unique loads numpy.ma
    return (
        dict(zip(ordered[starts].tolist(), np.split(order, starts[1:]), strict=True)) if len(labels) else {}
    )


def _flat_vectors(index: faiss.Index) -> Vectors:
    """The vectors inside a flat index, without a copy; they live as long as the index."""
    if not isinstance(index, faiss.IndexFlat):
        raise ValueError(f"a {type(index).__name__} does not hold exact vectors; pass them")
    vectors: Vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    return vectors.reshape(index.ntotal, index.d)
