"""How well vectors retrieve, while a run chooses: P@1 and MAP@R against a gallery, or of each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.stats.retrieval import average_precision_at_r, precision_at, relevant_ranks

_BLOCK = 512  # queries whose scores are held at once


class Retrieval(NamedTuple):
    """Means over the queries that have a relevant item, NaN where none has; and AP@R of each of these."""

    p_at_1: float
    map_at_r: float
    precisions: NDArray[np.float64]


def judge_scores(
    scores: NDArray[np.float32], labels: NDArray[np.int64], gallery_labels: NDArray[np.int64] | None = None
) -> Retrieval:
    """Rank a gallery for each query by its scores, equal ones by row.

    :param scores: float32 (Q, N); `labels` are the queries' classes (Q,).
    :param gallery_labels: The items' classes (N,); None where the queries are the gallery too: each is then
        left out of its own ranking.
    """
    firsts, precisions = [], []
    for start in range(0, len(scores), _BLOCK):
        block = scores[start : start + _BLOCK]
        relevant = labels[start : start + _BLOCK, None] == (
            labels if gallery_labels is None else gallery_labels
        )
        if gallery_labels is None:
            places = np.arange(len(block))
            block = block.copy()
            block[places, start + places], relevant[places, start + places] = -np.inf, False
        ranks = relevant_ranks(block, relevant)
        firsts.append(precision_at(ranks, 1))
        precisions.append(average_precision_at_r(ranks))
    values = _without_nan(precisions)
    return Retrieval(_mean(_without_nan(firsts)), _mean(values), values)


def _without_nan(blocks: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.concatenate([np.empty(0), *blocks])
    return values[~np.isnan(values)]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
