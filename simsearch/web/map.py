"""A gallery as a map: where its items, and any vector of its encoder, lie in two dimensions.

The layouts that are made here are linear, so a picture that is being drawn has its place as exactly as the
items have theirs. A stored one is not: there it lies among its nearest items.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.index.bundle import Bundle
from simsearch.index.stored_map import MOST_POINTS, read_map
from simsearch.index.stores.base import Block, Ids, Labels, Vectors

_FEWEST_CLASSES, _MOST_CLASSES = 3, 24  # that a circle has room for
_RIDGE = 0.1  # of the vectors' mean variance: keeps a circle from being fitted to noise
_LEVELS = 2**16 - 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layout:
    """A linear layout: the place of a vector is `vector @ axes + offset`."""

    name: str
    axes: Floats  # (D, 2)
    offset: Floats  # (2,)

    def place(self, vectors: Vectors) -> Floats:
        """The places of vectors (N, D), float64 (N, 2)."""
        places: Floats = vectors @ self.axes + self.offset
        return places

    def to_dict(self, vectors: Vectors) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "axes": np.round(self.axes, 6).tolist(),
            "offset": np.round(self.offset, 6).tolist(),
            **_placed(self.place(vectors)),
        }


def draw_map(bundle: Bundle) -> dict[str, Any]:
    """The map of an index in plain values for JSON: of the items of its stored layout, if it has one."""
    stored = read_map(bundle)
    block = bundle.store.sample(MOST_POINTS) if stored is None else _block_of(bundle, stored.ids)
    drawn = [layout.to_dict(block.vectors) for layout in layouts(block)]
    if stored is not None:
        drawn.append({"name": stored.method, "axes": None, "offset": None, **_placed(stored.places)})
    return {
        "items": len(bundle.store),
        "ids": block.ids.tolist(),
        "labels": None if block.labels is None else block.labels.tolist(),
        "layouts": drawn,
    }


def _block_of(bundle: Bundle, ids: Ids) -> Block:
    labels = None if bundle.labels is None else np.asarray(bundle.labels[bundle.rows(ids)])
    return Block(ids, labels, bundle.store.vectors(ids))


def _placed(places: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """Places (N, 2) in 16 bits a coordinate, x before y, as base64, and the corners of their box."""
    low, high = places.min(axis=0), places.max(axis=0)
    levels = np.rint((places - low) / np.where(high > low, high - low, 1) * _LEVELS).astype("<u2")
    return {
        "low": low.tolist(),
        "high": high.tolist(),
        "places": base64.b64encode(levels.tobytes()).decode(),
    }


def layouts(block: Block) -> list[Layout]:
    """The layouts that suit these items: a circle of the classes where there is room, then the PCA."""
    principal = principal_axes(block.vectors)
    if block.labels is None or not _FEWEST_CLASSES <= len(np.unique(block.labels)) <= _MOST_CLASSES:
        return [principal]
    return [circle_of_classes(block.vectors, block.labels), principal]


def principal_axes(vectors: Vectors) -> Layout:
    """The two directions of largest variance; each points to where its largest coordinate is positive."""
    mean, covariance = _moments(vectors)
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :2]  # (D, 2)
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    return Layout("pca", axes, -mean @ axes)


def circle_of_classes(vectors: Vectors, labels: Labels) -> Layout:
    """The linear map that brings each class nearest to its place on a circle, similar ones side by side.

    Ridge regression of an indicator (Hastie, Tibshirani and Friedman 2009, section 4.2) whose targets are
    points on the unit circle.
    """
    mean, covariance = _moments(vectors)
    numbers, rows = np.unique(labels, return_inverse=True)
    means = np.stack([vectors[rows == row].mean(axis=0) for row in range(len(numbers))])  # (C, D)
    angles = np.empty(len(numbers))
    angles[circular_order(means @ means.T)] = np.pi / 2 - np.arange(len(numbers)) * 2 * np.pi / len(numbers)
    targets = np.stack([np.cos(angles), np.sin(angles)], axis=1)[rows]  # (N, 2)
    center = targets.mean(axis=0)
    ridge = _RIDGE * np.trace(covariance) / len(mean) + 1e-9
    products = (vectors - mean).T @ (targets - center) / len(vectors)  # (D, 2)
    axes = np.linalg.solve(covariance + ridge * np.eye(len(mean)), products)
    return Layout("classes", axes, center - mean @ axes)


def circular_order(similarity: NDArray[Any]) -> list[int]:
    """An order on a circle in which neighbors are similar: nearest neighbor first, then 2-opt (Croes 1958).

    :param similarity: Symmetric (C, C).
    """
    order, left = [0], set(range(1, len(similarity)))
    while left:
        order.append(max(left, key=lambda each: (similarity[order[-1], each], -each)))
        left.remove(order[-1])
    improved = True
    while improved:
        improved = False
        for first in range(1, len(order) - 1):
            for last in range(first + 1, len(order)):
                before, after = order[first - 1], order[(last + 1) % len(order)]
                old = similarity[before, order[first]] + similarity[order[last], after]
                new = similarity[before, order[last]] + similarity[order[first], after]
                if new > old + 1e-9:
                    order[first : last + 1] = order[first : last + 1][::-1]
                    improved = True
    return order


def _moments(vectors: Vectors) -> tuple[Floats, Floats]:
    mean: Floats = vectors.mean(axis=0, dtype=np.float64)
    centered = vectors - mean
    return mean, centered.T @ centered / len(vectors)
