"""Outliers that preparation makes when it leaves in what surrounds a digit: frame, ruling, desk, strokes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from simsearch.data.outliers.kinds import CANVAS, Picture, Rng, sheet
from simsearch.prepare.paper.normalize import SIDE
from simsearch.prepare.prepare import Images

_DIGIT = 20  # pixels of a known picture's side that its digit takes
_ASIDE = 20.0  # pixels that it lies beside the middle, at most


def framed(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A picture within a frame, or beside one to three sides of one."""
    picture, pen = _scene(images, rng, rng.uniform(0.3, 0.75))
    low, width = int(rng.integers(0, 40)), int(rng.integers(2, 22))
    high, shade = CANVAS - 1 - low, int(rng.integers(90, 256))
    sides = [(low, low, low, high), (low, low, high, low), (high, low, high, high), (low, high, high, high)]
    count = 4 if rng.random() < 0.5 else int(rng.integers(1, 4))
    for number in rng.choice(4, count, replace=False):
        pen.line(sides[number], fill=shade, width=width)
    return picture


def ruled(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A picture on lined or squared paper, whose lines are ink."""
    picture, pen = _scene(images, rng, rng.uniform(0.3, 0.9))
    pitch, width, slope = rng.uniform(18, 80), int(rng.integers(1, 7)), rng.uniform(-40, 40)
    shade, squared = int(rng.integers(60, 220)), rng.random() < 0.5
    for place in np.arange(rng.uniform(0, pitch), CANVAS, pitch):
        pen.line([(0, place), (CANVAS, place + slope)], fill=shade, width=width)
        if squared:
            pen.line([(place, 0), (place - slope, CANVAS)], fill=shade, width=width)
    return picture


def surrounded(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A picture on a sheet, one to three sides of which are cut off by something as light as ink."""
    picture, _ = _scene(images, rng, rng.uniform(0.2, 0.6))
    for _ in range(int(rng.integers(1, 4))):
        turn, deep = rng.uniform(-25, 25), rng.uniform(5, 70)
        corners = [(-40.0, -40.0), (CANVAS + 40.0, -40.0), (CANVAS + 40.0, deep + turn), (-40.0, deep - turn)]
        ImageDraw.Draw(picture).polygon(corners, fill=int(rng.integers(120, 256)))
        picture = picture.rotate(90 * int(rng.integers(4)))
    return picture


def crossed(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A picture with two or three straight strokes through it; with one a 7 would be a 7 still."""
    picture, pen = _scene(images, rng, rng.uniform(0.5, 0.8))
    for _ in range(int(rng.integers(2, 4))):
        angle, reach = rng.uniform(0, np.pi), rng.uniform(70, 130)
        middle = CANVAS / 2 + rng.uniform(-25, 25, 2)
        along = reach * np.array([np.cos(angle), np.sin(angle)])
        ends = [*(middle - along).tolist(), *(middle + along).tolist()]
        pen.line(ends, fill=255, width=int(rng.integers(6, 22)))
    return picture


def _scene(images: Images, rng: Rng, share: float) -> tuple[Picture, ImageDraw.ImageDraw]:
    """A canvas with a picture near its middle, whose digit is as large as this share of it; and a pen."""
    picture, pen = sheet()
    side = max(SIDE, int(share * CANVAS * SIDE / _DIGIT))
    known = Image.fromarray(images[int(rng.integers(len(images)))])
    left, top = (int(edge) for edge in (CANVAS - side) / 2 + rng.uniform(-_ASIDE, _ASIDE, 2))
    picture.paste(known.resize((side, side), Image.Resampling.BICUBIC), (left, top))
    return picture, pen
