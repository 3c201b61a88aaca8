"""Likely label errors: confident learning over the classes of each item's neighbors. Pure numpy.

C. Northcutt, L. Jiang, I. Chuang: "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of
Artificial Intelligence Research 70, 2021. Where the paper takes a classifier's held-out probabilities, here
the probability of a class is its share of an item's nearest neighbors, the item itself left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NONE = -1  # in place of a class

Classes = NDArray[np.int64]
Shares = NDArray[np.float64]


class Votes(NamedTuple):
    """The classes of the neighbors of N items, nearest first.

    An item of a class of n is judged by at most n - 1 neighbors, for no more can be of its class.
    """

    labels: Classes  # (N,), the items' own
    neighbors: Classes  # (N, k), the neighbors' classes; NONE where one does not count
    shares: Shares  # (N, k), of the item's neighbors that are of that neighbor's class; 0 where NONE
    own: Shares  # (N,), share of the item's own class; NaN for an item without a neighbor that counts

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which items have a neighbor that counts, (N,)."""
        return ~np.isnan(self.own)


def count_votes(labels: Classes, neighbors: Classes) -> Votes:
    """What the neighbors of each item say of its class.

    :param labels: The items' classes, int64 (N,), >= 0.
    :param neighbors: The classes of each item's nearest others, nearest first, int64 (N, k); NONE where there
        are fewer.
    """
    sizes = np.bincount(labels)
    counts = np.arange(neighbors.shape[1]) < (sizes[labels] - 1)[:, None]
    near = np.where(counts, neighbors, NONE)  # (N, k)
    total = (near != NONE).sum(axis=1)
    same = np.zeros(near.shape, np.int64)
    for column in near.T:  # k passes over (N, k), and never (N, k, k) at once
        same += near == column[:, None]
    shares = np.where(near == NONE, 0, same / np.maximum(total, 1)[:, None])
    own = (near == labels[:, None]).sum(axis=1) / np.where(total, total, np.nan)
    return Votes(labels, near, shares, own)


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """How likely the label of each of N items is wrong."""

    suggested: Classes  # (N,), the most frequent other class among the neighbors; NONE without one
    suggested_share: Shares  # (N,)
    margin: Shares  # (N,), share of the own class minus that of the other: from -1, surely wrong, to 1
    is_confident: NDArray[np.bool_]  # (N,), off the diagonal of the confident joint
    estimated: float  # number of wrong labels, by the calibrated confident joint


def find_label_errors(votes: Votes) -> LabelErrors:
    """Judge every label by the item's neighbors.

    An item counts for the class of the largest share among those that reach their threshold: the mean share
    that items have of their own class. If that is not its label, the error is confident. `margin` is the
    paper's normalized margin.
    """
    labels, rows = votes.labels, np.arange(len(votes.labels))
    others = np.where(votes.neighbors == labels[:, None], 0, votes.shares)
    place = others.argmax(axis=1)  # the nearest of equal ones
    share = others[rows, place]
    found = votes.judged & (share > 0)
    reached = np.where(votes.shares >= _thresholds(votes)[votes.neighbors], votes.shares, 0)
    guess_place = reached.argmax(axis=1)
    is_sure = votes.judged & (reached[rows, guess_place] > 0)
    guess = np.where(is_sure, votes.neighbors[rows, guess_place], NONE)
    wrong = is_sure & (guess != labels)
    return LabelErrors(
        suggested=np.where(wrong, guess, np.where(found, votes.neighbors[rows, place], NONE)),
        suggested_share=np.where(wrong, reached[rows, guess_place], share),
        margin=votes.own - share,
        is_confident=wrong,
        estimated=_estimated_errors(labels, wrong, is_sure),
    )


def _thresholds(votes: Votes) -> Shares:
    """Mean share of the own class over the judged items of each class, (C + 1,); the last is NONE's."""
    judged = votes.judged
    count = max(int(votes.labels.max(initial=0)), int(votes.neighbors.max(initial=0))) + 1
    sums = np.bincount(votes.labels[judged], votes.own[judged], minlength=count)
    sizes = np.bincount(votes.labels[judged], minlength=count)
    return np.append(np.where(sizes, sums / np.maximum(sizes, 1), np.inf), np.inf)


def _estimated_errors(labels: Classes, wrong: NDArray[np.bool_], is_sure: NDArray[np.bool_]) -> float:
    """The off-diagonal mass of the joint, each of its rows scaled to the size of its class."""
    sizes = np.bincount(labels)
    counted = np.bincount(labels[is_sure], minlength=len(sizes))
    off = np.bincount(labels[wrong], minlength=len(sizes))
    return float((sizes * off / np.maximum(counted, 1)).sum())


class Overlaps(NamedTuple):
    """Pairs of classes whose items lie among each other's, most first; each array is (P,)."""

    first: Classes
    second: Classes
    of_first: Shares  # mean share of neighbors of the second class, over items of the first
    of_second: Shares

    @property
    def mean(self) -> Shares:
        """The mean of both shares."""
        return (self.of_first + self.of_second) / 2


def find_overlaps(votes: Votes) -> Overlaps:
    """Which classes have neighbors in each other, ordered by the mean of both shares."""
    judged = votes.judged
    count = max(int(votes.labels.max(initial=0)), int(votes.neighbors.max(initial=0))) + 1
    sizes = np.maximum(np.bincount(votes.labels[judged], minlength=count), 1)
    total = np.maximum((votes.neighbors != NONE).sum(axis=1), 1)
    rows, columns = np.nonzero(votes.neighbors != NONE)
    given, near = votes.labels[rows], votes.neighbors[rows, columns]
    pairs, place = np.unique(given * count + near, return_inverse=True)
    shares = np.bincount(place, 1 / total[rows], minlength=len(pairs)) / sizes[pairs // count]
    found = dict(zip(pairs.tolist(), shares.tolist(), strict=True))
    keys = sorted({(min(divmod(key, count)), max(divmod(key, count))) for key in found})
    both = [(a, b, found.get(a * count + b, 0.0), found.get(b * count + a, 0.0)) for a, b in keys if a != b]
    both.sort(key=lambda pair: (-(pair[2] + pair[3]), pair[:2]))
    first, second, of_first, of_second = zip(*both, strict=True) if both else ((), (), (), ())
    return Overlaps(
        np.array(first, np.int64),
        np.array(second, np.int64),
        np.array(of_first, np.float64),
        np.array(of_second, np.float64),
    )
