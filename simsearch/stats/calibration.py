"""From scores to probabilities and decisions: what is stored of a calibration, and what it says. Pure numpy.

How a calibration is fitted is the business of `index/calibrate.py`; what tells known
pictures from others, of `novelty.py`; how right the probabilities are, of `reliability.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simsearch.stats.novelty import Features

_LEAST_DOUBT = 1e-9
MATCH, F1, UNKNOWN = "match", "f1", "unknown"  # the thresholds of a calibration
# Labeled images that are not alone in their class:
LEAST_IMAGES = 200  # to fit one; of fewer, a hundredth says nothing
LEAST_CHECKED = 20  # to check a model's


@dataclass(frozen=True)
class PlattScaling:
    """A line from a cosine to the logit of "both images show the same class" (Platt 1999)."""

    weight: float
    bias: float

    def __post_init__(self) -> None:
        """Refuse a line that would make every probability meaningless."""
        if not (math.isfinite(self.weight) and math.isfinite(self.bias)):
            raise ValueError("the weight and bias of Platt scaling must be finite")

    def logit(self, scores: ArrayLike) -> NDArray[np.float64]:
        """`weight * score + bias`, float64, in the shape of `scores`."""
        return self.weight * np.asarray(scores, np.float64) + self.bias

    def probability(self, scores: ArrayLike) -> NDArray[np.float64]:
        """The sigmoid of the logit: in [0, 1], float64, in the shape of `scores`."""
        return 0.5 * (1 + np.tanh(self.logit(scores) / 2))  # a sigmoid that cannot overflow

    def score(self, probability: float) -> float:
        """The score that has this probability; infinite for 0 and 1."""
        if not 0 < probability < 1:
            return math.copysign(math.inf, self.weight * (probability - 0.5))
        return (math.log(probability / (1 - probability)) - self.bias) / self.weight


@dataclass(frozen=True)
class ClassPosterior:
    """The posterior over a gallery's classes: softmax of `weight` x mean score of each one's five nearest.

    `weight` is the inverse temperature (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
    `lapse` is the share of pictures of which the scores say nothing, so that any class is as likely (as in
    psychometric functions: Wichmann and Hill, "The psychometric function I", Percept. Psychophys. 2001).
    `top` maps the logit of the most likely class to the logit that it is right, which is what answers show:
    the temperature is fitted to all classes together (Gupta and Ramdas, "Top-label calibration and
    multiclass-to-binary reductions", ICLR 2022). The others share what it leaves, and none has more than it:
    the order of the classes stays that of their means. All this assumes equal priors of the classes, and that
    the picture shows one of them.
    """

    weight: float
    lapse: float = 0.0
    top: PlattScaling | None = None

    def probability(self, means: ArrayLike) -> NDArray[np.float64]:
        """Posterior of each class.

        :param means: Mean score of each class's five nearest items, (..., C).
        :return: float64 (..., C), rows that sum to 1.
        """
        logits = self.weight * np.asarray(means, np.float64)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        softmax = weights / weights.sum(axis=-1, keepdims=True)
        posterior: NDArray[np.float64] = (1 - self.lapse) * softmax + self.lapse / softmax.shape[-1]
        return posterior if self.top is None or posterior.shape[-1] < 2 else _with_top(posterior, self.top)


def top_logit(posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logit of the most likely class of each row (..., C), within what can be told from certainty."""
    best = posterior.max(axis=-1).clip(_LEAST_DOUBT, 1 - _LEAST_DOUBT)
    logit: NDArray[np.float64] = np.log(best / (1 - best))
    return logit


def _with_top(posterior: NDArray[np.float64], line: PlattScaling) -> NDArray[np.float64]:
    """A posterior (..., C) whose most likely class has another share, and the others what that leaves."""
    first = np.expand_dims(posterior.argmax(axis=-1), -1)
    others = posterior.copy()
    np.put_along_axis(others, first, 0.0, axis=-1)
    left = np.maximum(others.sum(axis=-1, keepdims=True), _LEAST_DOUBT)
    second = others.max(axis=-1, keepdims=True) / left  # of what the first leaves
    best = line.probability(np.expand_dims(top_logit(posterior), -1))
    best = np.maximum(best, second / (1 + second) + _LEAST_DOUBT)  # or the next would pass it by rounding
    changed: NDArray[np.float64] = others / left * (1 - best)
    np.put_along_axis(changed, first, 1 - changed.sum(axis=-1, keepdims=True), axis=-1)
    return changed


@dataclass(frozen=True)
class NoveltyTest:
    """A conformal test of whether a picture is unlike all that the gallery shows.

    A logistic model of the features (see `novelty.py`) gives a logit; the share of known pictures whose logit
    lies below it is the p-value: 0.01 says that one known picture in a hundred looks stranger (Vovk et al.
    2005; Bates et al., "Testing for outliers with conformal p-values", Annals of Statistics 2023). Rejecting
    below t rejects a share t of what is known. Answers give the p-value as `familiarity`.
    """

    weights: Mapping[str, float]  # name of the feature -> weight
    bias: float
    levels: tuple[float, ...]  # ascending shares of known pictures, from 0 to 1
    values: tuple[float, ...]  # the logits below which these shares lie, ascending

    def logit(self, features: Features) -> NDArray[np.float64]:
        """The logit of each picture, float64 (Q,), from its features, each (Q,)."""
        columns = np.stack([np.asarray(features[name], np.float64) for name in self.weights])  # (E, Q)
        return self.bias + np.array(list(self.weights.values())) @ columns

    def p_value(self, logits: ArrayLike) -> NDArray[np.float64]:
        """The share of known pictures that look stranger: in [0, 1], interpolated between the levels."""
        return np.interp(np.asarray(logits, np.float64), self.values, self.levels)


@dataclass(frozen=True)
class Threshold:
    """Where a decision is taken, and the target that put it there."""

    value: float
    target: str


@dataclass(frozen=True)
class Calibration:
    """Everything that was fitted on images held out of training, so that answers mean what they say.

    `pairs` maps a cosine to the logit of "same class", assuming equal priors.
    `thresholds`: "match", the cosine from which on an item counts as one of the query's class; "f1", the
    cosine with the best F1 of pairs; "unknown", the p-value of novelty below which a picture is of no known
    class.
    `gallery` says how far all that holds on an index's own items; it is empty in a model's card.
    """

    pairs: PlattScaling
    classes: ClassPosterior
    novelty: NoveltyTest
    thresholds: Mapping[str, Threshold]
    fitted_on: str
    gallery: str = ""
