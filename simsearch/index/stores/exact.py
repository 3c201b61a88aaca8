"""Exact scoring, whatever the engine: rough products find what may be among the best, float64 decides.

A float32 product of two unit vectors depends on the batch that it is computed in, by up to `SCORE_ERROR`. So
products only bound which rows may reach the k best (`near.py`); those are scored again, each pair by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Rows, Scores, Vectors
from simsearch.index.stores.near import near, near_in_runs

if TYPE_CHECKING:
    from simsearch.index.stores.streamed import StreamedProducts

SMALL = 2**28  # multiplications, some ten milliseconds of one core
BLOCK_SCORES = 2**24  # scores computed at once
_PAIRS = 2**18  # numbers of the pairs that are scored at once: they stay in the processor's cache
_ONE_THREAD = 2**18  # multiplications, beyond which OpenBLAS starts threads, which spin while others work
_ROW_BY_ROW = 4  # queries
STRETCH = 2**14  # vectors that are read at once, where they are not in memory
_READ_SCORES = 2**22  # of these, up to which all are held for several questions


class Ranked(NamedTuple):
    """The best rows of each of L lists: scores float32 (L, k), descending; rows (L, k), ascending on ties.

    A place without a row holds NaN and `NOTHING`.
    """

    scores: Scores
    rows: Rows


def exact_scores(queries: Vectors | NDArray[np.float64], vectors: Vectors) -> Scores:
    """Cosine similarities of pairs in float64, rounded once: float32 (P,) of (P, D) and (P, D)."""
    products = np.einsum("pd,pd->p", queries.astype(np.float64, copy=False), vectors.astype(np.float64))
    scores: Scores = np.minimum(np.maximum(products, -1), 1).astype(np.float32)
    return scores


class Groups(NamedTuple):
    """Rows of a gallery in G groups, no row in two of them."""

    rows: Rows  # group after group, ascending in each
    lengths: Rows  # (G,)

    @classmethod
    def of(cls, groups: Sequence[Rows]) -> Groups:
        """Put groups of ascending rows together."""
        lengths = np.array([len(group) for group in groups], np.int64)
        return cls(np.concatenate([np.empty(0, np.int64), *groups]), lengths)

    def split(self) -> list[Rows]:
        """The rows of each group."""
        return np.split(self.rows, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []


class Products:
    """Queries against all rows of a gallery: one product, from which every question takes its candidates."""

    def __init__(self, queries: Vectors, vectors: Vectors) -> None:
        """Compare unit rows, float32 (Q, D), with those of a gallery, (N, D)."""
        self._queries, self._vectors = queries, vectors
        self._grouped: tuple[Groups, Scores] | None = None

    @cached_property
    def _rough(self) -> Scores:
        """Rough scores (N, Q): a row's lie side by side, so that rows are gathered quickly."""
        return rough_products(self._queries, self._vectors)

    def best(self, k: int) -> Ranked:
        """The k best rows of each query, (Q, k)."""
        found, asked = near(self._rough, k)
        return self._ranked(asked, found, asked, len(self._queries), k)

    def best_among(self, rows: Rows, k: int) -> Ranked:
        """The k best of these rows, ascending, (Q, k)."""
        compared = "_rough" in vars(self)
        rough = self._rough[rows] if compared else rough_products(self._queries, self._vectors[rows])
        found, asked = near(rough, k)
        return self._ranked(asked, rows[found], asked, len(self._queries), k)

    def best_in_each(self, groups: Groups, k: int) -> Ranked:
        """The k best in each group: (Q * G, k), query by query."""
        asked, found, group = self.near_in_each(groups, k)
        count = len(groups.lengths)
        return self._ranked(asked, found, asked * count + group, len(self._queries) * count, k)

    def near_in_each(self, groups: Groups, k: int) -> tuple[Rows, Rows, Rows]:
        """The rows that may be among the k best in their group, the query of each, and the group: (P,)."""
        if not len(groups.rows):
            return groups.rows, groups.rows, groups.rows
        found, asked, group = near_in_runs(self._by_group(groups), groups.lengths, k)
        return asked, groups.rows[found], group

    def best_in_own(self, groups: Groups, own: Rows, k: int) -> Ranked:
        """The k best in one group for each query, the `own[q]`-th: (Q, k)."""
        rough, ends = self._by_group(groups), np.cumsum(groups.lengths)
        asked, found = [], []
        for number in sorted(set(own.tolist())):
            queries = np.flatnonzero(own == number)
            part = slice(ends[number] - groups.lengths[number], ends[number])
            best, places = near(rough[part] if len(queries) == len(own) else rough[part, queries], k)
            found.append(groups.rows[part][best])
            asked.append(queries[places])
        every = np.concatenate([np.empty(0, np.int64), *asked])
        return self._ranked(every, np.concatenate([every[:0], *found]), every, len(own), k)

    def _by_group(self, groups: Groups) -> Scores:
        """Rough scores group by group; kept, since several questions are asked about the same groups."""
        if self._grouped is None or self._grouped[0] is not groups:
            self._grouped = groups, np.take(self._rough, groups.rows, axis=0)
        return self._grouped[1]

    def _ranked(self, asked: Rows, found: Rows, lists: Rows, count: int, k: int) -> Ranked:
        scores = score_pairs(self._queries, self._vectors, asked, found)
        return rank_pairs(lists, found, scores, count, k)


