"""What tells a picture that the gallery knows from one that it has never seen the like of. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EVIDENCE = ("best", "mean", "margin")


def gather_evidence(scores: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """The evidence on each query, by name, each float64 (Q,).

    `best` is the score of the nearest item of the most similar class, `mean` that of its five nearest, and
    `margin` how far `mean` lies above that of the next class (0 in a gallery of one class). The most
    similar class is the one with the highest mean.

    :param scores: Scores of each class's nearest items, float32 (Q, C, 5), descending, NaN beyond its last.
    """
    means = np.nanmean(scores.astype(np.float64), axis=2)  # (Q, C)
    top = means.argmax(axis=1)
    rows = np.arange(len(scores))
    ordered = np.sort(means, axis=1)
    return {
        "best": scores[rows, top, 0].astype(np.float64),
        "mean": means[rows, top],
        "margin": ordered[:, -1] - ordered[:, -2] if means.shape[1] > 1 else np.zeros(len(scores)),
    }
