"""Outliers that are drawn: strokes between random points, scribbles, textures, solid shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from simsearch.data.outliers.kinds import Picture, Rng, sheet
from simsearch.prepare.paper.normalize import SIDE
from simsearch.prepare.prepare import Images


def symbol(_images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """Three to six straight or curved strokes between the points of an uneven grid: a letter of no script."""
    picture, pen = sheet()
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
    picture, pen = sheet()
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
    """One to three filled ellipses, rectangles or polygons in shades of gray."""
    picture, pen = sheet()
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


def _corners(rng: Rng, count: int, low: int, high: int) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in rng.uniform(low, high, (count, 2))]
