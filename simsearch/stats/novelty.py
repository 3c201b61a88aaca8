"""What tells a picture that the gallery knows from one that it has never seen the like of. Pure numpy.

The encoder was trained to tell classes apart, so it puts a picture of none near one of them; its score alone
says little. The rest compares the query with its nearest items as they compare with each other, by vectors
and by pictures, after the local outlier factor (Breunig et al., "LOF: Identifying Density-Based Local
Outliers", SIGMOD 2000). `index/calibrate.py` fits how much each feature counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

NEIGHBORS = 20  # of the most similar class, that the features are taken of
VECTOR_FEATURES = ("best", "density")
FEATURES = (*VECTOR_FEATURES, "overlap", "likeness", "texture")  # the latter need the very pixels

_BEST_OVERLAPS = 5
_NO_LESS = {"vectors": 0.003, "pictures": 0.02, "texture": 0.05}  # below these, differences say nothing

_TOGETHER = 256  # pictures, which then stay in a core's cache
_BORDER = 2  # pixels beyond the picture that the weights reach: one, after a shift of one pixel two
_SHIFTS = (0, -1, 1)

_Floats: TypeAlias = NDArray[np.float32]
Features: TypeAlias = dict[str, _Floats]


class Looks(NamedTuple):
    """What N pictures are compared by."""

    coarse: _Floats  # (N, P), P = (H // 2) * (W // 2): at half resolution, unit rows without their mean
    gradients: _Floats  # (N,), log of the total absolute difference between neighbors, pixels from 0 to 1


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The nearest items of Q queries, M each, among U different ones; many are near several queries."""

    vectors: _Floats  # (U, D), unit rows
    looks: Looks | None  # of their U pictures; None where the pixels are not kept
    items: NDArray[np.int64]  # (Q, M), rows of the above; any in places without one
    there: NDArray[np.bool_]  # (Q, M), False in those places; at least one a query is there

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
    near = nearest.vectors[nearest.items]  # (Q, M, D)
    cosines = np.matmul(near, vectors[:, :, None])[..., 0]  # (Q, M)
    by_vectors = {
        "best": np.where(nearest.there, cosines, -1).max(axis=1),
        "density": _density(near, cosines, nearest),
    }
    if pictures is None or nearest.looks is None:
        return by_vectors
    views, gradients = _shifted(pictures)
    overlaps, alike = _correlations(views, nearest.looks.coarse[nearest.items], nearest)
    return {
        **by_vectors,
        "overlap": _overlap(overlaps, nearest),
        "likeness": _likeness(overlaps, alike, nearest),
        "texture": _texture(gradients, nearest.looks.gradients[nearest.items], nearest),
    }


def _density(near: _Floats, cosines: _Floats, nearest: Neighbors) -> _Floats:
    """How close the items, (Q, M, D), lie together, against how close the query lies to them, by vectors."""
    count = nearest.count
    mutual = near @ near.swapaxes(1, 2)  # (Q, M, M)
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


def _correlations(views: _Floats, own: _Floats, nearest: Neighbors) -> tuple[_Floats, _Floats]:
    """Correlations of pictures, both (Q, M), -1 where there is none: of the query and each item, after the
    best shift; of each item and the one of the others that is most alike.

    :param views: The queries at half resolution after each shift, (Q, 9, P).
    :param own: The items at half resolution, (Q, M, P).
    """
    overlaps = (views @ own.swapaxes(1, 2)).max(axis=1)  # (Q, M)
    others = nearest.pairs & ~np.eye(own.shape[1], dtype=bool)  # (Q, M, M)
    alike = np.where(others, own @ own.swapaxes(1, 2), -1).max(axis=2)  # (Q, M)
    return np.where(nearest.there, overlaps, -1), alike


def _log_ratio(similar: _Floats, other: _Floats, least: float) -> _Floats:
    """Log of the distance 1 - `similar` over the distance 1 - `other`, neither below `least`."""
    result: _Floats = np.log(np.maximum(1 - similar, 0) + least) - np.log(np.maximum(1 - other, 0) + least)
    return result


def _texture(own: _Floats, others: _Floats, nearest: Neighbors) -> _Floats:
    """How far the log of the query's gradient, (Q,), lies from its items', (Q, M), in their deviations."""
    there, count = nearest.there, nearest.count
    mean = np.where(there, others, 0).sum(axis=1) / count
    variance = np.where(there, (others - mean[:, None]) ** 2, 0).sum(axis=1) / count
    result: _Floats = -np.abs(own - mean) / (np.sqrt(variance) + _NO_LESS["texture"])
    return result


def look_at(pictures: NDArray[np.uint8]) -> Looks:
    """What pictures, uint8 (N, H, W), are compared by.

    A side is halved by the weights 1 3 3 1, from black beyond the border.
    """
    views, gradients = _looked(pictures, _SHIFTS[:1])
    return Looks(views[:, 0], gradients)


def _shifted(pictures: NDArray[np.uint8]) -> Looks:
    """The same, at half resolution each picture shifted by up to one pixel each way: (N, 9, P)."""
    return _looked(pictures, _SHIFTS)


def _looked(pictures: NDArray[np.uint8], shifts: tuple[int, ...]) -> Looks:
    parts = [pictures[start : start + _TOGETHER] for start in range(0, max(1, len(pictures)), _TOGETHER)]
    found = [(_views(part, shifts), _log_gradients(part)) for part in parts]
    return Looks(*found[0]) if len(found) == 1 else Looks(*map(np.concatenate, zip(*found, strict=True)))


def _views(pictures: NDArray[np.uint8], shifts: tuple[int, ...]) -> _Floats:
    """Pictures at half resolution after each shift down and then across, centered unit rows: (n, S * S, P).

    A product with a matrix of weights halves a side; all sums are whole numbers below 2 ** 24, so exact.
    """
    count, height, width = pictures.shape
    down, across = _halving(height, shifts), _halving(width, shifts)
    halved = down @ pictures.astype(np.float32) @ across.T  # (n, S * (H // 2), S * (W // 2))
    views = halved.reshape(count, len(shifts), height // 2, len(shifts), width // 2).swapaxes(2, 3)
    rows = views.reshape(count * len(shifts) ** 2, -1)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.sqrt(np.einsum("np,np->n", rows, rows)), 1e-6)[:, None]
    return rows.reshape(count, len(shifts) ** 2, -1)


@lru_cache
def _halving(side: int, shifts: tuple[int, ...]) -> _Floats:
    """The weights that halve a side after each shift, float32 (S * (side // 2), side)."""
    half = side // 2
    weights = np.zeros((len(shifts), half, side + 2 * _BORDER), np.float32)
    for place, shift in enumerate(shifts):
        for offset, weight in enumerate((1, 3, 3, 1)):
            weights[place, np.arange(half), 2 * np.arange(half) + _BORDER - 1 + shift + offset] = weight
    return np.ascontiguousarray(weights[:, :, _BORDER:-_BORDER]).reshape(-1, side)


def _log_gradients(pictures: NDArray[np.uint8]) -> _Floats:
    """The log of the total absolute difference between neighbors, pixels from 0 to 1, (n,)."""
    planes = pictures.astype(np.int16)
    down, across = (
        np.abs(side[:, 1:] - side[:, :-1]).sum(axis=(1, 2), dtype=np.int32)
        for side in (planes, planes.swapaxes(1, 2))
    )
    result: _Floats = np.log1p((down + across).astype(np.float32) / np.float32(255))
    return result
