"""Whether a straight stroke through a digit sticks out of all the rest of it at both ends: it crosses it out.

The bar of a 7, that of a 4 and the slash of a 0 do not stick out so far in MNIST's digits; the rules are our
own, tried on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.paper.components import Mask
from simsearch.prepare.paper.strokes import ANGLES, OFFSETS, Ints, closed_by_one, holds_run, longest_runs

_THICKEST = 7.0  # pixels: the strokes above the bar of a 4 run together where they are thicker
_STROKE = 18  # pixels of a stroke, of the 40 of the longer side
_LEVEL = 25  # degrees up to which it is level
_OUT, _OUT_SLANTING, _OUT_OF_TWO = 6.5, 8.0, 3.5  # pixels that it sticks out at both ends
_BESIDE, _BESIDE_SLANTING, _BESIDE_TWO = 0.25, 0.3, 0.1  # of the rest, on either side of it
_EDGE = 1.2  # pixels of a stroke's blurred edge
_REST = 12  # pixels of other ink
_FARTHER = (0, 2, 4)  # pixels, beside a stroke's edge
_TAIL = 0.02  # of the rest that may lie farther out


@dataclass(frozen=True, eq=False)
class _Strokes:
    """Straight stretches of ink: which angle and offset each has, and where it starts and ends, all (S,)."""

    angle: Ints
    offset: Ints
    start: Ints
    end: Ints

    def reach(self, rest: Ints, before: Ints) -> tuple[Ints, NDArray[np.float64]]:
        """How far each sticks out of the rest, at the end where it does less, and how much of the rest lies
        on the side with less of it.

        :param rest: The rest at each place along it, (S, P).
        :param before: How much of it lies on one side, (S,).
        """
        total = rest.sum(axis=1)
        running = rest.cumsum(axis=1)
        tail = (_TAIL * total)[:, None]
        first = (running > tail).argmax(axis=1)
        last = rest.shape[1] - 1 - (total[:, None] - running + rest > tail)[:, ::-1].argmax(axis=1)
        out = np.minimum(first - self.start, self.end - 1 - last)
        share = before / np.maximum(total, 1)
        return np.where(total >= _REST, out, -1), np.minimum(share, 1 - share)


def sticks_out(along: Mask, width: float) -> bool:
    """Whether one stroke sticks out far, or two level ones side by side less far.

    :param along: The ink along every line through the digit in a small square, bool (A, O, P).
    :param width: Of its strokes, in pixels.
    """
    if width > _THICKEST:
        return False
    closed = closed_by_one(along)
    angle, offset = np.nonzero(holds_run(closed, _STROKE))
    if not len(angle):
        return False
    strokes = _Strokes(angle, offset, *longest_runs(closed[angle, offset]))
    reach = int(np.ceil(width / 2 + _EDGE))
    low, high = np.maximum(offset - reach, 0), np.minimum(offset + reach + 1, len(OFFSETS))
    total = np.zeros((len(ANGLES), len(OFFSETS) + 1, along.shape[2]), np.int16)
    np.cumsum(along, axis=1, out=total[:, 1:], dtype=np.int16)
    above = total[angle, low]  # (S, P)
    out, beside = strokes.reach(above + total[angle, -1] - total[angle, high], above.sum(axis=1))
    level = np.abs(ANGLES[angle]) <= _LEVEL
    far = (out >= np.where(level, _OUT, _OUT_SLANTING)) & (
        beside >= np.where(level, _BESIDE, _BESIDE_SLANTING)
    )
    for more in _FARTHER:  # the bar of a 4 has two strokes above it and one below
        over = along[angle, np.maximum(low - more, 0)]
        under = along[angle, np.minimum(high - 1 + more, len(OFFSETS) - 1)]
        far &= (_count(over) != 2) | (_count(under) != 1)
    if far.any():
        return True
    return _are_two(along, strokes, low, high, width)


def _count(lines: Mask) -> Ints:
    """How many stretches of ink each line has, (S,), from (S, P)."""
    return np.asarray(np.count_nonzero(lines[:, 1:] & ~lines[:, :-1], axis=1))


def _are_two(along: Mask, strokes: _Strokes, low: Ints, high: Ints, width: float) -> bool:
    """Whether two level strokes or more of one direction, apart from each other, stick out of the rest."""
    places = np.arange(len(OFFSETS))
    covered = np.zeros(along.shape[:2], bool)  # by any stroke of an angle
    inside = (places >= low[:, None]) & (places < high[:, None])  # (S, O)
    np.logical_or.at(covered, strokes.angle, inside)
    rest = along & ~covered[..., None]
    amount = rest.sum(axis=2).cumsum(axis=1)  # (A, O)
    out, beside = strokes.reach(rest.sum(axis=1)[strokes.angle], amount[strokes.angle, strokes.offset])
    fits = (out >= _OUT_OF_TWO) & (beside >= _BESIDE_TWO) & (np.abs(ANGLES[strokes.angle]) <= _LEVEL)
    return any(
        bool(np.ptp(strokes.offset[fits & (strokes.angle == angle)]) >= width + 2)
        for angle in sorted(set(strokes.angle[fits].tolist()))  # `np.unique` loads numpy.ma
    )
