"""How sure a mean over queries is: bootstrap intervals, and the paired randomisation test. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
PERMUTATIONS = 10_000
_LEVELS = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A 95 % percentile interval."""

    low: float
    high: float


def bootstrap_means(
    values: Mapping[str, NDArray[np.float64]], rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """95 % intervals of the means of several columns over the same queries.

    Efron's percentile bootstrap over queries: every resample draws the queries again with replacement,
    the same ones for every column. NaN must have been left out.

    :param values: Column name -> float64 (Q,).
    """
    table = np.column_stack(list(values.values()))  # (Q, M)
    total = len(table)
    means = np.empty((resamples, table.shape[1]))
    for row in range(resamples):
        counts = np.bincount(rng.integers(total, size=total), minlength=total)  # (Q,)
        means[row] = counts @ table / total
    low, high = np.percentile(means, _LEVELS, axis=0)
    return {name: Interval(float(low[i]), float(high[i])) for i, name in enumerate(values)}


def randomization_test(
    differences: NDArray[np.float64], rng: np.random.Generator, *, permutations: int = PERMUTATIONS
) -> float:
    """Two-sided p-value that a mean difference of paired values arose by chance.

    Fisher's paired randomisation test: under the null hypothesis each query's difference could as well
    have the other sign. Smucker, Allan, Carterette: "A Comparison of Statistical Significance Tests for
    Information Retrieval Evaluation", CIKM 2007. The observed assignment counts as one of the
    permutations, so the p-value is never 0.

    :param differences: One value per query, float64 (Q,).
    """
    observed = abs(differences.sum())
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 1.0
    extreme = 1
    tolerance = 1e-12 * np.abs(nonzero).sum()
    step = max(1, 2**22 // len(nonzero))
    for start in range(0, permutations - 1, step):
        rows = min(step, permutations - 1 - start)
        signs = rng.integers(2, size=(rows, len(nonzero)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ nonzero) >= observed - tolerance).sum())
    return extreme / permutations
