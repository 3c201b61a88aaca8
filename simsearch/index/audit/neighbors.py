"""The nearest items of every item, itself left out: what audits and searches for copies begin with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simsearch.index.stores.base import Hits, VectorStore
from simsearch.index.stores.hits import widen

_BLOCK = 1_024  # items that are searched for at once
Progress = Callable[[int], None]


def nearest_others(store: VectorStore, k: int, on_progress: Progress = lambda _: None) -> Hits:
    """The k nearest items of each item of a store, in order of id; memory grows with N x k.

    :param on_progress: Called with the number of items of each finished block.
    :return: (N, k); NaN and `NOTHING` where a store holds fewer.
    """
    return _nearest(store, store, k, True, on_progress)


def nearest_in(
    store: VectorStore, other: VectorStore, k: int, on_progress: Progress = lambda _: None
) -> Hits:
    """The k nearest items in another store of each item of this one, in order of id: (N, k).

    :raises ValueError: If their vectors have different lengths.
    """
    return _nearest(store, other, k, False, on_progress)


def _nearest(
    store: VectorStore, searched: VectorStore, k: int, leave_out: bool, on_progress: Progress
) -> Hits:
    parts = [Hits(np.empty((0, k), np.float32), np.empty((0, k), np.int64))]
    for block in store.scan():
        for start in range(0, len(block.ids), _BLOCK):
            part = slice(start, start + _BLOCK)
            left_out = block.ids[part] if leave_out else None
            found = searched.search(np.ascontiguousarray(block.vectors[part]), k, left_out=left_out)
            parts.append(widen(found, k))
            on_progress(len(found.ids))
    return Hits(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
