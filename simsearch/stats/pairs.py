"""Pairs of images: balanced tables of them, and how well a score tells one class from two. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.stats.calibration import PlattScaling
from simsearch.stats.reliability import Reliability, measure_reliability
from simsearch.stats.significance import RESAMPLES, Interval

PAIRS = 100_000
HISTOGRAM_BINS = 50

Scores = NDArray[np.float64]  # (P,), in [-1, 1]
Same = NDArray[np.bool_]  # (P,), True where both images show one class


@dataclass(frozen=True)
class PairTable:
    """P pairs of image rows.

    `first` and `second` are int64 (P,); `same` is bool (P,), True where both show the same class.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)


def draw_pairs(labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> PairTable:
    """Draw `count` random pairs, half of them (rounded up) of one class, half of two, in random order.

    First images are uniform over all images; second images are uniform over the other images of the
    same class, or over all images of the other classes. An image is never paired with itself. One that
    is alone in its class is paired with others only.

    :param labels: Class of each image, int64 (N,).
    :raises ValueError: If there are fewer than two classes, or none has two images.
    """
    order = np.argsort(labels, kind="stable")  # rows grouped by class
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        raise ValueError("pairs need at least two classes, and two images in one")
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels))

    same = np.arange(count) < (count + 1) // 2
    first = rng.integers(len(labels), size=count)
    alone = sizes[group] == 1
    if alone.any():
        others = np.flatnonzero(~alone)
        first = np.where(same & alone[first], others[rng.integers(len(others), size=count)], first)
    size, start, position = sizes[group[first]], starts[group[first]], rank[first]
    # Step forward from the first image: 1..size-1 places round its own class,
    # or past the end of its class into the rest of the grouped order.
    inside = start + (position - start + 1 + rng.integers(np.maximum(size - 1, 1))) % size
    outside = (start + size + rng.integers(len(labels) - size)) % len(labels)
    second = order[np.where(same, inside, outside)]
    shuffle = rng.permutation(count)
    return PairTable(first[shuffle], second[shuffle], same[shuffle])


@dataclass(frozen=True)
class Histogram:
    """Counts of scores in equal bins over [low, high], of pairs of one class and of two."""

    low: float
    high: float
    same: tuple[int, ...]
    different: tuple[int, ...]


@dataclass(frozen=True)
class Verification:
    """Figures on a seeded set of balanced random pairs.

    `threshold` is the score at which the projection says probability 0.5; `accuracy` is taken there. Its
    95 % interval resamples images, not pairs, because pairs that share an image are not independent.
    """

    pairs: int
    seed: int
    threshold: float
    accuracy: float
    accuracy_interval: Interval
    roc_auc: float
    equal_error_rate: float
    calibration: Reliability  # of the printed probabilities
    histogram: Histogram
    learned: Reliability | None = None  # of the network's own projection; None in reports of before


def verify_pairs(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    projection: PlattScaling,
    *,
    learned: PlattScaling | None = None,
    count: int = PAIRS,
    seed: int = 0,
) -> Verification | None:
    """Score seeded balanced pairs of images and judge them.

    :param vectors: Unit rows, float32 (N, D).
    :param labels: Class of each image, int64 (N,).
    :param projection: What the printed probabilities come from.
    :param learned: The network's own projection, where that is another.
    :return: None where there is a single class, or none with two images.
    """
    try:
        table = draw_pairs(labels, count, np.random.default_rng(seed))
    except ValueError:
        return None
    scores = np.einsum("pd,pd->p", vectors[table.first], vectors[table.second]).astype(np.float64)
    right = (projection.logit(scores) > 0) == table.same
    return Verification(
        pairs=count,
        seed=seed,
        threshold=-projection.bias / projection.weight if projection.weight else float("nan"),
        accuracy=float(right.mean()),
        accuracy_interval=_accuracy_interval(right, table, len(labels), np.random.default_rng(seed)),
        roc_auc=roc_auc(scores, table.same),
        equal_error_rate=equal_error_rate(scores, table.same),
        calibration=measure_reliability(projection.probability(scores), table.same),
        learned=measure_reliability((learned or projection).probability(scores), table.same),
        histogram=_histogram(scores, table.same),
    )


def roc_auc(scores: Scores, same: Same) -> float:
    """Probability that a random pair of one class scores above a random pair of two; ties count half."""
    positive, negative = scores[same], np.sort(scores[~same])
    below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return float(below.mean() / (2 * len(negative)))


def equal_error_rate(scores: Scores, same: Same) -> float:
    """The error where false accepts and false rejects are equally likely.

    Between the two thresholds around the crossing both rates are interpolated linearly, as on the
    piecewise linear ROC curve.
    """
    thresholds = np.unique(scores)[::-1]  # accepting means score >= threshold
    positive, negative = np.sort(scores[same]), np.sort(scores[~same])
    accepted = np.searchsorted(-negative[::-1], -thresholds, "right") / len(negative)
    rejected = 1 - np.searchsorted(-positive[::-1], -thresholds, "right") / len(positive)
    false_accept = np.concatenate(([0.0], accepted))
    false_reject = np.concatenate(([1.0], rejected))
    after = int(np.argmax(false_accept >= false_reject))  # the first point past the crossing
    gap_before = false_reject[after - 1] - false_accept[after - 1]
    gap_after = false_accept[after] - false_reject[after]
    share = gap_before / (gap_before + gap_after) if gap_before + gap_after else 0.0
    return float(false_accept[after - 1] + share * (false_accept[after] - false_accept[after - 1]))


def _accuracy_interval(right: Same, table: PairTable, images: int, rng: np.random.Generator) -> Interval:
    """95 % percentile interval by the vertex bootstrap (Snijders, Borgatti 1999).

    Each resample draws the images again with replacement; a pair counts as often as both of its images
    were drawn, multiplied.
    """
    means = np.empty(RESAMPLES)
    for row in range(RESAMPLES):
        drawn = np.bincount(rng.integers(images, size=images), minlength=images)
        weights = drawn[table.first] * drawn[table.second]
        means[row] = weights @ right / max(weights.sum(), 1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(low), float(high))


def _histogram(scores: Scores, same: Same) -> Histogram:
    low = min(0.0, float(scores.min()))
    edges = np.linspace(low, 1.0, HISTOGRAM_BINS + 1)
    clipped = np.clip(scores, low, 1.0)
    counts = [np.histogram(clipped[mask], edges)[0] for mask in (same, ~same)]
    return Histogram(low, 1.0, *(tuple(int(count) for count in column) for column in counts))
