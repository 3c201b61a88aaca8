"""Whether a straight stroke through a digit sticks out of all the rest of it at both ends: it crosses it out.

The bar of a 7, that of a 4 and the slash of a 0 do not stick out so far in MNIST's digits; the rules are our
own, tried on them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.paper.components import Mask
from simsearch.prepare.paper.strokes import ANGLES, BOX, OFFSETS, Ints, Strokes

_THICKEST = 7.0  # pixels: the strokes above the bar of a 4 run together where they are thicker
_LEVEL = 25  # degrees up to which it is level
_OUT, _OUT_SLANTING, _OUT_OF_TWO = 6.5, 8.0, 3.5  # pixels that it sticks out at both ends
_BESIDE, _BESIDE_SLANTING, _BESIDE_TWO = 0.25, 0.3, 0.1  # of the rest, on either side of it
_EDGE = 1.2  # pixels of a stroke's blurred edge
_REST = 12  # pixels of other ink
_INK_OF_TWO = 2.3  # times the digit's longer side is so much line, with two strokes through it
_SLACK = 8  # pixels by which one of two strokes may stick out farther than the other
_FARTHER = (0, 2, 4)  # pixels, beside a stroke's edge
_TAIL = 0.02  # of the rest that may lie farther out


def sticks_out(along: Mask, strokes: Strokes, width: float) -> bool:
    """Whether one stroke sticks out far, or two level ones side by side less far.

    :param along: The ink along every line through the digit in a small square, bool (A, O, P).
    :param strokes: The straight ones among it.
    :param width: Of its strokes, in pixels.
    """
    angle, offset = strokes.angle, strokes.offset
    if width > _THICKEST or not len(angle):
        return False
    level = np.abs(ANGLES) <= _LEVEL  # (A,)
    ends = _outermost(along)
    slack = np.where(level, _SLACK, 1)[angle]
    first, last = (of[angle] for of in ends)
    reaching = (strokes.start - first <= slack) & (last - strokes.end + 1 <= slack)
    if not reaching.any():
        return False
    alone = reaching & (strokes.start - first <= 1) & (last - strokes.end + 1 <= 1)
    if alone.any() and _sticks_out_alone(along, strokes.only(alone), level, width):
        return True
    if np.count_nonzero(along[0]) < _INK_OF_TWO * BOX * width:
        return False
    apart = _extent(angle[reaching], offset[reaching]) >= width + 2
    pairs = np.flatnonzero(apart & level).tolist()
    return any(_are_two(along[one], strokes.only(angle == one), width) for one in pairs)


def _extent(angle: Ints, offset: Ints) -> Ints:
    """The difference between the largest and the least offset of each angle, (A,); below 0 without any."""
    least: Ints = np.full(len(ANGLES), len(OFFSETS))
    most: Ints = np.full(len(ANGLES), -1)
    np.minimum.at(least, angle, offset)
    np.maximum.at(most, angle, offset)
    return most - least


def _outermost(along: Mask) -> tuple[Ints, Ints]:
    """The first and the last place of any ink along each angle, (A,)."""
    inked: Mask = np.logical_or.reduce(along, axis=1)  # (A, P)
    return inked.argmax(axis=1), inked.shape[1] - 1 - inked[:, ::-1].argmax(axis=1)


def _sticks_out_alone(along: Mask, strokes: Strokes, level: Mask, width: float) -> bool:
    """Whether one of the strokes sticks out far, and is not the bar of a 4."""
    angles = np.array(sorted(set(strokes.angle.tolist())))  # `np.unique` loads numpy.ma
    of_stroke = np.searchsorted(angles, strokes.angle)
    total = np.zeros((len(angles), len(OFFSETS) + 1, along.shape[2]), np.int16)  # not 64 bits: a third faster
    np.cumsum(along[angles], axis=1, out=total[:, 1:])
    low, high = _band(strokes, width)
    above = total[of_stroke, low]  # (S, P)
    out, beside = _reach(strokes, above + total[of_stroke, -1] - total[of_stroke, high], above.sum(axis=1))
    is_level = level[strokes.angle]
    far = (out >= np.where(is_level, _OUT, _OUT_SLANTING)) & (
        beside >= np.where(is_level, _BESIDE, _BESIDE_SLANTING)
    )
    for more in _FARTHER:  # the bar of a 4 has two strokes above it and one below
        over = along[strokes.angle, np.maximum(low - more, 0)]
        under = along[strokes.angle, np.minimum(high - 1 + more, len(OFFSETS) - 1)]
        far &= (_count(over) != 2) | (_count(under) != 1)
    return bool(far.any())


def _count(lines: Mask) -> Ints:
    """How many stretches of ink each line has, (S,), from (S, P)."""
    return np.asarray(np.count_nonzero(lines[:, 1:] & ~lines[:, :-1], axis=1))


def _are_two(along: Mask, strokes: Strokes, width: float) -> bool:
    """Whether two strokes or more of one level direction, apart from each other, stick out of the rest.

    :param along: The ink along the lines of that direction, (O, P).
    :param strokes: All that have it.
    """
    places = np.arange(len(OFFSETS))
    low, high = _band(strokes, width)
    inside = (places >= low[:, None]) & (places < high[:, None])  # (S, O)
    covered: Mask = np.logical_or.reduce(inside, axis=0)
    rest = along & ~covered[:, None]
    before = rest.sum(axis=1).cumsum()[strokes.offset]
    out, beside = _reach(strokes, rest.sum(axis=0)[None], before)
    fits = strokes.offset[(out >= _OUT_OF_TWO) & (beside >= _BESIDE_TWO)]
    return len(fits) > 0 and int(fits.max() - fits.min()) >= width + 2


def _band(strokes: Strokes, width: float) -> tuple[Ints, Ints]:
    """The offsets from which on, and up to which, lines lie inside strokes of a width, (S,)."""
    reach = int(np.ceil(width / 2 + _EDGE))
    return np.maximum(strokes.offset - reach, 0), np.minimum(strokes.offset + reach + 1, len(OFFSETS))


def _reach(strokes: Strokes, rest: Ints, before: Ints) -> tuple[Ints, NDArray[np.float64]]:
    """How far each sticks out of the rest, at the end where it does less, and how much of the rest lies
    on the side with less of it.

    :param rest: The rest at each place along it, (S, P), or (1, P) where it is the same for all.
    :param before: How much of it lies on one side, (S,).
    """
    total = rest.sum(axis=1)
    running = rest.cumsum(axis=1)
    tail = (_TAIL * total)[:, None]
    first = (running > tail).argmax(axis=1)
    last = rest.shape[1] - 1 - (total[:, None] - running + rest > tail)[:, ::-1].argmax(axis=1)
    out = np.minimum(first - strokes.start, strokes.end - 1 - last)
    share = before / np.maximum(total, 1)
    return np.where(total >= _REST, out, -1), np.minimum(share, 1 - share)
