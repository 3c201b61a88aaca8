"""Hits without an item, and hits joined with others: what a ranking is put together from. Pure numpy.

A place where a query has no hit holds the id `NOTHING` and the score NaN, after all others.
"""

from __future__ import annotations

import numpy as np

from simsearch.index.stores.base import NOTHING, Hits, Ids


def widen(hits: Hits, columns: int) -> Hits:
    """Hits of at least this many columns, those added empty."""
    missing = max(0, columns - hits.ids.shape[1])
    if not missing:
        return hits
    wider = ((0, 0), (0, missing))
    return Hits(
        np.pad(hits.scores, wider, constant_values=np.nan), np.pad(hits.ids, wider, constant_values=NOTHING)
    )


def reshape(hits: Hits, *shape: int) -> Hits:
    """The same hits in another shape."""
    return Hits(hits.scores.reshape(shape), hits.ids.reshape(shape))


def leave_out(hits: Hits, items: Ids, k: int) -> Hits:
    """The first k hits of each query that are not an item of its own.

    :param hits: The k + 1 best, or all where there are fewer.
    :param items: The item to leave out of each query's hits, int64 (Q,); `NOTHING` for none.
    """
    wide = widen(hits, k + 1)
    dropped = (wide.ids == items[:, None]) & (items[:, None] != NOTHING)  # (Q, k + 1)
    order = np.argsort(dropped, axis=1, kind="stable")[:, :k]
    return Hits(np.take_along_axis(wide.scores, order, 1), np.take_along_axis(wide.ids, order, 1))


def join(first: Hits, second: Hits, k: int) -> Hits:
    """The k best of two answers to the same queries, an item that is in both once."""
    scores = np.concatenate([first.scores, second.scores], axis=1)
    ids = np.concatenate([first.ids, second.ids], axis=1)
    order = np.lexsort((ids, -scores), axis=1)
    scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
    repeated = np.zeros(ids.shape, bool)
    repeated[:, 1:] = ids[:, 1:] == ids[:, :-1]  # equal ids have equal scores, so they are neighbors
    order = np.argsort(repeated | (ids == NOTHING), axis=1, kind="stable")[:, :k]
    kept = ~np.take_along_axis(repeated, order, 1)
    return Hits(
        np.where(kept, np.take_along_axis(scores, order, 1), np.nan).astype(np.float32),
        np.where(kept, np.take_along_axis(ids, order, 1), NOTHING),
    )
