"""What tells a picture that the gallery knows from one that it has never seen the like of. Pure numpy.

The encoder was trained to tell classes apart, so it puts a picture of none near one of them; its score alone
says little. The rest compares the query with its nearest items as they compare with each other, by vectors
and by pictures, after the local outlier factor (Breunig et al., "LOF: Identifying Density-Based Local
Outliers", SIGMOD 2000). `index/calibrate.py` fits how much each feature counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

NEIGHBORS = 20  # of the most similar class, that the features are taken of
VECTOR_FEATURES = ("best", "density")
FEATURES = (*VECTOR_FEATURES, "overlap", "likeness", "texture")  # the latter need the very pixels

_BEST_OVERLAPS = 5
_NO_LESS = {"vectors": 0.003, "pictures": 0.02, "texture": 0.05}  # below these, differences say nothing

_Floats: TypeAlias = NDArray[np.float32]
Features: TypeAlias = dict[str, _Floats]


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The nearest items of Q queries, M each; `there` is False in places without one."""

    vectors: _Floats  # (Q, M, D), unit rows
    pictures: NDArray[np.uint8] | None  # (Q, M, H, W); None where the pixels are not kept
    there: NDArray[np.bool_]  # (Q, M), at least one a query

    @property
    def count(self) -> NDArray[np.int64]:
        """How many items each query has, (Q,)."""
        count: NDArray[np.int64] = self.there.sum(axis=1)
        return count

    @property
    def pairs(self) -> NDArray[np.bool_]:
        """Where both items are there, (Q, M, M)."""
        return self.there[:, :, None] & self.there[:, None]


def novelty_features(vectors: _Floats, pictures: NDArray[np.uint8] | None, nearest: Neighbors) -> Features:
    """The features of each query, by name, each (Q,); higher is more familiar. Without pictures two.

    - `best`: cosine with the nearest item.
    - `density`: log of how far the items lie from each other, over how far the query lies from them (1 minus
      the mean cosine, both).
    - `overlap`: mean correlation with the five most alike of the items' pictures, at half resolution, after
      the best shift of at most one pixel.
    - `likeness`: as `density`, of pictures: of each one's most alike, by correlation.
    - `texture`: minus the standard deviations between the log of the query's total gradient and the items'.

    :param vectors: Unit rows, float32 (Q, D).
    :param pictures: uint8 (Q, H, W), or None.
    :param nearest: The `NEIGHBORS` nearest items of the class that each query resembles most.
    """
    cosines = np.matmul(nearest.vectors, vectors[:, :, None])[..., 0]  # (Q, M)
    by_vectors = {
        "best": np.where(nearest.there, cosines, -1).max(axis=1),
        "density": _density(cosines, nearest),
    }
    if pictures is None or nearest.pictures is None:
        return by_vectors
    overlaps, alike = _correlations(pictures, nearest.pictures, nearest)
    return {
        **by_vectors,
        "overlap": _overlap(overlaps, nearest),
        "likeness": _likeness(overlaps, alike, nearest),
        "texture": _texture(pictures, nearest.pictures, nearest),
    }


def _density(cosines: _Floats, nearest: Neighbors) -> _Floats:
    """How close the items lie together, against how close the query lies to them, by vectors."""
    count = nearest.count
    mutual = nearest.vectors @ nearest.vectors.swapaxes(1, 2)  # (Q, M, M)
    others = np.where(nearest.pairs, mutual, 0).sum(axis=(1, 2)) - count  # each with itself is 1
    spread = others / np.maximum(count * (count - 1), 1)
    mean = np.where(nearest.there, cosines, 0).sum(axis=1) / count
    return np.where(count < 2, 0, _log_ratio(spread, mean, _NO_LESS["vectors"]))


def _overlap(overlaps: _Floats, nearest: Neighbors) -> _Floats:
    """The mean of the query's best overlaps with the items."""
    first = np.arange(overlaps.shape[1]) < np.minimum(nearest.count, _BEST_OVERLAPS)[:, None]
    ordered = -np.sort(-overlaps, axis=1)
    mean: _Floats = np.where(first, ordered, 0).sum(axis=1) / first.sum(axis=1)
    return mean


