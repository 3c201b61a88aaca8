"""Retrieval metrics: from scores and relevance to one value per query. Pure numpy.

A query's ranking orders the gallery by score, descending; equal scores by row, ascending. With R
relevant items in the gallery, a query with R = 0 has no value: it is NaN here and left out of means.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]  # (Q,), NaN for a query without relevant items


@dataclass(frozen=True, eq=False)
class RelevantRanks:
    """The ranks at which Q rankings hold their relevant items: all that the metrics need.

    `query` and `rank` are int64 (M,), one entry per relevant item, ordered by query, then rank;
    ranks start at 1. `relevant` is int64 (Q,): R of each query.
    """

    query: NDArray[np.int64]
    rank: NDArray[np.int64]
    relevant: NDArray[np.int64]

    @cached_property
    def position(self) -> NDArray[np.int64]:
        """Which of its query's relevant items each entry is, from 1: int64 (M,)."""
        starts = np.cumsum(self.relevant) - self.relevant
        position: NDArray[np.int64] = np.arange(1, len(self.query) + 1) - starts[self.query]
        return position

    @cached_property
    def precision(self) -> NDArray[np.float64]:
        """P(i) at the rank of each relevant item, float64 (M,)."""
        return self.position / self.rank

    def total(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Sum of a weight per entry over each query, float64 (Q,)."""
        totals = np.zeros(len(self.relevant))
        some = self.relevant > 0
        if some.any():
            starts = (np.cumsum(self.relevant) - self.relevant)[some]
            totals[some] = np.add.reduceat(weights, starts, dtype=np.float64)
        return totals


def relevant_ranks(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> RelevantRanks:
    """Rank each row of scores and note where the relevant items stand.

    The rank of a relevant item is its place among the relevant ones plus the number of others with a
    higher score. So only values are sorted, of the others those that reach the last relevant item, mostly
    few, and no permutation of the gallery is made; rows in which a relevant item ties with another are
    ranked again with their ties in order.

    :param scores: float32 (Q, N); -inf puts an item last.
    :param relevant: bool (Q, N).
    :raises ValueError: If a score is NaN.
    """
    losses = -scores  # ascends as the rank does
    if np.isnan(losses.max(axis=1, initial=-np.inf)).any():
        raise ValueError("a score is NaN")
    own = losses[relevant]  # (M,), query by query
    counts = np.count_nonzero(relevant, axis=1)
    others = np.where(relevant, np.float32(np.inf), losses)
    places = np.arange(1, scores.shape[1] + 1)
    ranks = np.empty(len(own), np.int64)
    end = 0
    for query, count in enumerate(counts.tolist()):
        if not count:
            continue
        start, end = end, end + count
        mine = own[start:end]
        mine.sort()
        near = others[query][others[query] <= mine[-1]]
        near.sort()
        above = near.searchsorted(mine)  # (R,): how many others score higher
        np.add(above, places[:count], out=ranks[start:end])
        if len(near) and (near.take(above, mode="clip") == mine).any():
            ranks[start:end] = _ranks_with_ties(losses[query], relevant[query])
    return RelevantRanks(np.repeat(np.arange(len(scores)), counts), ranks, counts)


def _ranks_with_ties(losses: NDArray[np.float32], relevant: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Ranks of the relevant items of one query in which equal scores rank by row, int64 (R,)."""
    return np.flatnonzero(relevant[np.argsort(losses, kind="stable")]) + 1


def precision_at(ranks: RelevantRanks, k: int) -> Values:
    """P@k: relevant items among the first k, over k. P@1 is 1-nearest-neighbor accuracy.

    :raises ValueError: If k < 1.
    """
    return _over_one(ranks, _found(ranks, k) / k)


def hit_at(ranks: RelevantRanks, k: int) -> Values:
    """hit@k: 1 if any of the first k is relevant, else 0; what much of the literature calls "Recall@k"."""
    return _over_one(ranks, _found(ranks, k) > 0)


def recall_at(ranks: RelevantRanks, k: int) -> Values:
    """recall@k: relevant items among the first k, over R. It cannot exceed k / R."""
    return _over_relevant(ranks, _within(ranks, k))


def capped_recall_at(ranks: RelevantRanks, k: int) -> Values:
    """Relevant items among the first k, over min(k, R): what recall@k is of its own best possible value."""
    return _over_one(ranks, _found(ranks, k) / np.maximum(np.minimum(ranks.relevant, k), 1))


def reciprocal_rank(ranks: RelevantRanks) -> Values:
    """1 / rank of the first relevant item. Its mean is MRR."""
    return _over_one(ranks, ranks.total((ranks.position == 1) / ranks.rank))


def ndcg_at(ranks: RelevantRanks, k: int) -> Values:
    """nDCG@k with gains of 0 and 1 and the discount log2(rank + 1).

    The ideal ranking holds all R relevant items first, not only those that were retrieved.
    Järvelin, Kekäläinen: "Cumulated gain-based evaluation of IR techniques", TOIS 2002.
    """
    gains = ranks.total(_within(ranks, k) / np.log2(ranks.rank + 1))
    most = min(k, int(ranks.relevant.max(initial=1)))  # k may be far beyond the gallery
    ideal = np.concatenate(([0.0], np.cumsum(1 / np.log2(np.arange(2, most + 2)))))  # (most + 1,)
    return _over_one(ranks, gains / ideal[np.clip(ranks.relevant, 1, most)])


def r_precision(ranks: RelevantRanks) -> Values:
    """Relevant items among the first R, over R."""
    return _over_relevant(ranks, _within_r(ranks))


def average_precision(ranks: RelevantRanks) -> Values:
    """AP over the whole ranking: the mean, over the R relevant items, of the precision at their rank."""
    return _over_relevant(ranks, ranks.precision)


def average_precision_at_r(ranks: RelevantRanks) -> Values:
    """AP@R: like AP, but relevant items below rank R count 0. Its mean is MAP@R.

    Musgrave, Belongie, Lim: "A Metric Learning Reality Check", ECCV 2020. Never above R-precision.
    """
    return _over_relevant(ranks, ranks.precision * _within_r(ranks))


def interpolated_precision(ranks: RelevantRanks, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The precision-recall curve: at each recall level, the best precision at that recall or a higher one.

    :param levels: Recall levels in [0, 1], float64 (L,).
    :return: float64 (Q, L), NaN for a query without relevant items.
    """
    precision = ranks.precision
    curves = np.full((len(ranks.relevant), len(levels)), np.nan)
    end = 0
    for query, count in enumerate(ranks.relevant):
        start, end = end, end + count
        if count:
            best = np.maximum.accumulate(precision[start:end][::-1])[::-1]  # (R,)
            curves[query] = best[np.maximum(np.ceil(levels * count - 1e-9).astype(int), 1) - 1]
    return curves


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")


def _within(ranks: RelevantRanks, k: int) -> NDArray[np.float64]:
    """1 for each relevant item among the first k of its ranking, else 0: float64 (M,)."""
    _check_k(k)
    return (ranks.rank <= k).astype(np.float64)


def _found(ranks: RelevantRanks, k: int) -> NDArray[np.float64]:
    """Number of relevant items among each query's first k, float64 (Q,)."""
    return ranks.total(_within(ranks, k))


def _over_one(ranks: RelevantRanks, values: NDArray[Any]) -> Values:
    """Values as they are; NaN where R = 0."""
    return np.where(ranks.relevant > 0, values, np.nan)


def _within_r(ranks: RelevantRanks) -> NDArray[np.float64]:
    """1 for each relevant item among the first R of its ranking, else 0: float64 (M,)."""
    return (ranks.rank <= ranks.relevant[ranks.query]).astype(np.float64)


def _over_relevant(ranks: RelevantRanks, weights: NDArray[np.float64]) -> Values:
    """Each query's sum of weights over its R; NaN where R = 0."""
    counts = np.where(ranks.relevant > 0, ranks.relevant, np.nan)
    return ranks.total(weights) / counts
