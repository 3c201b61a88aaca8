"""Galleries of quadrant pictures, whose toy vectors can be computed in the head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.datasets import Split

Quadrants = tuple[int, int, int, int]


def quadrant_image(*greys: int) -> NDArray[np.uint8]:
    """A 28x28 picture of four flat quadrants: top left, top right, bottom left, bottom right."""
    top_left, top_right, bottom_left, bottom_right = greys
    return np.kron(
        np.array([[top_left, top_right], [bottom_left, bottom_right]], np.uint8), np.ones((14, 14), np.uint8)
    )


def toy_split(
    entries: list[tuple[Quadrants, int | None]], classes: tuple[str, ...] = ("a", "b", "c")
) -> Split:
    """A gallery of quadrant pictures with labels; labels of None make it unlabelled."""
    labels = [label for _, label in entries]
    return Split(
        images=np.stack([quadrant_image(*quadrants) for quadrants, _ in entries]),
        labels=None if None in labels else np.array(labels, np.int64),
        sources=tuple(f"toy/{row}" for row in range(len(entries))),
        name="toy",
        classes=classes,
        sha256={},
        skipped=(),
    )
