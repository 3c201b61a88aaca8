"""What the pictures of items are compared by, computed when one is first near a query, and then kept."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np

from simsearch.index.stores.base import Ids
from simsearch.prepare.prepare import Images
from simsearch.stats.coarse import Looks, look_at

_KEPT = 2**15  # pictures; of 28x28 pixels 26 MB


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
        places = np.array([self._places.get(item, -1) for item in ids.tolist()], np.int64)
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
