"""Fitting probabilities and thresholds to scores whose truth is known. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simsearch.stats.calibration import ClassPosterior, PlattScaling, top_logit

_STEPS = 100  # of Newton's method, which needs about ten
_MOST_WEIGHT = 1_000.0  # of a class posterior whose every top class is right
_FIRST_LAPSE = 0.02
_ROUNDS = 50
_SETTLED = 1e-5  # of the lapse from round to round


@dataclass(frozen=True, eq=False)
class Line:
    """A logistic model: `columns @ weights + bias` is the logit."""

    weights: NDArray[np.float64]  # (E,)
    bias: float


def fit_logistic(
    columns: NDArray[np.float64], truth: NDArray[np.bool_], *, balanced: bool = False, strength: float = 1.0
) -> Line:
    """Logistic regression by Newton's method on standardised columns, with an L2 penalty on their weights.

    It minimizes the sum of the log losses plus |weights|^2 / (2 `strength`), as scikit-learn's
    `LogisticRegression(C=strength)` does after a `StandardScaler`. On one column of scores it is the
    calibration of Platt ("Probabilistic Outputs for Support Vector Machines", 1999).

    :param columns: float64 (N, E).
    :param truth: bool (N,), of both kinds.
    :param balanced: Whether both kinds count as much, whatever their numbers.
    """
    mean, deviation = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-12)
    inputs = np.column_stack([(columns - mean) / deviation, np.ones(len(columns))])  # (N, E + 1)
    share = np.where(truth, truth.mean(), 1 - truth.mean())
    weight = 0.5 / share if balanced else np.ones(len(truth))
    penalty = np.append(np.full(columns.shape[1], 1 / strength), 0.0)

    def loss(beta: NDArray[np.float64]) -> float:
        logits = inputs @ beta
        losses = np.logaddexp(0, np.where(truth, -logits, logits))
        return float(weight @ losses + penalty @ beta**2 / 2)

    beta = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        predicted = 0.5 * (1 + np.tanh(inputs @ beta / 2))
        gradient = inputs.T @ (weight * (predicted - truth)) + penalty * beta
        curvature = weight * np.maximum(predicted * (1 - predicted), 1e-12)
        step = np.linalg.solve((inputs * curvature[:, None]).T @ inputs + np.diag(penalty), gradient)
        size, before = 1.0, loss(beta)
        while loss(beta - size * step) > before and size > 1e-9:
            size /= 2
        beta = beta - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    weights = beta[:-1] / deviation
    return Line(weights, float(beta[-1] - weights @ mean))


def fit_platt_scaling(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> PlattScaling:
    """Platt's calibration of pairs: the line from cosine to logit under which they are most likely."""
    line = fit_logistic(scores[:, None], same)
    return PlattScaling(float(line.weights[0]), line.bias)


def fit_posterior(means: NDArray[np.float64], labels: NDArray[np.int64]) -> ClassPosterior:
    """The temperature and the lapse under which the true classes are most likely; then how right the top is.

    By expectation and maximization (Dempster, Laird and Rubin 1977): a picture counts as lapsed as far as its
    class is likely by the lapse alone. n right answers of n are no certainty: as with the targets of Platt
    ("Probabilistic Outputs for Support Vector Machines", 1999), one answer beside those is of any class.

    :param means: Mean score of each class's five nearest items, float64 (Q, C).
    :param labels: The true class's column, int64 (Q,).
    """
    count, classes = means.shape
    targets = np.full(means.shape, 1 / (count + 1) / classes)  # (Q, C)
    targets[np.arange(count), labels] += count / (count + 1)
    weight, lapse = _fit_temperature(means, targets, 0.0), _FIRST_LAPSE
    for _ in range(_ROUNDS):
        lapsed = targets * (lapse / classes) / ClassPosterior(weight, lapse).probability(means)  # (Q, C)
        before, lapse = lapse, float(lapsed.sum() / count)
        weight = _fit_temperature(means, targets - lapsed, weight)
        if abs(lapse - before) < _SETTLED:
            break
    fitted = ClassPosterior(weight, lapse)
    return replace(fitted, top=_fit_top(fitted, means, labels))


def _fit_top(
    posterior: ClassPosterior, means: NDArray[np.float64], labels: NDArray[np.int64]
) -> PlattScaling | None:
    """The line from the logit of the top class to the logit that it is right; None where none ascends."""
    right = means.argmax(axis=1) == labels
    if right.all() or not right.any():
        return None
    line = fit_platt_scaling(top_logit(posterior.probability(means)), right)
    return line if line.weight > 0 else None


def _fit_temperature(means: NDArray[np.float64], targets: NDArray[np.float64], weight: float) -> float:
    """The weight under which the targets (Q, C), how much each class counts as the true one, are likeliest.

    The likelihood has one maximum: Newton's method finds it from a weight, between bounds that close in.
    """
    wanted, shares = float((targets * means).sum()), targets.sum(axis=1)
    low, high = 0.0, _MOST_WEIGHT
    for _ in range(_STEPS):
        chances = ClassPosterior(weight).probability(means)
        expected = (chances * means).sum(axis=1)  # (Q,)
        slope = wanted - float(shares @ expected)
        low, high = (weight, high) if slope > 0 else (low, weight)
        curvature = float(shares @ ((chances * means**2).sum(axis=1) - expected**2))
        step = weight + slope / max(curvature, 1e-12)
        before, weight = weight, step if low < step < high else (low + high) / 2
        if abs(weight - before) < 1e-9 * max(1.0, weight):
            break
    return weight


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """Precision and recall of accepting scores from each threshold on; all float64 (T,)."""

    scores: NDArray[np.float64]  # the thresholds, descending
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @classmethod
    def of(cls, scores: NDArray[np.float64], same: NDArray[np.bool_]) -> PrecisionRecallCurve:
        """The curve of scores (P,) whose truth (P,) is known; equal scores are one threshold."""
        order = np.argsort(-scores, kind="stable")
        ordered, right = scores[order], np.cumsum(same[order])
        last = np.append(ordered[1:] != ordered[:-1], True)
        accepted = np.arange(1, len(scores) + 1)
        return cls(ordered[last], (right / accepted)[last], (right / same.sum())[last])

    def with_precision(self, least: float) -> float:
        """The lowest score from which on the precision is at least this; the highest of all if none is."""
        enough = np.flatnonzero(self.precision >= least)
        return float(self.scores[enough[-1]]) if len(enough) else float(self.scores[0])

    def with_best_f1(self) -> float:
        """The score from which on F1, the harmonic mean of precision and recall, is highest."""
        total = np.maximum(self.precision + self.recall, 1e-12)
        return float(self.scores[np.argmax(2 * self.precision * self.recall / total)])
