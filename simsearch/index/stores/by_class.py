"""The nearest items of each class, and the features that they give of a query's novelty."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Hits, Ids, Vectors, VectorStore
from simsearch.index.stores.comparison import Comparison, blocks, compare
from simsearch.index.stores.seen import SeenPictures
from simsearch.prepare.prepare import Images
from simsearch.stats.class_ranking import NEAREST_PER_CLASS
from simsearch.stats.novelty import NEIGHBORS, Features, Neighbors, novelty_features

_BLOCK = 256  # queries whose neighbors are held at once


class NearestPerClass:
    """A labeled gallery, asked class by class."""

    def __init__(self, store: VectorStore, pictures: Callable[[Ids], Images] | None = None) -> None:
        """Ask a store; without labels it has no classes.

        :param pictures: Items' ids (N,) -> their pictures, uint8 (N, H, W); None where they are not kept.
        """
        self._store, self._seen = store, None if pictures is None else SeenPictures(pictures)

    @property
    def classes(self) -> tuple[int, ...]:
        """The numbers of the classes, ascending."""
        return self._store.classes

    def compare(self, vectors: Vectors, *, exact: bool = False) -> Iterator[tuple[slice, Comparison]]:
        """Compare queries, unit rows, float32 (Q, D), with the store, in blocks that fit into memory."""
        for part in blocks(len(self._store), len(vectors)):
            yield part, compare(self._store, vectors[part], exact=exact)

    def search(self, compared: Comparison, left_out: Ids | None = None) -> Hits:
        """The five nearest items in each class, in order of class number: (Q, C, 5)."""
        return compared.in_each(NEAREST_PER_CLASS, self.classes, left_out=left_out)

    def like_top(self, compared: Comparison, tops: NDArray[np.int64], left_out: Ids | None = None) -> Ids:
        """The ids of the items that novelty is told by, (Q, 20): the nearest in the top class of each query.

        :param tops: The class that each query resembles most, int64 (Q,).
        """
        return compared.in_own(NEIGHBORS, tops, left_out=left_out).ids

    def features(self, ids: Ids, vectors: Vectors, pictures: Images | None) -> Features:
        """The features of each query's novelty; see `novelty_features`.

        :param ids: As `like_top` gives them, at least one a query.
        :param vectors: The queries, unit rows, float32 (Q, D).
        :param pictures: uint8 (Q, H, W); None where only vectors are compared.
        """
        found = [
            self._features(
                vectors[start : start + _BLOCK],
                None if pictures is None else pictures[start : start + _BLOCK],
                ids[start : start + _BLOCK],
            )
            for start in range(0, max(1, len(vectors)), _BLOCK)
        ]
        return {name: np.concatenate([block[name] for block in found]) for name in found[0]}

    def _features(self, vectors: Vectors, pictures: Images | None, ids: Ids) -> Features:
        there = ids != NOTHING
        every, places = np.unique(np.where(there, ids, ids[:, :1]), return_inverse=True)
        looks = None if self._seen is None or pictures is None else self._seen.look_at(every)
        near = Neighbors(self._store.vectors(every), looks, places.reshape(ids.shape), there)
        return novelty_features(vectors, pictures, near)