def compared(queries: Vectors, vectors: Any) -> Products | StreamedProducts:
    """Queries against vectors: one product, or stretch by stretch where these are read and many ask."""
    if isinstance(vectors, np.ndarray) or len(queries) * len(vectors) <= _READ_SCORES:
        return Products(queries, vectors)
    from simsearch.index.stores.streamed import StreamedProducts  # most queries come one by one

    return StreamedProducts(queries, vectors)


def score_pairs(queries: Vectors | NDArray[np.float64], vectors: Vectors, asked: Rows, found: Rows) -> Scores:
    """Exact scores of pairs of a query and a row, each (P,): float32 (P,)."""
    exact = queries.astype(np.float64, copy=False)  # once, and not again for every pair
    step = max(1, _PAIRS // queries.shape[1])
    if len(found) <= step:
        return exact_scores(exact[asked], vectors[found])
    scores = np.empty(len(found), np.float32)
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        scores[part] = exact_scores(exact[asked[part]], vectors[found[part]])
    return scores


def rank_pairs(lists: Rows, rows: Rows, scores: Scores, count: int, k: int) -> Ranked:
    """Put P scored rows into the lists that they are in, best first, k in each.

    :param lists: The list of each, 0 to `count` - 1, (P,).
    :param rows: (P,), ascending within each list.
    """
    ranked = empty_lists(count, k)
    if count == 1:
        best = np.argsort(-scores, kind="stable")[:k]
        ranked.scores[0, : len(best)], ranked.rows[0, : len(best)] = scores[best], rows[best]
        return ranked
    # One key for list and score: a stable sort by it leaves rows that tie in ascending order.
    code = (scores + np.float32(0)).view(np.int32).astype(np.int64)  # no -0
    code ^= (code >> 31) & 0x7FFFFFFF  # the bits of negative numbers descend
    order = np.argsort((lists << 33) - code, kind="stable")
    lists, rows, scores = lists[order], rows[order], scores[order]
    sizes = np.bincount(lists, minlength=count)
    rank = np.arange(len(lists)) - (np.cumsum(sizes) - sizes)[lists]
    kept = rank < k
    ranked.scores[lists[kept], rank[kept]] = scores[kept]
    ranked.rows[lists[kept], rank[kept]] = rows[kept]
    return ranked


def rank_rows(queries: Vectors, vectors: Vectors, rows: Rows, k: int) -> Ranked:
    """The k best of each query exactly, among different rows (Q, C) of its own."""
    ordered = np.sort(rows, axis=1)
    asked = np.repeat(np.arange(len(rows)), rows.shape[1])
    scores = score_pairs(queries, vectors, asked, ordered.ravel())
    return rank_pairs(asked, ordered.ravel(), scores, len(rows), k)


def empty_lists(lists: int, k: int) -> Ranked:
    """Lists of k places, in which there is no row yet."""
    return Ranked(np.full((lists, k), np.nan, np.float32), np.full((lists, k), NOTHING))


def rough_products(queries: Vectors, vectors: Vectors) -> Scores:
    """Rough inner products, float32 (N, Q): of few queries row by row, which is quicker than BLAS; of small
    galleries in parts that BLAS does with one thread.
    """
    if not isinstance(vectors, np.ndarray):
        return _read_products(queries, vectors)
    if len(queries) > _ROW_BY_ROW and len(queries) * vectors.size >= SMALL:
        return vectors @ queries.T
    products = np.empty((len(vectors), len(queries)), np.float32)
    if len(queries) <= _ROW_BY_ROW:
        for column, query in enumerate(queries):
            products[:, column] = np.vecdot(vectors, query)
        return products
    step = max(1, _ONE_THREAD // max(1, queries.size))
    for start in range(0, len(vectors), step):
        np.matmul(vectors[start : start + step], queries.T, out=products[start : start + step])
    return products


def _read_products(queries: Vectors, vectors: Vectors) -> Scores:
    """The same of vectors that are read when they are asked for: a stretch of them after the other."""
    products = np.empty((len(vectors), len(queries)), np.float32)
    for start in range(0, len(vectors), STRETCH):
        part = slice(start, start + STRETCH)
        products[part] = rough_products(queries, vectors[part])
    return products
