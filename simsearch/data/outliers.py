"""Pictures that show no class, made of known ones or drawn: what the unknown is learned from.

They resemble known pictures in every way that is easy to copy (size, place, ink), so that what is learned is
more than that. Nothing here knows what the classes are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from simsearch.errors import BadImageError
from simsearch.prepare.paper.normalize import SIDE
from simsearch.prepare.paper.steps import NONE
from simsearch.prepare.prepare import Images, prepare_image

_CANVAS = 280
_ENLARGED = 6  # times the side
_HALF = SIDE // 2
_TRIES = 20  # a drawing in which nothing is found is drawn again, at most so often in a row

Picture = Image.Image  # grey, light on dark
Rng = np.random.Generator
Maker = Callable[[Images, NDArray[np.int64], Rng], Picture]


def make_outliers(images: Images, labels: NDArray[np.int64], each: int, *, seed: int = 0) -> Images:
    """Outliers of every kind in `KINDS`.

    :param images: Known pictures, uint8 (N, H, W), of at least two classes.
    :param labels: Their classes, int64 (N,).
    :param each: How many of each kind.
    :return: uint8 (each x kinds, H, W), kind after kind, prepared without the steps that find a digit on
        paper: what they may fail at is what is to be unknown.
    """
    rng = np.random.default_rng(seed)
    return np.stack([_prepared(make, images, labels, rng) for make in KINDS.values() for _ in range(each)])


def _prepared(make: Maker, images: Images, labels: NDArray[np.int64], rng: Rng) -> NDArray[np.uint8]:
    for _ in range(_TRIES):
        try:
            return prepare_image(make(images, labels, rng), invert=False, steps=NONE).pixels
        except BadImageError:
            continue
    return rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)


def halves(images: Images, labels: NDArray[np.int64], rng: Rng) -> Picture:
    """One half of a picture beside, or above, the other half of a picture of another class."""
    first = int(rng.integers(len(images)))
    second = int(rng.choice(np.flatnonzero(labels != labels[first])))
    mixed = images[first].copy()
    if rng.random() < 0.5:
        mixed[:, _HALF:] = images[second][:, _HALF:]
    else:
        mixed[_HALF:] = images[second][_HALF:]
    return _enlarged(mixed)


def overlaid(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """Two pictures over each other, one shifted by up to eight pixels each way."""
    first, second = rng.integers(len(images), size=2)
    y, x = rng.integers(0, 17, 2)
    mixed = np.zeros((SIDE + 16, SIDE + 16), np.uint8)
    mixed[8 : 8 + SIDE, 8 : 8 + SIDE] = images[first]
    part = mixed[y : y + SIDE, x : x + SIDE]
    np.maximum(part, images[second], out=part)
    return _enlarged(mixed)


def symbol(_images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """Three to six straight or curved strokes between the points of an uneven grid: a letter of no script."""
    picture, pen = _sheet()
    width = int(rng.integers(10, 34))
    columns = np.sort(rng.uniform(60, 220, 3))
    points = [(float(x), float(y)) for x in columns for y in (40, 140, 240)]
    for _ in range(int(rng.integers(3, 7))):
        start, end = (points[place] for place in rng.choice(len(points), 2, replace=False))
        if rng.random() < 0.65:
            pen.line([start, end], fill=255, width=width)
            continue
        (left, right), (top, bottom) = sorted((start[0], end[0])), sorted((start[1], end[1]))
        box = (left, top, max(right, left + 60), max(bottom, top + 60))
        angle = int(rng.integers(360))
        pen.arc(box, angle, angle + int(rng.integers(90, 360)), fill=255, width=width)
    return picture


def scribble(_images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """One smooth line: a random sum of a few waves in each direction."""
    picture, pen = _sheet()
    waves = np.arange(1, int(rng.integers(4, 10)))
    time = 1.4 * np.pi * np.linspace(0, 1, 80)[:, None] * waves  # (80, W)
    heights, phases = (
        rng.normal(size=(2, len(waves))) / np.sqrt(waves),
        rng.uniform(0, 2 * np.pi, (2, len(waves))),
    )
    line = np.stack([(heights[axis] * np.sin(time + phases[axis])).sum(axis=1) for axis in (0, 1)], axis=1)
    line = 40 + 200 * (line - line.min(axis=0)) / np.maximum(np.ptp(line, axis=0), 1e-3)
    pen.line([(float(x), float(y)) for x, y in line], fill=255, width=int(rng.integers(8, 26)), joint="curve")
    return picture


def texture(_images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """Noise, from grain to clouds, over the whole picture or inside an ellipse or a polygon."""
    grain = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8))
    clouds = np.asarray(grain.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3))), np.float64)
    clouds = 255 * (clouds - clouds.min()) / max(float(np.ptp(clouds)), 1.0)
    if rng.random() < 0.5:
        mask = Image.new("L", (SIDE, SIDE))
        if rng.random() < 0.5:
            ImageDraw.Draw(mask).ellipse((6, 3, 22, 25), fill=255)
        else:
            ImageDraw.Draw(mask).polygon(_corners(rng, 4, 3, 25), fill=255)
        clouds = (128 + clouds / 2) * (np.asarray(mask) / 255)
    return Image.fromarray(clouds.astype(np.uint8))


def solid(_images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """One to three filled ellipses, rectangles or polygons in shades of grey."""
    picture, pen = _sheet()
    for _ in range(int(rng.integers(1, 4))):
        shade = int(rng.integers(100, 256))
        left, right, top, bottom = (float(edge) for edge in np.sort(rng.uniform(30, 250, (2, 2))).ravel())
        box = (left, top, right + 20, bottom + 20)
        kind = rng.integers(3)
        if kind == 0:
            pen.ellipse(box, fill=shade)
        elif kind == 1:
            pen.rectangle(box, fill=shade)
        else:
            pen.polygon(_corners(rng, int(rng.integers(3, 7)), 30, 250), fill=shade)
    return picture


def framed(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A picture within a frame, or beside one to three of its sides."""
    picture, pen = _scene(images, rng, rng.uniform(0.3, 0.75))
    inset, width = int(rng.integers(0, 40)), int(rng.integers(2, 22))
    low, high = inset, _CANVAS - 1 - inset
    edges = {
        "l": (low, low, low, high),
        "t": (low, low, high, low),
        "r": (high, low, high, high),
        "b": (low, high, high, high),
    }
    shade = int(rng.integers(90, 256))
    for side in (
        "ltrb" if rng.random() < 0.5 else rng.choice(list("ltrb"), int(rng.integers(1, 4)), replace=False)
    ):
        pen.line(edges[side], fill=shade, width=width)
    return picture


