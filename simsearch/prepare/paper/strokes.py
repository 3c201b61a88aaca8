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
Words = NDArray[np.uint64]  # a bit a pixel

BOX = 40  # pixels of the digit's longer side, and
_MARGIN = 8  # around it
SIDE = BOX + 2 * _MARGIN
_INKED = 0.45  # of a pixel
ANGLES = np.arange(-60, 61, 5)  # degrees; positive ones fall to the right
OFFSETS = np.arange(-20, 21)  # pixels from the middle
PLACES = np.arange(-32, 32)  # pixels along a line: no ink is as far from the middle
_ONE = np.uint64(1)
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


@dataclass(frozen=True, eq=False)
class Lines:
    """The ink under every line of a small square."""

    ink: Mask  # (A, O, P)
    words: Words  # (A, O), the same: the first place is the lowest bit

    def outermost(self) -> tuple[Ints, Ints]:
        """The first and the last place of any ink along each angle, (A,)."""
        inked = _unpacked(np.bitwise_or.reduce(self.words, axis=1))  # (A, P)
        return inked.argmax(axis=1), inked.shape[1] - 1 - inked[:, ::-1].argmax(axis=1)

    def stretches(self) -> NDArray[np.uint8]:
        """How many stretches of ink each line has, (A, O)."""
        return np.bitwise_count(self.words & ~(self.words << _ONE))

    def straight_strokes(self) -> Strokes:
        """The longest stretch of ink along every line that has one of some length.

        Single pixels that are missing along a line are taken for ink.
        """
        closed = self.words | (self.words << _ONE) & (self.words >> _ONE)
        angle, offset = np.nonzero(_holds_run(closed, _STROKE))
        return Strokes(angle, offset, *_longest_runs(_unpacked(closed[angle, offset])))


def ink_along_lines(small: Mask) -> Lines:
    """The ink under every line of a small square, bool (`SIDE`, `SIDE`)."""
    ink = np.append(small, False)[lines_of_square()]
    return Lines(ink, np.packbits(ink.ravel(), bitorder="little").view("<u8").reshape(ink.shape[:2]))


def pixels(words: Words) -> Ints:
    """How many pixels of ink each word holds."""
    return np.bitwise_count(words).astype(np.int64)


def _unpacked(words: Words) -> Mask:
    """Words, (N,), a pixel a bit: bool (N, P)."""
    of_bytes = np.ascontiguousarray(words).astype("<u8").view(np.uint8)
    return np.unpackbits(of_bytes, bitorder="little").reshape(len(words), len(PLACES)).view(bool)


def _holds_run(words: Words, length: int) -> Mask:
    """Which words hold a run of set bits of a length: by doubling."""
    run, reach = words, 1
    while reach < length:
        step = min(reach, length - reach)
        run = run & (run >> np.uint64(step))
        reach += step
    return run > 0


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
