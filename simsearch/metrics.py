"""Retrieval metrics: from scores and relevance to one value per query. Pure numpy.

A query's ranking orders the gallery by score, descending; equal scores by row, ascending. With R
relevant items in the gallery, a query with R = 0 has no value: it is NaN here and left out of means.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def position(self) -> NDArray[np.int64]:
        """Which of its query's relevant items each entry is, from 1: int64 (M,)."""
        starts = np.cumsum(self.relevant) - self.relevant
        position: NDArray[np.int64] = np.arange(1, len(self.query) + 1) - starts[self.query]
        return position

    def total(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of a weight per entry over each query, float64 (Q,)."""
        return np.bincount(self.query, weights, minlength=len(self.relevant)).astype(np.float64)


def relevant_ranks(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> RelevantRanks:
    """Rank each row of scores and note where the relevant items stand.

    The rank of a relevant item is its place among the relevant ones plus the number of others with a
    higher score, so only values are sorted, and no permutation of the gallery is made.

    :param scores: float32 (Q, N); -inf puts an item last.
    :param relevant: bool (Q, N).
    :raises ValueError: If a score is NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    counts = np.count_nonzero(relevant, axis=1)
    losses = -scores  # ascends as the rank does
    others = np.where(relevant, np.float32(np.inf), losses)
    others.sort(axis=1)
    ranks = np.empty(counts.sum(), np.int64)
    end = 0
    for query, count in enumerate(counts):
        start, end = end, end + count
        own = np.sort(losses[query, relevant[query]])  # (R,)
        above = others[query].searchsorted(own)  # (R,): how many others score higher
        ranks[start:end] = above + np.arange(1, count + 1)
        tied = others[query].take(above, mode="clip") == own
        if tied[own < np.inf].any() or (count and own[-1] == np.inf):
            ranks[start:end] = _ranks_with_ties(losses[query], relevant[query])
    return RelevantRanks(np.repeat(np.arange(len(scores)), counts), ranks, counts)


def _ranks_with_ties(losses: NDArray[np.float32], relevant: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Ranks of the relevant items of one query when some tie with others: equal scores rank by row."""
    return np.flatnonzero(relevant[np.argsort(losses, kind="stable")]) + 1


def precision_at(ranks: RelevantRanks, k: int) -> Values:
    """P@k: relevant items among the first k, over k. P@1 is 1-nearest-neighbour accuracy.

    :raises ValueError: If k < 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    found = ranks.total((ranks.rank <= k).astype(np.float64))
    return np.where(ranks.relevant > 0, found / k, np.nan)


def r_precision(ranks: RelevantRanks) -> Values:
    """Relevant items among the first R, over R."""
    return _over_relevant(ranks, _within_r(ranks))


def average_precision(ranks: RelevantRanks) -> Values:
    """AP over the whole ranking: the mean, over the R relevant items, of the precision at their rank."""
    return _over_relevant(ranks, _precision(ranks))


def average_precision_at_r(ranks: RelevantRanks) -> Values:
    """AP@R: like AP, but relevant items below rank R count 0. Its mean is MAP@R.

    Musgrave, Belongie, Lim: "A Metric Learning Reality Check", ECCV 2020. Never above R-precision.
    """
    return _over_relevant(ranks, _precision(ranks) * _within_r(ranks))


def _precision(ranks: RelevantRanks) -> NDArray[np.float64]:
    """P(i) at the rank of each relevant item, float64 (M,)."""
    return ranks.position / ranks.rank


def _within_r(ranks: RelevantRanks) -> NDArray[np.float64]:
    """1 for each relevant item among the first R of its ranking, else 0: float64 (M,)."""
    return (ranks.rank <= ranks.relevant[ranks.query]).astype(np.float64)


def _over_relevant(ranks: RelevantRanks, weights: NDArray[np.float64]) -> Values:
    """Each query's sum of weights over its R; NaN where R = 0."""
    counts = np.where(ranks.relevant > 0, ranks.relevant, np.nan)
    return ranks.total(weights) / counts
