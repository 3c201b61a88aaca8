"""So many outliers of each kind, prepared as any picture."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from simsearch.data.outliers.drawn import scribble, solid, symbol, texture
from simsearch.data.outliers.kinds import Maker, Rng
from simsearch.data.outliers.letters import letter
from simsearch.data.outliers.mixtures import halves, overlaid, piece, row
from simsearch.data.outliers.scenes import crossed, framed, ruled, surrounded
from simsearch.errors import BadImageError
from simsearch.prepare.paper.normalize import SIDE
from simsearch.prepare.paper.steps import ALL, NONE, Steps
from simsearch.prepare.prepare import Images, prepare_image

_TRIES = 20  # a drawing in which nothing is found is drawn again, at most so often in a row

KINDS: Mapping[str, Maker] = MappingProxyType(
    {make.__name__: make for make in (halves, overlaid, symbol, scribble, texture, solid)}
)
"""What a calibration is fitted against."""
EXPOSED: Mapping[Maker, float] = MappingProxyType(
    {
        **dict.fromkeys((framed, ruled, surrounded, crossed, piece, row, scribble), 1.0),
        letter: 4.0,
        symbol: 2.0,
        halves: 2.0,
        overlaid: 1.5,
        solid: 0.6,
        texture: 0.4,
    }
)
"""What a network is shown in training, and how often each in relation to the others."""


def make_outliers(images: Images, labels: NDArray[np.int64], each: int, *, seed: int = 0) -> Images:
    """Outliers of every kind in `KINDS`.

    :param images: Known pictures, uint8 (N, H, W), of at least two classes.
    :param labels: Their classes, int64 (N,).
    :param each: How many of each kind.
    :return: uint8 (each x kinds, H, W), as `prepare_image` gives them, kind after kind.
    """
    rng = np.random.default_rng(seed)
    return np.stack(
        [_prepared(make, images, labels, rng, ALL) for make in KINDS.values() for _ in range(each)]
    )


def draw_exposed(images: Images, labels: NDArray[np.int64], count: int, rng: Rng) -> Images:
    """So many outliers of the kinds in `EXPOSED`, at random.

    They are prepared without the steps that find a digit on paper, so that what these steps may miss
    is in the pictures.

    :return: uint8 (count, H, W).
    """
    makers, weights = list(EXPOSED), np.array(list(EXPOSED.values()))
    chosen = rng.choice(len(makers), count, p=weights / weights.sum())
    return np.stack([_prepared(makers[number], images, labels, rng, NONE) for number in chosen])


def _prepared(
    make: Maker, images: Images, labels: NDArray[np.int64], rng: Rng, steps: Steps
) -> NDArray[np.uint8]:
    for _ in range(_TRIES):
        try:
            return prepare_image(make(images, labels, rng), invert=False, steps=steps).pixels
        except BadImageError:
            continue
    return rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
