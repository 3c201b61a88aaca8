"""From each class's nearest items to a ranking of the classes. Pure numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.records import deal, records_of

NEAREST_PER_CLASS = 5


class ClassScore(NamedTuple):
    """How near one class comes to a query."""

    label: int
    best: float  # score of the class's nearest item
    mean: float  # mean score of its five nearest items, or of all if it has fewer
    example: int  # id of its nearest item


def rank_classes(
    labels: NDArray[np.int64], scores: NDArray[np.float32], examples: NDArray[np.int64]
) -> list[tuple[ClassScore, ...]]:
    """Rank classes for each query: by mean of the nearest items, then best score, then label.

    :param labels: The classes, int64 (C,).
    :param scores: Of each class's nearest items, float32 (Q, C, 5), descending, NaN where it has fewer.
    :param examples: Id of each class's nearest item, int64 (Q, C).
    :return: For each query its classes, but not those without any item.
    """
    there = ~np.isnan(scores)
    counts = there.sum(axis=2)  # (Q, C)
    means = np.where(there, scores, 0).sum(axis=2, dtype=np.float64) / np.maximum(counts, 1)
    best, queries = scores[..., 0], np.arange(len(means))[:, None]
    order = np.lexsort((np.broadcast_to(labels, means.shape), -best, -means))  # (Q, C)
    kept = counts[queries, order] > 0
    columns = (labels[order], *(column[queries, order] for column in (best, means, examples)))
    ranked = records_of(ClassScore, *(column[kept].tolist() for column in columns))
    return deal(ranked, kept.sum(axis=1).tolist())
