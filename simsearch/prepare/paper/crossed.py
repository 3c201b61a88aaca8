"""Whether a digit was crossed out: long straight strokes that run through it and stick out at both ends.

Ink is summed along straight lines of many directions (Duda and Hart, "Use of the Hough Transformation to
Detect Lines and Curves in Pictures", Communications of the ACM 15(1), 1972). That a line is a stroke laid
over a digit is told by rules of our own, tried on the handwriting of MNIST's training images: people's digits
have long straight strokes with free ends too, but upright ones, leaning to the right, or level.
"""

from __future__ import annotations

import numpy as np

from simsearch.prepare.paper.components import Mask
from simsearch.prepare.paper.normalize import stroke_width
from simsearch.prepare.paper.overshoot import sticks_out
from simsearch.prepare.paper.strokes import (
    ANGLES,
    BOX,
    OFFSETS,
    Counts,
    Ints,
    Lines,
    Strokes,
    ink_along_lines,
    shrunk,
)

_INK = 2.16  # times the digit's longer side: with less line it has no more strokes than a digit,
_THICK, _THICK_INK = 6.0, 2.6  # pixels of the stroke, from which on there must be more,
_MUCH_INK = 3.2  # or so much, where one rising stroke is all that is seen
_FALLING = 30  # degrees from which on no digit has such a stroke
_RISING = -15  # degrees up to which two side by side are no bars of a 7
_STEEP = -30  # degrees up to which a single stroke counts, if it is as long as
_LONGEST = 48  # pixels, and
_LONG, _PAIR, _CROSSING = 36, 32, 28  # pixels of one stroke, of each of two side by side, and of an X
_LEVEL = 10  # degrees
_SCRIBBLED = ((5, 3), (4, 12))  # so many strokes cross so many level lines: a zigzag, a bundle
_GAPS = 1  # pixels of a stroke that may be missing
_END = 4  # pixels at least that stick out
_THIN = 3.0  # pixels: finer strokes are drawn broader, so that lines of few directions meet them
_CROSSES = 3  # pixels of ink at least on either side, away from the ends


def is_crossed_out(crop: Mask) -> bool:
    """Whether straight strokes were drawn through a digit.

    :param crop: Its ink, bool (h, w), cropped to it.
    """
    small = shrunk(crop)
    width = stroke_width(small.astype(np.float32))
    inked = small.sum() / max(BOX * width, 1)
    if inked < _INK:
        return False
    along = ink_along_lines(small)
    straight = along.straight_strokes()
    if sticks_out(along, straight, width):
        return True
    if width >= _THICK and inked < _THICK_INK:
        return False
    if _is_scribbled(along):
        return True
    if width < _THIN:
        small[1:] |= small[:-1].copy()
        small[:, 1:] |= small[:, :-1].copy()
        width += 1
        along = ink_along_lines(small)
        straight = along.straight_strokes()
    strokes = _free_strokes(along.ink, straight.only(straight.length >= _CROSSING), width)
    angle, offset, length = strokes.T
    if ((angle >= _FALLING) & (length >= _LONG)).any():
        return True
    if inked >= _MUCH_INK and ((angle <= _STEEP) & (length >= _LONGEST)).any():
        return True
    if (angle >= _FALLING).any() and (angle <= -_FALLING).any():  # an X
        return True
    angle, offset, _ = strokes[(angle <= _RISING) & (length >= _PAIR)].T
    side_by_side = np.abs(angle[:, None] - angle) <= 5
    apart = np.abs(offset[:, None] - offset) >= 0.8 * width + 1
    return bool((side_by_side & apart).any())


def _is_scribbled(along: Lines) -> bool:
    """Whether more strokes lie side by side, over some length, than in any digit."""
    strokes = along.stretches()[np.abs(ANGLES) <= _LEVEL]  # (A, O)
    return any(bool((np.count_nonzero(strokes >= many, axis=1) >= lines).any()) for many, lines in _SCRIBBLED)


def _free_strokes(along: Mask, strokes: Strokes, width: float) -> Ints:
    """The strokes that cross other ink and have free ends: angle, offset and length, (S, 3)."""
    angle, offset, starts, ends = strokes.angle, strokes.offset, strokes.start, strokes.end
    if not len(angle):
        return np.zeros((0, 3), np.int64)
    tip = max(_END, round(width))
    free = np.zeros(len(angle), bool)
    for more in (1.5, 2.5):
        beside = int(np.ceil(width / 2 + more))
        sides = np.clip(offset + np.array([[-beside], [beside]]), 0, len(OFFSETS) - 1)  # (2, S)
        total = np.zeros((*sides.shape, along.shape[2] + 1), np.int16)  # (2, S, P + 1)
        np.cumsum(along[angle, sides], axis=2, out=total[..., 1:])
        tips = np.maximum(_between(total, starts - 2, starts + tip), _between(total, ends - tip, ends + 2))
        crosses = _between(total, starts + tip, ends - tip)
        free |= (tips.max(axis=0) <= _GAPS) & (crosses.min(axis=0) >= _CROSSES)
    return np.stack([ANGLES[angle], OFFSETS[offset], strokes.length], axis=1)[free]


def _between(total: Counts, first: Ints, stop: Ints) -> Counts:
    """How much lies between places, (S,), of running totals, (2, S, P + 1): (2, S)."""
    last, rows = total.shape[2] - 1, np.arange(len(first))
    between: Counts = total[:, rows, stop.clip(0, last)] - total[:, rows, first.clip(0, last)]
    return between
