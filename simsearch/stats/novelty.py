"""What tells a picture that the gallery knows from one that it has never seen the like of. Pure numpy.

The encoder was trained to tell classes apart, so it puts an out-of-distribution picture near one of them; its
score alone is a poor feature. The rest compares the query with its nearest items as they compare with each
other, by vectors and by pictures, after the local outlier factor (Breunig et al., "LOF: Identifying
Density-Based Local Outliers", SIGMOD 2000). `index/calibrate.py` fits how much each counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 20  # of the most similar class, that the evidence is taken from
EVIDENCE = ("best", "density", "overlap", "likeness", "texture")

_SIDE = 28
_COARSE = 14
_BEST_OVERLAPS = 5
_NO_LESS = {"vectors": 0.003, "pictures": 0.02, "texture": 0.05}  # below these, differences say nothing

_Floats: TypeAlias = NDArray[np.float32]
Evidence: TypeAlias = dict[str, _Floats]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest items of Q queries, M each; `there` is False in places without one."""

    vectors: _Floats  # (Q, M, D), unit rows
    pictures: NDArray[np.uint8]  # (Q, M, 28, 28)
    there: NDArray[np.bool_]  # (Q, M), at least one a query


def gather_evidence(vectors: _Floats, pictures: NDArray[np.uint8], nearest: Neighbours) -> Evidence:
    """The evidence on each query, by name, each (Q,); higher is more familiar.

    - `best`: cosine with the nearest item.
    - `density`: log of how far the items lie from each other, over how far the query lies from them (1 minus
      the mean cosine, both).
    - `overlap`: mean correlation with the five most alike of the items' pictures, at half resolution, after
      the best shift of at most one pixel.
    - `likeness`: as `density`, of pictures: of each one's most alike, by correlation.
    - `texture`: minus the standard deviations between the log of the query's total gradient and the items'.

    :param vectors: Unit rows, float32 (Q, D).
    :param pictures: uint8 (Q, 28, 28).
    :param nearest: The `NEIGHBOURS` nearest items of the class that each query resembles most.
    """
    there = nearest.there
    count = there.sum(axis=1)  # (Q,)
    alone = count < 2  # nothing to compare with
    cosines = np.matmul(nearest.vectors, vectors[:, :, None])[..., 0]  # (Q, M)
    mutual = nearest.vectors @ nearest.vectors.swapaxes(1, 2)  # (Q, M, M)
    both = there[:, :, None] & there[:, None]
    spread = (np.where(both, mutual, 0).sum(axis=(1, 2)) - count) / np.maximum(count * (count - 1), 1)
    mean = np.where(there, cosines, 0).sum(axis=1) / count

    views, own = _shifted(pictures), _coarse(nearest.pictures)  # (Q, 9, P), (Q, M, P)
    overlaps = (views @ own.swapaxes(1, 2)).max(axis=1)  # (Q, M)
    overlaps = -np.sort(-np.where(there, overlaps, -1), axis=1)
    alike = np.where(both & ~np.eye(there.shape[1], dtype=bool), own @ own.swapaxes(1, 2), -1).max(axis=2)
    usual = np.where(there, alike, 0).sum(axis=1) / count

    first = np.arange(there.shape[1]) < np.minimum(count, _BEST_OVERLAPS)[:, None]
    return {
        "best": np.where(there, cosines, -1).max(axis=1),
        "density": np.where(alone, 0, _log_ratio(spread, mean, _NO_LESS["vectors"])),
        "overlap": np.where(first, overlaps, 0).sum(axis=1) / first.sum(axis=1),
        "likeness": np.where(alone, 0, _log_ratio(usual, overlaps[:, 0], _NO_LESS["pictures"])),
        "texture": _texture(pictures, nearest),
    }


def _log_ratio(similar: _Floats, other: _Floats, least: float) -> _Floats:
    """Log of the distance 1 - `similar` over the distance 1 - `other`, neither below `least`."""
    result: _Floats = np.log(np.maximum(1 - similar, 0) + least) - np.log(np.maximum(1 - other, 0) + least)
    return result


def _texture(pictures: NDArray[np.uint8], nearest: Neighbours) -> _Floats:
    there, count = nearest.there, nearest.there.sum(axis=1)
    own, others = _log_gradient(pictures), _log_gradient(nearest.pictures)  # (Q,), (Q, M)
    mean = np.where(there, others, 0).sum(axis=1) / count
    variance = np.where(there, (others - mean[:, None]) ** 2, 0).sum(axis=1) / count
    result: _Floats = -np.abs(own - mean) / (np.sqrt(variance) + _NO_LESS["texture"])
    return result


def _log_gradient(pictures: NDArray[np.uint8]) -> _Floats:
    """Log of the total absolute difference between neighbouring pixels: (..., 28, 28) -> (...)."""
    grey = pictures.astype(np.int16)  # three times as fast as in float32
    across, down = np.abs(np.diff(grey, axis=-1)), np.abs(np.diff(grey, axis=-2))
    total = across.sum(axis=(-2, -1)) + down.sum(axis=(-2, -1))
    result: _Floats = np.log1p(total.astype(np.float32) / np.float32(255))
    return result


def _pooling(shift: int) -> _Floats:
    """The matrix (14, 28) that halves a side with the weights 1 3 3 1, after a shift by some pixels."""
    matrix = np.zeros((_COARSE, _SIDE), np.float32)
    for row in range(_COARSE):
        for offset, weight in enumerate((1, 3, 3, 1)):
            column = 2 * row - 1 + offset + shift
            if 0 <= column < _SIDE:
                matrix[row, column] = weight / 8
    return matrix


_SHIFTS = tuple(_pooling(shift) for shift in (0, -1, 1))


def _coarse(pictures: NDArray[np.uint8]) -> _Floats:
    """Pictures at half resolution as unit rows without their mean: (..., 28, 28) -> (..., 196)."""
    halved = _SHIFTS[0] @ pictures.astype(np.float32) @ _SHIFTS[0].T
    return _centred_unit(halved.reshape(*pictures.shape[:-2], -1))


def _shifted(pictures: NDArray[np.uint8]) -> _Floats:
    """The same of pictures shifted by up to one pixel each way: (Q, 28, 28) -> (Q, 9, 196)."""
    grey = pictures.astype(np.float32)
    views = [(rows @ grey @ columns.T).reshape(len(grey), -1) for rows in _SHIFTS for columns in _SHIFTS]
    return _centred_unit(np.stack(views, axis=1))


def _centred_unit(rows: _Floats) -> _Floats:
    rows = rows - rows.mean(axis=-1, keepdims=True)
    result: _Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-6)
    return result
