"""The hits of several stores as one answer, without those of items that were removed from them. Pure numpy.

Removed items stay in the stores. Each store is asked for more than is needed, and again for more where that
did not suffice, so that what is dropped never leaves a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Hits, Ids
from simsearch.index.stores.hits import widen

_SLACK = 16  # hits beyond those wanted of a store from which items were removed

# Rows of the queries (q,), and how many are wanted -> hits (q * lists, columns), at most so many.
Ask: TypeAlias = Callable[[NDArray[np.int64], int], Hits]


class Asked(NamedTuple):
    """A store, as something that is asked a question."""

    ask: Ask
    gone: Ids  # the removed ids among its own, ascending
    size: int  # all its items


def best_of(parts: Sequence[Asked], queries: int, k: int, lists: int = 1) -> Hits:
    """The k best of all parts, for each of so many lists a query: (queries * lists, k)."""
    found = [_kept(part, queries, k, lists) for part in parts]
    if len(found) == 1:
        return found[0]
    scores = np.concatenate([hits.scores for hits in found], axis=1)
    ids = np.concatenate([hits.ids for hits in found], axis=1)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]  # a place without a hit is NaN, and last
    return widen(Hits(np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)), k)


def _kept(part: Asked, queries: int, k: int, lists: int) -> Hits:
    """The k best of one part that are not gone, or all there are: (queries * lists, k)."""
    pending = np.arange(queries)
    if not len(part.gone):
        return widen(part.ask(pending, k), k)
    hits = Hits(np.full((queries * lists, k), np.nan, np.float32), np.full((queries * lists, k), NOTHING))
    fetch = k + _SLACK
    while len(pending):  # each query by itself: what it gets must not depend on the others
        fetch = min(fetch, part.size)
        asked = part.ask(pending, fetch)
        kept, enough = _drop(asked, part.gone, k)
        done = (enough | (fetch == part.size) | (asked.ids.shape[1] < fetch)).reshape(-1, lists).all(1)
        rows = (pending[done, None] * lists + np.arange(lists)).ravel()
        hits.scores[rows] = kept.scores[done.repeat(lists)]
        hits.ids[rows] = kept.ids[done.repeat(lists)]
        pending, fetch = pending[~done], fetch * 2
    return hits


def _drop(hits: Hits, gone: Ids, k: int) -> tuple[Hits, NDArray[np.bool_]]:
    """The first k hits of each list that are not gone; and whether they are k, or all that there are."""
    wide = widen(hits, k)
    dropped = gone[np.searchsorted(gone, wide.ids).clip(max=len(gone) - 1)] == wide.ids
    order = np.argsort(dropped, axis=1, kind="stable")[:, :k]
    lost = np.take_along_axis(dropped, order, 1)
    kept = Hits(
        np.where(lost, np.float32(np.nan), np.take_along_axis(wide.scores, order, 1)),
        np.where(lost, NOTHING, np.take_along_axis(wide.ids, order, 1)),
    )
    return kept, ~lost.any(1) | (wide.ids[:, -1] == NOTHING)
