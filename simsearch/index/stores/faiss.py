"""The default store: a FAISS index proposes candidates, exact scores decide their order.

FAISS promises no order on equal scores, computes slightly different scores for the same pair
depending on the batch, and approximate indexes return approximate scores. So it is asked for a few
more candidates than needed, and these are scored again from the stored vectors in float64.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BrokenBundleError
from simsearch.index.stores.base import NOTHING, Hits, Ids, Vectors, check_queries, is_unit
from simsearch.index.stores.faiss_check import check_structure

FLAT = "Flat"
_OVERFETCH = 16  # candidates beyond k, so that ties at the cut are usually seen at once
_APPROXIMATE_OVERFETCH = 4  # times k, for indexes whose own scores are approximate
_SCORE_ERROR = 1e-5  # bound on FAISS's float32 inner products of unit vectors
_BLOCK_SCORES = 2**24  # scores computed at once
_GROUPS = 4  # times k, into which scores are divided to find a bound of the k best
_SMALL = 2**28  # multiplications, some ten milliseconds of one core
_ONE_THREAD = 2**18  # multiplications, beyond which OpenBLAS starts threads, which spin while others work
_EF_SEARCH = 64  # HNSW: candidates kept while walking the graph
_REBUILD = "build the index again with `simsearch build-index`"
_DEADLY = re.compile(r"(HNSW|NSG)(0*[01](?!\d)|\d{4})|[^ -~]")  # FAISS crashes, hangs or misreads them

if hasattr(os, "register_at_fork"):  # a forked child would wait for ever for FAISS's threads: it has none
    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))


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
        if ids.dtype != np.int64 or (ids[:1] < 0).any() or (ids[1:] <= ids[:-1]).any():
            raise ValueError("ids must be int64, non-negative and strictly ascending")
        _set_search_effort(index)
        self.index, self.ids, self._vectors = index, ids, vectors
        self._exact = isinstance(index, faiss.IndexFlat)
        self._dense = len(ids) > 0 and int(ids[-1] - ids[0]) == len(ids) - 1  # no id between is missing

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
        check_factory(factory, vectors.shape[1])
        vectors = np.ascontiguousarray(vectors)
        try:
            index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
            if index.metric_type != faiss.METRIC_INNER_PRODUCT:  # HNSW over PQ ignores what it is asked for
                raise RuntimeError("it cannot compare by inner product")
            _accept_small_clusters(index)
            index.train(vectors)
            index.add(vectors)
            _set_search_effort(index)
            index.search(vectors[:1], 1)  # some are built, and then cannot be searched
        except (RuntimeError, MemoryError) as error:  # FAISS wraps all but a failed allocation
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
        hits = Hits(np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64))
        pending = np.arange(len(queries) if k else 0)
        fetch = k + _OVERFETCH if self._exact else _APPROXIMATE_OVERFETCH * k + _OVERFETCH
        while len(pending):
            fetch = min(fetch, len(self))
            asked = queries[pending]
            scores, rows = self._ask(asked, fetch)
            if (rows >= len(self)).any():
                raise BrokenBundleError("the FAISS index answered with a row that does not exist", _REBUILD)
            short = (rows < 0).any(1)  # an approximate index found too few: look at every vector
            whole = ~short & ((fetch == len(self)) | ~_reaches(scores[:, -1], scores[:, k - 1]))
            if short.any():
                found = self._scan(asked[short], k, np.arange(len(self)))
                hits.scores[pending[short]], hits.ids[pending[short]] = found
            if whole.any():
                near = _reaches(scores[whole], scores[whole, k - 1 : k]) | (not self._exact)
                found = self._order(asked[whole], rows[whole], near, k)
                hits.scores[pending[whole]], hits.ids[pending[whole]] = found
            pending = pending[~short & ~whole]
            fetch *= 2
        return hits

    def vectors(self, ids: Ids) -> Vectors:
        """The stored vectors of these ids; see `VectorStore.vectors`."""
        return self._vectors[self.rows(ids)]

    def all_vectors(self) -> Vectors:
        """Every stored vector in order of id, float32 (N, D), without a copy."""
        return self._vectors

    def write(self, path: Path) -> None:
        """Write the FAISS index to a file."""
        with path.open("wb") as file:  # given a path, FAISS only prints that the disk was full
            faiss.write_index(self.index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined]

    def rows(self, ids: Ids) -> NDArray[np.int64]:
        """The position of each of these ids in the arrays that are in order of id, int64 (len(ids),).

        :raises ValueError: If an id is not stored.
        """
        # Where no id is missing, as in most galleries, a subtraction tells: many times as quick.
        rows: NDArray[np.int64] = ids - self.ids[0] if self._dense else np.searchsorted(self.ids, ids)
        if ((rows < 0) | (rows >= len(self))).any() or (not self._dense and (self.ids[rows] != ids).any()):
            raise ValueError("an id is not stored")
        return rows

    def _ask(self, queries: Vectors, fetch: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """FAISS's own answer; small questions by one thread, as starting others would take longer."""
        threads = faiss.omp_get_max_threads()  # of the calling thread alone, as is the limit set here
        if len(queries) * len(self) * self.dim < _SMALL:
            faiss.omp_set_num_threads(1)
        try:
            scores, rows = self.index.search(queries, fetch)
        except RuntimeError as error:
            reason = f"FAISS cannot search the index: {_reason(error)}"
            raise BrokenBundleError(reason, _REBUILD) from error
        finally:
            faiss.omp_set_num_threads(threads)
        return scores, rows

    def search_each(self, queries: Vectors, k: int, groups: Sequence[Ids]) -> Hits:
        """Search inside each group of items, exactly, in one pass: as `search` with each of them as `among`.

        :param groups: Ascending ids, no id in two groups.
        :return: Scores float32 (Q, G, k), ids int64 (Q, G, k); NaN and `NOTHING` where a group has fewer.
        """
        check_queries(queries, self.dim, k)
        rows = [self.rows(group) for group in groups]
        shape = (len(queries), len(groups), k)
        hits = Hits(np.full(shape, np.nan, np.float32), np.full(shape, NOTHING, np.int64))
        group_of = np.zeros(len(self), np.int64)
        for number, members in enumerate(rows):
            group_of[members] = number
        step = max(1, _BLOCK_SCORES // max(1, len(self)))
        for start in range(0, len(queries), step):
            block = queries[start : start + step]
            rough = _products(block, self._vectors)  # (q, N)
            near = np.zeros(rough.shape, bool)
            for members in filter(len, rows):
                inside = rough[:, members]
                near[:, members] = _reaches(inside, _bound(inside, min(k, len(members))))
            asked, found = _places(near)
            scores = self._score(block, asked, found)
            order = np.lexsort((found, -scores, group_of[found], asked))
            asked, found, scores = asked[order], found[order], scores[order]
            lists = asked * len(groups) + group_of[found]
            rank = np.arange(len(lists)) - np.searchsorted(lists, lists)
            kept = rank < k
            place = (start + asked[kept], group_of[found[kept]], rank[kept])
            hits.scores[place], hits.ids[place] = scores[kept], self.ids[found[kept]]
        return hits

    def _order(self, queries: Vectors, rows: NDArray[np.int64], near: NDArray[np.bool_], k: int) -> Hits:
        """The k best of each query exactly, among the candidate rows (Q, C), or (C,) for all, that are near.

        At least k are near for each query.
        """
        asked, places = _places(near)
        found = rows[places] if rows.ndim == 1 else rows[asked, places]  # (P,)
        scores = self._score(queries, asked, found)
        order = np.lexsort((found, -scores, asked))
        first = np.searchsorted(asked, np.arange(len(queries)))  # of each query; nonzero is in order
        best = order[first[:, None] + np.arange(k)]  # (Q, k)
        return Hits(scores[best], self.ids[found[best]])

    def _score(
        self, queries: Vectors, asked: NDArray[np.int64], found: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Exact scores of pairs of a query and a row, each (P,): float32 (P,)."""
        scores = np.empty(len(found), np.float32)
        exact = queries.astype(np.float64)  # once, and not again for every pair
        step = max(1, _BLOCK_SCORES // self.dim)
        for start in range(0, len(found), step):
            part = slice(start, start + step)
            scores[part] = exact_scores(exact[asked[part]], self._vectors[found[part]])
        return scores

    def _scan(self, queries: Vectors, k: int, rows: NDArray[np.int64]) -> Hits:
        """Exact search of some rows (ascending) without the index."""
        k = min(k, len(rows))
        if not k:
            return Hits(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
        vectors = self._vectors[rows]  # (n, D)
        parts = [Hits(np.empty((0, k), np.float32), np.empty((0, k), np.int64))]
        step = max(1, _BLOCK_SCORES // len(rows))
        for start in range(0, len(queries), step):
            block = queries[start : start + step]
            rough = _products(block, vectors)  # (q, n)
            parts.append(self._order(block, rows, _reaches(rough, _bound(rough, k)), k))
        return Hits(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def check_factory(factory: str, dim: int) -> None:
    """Refuse a factory string that FAISS cannot parse, or that would hang or crash it.

    :raises ValueError: With FAISS's reason. What fails only when trained passes here.
    """
    if _DEADLY.search(factory):
        raise ValueError(f"FAISS cannot build {factory!r}: it is no usable factory string")
    try:
        faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"FAISS cannot build {factory!r}: {_reason(error)}") from error


def read_faiss_index(path: Path, *, dim: int, count: int) -> faiss.Index:
    """Read an index file whose checksum has been verified, with FAISS's own limits set close.

    :raises ValueError: If it is no inner-product index of `count` vectors of length `dim`.
    """
    size = path.stat().st_size
    faiss.set_deserialization_vector_byte_limit(size + size // 20 + 2**16)
    faiss.set_deserialization_loop_limit(max(count, 2**16))
    try:
        with path.open("rb") as file:  # given a path, FAISS reports a missing file like a damaged one
            reader = faiss.PyCallbackIOReader(file.read)  # type: ignore[attr-defined]
            # The table of IVF,PQ serves Euclidean distance alone, and can be larger than the limit.
            index = faiss.read_index(reader, faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"FAISS cannot read it: {_reason(error)}") from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise ValueError("it does not compare by inner product")
    if (index.d, index.ntotal) != (dim, count):
        raise ValueError(f"it holds {index.ntotal} vectors of length {index.d}, not {count} of {dim}")
    check_structure(index)
    return index


def exact_scores(queries: Vectors | NDArray[np.float64], vectors: Vectors) -> NDArray[np.float32]:
    """Cosine similarities of pairs in float64, rounded once: float32 (P,) of (P, D) and (P, D)."""
    products = np.einsum("pd,pd->p", queries.astype(np.float64, copy=False), vectors.astype(np.float64))
    scores: NDArray[np.float32] = np.clip(products, -1, 1).astype(np.float32)
    return scores


def _products(queries: Vectors, vectors: Vectors) -> NDArray[np.float32]:
    """Rough inner products, float32 (Q, N); where there are few, in parts that BLAS does with one thread."""
    if len(queries) * vectors.size >= _SMALL:
        return queries @ vectors.T
    step = max(1, _ONE_THREAD // max(1, queries.size))
    products = np.empty((len(queries), len(vectors)), np.float32)
    for start in range(0, len(vectors), step):
        part = slice(start, start + step)
        np.matmul(queries, vectors[part].T, out=products[:, part])
    return products


def _bound(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """A bound that at least k scores of each row (Q, n) reach, and few more: float32 (Q, 1).

    It is the k-th best of the best scores of groups, which is quicker to find than the k-th best itself.
    """
    size = max(1, scores.shape[1] // (_GROUPS * k))
    whole = scores.shape[1] // size * size  # what is left over may well reach the bound too
    groups = scores[:, :whole].reshape(len(scores), -1, size).max(axis=2)  # (Q, groups)
    bound: NDArray[np.float32] = np.partition(groups, groups.shape[1] - k, axis=1)[:, -k][:, None]
    return bound


def _reaches(scores: NDArray[np.float32], kth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether rough scores may tie with a k-th or be better; scores above 1 count as 1."""
    reaches: NDArray[np.bool_] = scores >= np.minimum(kth, 1) - _SCORE_ERROR
    return reaches


def _places(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows and columns of what is true in (Q, N), in order; `np.nonzero` takes many times as long."""
    rows, columns = np.divmod(np.flatnonzero(chosen), max(1, chosen.shape[1]))
    return rows, columns


def _flat_vectors(index: faiss.Index) -> Vectors:
    """The vectors inside a flat index, without a copy; they live as long as the index."""
    if not isinstance(index, faiss.IndexFlat):
        raise ValueError(f"a {type(index).__name__} does not hold exact vectors; pass them")
    vectors: Vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    return vectors.reshape(index.ntotal, index.d)


def _accept_small_clusters(index: faiss.Index) -> None:
    """Keep FAISS from printing, many times, that a gallery is small for its lists or codes.

    `evaluate` says what that costs. OPQ, which trains a quantiser of its own, still prints it.
    """
    index = faiss.downcast_index(index)
    for trained in (index, getattr(index, "pq", None), getattr(index, "rq", None)):
        if (clustering := getattr(trained, "cp", None)) is not None:
            clustering.min_points_per_centroid = 1
    for inner in ("base_index", "index", "quantizer"):
        if isinstance(part := getattr(index, inner, None), faiss.Index):
            _accept_small_clusters(part)


def _set_search_effort(index: faiss.Index) -> None:
    """Look at enough of an approximate index to be useful, whatever the file says: FAISS's own defaults
    are one list of an inverted file and 16 candidates of a graph. A graph search for more widens itself.
    """
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        inverted.nprobe = max(1, round(inverted.nlist**0.5))
    if isinstance(index, faiss.IndexHNSW):
        index.hnsw.efSearch = _EF_SEARCH


def _reason(error: Exception) -> str:
    """The sentence in a FAISS error, without the C++ signature and file before it."""
    return re.split(r"\.(?:cpp|h):\d+: ", (str(error).strip() or type(error).__name__).splitlines()[-1])[-1]
