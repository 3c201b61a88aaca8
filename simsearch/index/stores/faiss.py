"""A FAISS index proposes candidates, exact scores decide their order.

FAISS promises no order on equal scores, computes slightly different scores for the same pair
depending on the batch, and approximate indexes return approximate scores. So it is asked for a few
more candidates than needed, and these are scored again from the stored vectors in float64. A flat index is
searched like any array: see `flat.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BrokenBundleError
from simsearch.index.stores.base import Hits, Ids, Labels, Rows, Vectors, check_queries
from simsearch.index.stores.candidates import Candidates, Samples, draw_samples, proposals
from simsearch.index.stores.coded import CodedVectors
from simsearch.index.stores.comparison import Comparison
from simsearch.index.stores.exact import rank_rows
from simsearch.index.stores.faiss_index import (
    FLAT,
    few_threads,
    make_index,
    reason_of,
    set_search_effort,
    write_index,
)
from simsearch.index.stores.flat import FlatStore
from simsearch.index.stores.hits import leave_out
from simsearch.index.stores.near import reaches

_WITHIN = 4  # times the lists of an inverted file that are looked through for items of some classes
_SELECTING = (
    faiss.IndexIVF,
    faiss.IndexHNSW,
    faiss.IndexScalarQuantizer,
)  # kinds that are asked for some rows
_ENOUGH = 2**14  # items of some classes, in the lists that are nearest to a query
_MOST_KEPT = 64  # sets of classes whose items FAISS knows, a bit for each item of the gallery
_REBUILD = "build the index again with `simsearch build-index`"

if hasattr(os, "register_at_fork"):  # a forked child would wait for ever for FAISS's threads: it has none
    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))


class _Chosen(NamedTuple):
    """The items of some classes."""

    bits: Any  # a bit for each row, uint8 (N / 8,)
    listed: NDArray[np.int64] | None  # how many lie in each inverted list, (lists,)


class FaissStore(FlatStore):
    """Vectors in a FAISS index under inner product; rows of the index are in ascending order of id."""

    def __init__(
        self,
        index: faiss.Index,
        ids: Ids,
        labels: Labels | None = None,
        vectors: Vectors | None = None,
        *,
        effort: int | None = None,
    ) -> None:
        """Wrap an index whose row i holds the vector of ids[i].

        :param ids: Strictly ascending, int64 (N,).
        :param labels: The number of each item's class, int64 (N,); None without labels.
        :param vectors: The exact vectors, float32 (N, D); a flat index holds them itself. `CodedVectors` are
            what the index's own codes give.
        :param effort: See `set_search_effort`.
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
        super().__init__(ids, labels, vectors)
        set_search_effort(index, effort)
        self.index, self._exact = index, isinstance(index, faiss.IndexFlat)
        self._kept: dict[tuple[int, ...], _Chosen] = {}
        self.is_coded = isinstance(vectors, CodedVectors)
        if self.is_coded and isinstance(index, faiss.IndexScalarQuantizer):
            self._exact = True  # all codes are decoded and compared, as FAISS does

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        ids: Ids,
        labels: Labels | None = None,
        *,
        factory: str = FLAT,
        coded: bool = False,
        centroids: Vectors | None = None,
    ) -> FaissStore:
        """Index vectors.

        :param vectors: Unit rows, float32 (N, D).
        :param ids: Strictly ascending, int64 (N,).
        :param labels: The number of each item's class, int64 (N,); None without labels.
        :param factory: A FAISS factory string, such as `Flat`, `HNSW32` or `IVF100,Flat`.
        :param coded: Whether what the index's own codes give is stored, instead of these vectors.
        :param centroids: See `make_index`.
        :raises ValueError: If FAISS cannot build such an index from these vectors.
        """
        index = make_index(vectors, factory, centroids)
        held: Any = CodedVectors(index) if coded else vectors
        return cls(index, ids, labels, None if isinstance(index, faiss.IndexFlat) else held)

    @property
    def is_exact(self) -> bool:
        """Whether the index itself looks at every vector."""
        return self._exact

    def set_effort(self, effort: int) -> None:
        """How much a search looks at from now on; see `set_search_effort`."""
        set_search_effort(self.index, effort)

    def write(self, path: Path) -> None:
        """Write the FAISS index to a file."""
        write_index(self.index, path)

    def search(
        self, queries: Vectors, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None
    ) -> Hits:
        """Find the k stored vectors most similar to each query; see `VectorStore.search`."""
        if self._exact or classes is not None:
            return super().search(queries, k, classes=classes, left_out=left_out)
        check_queries(queries, self.dim, k)
        hits = self._search_index(queries, min(k + (left_out is not None), len(self)))
        return hits if left_out is None else leave_out(hits, left_out, min(k, len(self)))

    def compare(self, queries: Vectors, *, exact: bool = False) -> Comparison:
        """Compare queries with everything, or with what an approximate index proposes; see `Comparing`."""
        if self._exact or exact:
            return super().compare(queries, exact=exact)
        check_queries(queries, self.dim, 1)
        return Candidates(self, queries)

    @cached_property
    def samples(self) -> Samples:
        """Some items of each class, always the same, that candidates are joined with."""
        return draw_samples(self.matrix, [self.rows_of(label) for label in self.classes])

    def propose_within(
        self, queries: Vectors, fetch: int, classes: Sequence[int], *, everywhere: bool
    ) -> tuple[NDArray[np.float32], Rows] | None:
        """Ask FAISS for candidates in these classes; None where it would miss many, or cannot be asked."""
        is_graph = isinstance(self.index, faiss.IndexHNSW)  # which is followed from the queries
        if not isinstance(self.index, _SELECTING) or (is_graph and everywhere):
            return None
        chosen = self._chosen(tuple(sorted(set(classes))))
        selector = faiss.IDSelectorBitmap(chosen.bits)  # type: ignore[call-arg]
        lists = _lists_with(self.index, chosen.listed, queries) if everywhere else 0
        return self.propose(queries, fetch, self._only(selector, lists))

    def _chosen(self, classes: tuple[int, ...]) -> _Chosen:
        """The items of some classes as FAISS selects them; kept for the classes that are asked for."""
        kept = self._kept.get(classes)
        if kept is None:
            rows, lists = self.rows_in(classes), self._lists
            chosen = np.zeros(len(self), bool)
            chosen[rows] = True
            index: Any = self.index
            listed = None if lists is None else np.bincount(lists[rows], minlength=index.nlist)
            kept = _Chosen(np.packbits(chosen, bitorder="little"), listed)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[classes] = kept
        return kept

    @cached_property
    def _lists(self) -> NDArray[np.int32] | None:
        """The inverted list that each row lies in, (N,); None where there are none."""
        if not isinstance(self.index, faiss.IndexIVF):
            return None
        lists, inverted = np.zeros(len(self), np.int32), cast("Any", self.index.invlists)
        for number in range(self.index.nlist):
            if size := inverted.list_size(number):
                lists[faiss.rev_swig_ptr(inverted.get_ids(number), size)] = number
        return lists

    def _only(self, selector: Any, lists: int) -> Any:
        """FAISS's parameters of a search among selected rows, and in at least so many inverted lists."""
        library: Any = faiss  # whose stubs lack some of its classes
        if isinstance(self.index, faiss.IndexIVF):
            lists = min(max(lists, _WITHIN * self.index.nprobe), self.index.nlist)
            return library.SearchParametersIVF(sel=selector, nprobe=lists)
        if isinstance(self.index, faiss.IndexHNSW):
            return library.SearchParametersHNSW(sel=selector, efSearch=self.index.hnsw.efSearch)
        return library.SearchParameters(sel=selector)

    def _search_index(self, queries: Vectors, k: int) -> Hits:
        """Ask FAISS for candidates until they hold the k best it can find, and order those exactly."""
        hits = Hits(np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64))
        pending = np.arange(len(queries) if k else 0)
        fetch = proposals(k)
        while len(pending):
            fetch = min(fetch, len(self))
            asked = queries[pending]
            scores, rows = self.propose(asked, fetch)
            short = (rows < 0).any(1)  # the index found too few: look at every vector
            whole = ~short & ((fetch == len(self)) | ~reaches(scores[:, -1], scores[:, k - 1]))
            if short.any():
                hits.scores[pending[short]], hits.ids[pending[short]] = super().search(asked[short], k)
            if whole.any():
                ranked = rank_rows(asked[whole], self.matrix, rows[whole], k)
                hits.scores[pending[whole]], hits.ids[pending[whole]] = ranked.scores, self.ids[ranked.rows]
            pending = pending[~short & ~whole]
            fetch *= 2
        return hits

    def propose(self, queries: Vectors, fetch: int, within: Any = None) -> tuple[NDArray[np.float32], Rows]:
        """FAISS's own answer; small questions by one thread, as starting others would take longer.

        :param within: FAISS's own parameters of this search.
        :return: Rough scores and rows, (Q, fetch); -1 in places for which it found none.
        :raises BrokenBundleError: If FAISS fails, or names a row that does not exist.
        """
        try:
            with few_threads(len(queries) * len(self) * self.dim):
                scores, rows = self._search(queries, fetch, within)
        except RuntimeError as error:
            reason = f"FAISS cannot search the index: {reason_of(error)}"
            raise BrokenBundleError(reason, _REBUILD) from error
        if (rows >= len(self)).any():
            raise BrokenBundleError("the FAISS index answered with a row that does not exist", _REBUILD)
        return scores, rows

    def _search(self, queries: Vectors, fetch: int, within: Any) -> tuple[NDArray[np.float32], Rows]:
        if within is None:
            scores, rows = self.index.search(queries, fetch)
        else:  # whoever imports `faiss.contrib.torch_utils` replaces FAISS's search by one without parameters
            search = getattr(self.index, "search_numpy", self.index.search)
            scores, rows = search(queries, fetch, params=within)
        return scores, rows


def _lists_with(index: Any, listed: NDArray[np.int64] | None, queries: Vectors) -> int:
    """How many of the lists nearest to each query hold enough of some items together.

    :param listed: How many of them lie in each list, (lists,).
    """
    if listed is None:
        return 0
    nearest = index.quantizer.search(queries, index.nlist)[1]
    held = np.cumsum(np.where(nearest < 0, 0, listed[nearest]), axis=1)  # a graph of centroids misses some
    return int((held < min(_ENOUGH, listed.sum())).sum(axis=1).max()) + 1


def _flat_vectors(index: faiss.Index) -> Vectors:
    """The vectors inside a flat index, without a copy; they live as long as the index."""
    if not isinstance(index, faiss.IndexFlat):
        raise ValueError(f"a {type(index).__name__} does not hold exact vectors; pass them")
    vectors: Vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    return vectors.reshape(index.ntotal, index.d)
