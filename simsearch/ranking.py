"""From each class's nearest items to a ranking of the classes. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAREST_PER_CLASS = 5


@dataclass(frozen=True)
class ClassScore:
    """How near one class comes to a query."""

    label: int
    best: float  # score of the class's nearest item
    mean: float  # mean score of its five nearest items, or of all if it has fewer
    example: int  # id of its nearest item


def rank_classes(
    labels: NDArray[np.int64], scores: NDArray[np.float32], examples: NDArray[np.int64]
) -> tuple[ClassScore, ...]:
    """Rank classes for one query: by mean of the nearest items, then best score, then label.

    :param labels: The classes, int64 (C,).
    :param scores: Scores of each class's nearest items, float32 (C, 5), descending, NaN where it has fewer.
    :param examples: Id of each class's nearest item, int64 (C,).
    """
    means = np.nanmean(scores.astype(np.float64), axis=1)  # (C,)
    order = np.lexsort((labels, -scores[:, 0], -means))
    return tuple(
        ClassScore(int(labels[row]), float(scores[row, 0]), float(means[row]), int(examples[row]))
        for row in order
    )
