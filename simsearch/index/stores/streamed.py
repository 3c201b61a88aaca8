"""Exact scoring of vectors that are read stretch by stretch: each question takes one pass over them.

The best of the stretches before bound what is looked at in the next, so that memory holds one stretch and the
best, and few pairs are scored again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simsearch.index.stores.base import NOTHING, Vectors
from simsearch.index.stores.exact import (
    STRETCH,
    Groups,
    Ranked,
    Rows,
    Scores,
    bound_of_best,
    empty_lists,
    rank_pairs,
    reaches,
    score_pairs,
)


class _Group(NamedTuple):
    """Rows, and the queries that are compared with them."""

    rows: Rows | None  # ascending; None for all
    asked: Rows  # (q,)
    lists: Rows  # the list of each query's best, (q,)


class _Pairs(NamedTuple):
    """Scored pairs of a list and a row, each (P,); rows ascend within a list."""

    lists: Rows
    rows: Rows
    scores: Scores


class StreamedProducts:
    """Queries against all rows of a gallery, as `Products` compares them."""

    def __init__(self, queries: Vectors, vectors: Any) -> None:
        """Compare unit rows, float32 (Q, D), with those of a gallery, (N, D), of which slices are read."""
        self._queries, self._vectors = queries, vectors
        self._exact = queries.astype(np.float64)

    def best(self, k: int) -> Ranked:
        """The k best rows of each query, (Q, k)."""
        return self._best([_Group(None, self._every, self._every)], len(self._queries), k)

    def best_among(self, rows: Rows, k: int) -> Ranked:
        """The k best of these rows, ascending, (Q, k)."""
        return self._best([_Group(rows, self._every, self._every)], len(self._queries), k)

    def best_in_each(self, groups: Groups, k: int) -> Ranked:
        """The k best in each group: (Q * G, k), query by query."""
        count = len(groups.lengths)
        lists = self._every * count
        asked = [_Group(rows, self._every, lists + number) for number, rows in enumerate(groups.split())]
        return self._best(asked, len(self._queries) * count, k)

    def best_in_own(self, groups: Groups, own: Rows, k: int) -> Ranked:
        """The k best in one group for each query, the `own[q]`-th: (Q, k)."""
        asked = [np.flatnonzero(own == number) for number in range(len(groups.lengths))]
        each = [_Group(*each) for each in zip(groups.split(), asked, asked, strict=True)]
        return self._best(each, len(own), k)

    @property
    def _every(self) -> Rows:
        return np.arange(len(self._queries))

    def _best(self, groups: Sequence[_Group], count: int, k: int) -> Ranked:
        best = empty_lists(count, k)
        for start in range(0, len(self._vectors) if groups else 0, STRETCH):
            read = self._vectors[start : start + STRETCH]
            near = [self._near(read, start, group, best, k) for group in groups]
            _join(best, _Pairs(*map(np.concatenate, zip(*near, strict=True))), k)
        return best

    def _near(self, read: Vectors, start: int, group: _Group, best: Ranked, k: int) -> _Pairs:
        """The pairs of a stretch that begins there, of which some may be among the k best of a group."""
        rows = np.arange(len(read))
        if group.rows is not None:
            first, last = np.searchsorted(group.rows, [start, start + len(read)])
            rows = group.rows[first:last] - start
        if not len(rows) or not len(group.asked):
            return _Pairs(rows[:0], rows[:0], np.empty(0, np.float32))
        vectors = read if len(rows) == len(read) else read[rows]
        rough = vectors @ self._queries[group.asked].T  # (n, q)
        bound = best.scores[group.lists, -1]  # NaN where fewer than k were found
        if np.isnan(bound).any():
            bound = np.fmax(bound, bound_of_best(rough, k))
        near, asked = np.divmod(np.flatnonzero(reaches(rough, bound)), len(group.asked))
        scores = score_pairs(self._exact, vectors, group.asked[asked], near)
        return _Pairs(group.lists[asked], start + rows[near], scores)


def _join(best: Ranked, near: _Pairs, k: int) -> None:
    """Put pairs into the lists of the best, whose rows are all before theirs."""
    changed, number = np.unique(near.lists, return_inverse=True)
    held = best.rows[changed]
    there = held != NOTHING
    ranked = rank_pairs(
        np.concatenate([np.nonzero(there)[0], number]),
        np.concatenate([held[there], near.rows]),
        np.concatenate([best.scores[changed][there], near.scores]),
        len(changed),
        k,
    )
    best.scores[changed], best.rows[changed] = ranked
