"""Which two images are compared: balanced tables of same-class and different-class pairs. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
    same class, or over all images of the other classes. An image is never paired with itself.

    :param labels: Class of each image, int64 (N,).
    :raises ValueError: If there are fewer than two classes, or a class has a single image.
    """
    order = np.argsort(labels, kind="stable")  # rows grouped by class
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2 or sizes.min() < 2:
        raise ValueError("pairs need at least two classes, and two images in each")
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels))

    same = np.arange(count) < (count + 1) // 2
    first = rng.integers(len(labels), size=count)
    size, start, position = sizes[group[first]], starts[group[first]], rank[first]
    # Step forward from the first image: 1..size-1 places round its own class,
    # or past the end of its class into the rest of the grouped order.
    inside = start + (position - start + 1 + rng.integers(size - 1)) % size
    outside = (start + size + rng.integers(len(labels) - size)) % len(labels)
    second = order[np.where(same, inside, outside)]
    shuffle = rng.permutation(count)
    return PairTable(first[shuffle], second[shuffle], same[shuffle])
