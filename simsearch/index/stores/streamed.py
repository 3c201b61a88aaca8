"""Exact scoring of vectors that are read stretch by stretch: each question takes one pass over them.

The best of the stretches before bound what is looked at in the next, so that memory holds one stretch and the
best, and few pairs are scored again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simsearch.index.stores.base import NOTHING, Rows, Scores, Vectors
from simsearch.index.stores.exact import (
    STRETCH,
    Groups,
    Ranked,
    empty_lists,
    rank_pairs,
    rough_products,
    score_pairs,
)
from simsearch.index.stores.near import bound_of_best, reaches


class _Group(NamedTuple):
    """Rows, and the queries that are compared with them."""

    rows: Rows | None  # ascending; None for all
    asked: Rows  # (q,)
    lists: Rows  # the list of each query's best, (q,)

    def within(self, start: int, count: int) -> Rows:
        """The rows in a stretch that begins there, counted from it."""
        if self.rows is None:
            return np.arange(count)
        first, last = np.searchsorted(self.rows, [start, start + count])
        return self.rows[first:last] - start


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
        self._exact, self._every = queries.astype(np.float64), np.arange(len(queries))

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

    def _best(self, groups: Sequence[_Group], count: int, k: int) -> Ranked:
        best = empty_lists(count, k)
        for start in range(0, len(self._vectors) if groups else 0, STRETCH):
            read = self._vectors[start : start + STRETCH]
            parts = [group.within(start, len(read)) for group in groups]
            found = zip(groups, parts, self._rough(read, groups, parts), strict=True)
            near = [self._near(read, start, group, part, rough, best) for group, part, rough in found]
            _join(best, _Pairs(*map(np.concatenate, zip(*near, strict=True))), k)
        return best

    def _rough(self, read: Vectors, groups: Sequence[_Group], parts: Sequence[Rows]) -> Sequence[Scores]:
        """Rough scores of each group's rows in a stretch and its queries; of one product, if all ask."""
        if any(group.asked is not self._every for group in groups):
            asked = [self._queries[group.asked] for group in groups]
            return [rough_products(*each) for each in zip(asked, [read[part] for part in parts], strict=True)]
        ends = np.cumsum([len(part) for part in parts])
        return np.split(rough_products(self._queries, read[np.concatenate(parts)]), ends[:-1])

    def _near(
        self, read: Vectors, start: int, group: _Group, part: Rows, rough: Scores, best: Ranked
    ) -> _Pairs:
        """The pairs of a stretch that begins there, of which some may be among the best of a group."""
        if not rough.size:
            return _Pairs(part[:0], part[:0], np.empty(0, np.float32))
        bound = best.scores[group.lists, -1]  # NaN where fewer than k were found
        if np.isnan(bound).any():
            bound = np.fmax(bound, bound_of_best(rough, best.rows.shape[1]))
        near, asked = np.divmod(np.flatnonzero(reaches(rough, bound)), len(group.asked))
        rows = part[near]
        scores = score_pairs(self._exact, read, group.asked[asked], rows)
        return _Pairs(group.lists[asked], start + rows, scores)


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
