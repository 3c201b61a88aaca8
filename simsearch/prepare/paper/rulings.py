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

_Floats = NDArray[np.float32]

_SLOPES = np.tan(np.radians(np.linspace(-13, 13, 53))).astype(np.float32)  # from a side of the picture
_LEAN = 0.12  # of the height: how far a line of the steepest slope lies from its middle at the ends
_LEAST = 0.42  # of the side, that a line covers
_THICKEST = 1 / 40  # of the side: what is thicker is a stroke
_WHOLE = 0.75  # of the picture, that a line by itself covers from end to end: what covers less is a stroke
_ALONE = 2  # lines or fewer of one slope
_POINTS = 130  # rows that vote


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
    nothing = np.zeros(mask.shape, bool), 0.0
    rows, starts, ends = find_runs(mask)
    thickest = max(3, round(_THICKEST * max(mask.shape)))
    thin = ends - starts <= thickest
    rows, starts, ends = rows[thin], starts[thin], ends[thin]
    step = max(1, height // _POINTS)
    needed = _LEAST * height / step
    votes = rows % step == 0
    if np.count_nonzero(votes) < needed:
        return nothing
    cell = max(1.5, 0.004 * max(mask.shape))
    y = (rows - height / 2).astype(np.float32)
    middle = ((starts + ends) / (2 * cell) + _LEAN * height / cell).astype(np.float32)
    reach = int(np.ceil((width + 2 * _LEAN * height) / cell)) + 2
    counts = _votes(y[votes], middle[votes], cell, reach)  # (S, reach)
    counts[:, :-1] += counts[:, 1:]  # a line may straddle two cells
    on_line = np.zeros(len(rows), bool)
    for which in np.flatnonzero(counts.max(axis=1) >= needed):
        full = counts[which] >= needed
        full[1:] |= full[:-1]
        place = (middle - _SLOPES[which] / np.float32(cell) * y).astype(np.int32)
        on_line |= _without_strokes(full, place, rows, height)[place]
    if not on_line.any():
        return nothing
    usual = median((ends - starts)[on_line])
    on_line &= ends - starts <= 1.7 * usual + 1.5
    return filled(mask.shape, rows, starts, ends, on_line), usual


def _votes(y: _Floats, middle: _Floats, cell: float, reach: int) -> NDArray[np.int64]:
    """How many points, (V,), lie in each cell of each slope: (S, reach)."""
    places = (middle - (_SLOPES / np.float32(cell))[:, None] * y).astype(np.int32)  # (S, V)
    places += (reach * np.arange(len(_SLOPES), dtype=np.int32))[:, None]
    return np.bincount(places.ravel(), minlength=reach * len(_SLOPES)).reshape(-1, reach)


def _without_strokes(full: Mask, place: NDArray[np.int32], rows: NDArray[np.int64], height: int) -> Mask:
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