def _likeness(overlaps: _Floats, alike: _Floats, nearest: Neighbors) -> _Floats:
    """How alike each item and its most alike are, against the query and its most alike, by pictures."""
    count = nearest.count
    usual = np.where(nearest.there, alike, 0).sum(axis=1) / count
    return np.where(count < 2, 0, _log_ratio(usual, overlaps.max(axis=1), _NO_LESS["pictures"]))


def _correlations(
    pictures: NDArray[np.uint8], shown: NDArray[np.uint8], nearest: Neighbors
) -> tuple[_Floats, _Floats]:
    """Correlations of pictures, both (Q, M), -1 where there is none: of the query and each item, after the
    best shift; of each item and the one of the others that is most alike.
    """
    views, own = _shifted(pictures), _coarse(shown)  # (Q, 9, P), (Q, M, P)
    overlaps = (views @ own.swapaxes(1, 2)).max(axis=1)  # (Q, M)
    others = nearest.pairs & ~np.eye(own.shape[1], dtype=bool)  # (Q, M, M)
    alike = np.where(others, own @ own.swapaxes(1, 2), -1).max(axis=2)  # (Q, M)
    return np.where(nearest.there, overlaps, -1), alike


def _log_ratio(similar: _Floats, other: _Floats, least: float) -> _Floats:
    """Log of the distance 1 - `similar` over the distance 1 - `other`, neither below `least`."""
    result: _Floats = np.log(np.maximum(1 - similar, 0) + least) - np.log(np.maximum(1 - other, 0) + least)
    return result


def _texture(pictures: NDArray[np.uint8], shown: NDArray[np.uint8], nearest: Neighbors) -> _Floats:
    there, count = nearest.there, nearest.count
    own, others = _log_gradient(pictures), _log_gradient(shown)  # (Q,), (Q, M)
    mean = np.where(there, others, 0).sum(axis=1) / count
    variance = np.where(there, (others - mean[:, None]) ** 2, 0).sum(axis=1) / count
    result: _Floats = -np.abs(own - mean) / (np.sqrt(variance) + _NO_LESS["texture"])
    return result


def _log_gradient(pictures: NDArray[np.uint8]) -> _Floats:
    """Log of the total absolute difference between neighboring pixels: (..., H, W) -> (...)."""
    gray = pictures.astype(np.int16)  # three times as fast as in float32
    across, down = np.abs(np.diff(gray, axis=-1)), np.abs(np.diff(gray, axis=-2))
    total = across.sum(axis=(-2, -1)) + down.sum(axis=(-2, -1))
    result: _Floats = np.log1p(total.astype(np.float32) / np.float32(255))
    return result


@lru_cache(maxsize=32)
def _pooling(side: int, shift: int) -> _Floats:
    """The matrix (side // 2, side) that halves a side by the weights 1 3 3 1, after a shift of pixels."""
    matrix = np.zeros((side // 2, side), np.float32)
    for row in range(side // 2):
        for offset, weight in enumerate((1, 3, 3, 1)):
            column = 2 * row - 1 + offset + shift
            if 0 <= column < side:
                matrix[row, column] = weight / 8
    return matrix


def _coarse(pictures: NDArray[np.uint8]) -> _Floats:
    """Pictures at half resolution as unit rows without their mean: (..., H, W) -> (..., H * W / 4)."""
    height, width = pictures.shape[-2:]
    halved = _pooling(height, 0) @ pictures.astype(np.float32) @ _pooling(width, 0).T
    return _centered_unit(halved.reshape(*pictures.shape[:-2], -1))


def _shifted(pictures: NDArray[np.uint8]) -> _Floats:
    """The same of pictures shifted by up to one pixel each way: (Q, H, W) -> (Q, 9, H * W / 4)."""
    gray, shifts = pictures.astype(np.float32), (0, -1, 1)
    height, width = pictures.shape[-2:]
    views = [
        (_pooling(height, down) @ gray @ _pooling(width, across).T).reshape(len(gray), -1)
        for down in shifts
        for across in shifts
    ]
    return _centered_unit(np.stack(views, axis=1))


def _centered_unit(rows: _Floats) -> _Floats:
    rows = rows - rows.mean(axis=-1, keepdims=True)
    result: _Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-6)
    return result
