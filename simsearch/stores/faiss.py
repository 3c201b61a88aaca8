"""The default store: a FAISS index proposes candidates, exact scores decide their order.

FAISS promises no order on equal scores, computes slightly different scores for the same pair
depending on the batch, and approximate indexes return approximate scores. So it is asked for a few
more candidates than needed, and these are scored again from the stored vectors in float64.
"""

from __future__ import annotations

import re
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.stores.base import Hits, Ids, Vectors, check_queries, is_unit

FLAT = "Flat"
_OVERFETCH = 16  # candidates beyond k, so that ties at the cut are usually seen at once
_APPROXIMATE_OVERFETCH = 4  # times k, for indexes whose own scores are approximate
_SCORE_ERROR = 1e-5  # bound on FAISS's float32 inner products of unit vectors
_BLOCK_SCORES = 2**24  # scores computed at once
_EF_SEARCH = 64  # HNSW: candidates kept while walking the graph


class FaissStore:
    """Vectors in a FAISS index under inner product; rows of the index are in ascending order of id."""

    def __init__(self, index: faiss.Index, ids: Ids, vectors: Vectors | None = None) -> None:
        """Wrap an index whose row i holds the vector of ids[i].

        :param ids: Strictly ascending, int64 (N,).
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
        if len(ids) and (ids[0] < 0 or (np.diff(ids) <= 0).any()):
            raise ValueError("ids must be non-negative and strictly ascending")
        self.index, self.ids, self._vectors = index, ids, vectors
        self._exact = isinstance(index, faiss.IndexFlat)

    @classmethod
    def build(cls, vectors: Vectors, ids: Ids, factory: str = FLAT) -> FaissStore:
        """Index vectors.

        :param vectors: Unit rows, float32 (N, D).
        :param ids: Strictly ascending, int64 (N,).
        :param factory: A FAISS factory string, such as `Flat`, `HNSW32` or `IVF100,Flat`.
        :raises ValueError: If FAISS cannot build such an index from these vectors.
        """
        if vectors.ndim != 2 or vectors.dtype != np.float32 or not is_unit(vectors):
            raise ValueError("vectors must be float32 rows of length 1")
        vectors = np.ascontiguousarray(vectors)
        try:
            index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
            index.train(vectors)
            index.add(vectors)
            _widen_search(index)
        except RuntimeError as error:  # FAISS wraps everything in RuntimeError
            raise ValueError(f"FAISS cannot build {factory!r}: {_reason(error)}") from error
        return cls(index, ids, None if isinstance(index, faiss.IndexFlat) else vectors)

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return int(self.index.d)

    @property
    def is_exact(self) -> bool:
        """Whether the index itself looks at every vector."""
        return self._exact

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, queries: Vectors, k: int, *, among: Ids | None = None) -> Hits:
        """Find the k stored vectors most similar to each query; see `VectorStore.search`."""
        check_queries(queries, self.dim, k)
        if among is not None:
            return self._scan(queries, k, self.rows(among))
        k = min(k, len(self))
        rows = self._candidates(np.ascontiguousarray(queries), k)
        if (rows < 0).any():  # an approximate index found fewer than k: look at every vector
            return self._scan(queries, k, np.arange(len(self)))
        if (rows >= len(self)).any():
            raise ValueError("the FAISS index answered with a row that does not exist")
        return self._order(queries, rows, k)

    def vectors(self, ids: Ids) -> Vectors:
        """The stored vectors of these ids; see `VectorStore.vectors`."""
        return self._vectors[self.rows(ids)]

    def all_vectors(self) -> Vectors:
        """Every stored vector in order of id, float32 (N, D), without a copy."""
        return self._vectors

    def write(self, path: Path) -> None:
        """Write the FAISS index to a file."""
        faiss.write_index(self.index, str(path))

    def rows(self, ids: Ids) -> NDArray[np.int64]:
        """The position of each of these ids in the arrays that are in order of id, int64 (len(ids),).

        :raises ValueError: If an id is not stored.
        """
        rows = np.searchsorted(self.ids, ids)
        if (rows == len(self.ids)).any() or (self.ids[rows] != ids).any():
            raise ValueError("an id is not stored")
        return rows

    def _candidates(self, queries: Vectors, k: int) -> NDArray[np.int64]:
        """At least the k best rows of each query and every row that might tie with the k-th."""
        fetch = k + _OVERFETCH if self._exact else _APPROXIMATE_OVERFETCH * k + _OVERFETCH
        while True:
            fetch = min(fetch, len(self))
            scores, rows = self._ask(queries, fetch)
            if fetch == len(self) or not self._exact:
                return rows
            if (scores[:, -1] < scores[:, k - 1] - _SCORE_ERROR).all():
                return rows
            fetch *= 2

    def _ask(self, queries: Vectors, fetch: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if isinstance(self.index, faiss.IndexHNSW):
            parameters = faiss.SearchParametersHNSW(efSearch=max(_EF_SEARCH, fetch))  # type: ignore[attr-defined]
            scores, rows = self.index.search(queries, fetch, params=parameters)
        else:
            scores, rows = self.index.search(queries, fetch)
        return scores, rows

    def _order(self, queries: Vectors, rows: NDArray[np.int64], k: int) -> Hits:
        """Score candidate rows (Q, C) exactly and keep the k best of each query."""
        scores = np.empty(rows.shape, np.float32)
        step = max(1, _BLOCK_SCORES // (rows.shape[1] * self.dim))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            scores[part] = exact_scores(queries[part], self._vectors[rows[part]])
        order = np.lexsort((rows, -scores), axis=1)[:, :k]
        return Hits(np.take_along_axis(scores, order, 1), self.ids[np.take_along_axis(rows, order, 1)])

    def _scan(self, queries: Vectors, k: int, rows: NDArray[np.int64]) -> Hits:
        """Exact search of some rows (ascending) without the index."""
        k = min(k, len(rows))
        vectors = self._vectors[rows]  # (n, D)
        parts = []
        step = max(1, _BLOCK_SCORES // max(1, len(rows)))
        for start in range(0, len(queries), step):
            block = queries[start : start + step]
            rough = block @ vectors.T  # (q, n)
            fetch = min(k + _OVERFETCH, len(rows))
            while True:
                best = np.argpartition(-rough, fetch - 1, axis=1)[:, :fetch]  # (q, fetch)
                found = np.take_along_axis(rough, best, 1)
                kth = np.partition(found, fetch - k, axis=1)[:, fetch - k]
                if fetch == len(rows) or (found.min(1) < kth - _SCORE_ERROR).all():
                    break
                fetch = min(2 * fetch, len(rows))
            parts.append(self._order(block, rows[best], k))
        return Hits(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def read_faiss_index(path: Path, *, dim: int, count: int) -> faiss.Index:
    """Read an index file whose checksum has been verified, with FAISS's own limits set close.

    :raises ValueError: If it is no inner-product index of `count` vectors of length `dim`.
    """
    size = path.stat().st_size
    faiss.set_deserialization_vector_byte_limit(size + size // 20 + 2**16)
    faiss.set_deserialization_loop_limit(max(count, 2**16))
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise ValueError(f"FAISS cannot read it: {_reason(error)}") from error
    if (index.d, index.ntotal, index.metric_type) != (dim, count, faiss.METRIC_INNER_PRODUCT):
        raise ValueError(f"it holds {index.ntotal} vectors of length {index.d}, not {count} of {dim}")
    return index


def exact_scores(queries: Vectors, candidates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine similarities in float64, rounded once: float32 (Q, C) of (Q, D) against (Q, C, D)."""
    products = np.einsum("qd,qcd->qc", queries.astype(np.float64), candidates.astype(np.float64))
    scores: NDArray[np.float32] = np.clip(products, -1, 1).astype(np.float32)
    return scores


def _flat_vectors(index: faiss.Index) -> Vectors:
    """The vectors inside a flat index, without a copy; they live as long as the index."""
    if not isinstance(index, faiss.IndexFlat):
        raise ValueError(f"a {type(index).__name__} does not hold exact vectors; pass them")
    vectors: Vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    return vectors.reshape(index.ntotal, index.d)


def _widen_search(index: faiss.Index) -> None:
    """Give inverted files a useful number of probes instead of FAISS's 1; it is saved in the file."""
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        inverted.nprobe = max(1, round(inverted.nlist**0.5))


def _reason(error: Exception) -> str:
    """The sentence in a FAISS error, without the C++ signature and file before it."""
    return re.split(r"\.cpp:\d+: ", str(error).strip().splitlines()[-1])[-1]
