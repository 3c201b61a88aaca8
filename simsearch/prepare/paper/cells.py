"""A picture in cells of some pixels a side, to look at it in a smaller size."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.paper.components import Mask
from simsearch.prepare.paper.normalize import Gray, Ink

_MOST = 15  # pixels a side of a cell, so that a count of its pixels is a byte

_Number = TypeVar("_Number", np.uint8, np.float32)


def coverage(mask: Mask, cell: int) -> Gray:
    """How much of each cell is true, of 255, rounded: uint8 (H / cell, W / cell), rounded up.

    Cells at the far edges may be cut, and count as far as they go. Pillow's `reduce` of 0 and 255 gives the
    same, or 1 less, in three times the time.

    :param mask: bool (H, W).
    :param cell: Its pixels a side.
    :raises ValueError: If a cell has more than 15.
    """
    if cell > _MOST:
        raise ValueError(f"a cell of {cell} pixels a side has more than a byte counts")
    counts, sizes = _sums(mask.view(np.uint8), cell)
    size = sizes if isinstance(sizes, int) else sizes.astype(np.uint16)
    return np.asarray((counts * np.uint16(255) + size // 2) // size).astype(np.uint8)


def means(values: Ink, cell: int) -> Ink:
    """Means of values, float32 (H, W), over cells as those of `coverage`."""
    if cell == 1:
        return values
    sums, sizes = _sums(values, cell)
    return np.divide(sums, np.float32(sizes), out=sums)


def _sums(values: NDArray[_Number], cell: int) -> tuple[NDArray[_Number], int | NDArray[np.int64]]:
    """The sum over each cell, and how many pixels it has: a number if that is the same for all."""
    height, width = values.shape
    sizes: int | NDArray[np.int64] = cell * cell
    if height % cell or width % cell:
        sizes = np.multiply.outer(_sides(height, cell), _sides(width, cell))
        whole = np.zeros((height + -height % cell, width + -width % cell), values.dtype)
        whole[:height, :width] = values
        values = whole
    rows = values[::cell].copy()
    for more in range(1, cell):
        rows += values[more::cell]
    sums = rows[:, ::cell].copy()
    for more in range(1, cell):
        sums += rows[:, more::cell]
    return sums, sizes


def _sides(pixels: int, cell: int) -> NDArray[np.int64]:
    """How many pixels each cell of a row or column has."""
    starts = np.arange(0, pixels, cell)
    return np.minimum(cell, pixels - starts)