def ruled(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A picture on lined or squared paper, whose lines are ink."""
    picture, pen = _scene(images, rng, rng.uniform(0.3, 0.9))
    pitch, width, slope = rng.uniform(18, 80), int(rng.integers(1, 7)), rng.uniform(-40, 40)
    shade, squared = int(rng.integers(60, 220)), rng.random() < 0.5
    for place in np.arange(rng.uniform(0, pitch), _CANVAS, pitch):
        pen.line([(0, place), (_CANVAS, place + slope)], fill=shade, width=width)
        if squared:
            pen.line([(place, 0), (place - slope, _CANVAS)], fill=shade, width=width)
    return picture


def surrounded(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A picture on a sheet with a desk around, whose corner or side is as light as ink."""
    picture, pen = _scene(images, rng, rng.uniform(0.2, 0.6))
    for _ in range(int(rng.integers(1, 4))):
        turn, deep = rng.uniform(-25, 25), rng.uniform(5, 70)
        corners = [
            (-40.0, -40.0),
            (_CANVAS + 40.0, -40.0),
            (_CANVAS + 40.0, deep + turn),
            (-40.0, deep - turn),
        ]
        pen.polygon(corners, fill=int(rng.integers(120, 256)))
        picture = picture.rotate(90 * int(rng.integers(4)))
        pen = ImageDraw.Draw(picture)
    return picture


def piece(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A part of a picture: what a cut, a shadow or a thumb leaves of it."""
    pixels = images[int(rng.integers(len(images)))].copy()
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    edges, share = ((rows[0], rows[-1]), (columns[0], columns[-1])), rng.uniform(0.35, 0.6)
    axis = int(rng.integers(2))
    low, high = edges[axis]
    cut = int(low + share * (high - low))
    kept = np.moveaxis(pixels, axis, 0)
    if rng.random() < 0.5:
        kept[:cut] = 0
    else:
        kept[high - (cut - low) :] = 0
    return _enlarged(pixels)


def row(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """Two to four pictures side by side, or two above each other."""
    chosen = images[rng.integers(len(images), size=int(rng.integers(2, 5)))]
    cut = [picture[:, int(rng.integers(0, 7)) : SIDE - int(rng.integers(0, 7))] for picture in chosen]
    if len(cut) == 2 and rng.random() < 0.3:
        return _enlarged(np.concatenate(list(chosen[:2, 2:-2]), axis=0))
    return _enlarged(np.concatenate(cut, axis=1))


def crossed(images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """A picture with one to three straight strokes through it."""
    picture, pen = _scene(images, rng, rng.uniform(0.5, 0.8))
    for _ in range(int(rng.integers(1, 4))):
        angle, reach = rng.uniform(0, np.pi), rng.uniform(70, 130)
        x, y = 140 + rng.uniform(-25, 25, 2)
        ends = [(x + sign * reach * np.cos(angle), y + sign * reach * np.sin(angle)) for sign in (-1, 1)]
        pen.line(ends, fill=255, width=int(rng.integers(6, 22)))
    return picture


KINDS: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            halves, overlaid, symbol, scribble, texture, solid,
            framed, ruled, surrounded, piece, row, crossed,
        )
    }
)  # fmt: skip


def _scene(images: Images, rng: Rng, share: float) -> tuple[Picture, ImageDraw.ImageDraw]:
    """A canvas with a picture somewhere near its middle, as large as this share of it."""
    picture, pen = _sheet()
    side = max(SIDE, int(share * _CANVAS * SIDE / 20))  # of 28 pixels the digit has 20
    drawn = Image.fromarray(images[int(rng.integers(len(images)))]).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    left, top = (int(v) for v in (_CANVAS - side) / 2 + rng.uniform(-20, 20, 2))
    picture.paste(drawn, (left, top))
    return picture, pen


def _sheet() -> tuple[Picture, ImageDraw.ImageDraw]:
    picture = Image.new("L", (_CANVAS, _CANVAS))
    return picture, ImageDraw.Draw(picture)


def _enlarged(pixels: NDArray[np.uint8]) -> Picture:
    side = len(pixels) * _ENLARGED
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


def _corners(rng: Rng, count: int, low: int, high: int) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in rng.uniform(low, high, (count, 2))]
