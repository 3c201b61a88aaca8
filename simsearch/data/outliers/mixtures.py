"""Outliers that are made of known pictures: of two, of a part of one, of several in a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.data.outliers.kinds import Picture, Rng, enlarged
from simsearch.prepare.paper.normalize import SIDE
from simsearch.prepare.prepare import Images

_HALF = SIDE // 2
_ABOVE = 0.3  # share of the pairs that stand above each other


def halves(images: Images, labels: NDArray[np.int64], rng: Rng) -> Picture:
    """One half of a picture beside, or above, the other half of a picture of another class."""
    first = int(rng.integers(len(images)))
    second = int(rng.choice(np.flatnonzero(labels != labels[first])))
    mixed = images[first].copy()
    if rng.random() < 0.5:
        mixed[:, _HALF:] = images[second][:, _HALF:]
    else:
        mixed[_HALF:] = images[second][_HALF:]
    return enlarged(mixed)


def overlaid(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """Two pictures over each other, one shifted by up to eight pixels each way."""
    first, second = rng.integers(len(images), size=2)
    y, x = rng.integers(0, 17, 2)
    mixed = np.zeros((SIDE + 16, SIDE + 16), np.uint8)
    mixed[8 : 8 + SIDE, 8 : 8 + SIDE] = images[first]
    part = mixed[y : y + SIDE, x : x + SIDE]
    np.maximum(part, images[second], out=part)
    return enlarged(mixed)


def piece(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A part of a picture, from a third to three fifths: what a cut, a shadow or a thumb leaves of it."""
    pixels = images[int(rng.integers(len(images)))].copy()
    axis = int(rng.integers(2))
    inked = np.flatnonzero(pixels.any(axis=1 - axis))
    low, high = (int(inked[0]), int(inked[-1])) if len(inked) else (0, SIDE - 1)
    cut = int(rng.uniform(0.35, 0.6) * (high - low))
    along = np.moveaxis(pixels, axis, 0)
    if rng.random() < 0.5:
        along[: low + cut] = 0
    else:
        along[high - cut :] = 0
    return enlarged(pixels)


def row(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """Two to four pictures side by side, or two above each other."""
    chosen = images[rng.integers(len(images), size=int(rng.integers(2, 5)))]
    if len(chosen) == 2 and rng.random() < _ABOVE:
        return enlarged(np.concatenate(list(chosen[:, 2:-2]), axis=0))
    narrow = [picture[:, int(rng.integers(7)) : SIDE - int(rng.integers(7))] for picture in chosen]
    return enlarged(np.concatenate(narrow, axis=1))
