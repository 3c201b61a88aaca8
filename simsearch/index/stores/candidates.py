"""What an approximate index proposes, scored exactly: nearest items, and classes ranked by candidates.

An exact ranking of the classes takes a product with every vector, whatever the index. Here a class is ranked
by its items among the candidates, joined with a fixed sample of it: classes that are near have their nearest
items among the candidates, and of the others the sample says well enough how far away they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Hits, Ids, Labels, Rows, Scores, Vectors
from simsearch.index.stores.exact import Groups, Products, rank_pairs, score_pairs
from simsearch.index.stores.hits import leave_out, reshape

_OVERFETCH = 16  # proposals beyond these, so that ties at the cut are usually seen at once
_TIMES = 4  # k, because an index's own scores are approximate
_PROPOSED = 128  # at least: two classes that are near have their nearest items among so many
_SAMPLED, _SAMPLED_IN_ALL = 256, 8_192  # items of a class, and of all together
_PLACES = 16  # at which a class's sample is drawn, at least
_NEAR_OF_SAMPLE = 24  # of each class: more than any question asks for
_FEW = 8_192  # rows that are compared one by one sooner than an index is asked for them


class Samples(NamedTuple):
    """Some rows of each class, class by class: rows (S,), their vectors (S, D), where each class's lie."""

    rows: Rows
    vectors: Vectors
    groups: Groups  # rows of these vectors


class ProposingStore(Protocol):
    """A store whose index proposes candidates; rows are in ascending order of id."""

    ids: Ids
    labels: Labels | None

    @property
    def matrix(self) -> Vectors:
        """All vectors, row by row, (N, D)."""

    @property
    def classes(self) -> tuple[int, ...]:
        """The numbers of the classes that have an item, ascending."""

    @property
    def samples(self) -> Samples:
        """Some rows of each class; see `draw_samples`."""

    def __len__(self) -> int:
        """Number of rows."""

    def rows_in(self, classes: Sequence[int]) -> Rows:
        """The rows of the items in these classes, ascending."""

    def propose(self, queries: Vectors, fetch: int) -> tuple[Scores, Rows]:
        """Rough scores and rows, (Q, fetch); -1 in places for which there is none."""

    def propose_within(
        self, queries: Vectors, fetch: int, classes: Sequence[int], *, everywhere: bool
    ) -> tuple[Scores, Rows] | None:
        """The same among the items of some classes; None where that cannot be asked, or misses much.

        :param everywhere: That these items need not lie where the queries lead to.
        """


class _Pool(NamedTuple):
    """P pairs of a query and a row, each once, by query and then row."""

    asked: Rows
    rows: Rows
    scores: Scores


def proposals(k: int) -> int:
    """How many candidates to ask for, to find the k best among them."""
    return _TIMES * k + _OVERFETCH


