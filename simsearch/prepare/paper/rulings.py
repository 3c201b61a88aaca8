"""Straight rulings of squared and lined paper: found as lines, and taken out of the ink.

Lines are found by voting for slope and intercept (Duda and Hart, "Use of the Hough Transformation to Detect
Lines and Curves in Pictures", Communications of the ACM 15(1), 1972), and removed where the ink across them
is no thicker than they are, as staff lines are removed from scores (Dalitz, Droettboom, Pranzas and Fujinaga,
"A Comparative Study of Staff Removal Algorithms", IEEE Transactions on Pattern Analysis and Machine
Intelligence 30(5), 2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.paper.components import Mask, filled, find_runs
from simsearch.prepare.paper.ranks import median

_SLOPES = np.tan(np.radians(np.linspace(-13, 13, 53)))  # from a side of the picture
_LEAST = 0.42  # of the side, that a line covers
_THICKEST = 1 / 40  # of the side: what is thicker is a stroke
_WHOLE = 0.75  # of the picture, that a line by itself covers from end to end: what covers less is a stroke
_ALONE = 2  # lines or fewer of one slope
_POINTS = 260  # columns that vote


def remove_rulings(mask: Mask) -> tuple[Mask, float]:
    """Take straight lines that cross much of the picture out of a mask.

    :return: The mask, and the lines' usual thickness in pixels; 0 without any.
    """
    across, height = _lines(mask.T)  # nearly horizontal: thin along columns
    down, width = _lines(mask)
    return mask & ~(across.T | down), max(height, width)


def _lines(mask: Mask) -> tuple[Mask, float]:
    """The pixels of nearly vertical lines, runs whose middles lie on a line with others, and their width."""
    height, width = mask.shape
    rows, starts, ends = find_runs(mask)
    thickest = max(3, round(_THICKEST * max(mask.shape)))
    thin = ends - starts <= thickest
    rows, starts, ends = rows[thin], starts[thin], ends[thin]
    step = max(1, height // _POINTS)
    y, middle = rows - height / 2, (starts + ends) / 2
    votes = rows % step == 0
    cell = max(1.5, 0.004 * max(mask.shape))
    needed = _LEAST * height / step
    on_line = np.zeros(len(rows), bool)
    reach = int(np.ceil((width + height * 0.2) / cell)) + 2
    for slope in _SLOPES:
        place = ((middle - slope * y + 0.1 * height) / cell).astype(np.int64).clip(0, reach - 1)
        counts = np.bincount(place[votes], minlength=reach)
        pairs = counts.copy()
        pairs[:-1] += counts[1:]  # a line may straddle two cells
        if pairs.max() < needed:
            continue
        full = pairs >= needed
        full[1:] |= full[:-1]
        on_line |= _without_strokes(full, place, rows, height)[place]
    if not on_line.any():
        return np.zeros(mask.shape, bool), 0.0
    usual = median((ends - starts)[on_line])
    on_line &= ends - starts <= 1.7 * usual + 1.5
    return filled(mask.shape, rows, starts, ends, on_line), usual


def _without_strokes(full: Mask, place: NDArray[np.int64], rows: NDArray[np.int64], height: int) -> Mask:
    """Of the cells of lines, (C,), those that are rulings: they are many, or go from edge to edge.

    :param place: The cell of each run, (R,).
    :param rows: Its row, (R,), ascending.
    """
    firsts = np.flatnonzero(np.diff(full.astype(np.int8), prepend=0) == 1)
    if len(firsts) > _ALONE:
        return full
    kept = full.copy()
    for first in firsts:
        stop = first + int(np.argmin(np.append(full[first:], False)))
        own = rows[(place >= first) & (place < stop)]
        if own[-1] - own[0] < _WHOLE * height:
            kept[first:stop] = False
    return kept
