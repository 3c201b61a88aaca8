"""Digits crossed out in many ways, and those whose own strokes cross: the barred 7, the slashed 0."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from papers.digits import Rng, line_of
from papers.families import Digit, Maker, page_of, put
from papers.sheets import Page, captured, color, ink_color, lay

Place = tuple[int, int, int, int]  # top, left, height, width


def _stroke(page: Page, shade: np.ndarray, pen: float, points: list[tuple[float, float]]) -> None:
    top, left = (min(point[axis] for point in points) - pen / 2 for axis in (1, 0))
    lay(page, line_of(points, pen), shade, round(top), round(left))


def _digit_on(rng: Rng, digit: Digit) -> tuple[Page, np.ndarray, Place, float]:
    """A page with a digit on it, and the ink and the pen of what is drawn over it."""
    page = page_of(rng, 150, 900)
    shade = ink_color(rng)
    place = put(page, digit, rng, shade, (0.35, 0.6))
    if rng.random() < 0.3:
        shade = color(200, 30, 40)
    return page, shade, place, max(1.5, rng.uniform(0.04, 0.1) * place[2])


def _level(page: Page, rng: Rng, shade: np.ndarray, place: Place, pen: float, lines: int) -> None:
    """Level strokes through a digit, from beside it to beside it."""
    top, left, tall, wide = place
    reach, slope = max(wide, 0.45 * tall) * rng.uniform(0.65, 0.95), rng.uniform(-0.15, 0.15)
    for line in range(lines):
        y = top + tall * (0.5 + (line - (lines - 1) / 2) * rng.uniform(0.13, 0.25) + rng.uniform(-0.05, 0.05))
        ends = [(left + wide / 2 + sign * reach, y + sign * slope * reach) for sign in (-1, 1)]
        _stroke(page, shade, pen, ends)


def struck_once(digit: Digit, rng: Rng) -> bytes:
    """One level stroke through any digit but a 7 or an upright 1, which may have it."""
    if digit.label in (0, 1, 4, 7):
        digit = Digit(int(rng.choice([2, 3, 5, 6, 8, 9])))
    page, shade, place, pen = _digit_on(rng, digit)
    _level(page, rng, shade, place, pen, 1)
    return captured(page, rng)


def struck_twice(digit: Digit, rng: Rng) -> bytes:
    """Two or three level strokes."""
    page, shade, place, pen = _digit_on(rng, digit)
    _level(page, rng, shade, place, pen, int(rng.integers(2, 4)))
    return captured(page, rng)


def bundle(digit: Digit, rng: Rng) -> bytes:
    """Two to five slanting strokes side by side."""
    page, shade, (top, left, tall, wide), pen = _digit_on(rng, digit)
    reach, slope = max(wide, 0.5 * tall) * rng.uniform(0.6, 0.8), rng.choice([-1, 1]) * rng.uniform(0.4, 1.2)
    lines = int(rng.integers(2, 6))
    for line in range(lines):
        middle = top + tall * (0.5 + (line - (lines - 1) / 2) * rng.uniform(0.12, 0.22))
        ends = [(left + wide / 2 + sign * reach, middle + sign * slope * reach * 0.6) for sign in (-1, 1)]
        _stroke(page, shade, pen, ends)
    return captured(page, rng)


def slashed(digit: Digit, rng: Rng) -> bytes:
    """One long stroke from corner to corner; not a 0, which may have it, nor a 1."""
    if digit.label in (0, 1, 7):
        digit = Digit(int(rng.choice([2, 3, 4, 5, 6, 8, 9])))
    page, shade, (top, left, tall, wide), pen = _digit_on(rng, digit)
    reach, sign = max(wide, 0.6 * tall) * rng.uniform(0.6, 0.75), int(rng.choice([-1, 1]))
    middle = left + wide / 2
    _stroke(
        page,
        shade,
        pen,
        [
            (middle - reach, top + tall * (0.5 - 0.62 * sign)),
            (middle + reach, top + tall * (0.5 + 0.62 * sign)),
        ],
    )
    return captured(page, rng)


def looped_over(digit: Digit, rng: Rng) -> bytes:
    """A curl of loops across the digit."""
    page, shade, (top, left, tall, wide), pen = _digit_on(rng, digit)
    turns = rng.uniform(3, 6)
    t = np.linspace(0, turns * 2 * np.pi, 120)
    reach = max(wide, 0.6 * tall)
    xs = left + wide / 2 + (t / t[-1] - 0.5) * 1.1 * reach + 0.2 * reach * np.cos(t)
    ys = top + tall / 2 + rng.uniform(0.2, 0.4) * tall * np.sin(t)
    _stroke(page, shade, pen, list(zip(xs.tolist(), ys.tolist(), strict=True)))
    return captured(page, rng)


def barred_7(_digit: Digit, rng: Rng) -> bytes:
    """A 7 with its bar, of many lengths and slants: to be read."""
    page, shade = page_of(rng, 100, 900), ink_color(rng)
    height, width = page.shape[:2]
    tall = rng.uniform(0.35, 0.65) * min(height, width)
    pen, wide = max(1.5, rng.uniform(0.05, 0.14) * tall), rng.uniform(0.5, 0.75) * tall
    left, top = (width - wide) / 2, (height - tall) / 2
    foot = rng.uniform(0.15, 0.45)
    _stroke(page, shade, pen, [(left, top), (left + wide, top), (left + foot * wide, top + tall)])
    y, slope = rng.uniform(0.4, 0.58), rng.uniform(-0.12, 0.06) * tall
    middle = left + wide * (1 - y * (1 - foot))
    half = rng.uniform(0.18, 0.32) * tall
    _stroke(
        page, shade, pen, [(middle - half, top + y * tall - slope), (middle + half, top + y * tall + slope)]
    )
    return captured(page, rng)


def slashed_0(_digit: Digit, rng: Rng) -> bytes:
    """A 0 with a slash, as programmers write it: to be read or unknown, and not to be said crossed out."""
    page, shade = page_of(rng, 100, 900), ink_color(rng)
    height, width = page.shape[:2]
    tall = rng.uniform(0.4, 0.65) * min(height, width)
    pen, wide = max(1.5, rng.uniform(0.05, 0.12) * tall), rng.uniform(0.55, 0.8) * tall
    t = np.linspace(0, 2 * np.pi, 60)
    xs, ys = width / 2 + wide / 2 * np.sin(t), height / 2 - tall / 2 * np.cos(t)
    _stroke(page, shade, pen, list(zip(xs.tolist(), ys.tolist(), strict=True)))
    reach = rng.uniform(0.2, 0.36)
    _stroke(
        page,
        shade,
        pen,
        [
            (width / 2 - reach * wide, height / 2 + reach * tall),
            (width / 2 + reach * wide, height / 2 - reach * tall),
        ],
    )
    return captured(page, rng)


CROSSED: Mapping[str, Maker] = MappingProxyType(
    {make.__name__: make for make in (struck_once, struck_twice, bundle, slashed, looped_over)}
)
OWN_STROKES: Mapping[str, Maker] = MappingProxyType({"barred_7": barred_7})
ALWAYS: Mapping[str, int] = MappingProxyType({"barred_7": 7})  # what families show, whichever digit is asked