def draw_samples(vectors: Vectors, rows: Sequence[Rows]) -> Samples:
    """Some rows of each class, always the same: neighbors of its, at random places, which are quickly read.

    :param rows: Of each class, ascending.
    """
    most = max(1, min(_SAMPLED, _SAMPLED_IN_ALL // max(1, len(rows))))
    random = np.random.default_rng(0)
    drawn = [own if len(own) <= most else _some_of(own, most, random) for own in rows]
    every = np.concatenate([np.empty(0, np.int64), *drawn])
    groups = Groups(np.arange(len(every)), np.array([len(own) for own in drawn], np.int64))
    return Samples(every, vectors[every], groups)


def _some_of(rows: Rows, count: int, random: np.random.Generator) -> Rows:
    """So many rows, in runs of neighbors."""
    run = max(1, count // _PLACES)
    places = np.sort(random.choice(len(rows) // run, count // run, replace=False, shuffle=False))
    some: Rows = rows[(places[:, None] * run + np.arange(run)).ravel()]
    return some


class Candidates:
    """Queries with what an index proposes for them; see `Comparison`."""

    def __init__(self, store: ProposingStore, queries: Vectors) -> None:
        """Ask about unit rows, float32 (Q, D)."""
        self._store, self._queries = store, queries
        self._found: Rows = np.empty((len(queries), 0), np.int64)  # (Q, proposed)
        self._proposed, self._pool = 0, _Pool(*(np.empty(0, kind) for kind in ("i8", "i8", "f4")))

    @property
    def is_exact(self) -> bool:
        """Whether every item was looked at."""
        return False

    def nearest(self, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None) -> Hits:
        """The k nearest candidates, of all or of some classes; see `Comparison.nearest`."""
        store = self._store
        rows = None if classes is None else store.rows_in(classes)
        total = len(store) if rows is None else len(rows)
        fetch = min(k + (left_out is not None), total)
        if rows is None or classes is None:
            pool = self._candidates(proposals(fetch))
        else:
            pool = self._among(rows, classes, fetch)
        ranked = rank_pairs(pool.asked, pool.rows, pool.scores, len(self._queries), fetch)
        short = np.flatnonzero((ranked.rows == NOTHING).any(1))
        if len(short):  # too few were proposed: look at every vector
            every = Products(self._queries[short], store.matrix)
            found = every.best(fetch) if rows is None else every.best_among(rows, fetch)
            ranked.scores[short], ranked.rows[short] = found
        hits = Hits(ranked.scores, store.ids[ranked.rows])
        return hits if left_out is None else leave_out(hits, left_out, min(k, total))

    def in_each(self, k: int, classes: Sequence[int], *, left_out: Ids | None = None) -> Hits:
        """The k nearest candidates in each class, (Q, C, k)."""
        shape = (len(self._queries), len(classes), k)
        if not classes or self._store.labels is None:
            return Hits(np.full(shape, np.nan, np.float32), np.full(shape, NOTHING))
        pool = self._candidates()
        column = np.full(max(*classes, *self._store.classes) + 1, NOTHING)
        column[list(classes)] = np.arange(len(classes))
        place = column[self._store.labels[pool.rows]]
        lists = np.where(place == NOTHING, NOTHING, pool.asked * len(classes) + place)
        owners = None if left_out is None else left_out.repeat(len(classes))
        return reshape(self._ranked(pool, lists, len(self._queries) * len(classes), k, owners), *shape)

    def in_own(self, k: int, own: Labels, *, left_out: Ids | None = None) -> Hits:
        """The k nearest candidates in one class for each query, (Q, k)."""
        pool, labels = self._candidates(), self._store.labels
        assert labels is not None
        lists = np.where(labels[pool.rows] == own[pool.asked], pool.asked, NOTHING)
        return self._ranked(pool, lists, len(self._queries), k, left_out)

    def _ranked(self, pool: _Pool, lists: Rows, count: int, k: int, left_out: Ids | None) -> Hits:
        """The k best of each list; `NOTHING` in the place of a list is none."""
        there = lists != NOTHING
        fetch = k + (left_out is not None)
        ranked = rank_pairs(lists[there], pool.rows[there], pool.scores[there], count, fetch)
        ids = np.where(ranked.rows == NOTHING, NOTHING, self._store.ids[ranked.rows])
        hits = Hits(ranked.scores, ids)
        return hits if left_out is None else leave_out(hits, left_out, k)

    def _candidates(self, fetch: int = 0) -> _Pool:
        """What the index proposes, at least so many, and the nearest of each class's sample."""
        fetch = min(max(fetch, _PROPOSED), len(self._store))
        if fetch > self._proposed and len(self._queries):
            self._found = self._store.propose(self._queries, fetch)[1]
            asked, found = self._near_of_samples()
            self._proposed, self._pool = fetch, self._scored(self._found, asked, found)
        return self._pool

    def _among(self, rows: Rows, classes: Sequence[int], k: int) -> _Pool:
        """What the index proposes among these classes' rows; nothing of few, or where it cannot be asked."""
        fetch = min(proposals(k), len(rows))
        found = np.full((len(self._queries), fetch), NOTHING)
        if len(rows) > _FEW and len(self._queries):
            near = self._finds(classes, k)
            for asked, everywhere in ((np.flatnonzero(near), False), (np.flatnonzero(~near), True)):
                proposed = None
                if len(asked):
                    proposed = self._store.propose_within(
                        self._queries[asked], fetch, classes, everywhere=everywhere
                    )
                if proposed is not None:
                    found[asked] = proposed[1]
            found[(found == NOTHING).any(1)] = NOTHING  # it looked in another place than these rows lie in
        none = np.empty(0, np.int64)
        return self._scored(found, none, none)

    def _finds(self, classes: Sequence[int], k: int) -> NDArray[np.bool_]:
        """Whether at least k items of these classes are among what is proposed anyway to each query, (Q,)."""
        self._candidates()
        assert self._store.labels is not None
        own = np.isin(self._store.labels[self._found], np.asarray(classes))
        found: NDArray[np.bool_] = (own & (self._found != NOTHING)).sum(1) >= k
        return found

    def _near_of_samples(self) -> tuple[Rows, Rows]:
        """Queries and rows that may be among the nearest of a class's sample, (P,) each."""
        samples = self._store.samples
        sampled = Products(self._queries, samples.vectors)
        asked, found, _ = sampled.near_in_each(samples.groups, _NEAR_OF_SAMPLE)
        return asked, samples.rows[found]

    def _scored(self, proposed: Rows, asked: Rows, found: Rows) -> _Pool:
        """What was proposed to each query, (Q, n), and other pairs, each once, with exact scores."""
        total = len(self._store)
        every = proposed + np.arange(len(proposed))[:, None] * total  # one number for query and row
        pairs = np.sort(np.concatenate([every[proposed != NOTHING], asked * total + found]))
        first = np.ones(len(pairs), bool)
        first[1:] = pairs[1:] != pairs[:-1]
        asked, found = np.divmod(pairs[first], total)
        return _Pool(asked, found, score_pairs(self._queries, self._store.matrix, asked, found))
