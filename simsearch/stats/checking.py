"""Whether a posterior holds on images that it was not fitted on. Pure numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.stats.fitting import fit_posterior
from simsearch.stats.reliability import ece_by_chance, measure_reliability


class CheckedPosterior(NamedTuple):
    """How far the posterior of the top class can be taken at its word."""

    ece: float
    by_chance: float  # what a posterior that is right would show on as many images


def check_posterior(
    means: NDArray[np.float64], columns: NDArray[np.int64], seed: int = 0
) -> CheckedPosterior:
    """How right a posterior is on images that it was not fitted on: on either half, fitted to the other.

    :param means: Mean score of each class's five nearest items, float64 (Q, C), in random order.
    :param columns: The true class's column, int64 (Q,).
    :param seed: Of what is drawn to learn what is chance.
    """
    half = len(means) // 2
    chances = np.concatenate(
        [
            fit_posterior(means[half:], columns[half:]).probability(means[:half]).max(axis=1),
            fit_posterior(means[:half], columns[:half]).probability(means[half:]).max(axis=1),
        ]
    ).clip(0, 1)
    right = means.argmax(axis=1) == columns
    found = measure_reliability(chances, right).ece
    return CheckedPosterior(found, ece_by_chance(chances, np.random.default_rng(seed)))
