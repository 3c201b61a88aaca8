"""How far probabilities can be taken at their word: calibration error and its table. Pure numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.stats.significance import Interval

BINS = 15
_DRAWS = 100
_Z = 1.959964  # 97.5 % of a normal distribution lie below


@dataclass(frozen=True)
class Reliability:
    """How far probabilities can be taken at their word.

    `ece` is the expected calibration error over 15 equal bins (Guo et al., "On Calibration of Modern
    Neural Networks", ICML 2017); `brier` the mean squared error (Brier 1950). For each bin:
    `counts`, the mean predicted probability, and the observed share; None in an empty bin.
    """

    ece: float
    brier: float
    counts: tuple[int, ...]
    predicted: tuple[float | None, ...]
    observed: tuple[float | None, ...]


def measure_reliability(probabilities: NDArray[np.float64], truth: NDArray[np.bool_]) -> Reliability:
    """Compare predicted probabilities with what was true.

    :param probabilities: In [0, 1], float64 (P,).
    :param truth: bool (P,).
    :raises ValueError: If there are none, or one lies outside [0, 1].
    """
    if not len(probabilities) or not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1], and there must be at least one")
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(bins, probabilities, BINS) / counts
        observed = np.bincount(bins, truth.astype(np.float64), BINS) / counts
    gaps = np.where(counts > 0, np.abs(predicted - observed), 0.0)
    return Reliability(
        ece=float(counts @ gaps / len(probabilities)),
        brier=float(np.mean((probabilities - truth) ** 2)),
        counts=tuple(int(count) for count in counts),
        predicted=_without_nan(predicted),
        observed=_without_nan(observed),
    )


def ece_by_chance(probabilities: NDArray[np.float64], rng: np.random.Generator) -> float:
    """The ECE that probabilities show on average though they are right: each bin of few deviates by chance.

    By consistency resampling (Broecker and Smith, "Increasing the Reliability of Reliability Diagrams",
    Weather and Forecasting 2007): truth is drawn from the probabilities themselves.

    :param probabilities: In [0, 1], float64 (P,), at least one.
    """
    drawn = (rng.random(len(probabilities)) < probabilities for _ in range(_DRAWS))
    return float(np.mean([measure_reliability(probabilities, truth).ece for truth in drawn]))


def share_interval(share: float, count: int) -> Interval:
    """The 95 % interval of a share that was observed among `count` (Wilson, JASA 1927).

    :raises ValueError: If there were none, or the share lies outside [0, 1].
    """
    if count < 1 or not 0 <= share <= 1:
        raise ValueError(f"no interval for a share of {share} among {count}")
    spread = _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def _without_nan(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else float(value) for value in values)
