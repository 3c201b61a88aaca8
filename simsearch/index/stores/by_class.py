"""The nearest items of each class, the features that they give of novelty, and what these keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Hits, Ids, Vectors, VectorStore
from simsearch.index.stores.comparison import Comparison, at_once, blocks, compare
from simsearch.index.stores.exact import BLOCK_SCORES
from simsearch.prepare.prepare import Images
from simsearch.stats.class_ranking import NEAREST_PER_CLASS
from simsearch.stats.novelty import NEIGHBORS, Features, Looks, Neighbors, look_at, novelty_features

_BLOCK = 256  # queries whose neighbors are held at once
_KEPT = 2**15  # pictures whose looks are kept; of digits 26 MB


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

    def compare(
        self, vectors: Vectors, *, exact: bool = False, scores: int = BLOCK_SCORES
    ) -> Iterator[tuple[slice, Comparison]]:
        """Compare queries, unit rows, float32 (Q, D), with the store, in blocks of at most so many scores."""
        for part in blocks(at_once(self._store, exact=exact), len(vectors), scores):
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


class SeenPictures:
    """Of the first items that are asked for; of all others it is computed each time. Threads may share it."""

    def __init__(self, pictures: Callable[[Ids], Images], most: int = _KEPT) -> None:
        """Look at items' pictures: ids (N,) -> uint8 (N, H, W)."""
        self._pictures, self._most = pictures, most
        self._places: dict[int, int] = {}
        self._kept: Looks | None = None
        self._keeping = Lock()

    def look_at(self, ids: Ids) -> Looks:
        """What the pictures of these items are compared by, each id once: int64 (N,)."""
        places = np.array(list(map(self._places.get, ids.tolist(), repeat(-1))), np.int64)
        kept, new = self._kept, np.flatnonzero(places < 0)  # in this order: each place lies in what is kept
        if kept is not None and not len(new):
            return Looks(kept.coarse[places], kept.gradients[places])
        looks = look_at(self._pictures(ids[new]))
        # Another thread that is at it is not waited for, nor one that a process forked amid has not.
        if self._keeping.acquire(blocking=False):
            try:
                self._keep(ids[new], looks)
            finally:
                self._keeping.release()
        if kept is None or len(new) == len(ids):
            return looks
        found = Looks(kept.coarse[places], kept.gradients[places])
        found.coarse[new], found.gradients[new] = looks
        return found

    def _keep(self, ids: Ids, looks: Looks) -> None:
        start = len(self._places)
        new = [row for row, item in enumerate(ids.tolist()) if item not in self._places]
        rows = np.array(new[: self._most - start], np.int64)
        end = start + len(rows)
        kept = self._kept
        if kept is None or end > len(kept.gradients):
            kept = _grown(kept, looks, min(self._most, 2 * end))
        kept.coarse[start:end], kept.gradients[start:end] = looks.coarse[rows], looks.gradients[rows]
        self._kept = kept
        self._places.update(zip(ids[rows].tolist(), range(start, end), strict=True))  # and last of all


def _grown(kept: Looks | None, like: Looks, count: int) -> Looks:
    """Room for so many, with what is kept."""
    room = Looks(*(np.empty((count, *column.shape[1:]), np.float32) for column in like))
    for old, column in zip(kept or (), room, strict=False):
        column[: len(old)] = old
    return room
