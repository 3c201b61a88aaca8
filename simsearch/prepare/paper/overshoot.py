"""Whether a straight stroke through a digit sticks out of all the rest of it at both ends: it crosses it out.

The bar of a 7, that of a 4 and the slash of a 0 do not stick out so far in MNIST's digits; the rules are our
own, tried on them.
"""

from __future__ import annotations

import numpy as np

from simsearch.prepare.paper.components import Mask
from simsearch.prepare.paper.strokes import ANGLES, BOX, OFFSETS, Ints, Lines, Strokes, Words, pixels

_THICKEST = 7.0  # pixels: the strokes above the bar of a 4 run together where they are thicker
_LEVEL = 25  # degrees up to which it is level
_OUT, _OUT_SLANTING, _OUT_OF_TWO = 7, 8, 4  # pixels that it sticks out at both ends
_BESIDE, _BESIDE_SLANTING, _BESIDE_TWO = 0.25, 0.3, 0.1  # of the rest, on either side of it
_EDGE = 1.2  # pixels of a stroke's blurred edge
_REST = 12  # pixels of other ink
_INK_OF_TWO = 2.3  # times the digit's longer side is so much line, with two strokes through it
_SLACK = 8  # pixels by which one of two strokes may stick out farther than the other
_FARTHER = (0, 2, 4)  # pixels, beside a stroke's edge
_TAIL = 0.02  # of the rest that may lie farther out
_LINES = np.arange(len(OFFSETS))  # of one angle
_NOTHING, _EVERYTHING = np.uint64(0), ~np.uint64(0)  # of a line


def sticks_out(along: Lines, strokes: Strokes, width: float) -> bool:
    """Whether one stroke sticks out far, or two level ones side by side less far.

    :param along: The ink along every line through the digit in a small square.
    :param strokes: The straight ones among it.
    :param width: Of its strokes, in pixels.
    """
    angle, offset = strokes.angle, strokes.offset
    if width > _THICKEST or not len(angle):
        return False
    level = np.abs(ANGLES) <= _LEVEL  # (A,)
    slack = np.where(level, _SLACK, 1)[angle]
    first, last = (of[angle] for of in along.outermost())
    reaching = (strokes.start - first <= slack) & (last - strokes.end + 1 <= slack)
    if not reaching.any():
        return False
    alone = reaching & (strokes.start - first <= 1) & (last - strokes.end + 1 <= 1)
    if alone.any() and _sticks_out_alone(along, strokes.only(alone), level, width):
        return True
    if pixels(along.words[0]).sum() < _INK_OF_TWO * BOX * width:
        return False
    apart = _extent(angle[reaching], offset[reaching]) >= width + 2
    side_by_side = apart & level  # (A,)
    return bool(side_by_side.any()) and _are_two(along, strokes.only(side_by_side[angle]), width)


def _extent(angle: Ints, offset: Ints) -> Ints:
    """The difference between the largest and the least offset of each angle, (A,); below 0 without any."""
    least: Ints = np.full(len(ANGLES), len(OFFSETS))
    most: Ints = np.full(len(ANGLES), -1)
    np.minimum.at(least, angle, offset)
    np.maximum.at(most, angle, offset)
    return most - least


def _sticks_out_alone(along: Lines, strokes: Strokes, level: Mask, width: float) -> bool:
    """Whether one of the strokes sticks out far, and is not the bar of a 4."""
    low, high = _band(strokes, width)
    before = low[:, None] > _LINES  # (S, O)
    rest = np.where(_inside(low, high), _NOTHING, along.words[strokes.angle])
    is_level = level[strokes.angle]
    far = _reaches_past(strokes, rest, np.where(is_level, _OUT, _OUT_SLANTING))
    of_lines = pixels(rest)
    share = (of_lines * before).sum(axis=1) / np.maximum(of_lines.sum(axis=1), 1)
    far &= np.minimum(share, 1 - share) >= np.where(is_level, _BESIDE, _BESIDE_SLANTING)
    stretches = along.stretches()
    for more in _FARTHER:  # the bar of a 4 has two strokes above it and one below
        over = stretches[strokes.angle, np.maximum(low - more, 0)]
        under = stretches[strokes.angle, np.minimum(high - 1 + more, len(OFFSETS) - 1)]
        far &= (over != 2) | (under != 1)
    return bool(far.any())


def _are_two(along: Lines, strokes: Strokes, width: float) -> bool:
    """Whether two strokes or more of one direction, apart from each other, stick out of the rest.

    :param strokes: All that have one of the directions.
    """
    low, high = _band(strokes, width)
    covered = np.zeros((len(ANGLES), len(OFFSETS)), bool)
    np.logical_or.at(covered, strokes.angle, _inside(low, high))
    rest = np.where(covered, _NOTHING, along.words)  # (A, O)
    out = _reaches_past(strokes, rest[strokes.angle], np.full(len(low), _OUT_OF_TWO))
    running = pixels(rest).cumsum(axis=1)
    share = running[strokes.angle, strokes.offset] / np.maximum(running[strokes.angle, -1], 1)
    out &= np.minimum(share, 1 - share) >= _BESIDE_TWO
    return bool((_extent(strokes.angle[out], strokes.offset[out]) >= width + 2).any())


def _band(strokes: Strokes, width: float) -> tuple[Ints, Ints]:
    """The offsets from which on, and up to which, lines lie inside strokes of a width, (S,)."""
    reach = int(np.ceil(width / 2 + _EDGE))
    return np.maximum(strokes.offset - reach, 0), np.minimum(strokes.offset + reach + 1, len(OFFSETS))


def _inside(low: Ints, high: Ints) -> Mask:
    """Which lines lie in each band: (S, O)."""
    return np.asarray((low[:, None] <= _LINES) & (high[:, None] > _LINES))


def _reaches_past(strokes: Strokes, rest: Words, least: Ints) -> Mask:
    """Whether each sticks out by so many pixels at both ends of the rest, but for a little of that: (S,).

    :param rest: The rest along the lines of its direction, (S, O).
    :param least: (S,).
    """
    total = pixels(rest).sum(axis=1)
    head = ~(_EVERYTHING << (strokes.start + least).astype(np.uint64))  # (S,)
    tail = _EVERYTHING << (strokes.end - least).astype(np.uint64)
    most = _TAIL * total
    reaches: Mask = total >= _REST
    for end in (head, tail):
        reaches &= pixels(rest & end[:, None]).sum(axis=1) <= most
    return reaches
