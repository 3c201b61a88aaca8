"""Which rows may be among the k best, told from rough scores: never too few, and few too many. Pure numpy.

A bound is found that at least k rows reach: the k-th best of the best of parts, which is quicker to find than
the k-th best itself. Rows that may tie with it, or be better, are named; scoring them exactly is for others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import Rows, Scores

SCORE_ERROR = 1e-5  # bound on the error of float32 inner products of unit vectors
_PARTS = 4  # times k, into which rows are divided to find a bound of the k best
_PART, _MOST_PARTS = 256, 512  # rows of a part where there are many, and parts
_WIDE = 8  # queries for each class, from which on a class at a time is quicker


def reaches(scores: Scores, kth: Scores) -> NDArray[np.bool_]:
    """Whether rough scores may tie with a k-th or be better; scores above 1 count as 1."""
    may: NDArray[np.bool_] = scores >= np.minimum(kth, 1) - SCORE_ERROR
    return may


def near(rough: Scores, k: int) -> tuple[Rows, Rows]:
    """The rows of (n, Q) that may be among the k best of a query, and that query: (P,), rows ascending."""
    found, asked, _ = near_in_runs(rough, np.array([len(rough)]), k)
    return found, asked


def near_in_runs(rough: Scores, lengths: Rows, k: int) -> tuple[Rows, Rows, Rows]:
    """The rows that may be among the k best of their run, the query of each, and the run: (P,).

    :param rough: (n, Q), run after run.
    :param lengths: How many rows each run has, (R,).
    :return: Rows ascend within each run of a query.
    """
    queries = rough.shape[1]
    if not rough.size:
        return (np.empty(0, np.int64),) * 3
    if queries < _WIDE * len(lengths):
        return _in_parts(rough, lengths, k)
    ends, near = np.cumsum(lengths), np.empty(rough.shape, bool)
    for end, length in zip(ends.tolist(), lengths.tolist(), strict=True):
        run = rough[end - length : end]
        near[end - length : end] = reaches(run, bound_of_best(run, k))
    found, asked = np.divmod(np.flatnonzero(near), queries)  # `np.nonzero` takes many times as long
    return found, asked, np.searchsorted(ends, found, "right")


def bound_of_best(run: Scores, k: int) -> Scores:
    """For each query a bound that at least k rows of (n, Q) reach, and few more; minus infinity if n < k.

    It is the k-th best of the best of parts of the run, which is quicker to find than the k-th best itself.
    """
    if len(run) < k:
        return np.full(run.shape[1], -np.inf, np.float32)
    count = min(len(run), _PARTS * k)
    size = len(run) // count  # what is left over may well reach the bound too
    best = run[: count * size].reshape(count, size, -1).max(axis=1)  # (parts, Q)
    bound: Scores = np.partition(best, count - k, axis=0)[count - k]
    return bound


class _Parts(NamedTuple):
    """R runs of rows divided into E parts, a run after the other."""

    run: Rows  # of each part, (E,)
    place: Rows  # among the parts of its run, (E,)
    edges: Rows  # its first row, (E,)
    sizes: Rows  # how many rows it has, (E,): the last one of a run goes on to the run's end
    width: int  # at least k, and as many as the parts of any run


@lru_cache
def _parts(lengths: tuple[int, ...], k: int) -> _Parts:
    """The parts of runs of these lengths, at least one each."""
    rows = np.array(lengths, np.int64)
    counts = np.minimum(rows, np.clip(rows // _PART, _PARTS * k, max(_MOST_PARTS, _PARTS * k)))
    run = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(len(run)) - (np.cumsum(counts) - counts)[run]
    edges = (np.cumsum(rows) - rows)[run] + place * (rows // np.maximum(counts, 1))[run]
    sizes = np.diff(edges, append=rows.sum())
    return _Parts(run, place, edges, sizes, max(k, int(counts.max())))


def _in_parts(rough: Scores, lengths: Rows, k: int) -> tuple[Rows, Rows, Rows]:
    """As `near_in_runs`, of few queries: only parts whose best row reaches the bound are looked through."""
    queries, parts = rough.shape[1], _parts(tuple(lengths.tolist()), k)
    best = np.maximum.reduceat(rough, parts.edges, axis=0)  # (E, Q)
    table = np.full((len(lengths), parts.width, queries), -np.inf, np.float32)
    table[parts.run, parts.place] = best
    table.partition(parts.width - k, axis=1)
    least = np.minimum(table[:, parts.width - k], 1) - SCORE_ERROR  # (R, Q), as in `reaches`
    part, asked = np.divmod(np.flatnonzero(best >= least[parts.run]), queries)
    sizes = parts.sizes[part]
    ends = np.cumsum(sizes)
    found = np.arange(ends[-1]) + np.repeat(parts.edges[part] - (ends - sizes), sizes)
    asked, run = np.repeat(asked, sizes), np.repeat(parts.run[part], sizes)
    near = rough[found, asked] >= least[run, asked]
    return found[near], asked[near], run[near]
