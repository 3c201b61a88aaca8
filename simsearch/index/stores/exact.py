"""Exact scoring, whatever the engine: rough products find what may be among the best, float64 decides.

A float32 product of two unit vectors depends on the batch that it is computed in, by up to `SCORE_ERROR`. So
products only bound which rows may reach the k best; those are scored again, each pair by itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Hits, Ids, Vectors

SCORE_ERROR = 1e-5  # bound on the error of float32 inner products of unit vectors
SMALL = 2**28  # multiplications, some ten milliseconds of one core
_BLOCK_SCORES = 2**24  # scores computed at once
_GROUPS = 4  # times k, into which scores are divided to find a bound of the k best
_ONE_THREAD = 2**18  # multiplications, beyond which OpenBLAS starts threads, which spin while others work

Rows = NDArray[np.int64]


def exact_scores(queries: Vectors | NDArray[np.float64], vectors: Vectors) -> NDArray[np.float32]:
    """Cosine similarities of pairs in float64, rounded once: float32 (P,) of (P, D) and (P, D)."""
    products = np.einsum("pd,pd->p", queries.astype(np.float64, copy=False), vectors.astype(np.float64))
    scores: NDArray[np.float32] = np.clip(products, -1, 1).astype(np.float32)
    return scores


def reaches(scores: NDArray[np.float32], kth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether rough scores may tie with a k-th or be better; scores above 1 count as 1."""
    may: NDArray[np.bool_] = scores >= np.minimum(kth, 1) - SCORE_ERROR
    return may


def nearest_rows(queries: Vectors, vectors: Vectors, ids: Ids, k: int) -> Hits:
    """The k nearest of these vectors to each query, by looking at every one.

    :param vectors: Unit rows, float32 (n, D), in ascending order of their ids (n,).
    :return: (Q, min(k, n)).
    """
    k = min(k, len(vectors))
    if not k:
        return Hits(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
    parts = [Hits(np.empty((0, k), np.float32), np.empty((0, k), np.int64))]
    step = max(1, _BLOCK_SCORES // len(vectors))
    rows = np.arange(len(vectors))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        rough = _products(block, vectors)  # (q, n)
        parts.append(order_rows(block, vectors, ids, rows, reaches(rough, _bound(rough, k)), k))
    return Hits(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def nearest_in_groups(queries: Vectors, vectors: Vectors, ids: Ids, k: int, groups: list[Rows]) -> Hits:
    """The k nearest in each group of rows, by looking at every row once.

    :param vectors: Unit rows, float32 (N, D), in ascending order of their ids (N,).
    :param groups: Ascending rows, no row in two groups.
    :return: Scores float32 (Q, G, k), ids int64 (Q, G, k); NaN and `NOTHING` where a group has fewer.
    """
    shape = (len(queries), len(groups), k)
    hits = Hits(np.full(shape, np.nan, np.float32), np.full(shape, NOTHING, np.int64))
    group_of = np.zeros(len(ids), np.int64)
    for number, members in enumerate(groups):
        group_of[members] = number
    step = max(1, _BLOCK_SCORES // max(1, len(ids)))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        rough = _products(block, vectors)  # (q, N)
        near = np.zeros(rough.shape, bool)
        for members in filter(len, groups):
            inside = rough[:, members]
            near[:, members] = reaches(inside, _bound(inside, min(k, len(members))))
        asked, found = _places(near)
        scores = _score_pairs(block, vectors, asked, found)
        order = np.lexsort((found, -scores, group_of[found], asked))
        asked, found, scores = asked[order], found[order], scores[order]
        lists = asked * len(groups) + group_of[found]
        rank = np.arange(len(lists)) - np.searchsorted(lists, lists)  # within its list
        kept = rank < k
        place = (start + asked[kept], group_of[found[kept]], rank[kept])
        hits.scores[place], hits.ids[place] = scores[kept], ids[found[kept]]
    return hits


def order_rows(
    queries: Vectors, vectors: Vectors, ids: Ids, rows: Rows, near: NDArray[np.bool_], k: int
) -> Hits:
    """The k best of each query exactly, among the candidate rows (Q, C), or (C,) for all, that are near.

    At least k are near for each query.
    """
    asked, places = _places(near)
    found = rows[places] if rows.ndim == 1 else rows[asked, places]  # (P,)
    scores = _score_pairs(queries, vectors, asked, found)
    order = np.lexsort((found, -scores, asked))
    first = np.searchsorted(asked, np.arange(len(queries)))  # of each query; nonzero is in order
    best = order[first[:, None] + np.arange(k)]  # (Q, k)
    return Hits(scores[best], ids[found[best]])


def _score_pairs(queries: Vectors, vectors: Vectors, asked: Rows, found: Rows) -> NDArray[np.float32]:
    """Exact scores of pairs of a query and a row, each (P,): float32 (P,)."""
    scores = np.empty(len(found), np.float32)
    exact = queries.astype(np.float64)  # once, and not again for every pair
    step = max(1, _BLOCK_SCORES // queries.shape[1])
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        scores[part] = exact_scores(exact[asked[part]], vectors[found[part]])
    return scores


def _products(queries: Vectors, vectors: Vectors) -> NDArray[np.float32]:
    """Rough inner products, float32 (Q, N); where there are few, in parts that BLAS does with one thread."""
    if len(queries) * vectors.size >= SMALL:
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


def _places(chosen: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """The rows and columns of what is true in (Q, N), in order; `np.nonzero` takes many times as long."""
    rows, columns = np.divmod(np.flatnonzero(chosen), max(1, chosen.shape[1]))
    return rows, columns
