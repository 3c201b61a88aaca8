"""Whether a digit was crossed out: long straight strokes that run through it and stick out at both ends.

Ink is summed along straight lines of many directions (Duda and Hart, "Use of the Hough Transformation to
Detect Lines and Curves in Pictures", Communications of the ACM 15(1), 1972). That a line is a stroke laid
over a digit is told by rules of our own, tried on the handwriting of MNIST's training images: people's digits
have long straight strokes with free ends too, but upright ones, leaning to the right, or level.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.prepare.paper.components import Mask
from simsearch.prepare.paper.normalize import stroke_width

_Ints = NDArray[np.int64]

_BOX, _MARGIN = 40, 8  # pixels of the digit's longer side, and around it
_SIDE = _BOX + 2 * _MARGIN
_INKED = 0.45  # of a pixel
_ANGLES = np.arange(-60, 61, 5)  # degrees; positive ones fall to the right
_OFFSETS = np.arange(-20, 21)  # pixels from the middle
_PLACES = np.arange(-36, 37)  # pixels along a line
_INK = 2.1  # times the digit's longer side: crossed out, there is so much line,
_THICK, _THICK_INK = 6.0, 2.6  # pixels of the stroke, from which on there must be more,
_MUCH_INK = 3.2  # or so much, where one rising stroke is all that is seen
_FALLING = 30  # degrees from which on no digit has such a stroke
_RISING = -15  # degrees up to which two side by side are no bars of a 7
_STEEP = -30  # degrees up to which a single stroke counts, if it is as long as
_LONGEST = 48  # pixels, and
_LONG, _PAIR, _CROSSING = 34, 32, 28  # pixels of one stroke, of each of two side by side, and of an X
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
    small = _shrunk(crop)
    width = stroke_width(small.astype(np.float32))
    inked = small.sum() / max(_BOX * width, 1)
    if inked < (_INK if width < _THICK else _THICK_INK):
        return False
    if _is_scribbled(small):
        return True
    if width < _THIN:
        small[1:] |= small[:-1].copy()
        small[:, 1:] |= small[:, :-1].copy()
        width += 1
    strokes = _free_strokes(small, width)
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


def _is_scribbled(ink: Mask) -> bool:
    """Whether more strokes lie side by side, over some length, than in any digit."""
    along = np.append(ink, False)[_lines()[np.abs(_ANGLES) <= _LEVEL]]  # (A, O, P)
    strokes = np.count_nonzero(along[..., 1:] & ~along[..., :-1], axis=2)  # (A, O)
    return any(bool((np.count_nonzero(strokes >= many, axis=1) >= lines).any()) for many, lines in _SCRIBBLED)


def _free_strokes(ink: Mask, width: float) -> _Ints:
    """Straight stretches of ink that cross other ink and have free ends: angle, offset and length, (S, 3)."""
    along = np.append(ink, False)[_lines()]  # (A, O, P)
    closed = along.copy()
    closed[..., 1:-1] |= along[..., :-2] & along[..., 2:]  # one pixel may be missing
    angle, offset = np.nonzero(_holds_run(closed, _CROSSING))  # (S,)
    if not len(angle):
        return np.zeros((0, 3), np.int64)
    starts, ends = _longest_runs(closed[angle, offset])
    tip = max(_END, round(width))
    free = np.zeros(len(angle), bool)
    for more in (1.5, 2.5):
        beside = int(np.ceil(width / 2 + more))
        sides = np.clip(offset + np.array([[-beside], [beside]]), 0, len(_OFFSETS) - 1)  # (2, S)
        total = np.zeros((*sides.shape, along.shape[2] + 1), np.int64)  # (2, S, P + 1)
        np.cumsum(along[angle, sides], axis=2, out=total[..., 1:])
        tips = np.maximum(_between(total, starts - 2, starts + tip), _between(total, ends - tip, ends + 2))
        crosses = _between(total, starts + tip, ends - tip)
        free |= (tips.max(axis=0) <= _GAPS) & (crosses.min(axis=0) >= _CROSSES)
    return np.stack([_ANGLES[angle], _OFFSETS[offset], ends - starts], axis=1)[free]


def _between(total: _Ints, first: _Ints, stop: _Ints) -> _Ints:
    """How much lies between places, (S,), of running totals, (2, S, P + 1): (2, S)."""
    last, rows = total.shape[2] - 1, np.arange(len(first))
    between: _Ints = total[:, rows, stop.clip(0, last)] - total[:, rows, first.clip(0, last)]
    return between


def _holds_run(lines: Mask, length: int) -> Mask:
    """Which rows of the last axis hold a run of true pixels of a length: by doubling."""
    run, reach = lines, 1
    while reach < length:
        step = min(reach, length - reach)
        run = run[..., :-step] & run[..., step:]
        reach += step
    return np.asarray(run.any(axis=-1))


def _longest_runs(rows: Mask) -> tuple[_Ints, _Ints]:
    """Where the longest run of true pixels of each row starts, and ends (exclusive)."""
    places = np.arange(rows.shape[1])
    lengths = places - np.maximum.accumulate(np.where(rows, -1, places), axis=1)
    last = lengths.argmax(axis=1)
    return last + 1 - lengths[np.arange(len(rows)), last], last + 1


def _shrunk(crop: Mask) -> Mask:
    """The ink in the middle of a square of a fixed size."""
    scale = _BOX / max(crop.shape)
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    ink = np.asarray(Image.fromarray(crop.astype(np.float32)).resize(size, way)) > _INKED
    square = np.zeros((_SIDE, _SIDE), bool)
    top, left = ((_SIDE - side) // 2 for side in ink.shape)
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return square


@lru_cache(maxsize=1)
def _lines() -> NDArray[np.int64]:
    """The pixels of every line, as places in a flat square and one pixel more for all outside: (A, O, P)."""
    angle = np.radians(_ANGLES)[:, None, None]
    offset, place = _OFFSETS[:, None], _PLACES
    x = np.rint(_SIDE / 2 + place * np.cos(angle) - offset * np.sin(angle)).astype(np.int64)
    y = np.rint(_SIDE / 2 + place * np.sin(angle) + offset * np.cos(angle)).astype(np.int64)
    inside = (x >= 0) & (x < _SIDE) & (y >= 0) & (y < _SIDE)
    return np.where(inside, y * _SIDE + x, _SIDE * _SIDE)
