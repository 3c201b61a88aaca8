"""Connected components of a mask: what belongs together, where it lies, how large it is. Pure numpy.

Rows are cut into runs, and runs that touch are joined (Rosenfeld and Pfaltz, "Sequential Operations in
Digital Picture Processing", Journal of the ACM 13(4), 1966), here all at once instead of one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]  # (H, W)
_Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Components:
    """The 8-connected components of a mask, numbered from 0 in the order of their first pixels."""

    shape: tuple[int, int]
    rows: _Ints  # (R,) of each run
    starts: _Ints  # (R,) its first column
    ends: _Ints  # (R,) the column after its last
    of_run: _Ints  # (R,) the component that it belongs to
    area: _Ints  # (C,) pixels
    top: _Ints  # (C,)
    bottom: _Ints  # (C,) exclusive, as is `right`
    left: _Ints  # (C,)
    right: _Ints  # (C,)

    def __len__(self) -> int:
        return len(self.area)

    @property
    def height(self) -> _Ints:
        return self.bottom - self.top

    @property
    def width(self) -> _Ints:
        return self.right - self.left

    def mask(self, chosen: NDArray[np.bool_]) -> Mask:
        """The pixels of some components: bool (H, W), from bool (C,)."""
        return filled(self.shape, self.rows, self.starts, self.ends, chosen[self.of_run])

    def crop(self, one: int) -> Mask:
        """The pixels of one component, cropped to it: bool (h, w)."""
        top, left = self.top[one], self.left[one]
        runs = self.of_run == one
        shape = int(self.bottom[one] - top), int(self.right[one] - left)
        return filled(shape, self.rows - top, self.starts - left, self.ends - left, runs)

    def sums(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sum of values, (H, W), over each component: (C,)."""
        inked = values.ravel()[_pixels(self.shape, self.rows, self.starts, self.ends)]
        of_pixel = np.repeat(self.of_run, self.ends - self.starts)
        sums: NDArray[np.float64] = np.bincount(of_pixel, inked, minlength=len(self)).astype(np.float64)
        return sums

    def contact(self) -> _Ints:
        """How many pixels of each component lie on each edge: (C, 4) top, bottom, left, right."""
        lengths, count = self.ends - self.starts, len(self)
        height, width = self.shape
        weights = (
            lengths * (self.rows == 0),
            lengths * (self.rows == height - 1),
            self.starts == 0,
            self.ends == width,
        )
        return np.stack([np.bincount(self.of_run, w, minlength=count) for w in weights], axis=1).astype(
            np.int64
        )


def filled(
    shape: tuple[int, int], rows: _Ints, starts: _Ints, ends: _Ints, chosen: NDArray[np.bool_]
) -> Mask:
    """A mask of the chosen runs."""
    mask = np.zeros(shape, bool)
    mask.ravel()[_pixels(shape, rows[chosen], starts[chosen], ends[chosen])] = True
    return mask


def _pixels(shape: tuple[int, int], rows: _Ints, starts: _Ints, ends: _Ints) -> _Ints:
    """The places of the runs' pixels in the flat picture, run after run."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    places: _Ints = np.arange(int(lengths.sum())) + np.repeat(rows * shape[1] + starts - before, lengths)
    return places


def find_runs(mask: Mask) -> tuple[_Ints, _Ints, _Ints]:
    """Rows, first columns and columns after the last of the runs of true pixels, in reading order."""
    height, width = mask.shape
    framed = np.zeros((height, width + 2), np.int8)
    framed[:, 1:-1] = mask
    changes = np.diff(framed.ravel())
    rows, starts = np.divmod(np.flatnonzero(changes == 1), width + 2)
    return rows, starts, np.flatnonzero(changes == -1) % (width + 2)


def find_components(mask: Mask) -> Components:
    """Join the true pixels of a mask, bool (H, W), that touch, also at corners."""
    height, width = mask.shape
    rows, starts, ends = find_runs(mask)
    firsts, lasts = rows * (width + 2) + starts, rows * (width + 2) + ends
    below = firsts + width + 2, lasts + width + 2
    low = np.searchsorted(lasts, below[0], "left")  # runs of the next row that touch: from here
    high = np.searchsorted(firsts, below[1], "right")  # to here
    counts = np.maximum(high - low, 0)
    upper = np.repeat(np.arange(len(rows)), counts)
    lower = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    roots = _joined(len(rows), upper, lower)
    is_root = roots == np.arange(len(roots))
    of_run = (np.cumsum(is_root) - 1)[roots]
    top = rows[is_root]
    bottom, left, right = np.zeros_like(top), np.full_like(top, width), np.zeros_like(top)
    bottom[of_run] = rows + 1  # in reading order: the last row stays
    np.minimum.at(left, of_run, starts)
    np.maximum.at(right, of_run, ends)
    area = np.bincount(of_run, ends - starts, minlength=len(top)).astype(np.int64)
    return Components((height, width), rows, starts, ends, of_run, area, top, bottom, left, right)


def _joined(count: int, first: _Ints, second: _Ints) -> _Ints:
    """The least member of each one's set, after joining pairs: each round hooks roots and halves paths."""
    parent = np.arange(count)
    while len(first):
        low, high = np.minimum(parent[first], parent[second]), np.maximum(parent[first], parent[second])
        apart = low != high
        if not apart.any():
            break
        first, second = first[apart], second[apart]
        np.minimum.at(parent, high[apart], low[apart])
        while not np.array_equal(jumped := parent[parent], parent):
            parent = jumped
    return parent


def grown(mask: Mask, reach: int) -> Mask:
    """Every pixel within so many rows and columns of a true one."""
    if not reach:
        return mask
    height, width = mask.shape
    wide = np.zeros((height + 2 * reach, width + 2 * reach), bool)
    wide[reach:-reach, reach:-reach] = mask
    done, length = 1, 2 * reach + 1
    while done < length:  # by doubling
        step = min(done, length - done)
        wide = wide[:-step] | wide[step:]
        wide = wide[:, :-step] | wide[:, step:]
        done += step
    return wide
