"""The exact nearest items of each class, and the features that they give of a query's novelty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Hits, Ids, Vectors, VectorStore
from simsearch.prepare.prepare import Images
from simsearch.stats.class_ranking import NEAREST_PER_CLASS
from simsearch.stats.novelty import NEIGHBORS, Features, Neighbors, novelty_features

_BLOCK = 256  # queries whose neighbors are held at once


class NearestPerClass:
    """A labelled gallery, asked class by class."""

    def __init__(self, store: VectorStore, pictures: Callable[[Ids], Images] | None = None) -> None:
        """Ask a store; without labels it has no classes.

        :param pictures: Items' ids (N,) -> their pictures, uint8 (N, H, W); None where they are not kept.
        """
        self._store, self._pictures = store, pictures

    @property
    def classes(self) -> tuple[int, ...]:
        """The numbers of the classes, ascending."""
        return self._store.classes

    def search(self, vectors: Vectors, left_out: Ids | None = None) -> Hits:
        """The five nearest items in each class, in order of class number: (Q, C, 5)."""
        return self._store.search_each(vectors, NEAREST_PER_CLASS, self.classes, left_out=left_out)

    def features(
        self, vectors: Vectors, pictures: Images | None, tops: NDArray[np.int64], left_out: Ids | None = None
    ) -> Features:
        """The features of each query's novelty; see `novelty_features`.

        :param vectors: Unit rows, float32 (Q, D).
        :param pictures: uint8 (Q, H, W); None where only vectors are compared.
        :param tops: The class that each query resembles most, int64 (Q,), with an item beside `left_out`.
        """
        starts = range(0, max(1, len(vectors)), _BLOCK)
        found = [
            self._features(
                vectors[start : start + _BLOCK],
                None if pictures is None else pictures[start : start + _BLOCK],
                tops[start : start + _BLOCK],
                None if left_out is None else left_out[start : start + _BLOCK],
            )
            for start in starts
        ]
        return {name: np.concatenate([block[name] for block in found]) for name in found[0]}

    def _features(
        self, vectors: Vectors, pictures: Images | None, tops: NDArray[np.int64], left_out: Ids | None
    ) -> Features:
        ids = np.full((len(vectors), NEIGHBORS), NOTHING)
        for top in sorted(set(tops.tolist())):  # np.unique loads numpy.ma
            rows = np.flatnonzero(tops == top)
            own = None if left_out is None else left_out[rows]
            found = self._store.search(vectors[rows], NEIGHBORS, classes=[top], left_out=own)
            ids[rows, : found.ids.shape[1]] = found.ids
        there = ids != NOTHING
        filled = np.where(there, ids, ids[:, :1]).ravel()
        near = self._store.vectors(filled).reshape(*ids.shape, -1)
        shown = None
        if self._pictures is not None and pictures is not None:
            shown = self._pictures(filled).reshape(*ids.shape, *pictures.shape[1:])
        return novelty_features(vectors, pictures, Neighbors(near, shown, there))
