"""A digit in a small square, and the ink along straight lines of many directions through it.

Ink is summed along lines as in Duda and Hart, "Use of the Hough Transformation to Detect Lines and Curves in
Pictures", Communications of the ACM 15(1), 1972.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.prepare.paper.components import Mask

Ints = NDArray[np.int64]
Counts = NDArray[np.int16]  # of pixels along a line

BOX = 40  # pixels of the digit's longer side, and
_MARGIN = 8  # around it
SIDE = BOX + 2 * _MARGIN
_INKED = 0.45  # of a pixel
ANGLES = np.arange(-60, 61, 5)  # degrees; positive ones fall to the right
OFFSETS = np.arange(-20, 21)  # pixels from the middle
PLACES = np.arange(-36, 37)  # pixels along a line
_STROKE = 18  # pixels of a stroke, of the 40 of the longer side


@dataclass(frozen=True, eq=False)
class Strokes:
    """Straight stretches of ink: which angle and offset each has, and where it starts and ends, all (S,)."""

    angle: Ints
    offset: Ints
    start: Ints
    end: Ints

    @property
    def length(self) -> Ints:
        """Pixels of each, (S,)."""
        return self.end - self.start

    def only(self, chosen: Mask) -> Strokes:
        """Some of them."""
        return Strokes(self.angle[chosen], self.offset[chosen], self.start[chosen], self.end[chosen])


def ink_along_lines(small: Mask) -> Mask:
    """The ink under every line of a small square: bool (A, O, P)."""
    return np.append(small, False)[lines_of_square()]


def closed_by_one(along: Mask) -> Mask:
    """The same where single pixels that are missing along a line are filled."""
    closed = along.copy()
    closed[..., 1:-1] |= along[..., :-2] & along[..., 2:]
    return closed


def straight_strokes(closed: Mask) -> Strokes:
    """The longest stretch of ink along every line that has one of some length.

    :param closed: The ink under the lines, bool (A, O, P), as `closed_by_one` gives it.
    """
    angle, offset = np.nonzero(_holds_run(closed, _STROKE))
    return Strokes(angle, offset, *_longest_runs(closed[angle, offset]))


def _holds_run(lines: Mask, length: int) -> Mask:
    """Which rows of the last axis hold a run of true pixels of a length: by doubling."""
    run, reach = lines, 1
    while reach < length:
        step = min(reach, length - reach)
        run = run[..., :-step] & run[..., step:]
        reach += step
    return np.asarray(run.any(axis=-1))


def _longest_runs(rows: Mask) -> tuple[Ints, Ints]:
    """Where the longest run of true pixels of each row starts, and ends (exclusive)."""
    places = np.arange(rows.shape[1])
    lengths = places - np.maximum.accumulate(np.where(rows, -1, places), axis=1)
    last = lengths.argmax(axis=1)
    return last + 1 - lengths[np.arange(len(rows)), last], last + 1


def shrunk(crop: Mask) -> Mask:
    """The ink in the middle of a square of a fixed size."""
    scale = BOX / max(crop.shape)
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    ink = np.asarray(Image.fromarray(crop.astype(np.float32)).resize(size, way)) > _INKED
    square = np.zeros((SIDE, SIDE), bool)
    top, left = ((SIDE - side) // 2 for side in ink.shape)
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return square


@lru_cache(maxsize=1)
def lines_of_square() -> NDArray[np.int64]:
    """The pixels of every line, as places in a flat square and one pixel more for all outside: (A, O, P)."""
    angle = np.radians(ANGLES)[:, None, None]
    offset, place = OFFSETS[:, None], PLACES
    x = np.rint(SIDE / 2 + place * np.cos(angle) - offset * np.sin(angle)).astype(np.int64)
    y = np.rint(SIDE / 2 + place * np.sin(angle) + offset * np.cos(angle)).astype(np.int64)
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    return np.where(inside, y * SIDE + x, SIDE * SIDE)
