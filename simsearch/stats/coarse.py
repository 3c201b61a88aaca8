"""What pictures are compared by, pixel for pixel: at half resolution, and their total gradient. Pure numpy.

Many small pictures are worked on at once with the pictures as the last axis: each operation then runs along
memory, where one for each picture would cost more than its few numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

_TOGETHER = 256  # pictures, which then stay in a core's cache
_BORDER = 2  # pixels, black: the weights reach one beyond the picture, after a shift of one pixel two
_SHIFTS = (0, -1, 1)

_Floats: TypeAlias = NDArray[np.float32]
_Planes: TypeAlias = NDArray[np.int16]


class Looks(NamedTuple):
    """What N pictures are compared by."""

    coarse: _Floats  # (N, P), P = (H // 2) * (W // 2): at half resolution, unit rows without their mean
    gradients: _Floats  # (N,), log of the total absolute difference between neighbors, pixels from 0 to 1


def look_at(pictures: NDArray[np.uint8]) -> Looks:
    """What pictures, uint8 (N, H, W), are compared by.

    A side is halved by the weights 1 3 3 1, from black beyond the border.
    """
    found = [(_rows(_halved(planes, 0, 0)), _log_gradients(planes)) for planes in _blocks(pictures)]
    return Looks(*(np.concatenate(column) for column in zip(*found, strict=True)))


def shifted(pictures: NDArray[np.uint8]) -> _Floats:
    """`coarse` of pictures shifted by up to one pixel each way: (N, H, W) -> (N, 9, P)."""
    found = [
        np.stack([_rows(_halved(planes, down, across)) for down in _SHIFTS for across in _SHIFTS], axis=1)
        for planes in _blocks(pictures)
    ]
    return np.concatenate(found)


def _log_gradients(planes: _Planes) -> _Floats:
    inside = planes[_BORDER:-_BORDER, _BORDER:-_BORDER]
    down, across = (
        np.abs(side[1:] - side[:-1]).sum(axis=(0, 1), dtype=np.int32)
        for side in (inside, inside.swapaxes(0, 1))
    )
    result: _Floats = np.log1p((down + across).astype(np.float32) / np.float32(255))
    return result


def _blocks(pictures: NDArray[np.uint8]) -> Iterator[_Planes]:
    """Pictures with a black border, some at a time: (H + 4, W + 4, n). No sum below leaves int16."""
    for start in range(0, max(1, len(pictures)), _TOGETHER):
        part = pictures[start : start + _TOGETHER].transpose(1, 2, 0)  # (H, W, n)
        planes = np.zeros((part.shape[0] + 2 * _BORDER, part.shape[1] + 2 * _BORDER, part.shape[2]), np.int16)
        planes[_BORDER:-_BORDER, _BORDER:-_BORDER] = part
        yield planes


def _halved(planes: _Planes, down: int, across: int) -> _Planes:
    """64 times the planes at half resolution, after a shift: (H + 4, W + 4, n) -> (H // 2, W // 2, n)."""
    rows = _halved_rows(planes, down)
    return _halved_rows(rows.swapaxes(0, 1), across).swapaxes(0, 1)


def _halved_rows(planes: _Planes, shift: int) -> _Planes:
    count = (len(planes) - 2 * _BORDER) // 2
    first, second, third, fourth = (
        planes[start : start + 2 * count : 2] for start in range(1 + shift, 5 + shift)
    )
    total = second + third
    total *= 3
    total += first
    total += fourth
    return total


def _rows(planes: _Planes) -> _Floats:
    """Planes (h, w, n) as centered unit rows, (n, h * w)."""
    rows = np.ascontiguousarray(planes.reshape(-1, planes.shape[2]).T, np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.sqrt(np.einsum("np,np->n", rows, rows)), 1e-6)[:, None]
    return rows
