"""Several questions about the same queries: which items are nearest, in all, in each class, in one's own.

An answer asks all three. A store that can answer them from one pass over its vectors says so by `compare`;
any other is asked three times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from simsearch.index.stores.base import NOTHING, Hits, Ids, Labels, Vectors, VectorStore, gather
from simsearch.index.stores.exact import BLOCK_SCORES


class Comparison(Protocol):
    """Q queries compared with a store. Scores are exact; equal ones are ordered by id."""

    @property
    def is_exact(self) -> bool:
        """Whether every item was looked at; else classes are ranked by candidates."""

    def nearest(self, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None) -> Hits:
        """The k nearest of all items, or of those in some classes; see `VectorStore.search`."""

    def in_each(self, k: int, classes: Sequence[int], *, left_out: Ids | None = None) -> Hits:
        """The k nearest in each class, (Q, C, k); see `VectorStore.search_each`."""

    def in_own(self, k: int, own: Labels, *, left_out: Ids | None = None) -> Hits:
        """The k nearest in one class for each query, whose number is `own`, int64 (Q,): (Q, k)."""


@runtime_checkable
class Comparing(Protocol):
    """A store that answers several questions from one pass."""

    def compare(self, queries: Vectors, *, exact: bool = False) -> Comparison:
        """Compare unit rows, float32 (Q, D), with what is stored.

        :param exact: Whether to look at every item, whatever the index.
        :raises ValueError: As `VectorStore.search`.
        """


def compare(store: VectorStore, queries: Vectors, *, exact: bool = False) -> Comparison:
    """Compare queries with any store: in one pass where it can, else a pass for each question."""
    if isinstance(store, Comparing):
        return store.compare(queries, exact=exact)
    if exact and not store.is_exact:
        from simsearch.index.stores.flat import FlatStore

        whole = gather(store)
        return FlatStore(whole.ids, whole.labels, whole.vectors).compare(queries)
    return SeparateSearches(store, queries)


def at_once(store: VectorStore, *, exact: bool) -> int:
    """How many vectors each block of queries is compared with at once: what its scores take memory for."""
    return int(getattr(store, "compared_at_once", len(store))) if exact else len(store)


def blocks(items: int, queries: int, scores: int = BLOCK_SCORES) -> Iterator[slice]:
    """Queries in blocks, of at most so many scores with so many items; one block where there is none."""
    step = max(1, scores // max(1, items))
    for start in range(0, max(1, queries), step):
        yield slice(start, start + step)


class SeparateSearches:
    """A search for each question."""

    def __init__(self, store: VectorStore, queries: Vectors) -> None:
        """Ask a store about unit rows, float32 (Q, D)."""
        self._store, self._queries = store, queries

    @property
    def is_exact(self) -> bool:
        """Whether classes are ranked by all items: they are, whatever the index."""
        return True

    def nearest(self, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None) -> Hits:
        """See `Comparison.nearest`."""
        return self._store.search(self._queries, k, classes=classes, left_out=left_out)

    def in_each(self, k: int, classes: Sequence[int], *, left_out: Ids | None = None) -> Hits:
        """See `Comparison.in_each`."""
        return self._store.search_each(self._queries, k, classes, left_out=left_out)

    def in_own(self, k: int, own: Labels, *, left_out: Ids | None = None) -> Hits:
        """See `Comparison.in_own`."""
        shape = (len(own), k)
        hits = Hits(np.full(shape, np.nan, np.float32), np.full(shape, NOTHING))
        for number in sorted(set(own.tolist())):
            rows = np.flatnonzero(own == number)
            ids = None if left_out is None else left_out[rows]
            found = self._store.search(self._queries[rows], k, classes=[number], left_out=ids)
            width = found.ids.shape[1]
            hits.scores[rows, :width], hits.ids[rows, :width] = found
        return hits
