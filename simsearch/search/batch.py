"""Many queries through one index: decoded by several threads, encoded and searched in batches, by them too.

Memory does not grow with the number of queries: at most four batches are under way, answers come in the
order of the queries, and one that cannot be answered does not stop the others.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from simsearch.errors import BadImageError, BadInputError
from simsearch.index.stores.base import Vectors
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import PreparedImage, Preprocess
from simsearch.search.answers import STORED_LIMITS, Answer, Limits
from simsearch.search.queries import Query
from simsearch.search.searcher import Searcher
from simsearch.text import printable

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from simsearch.search.compose import ComposedQuery

BATCH = 256  # queries that are encoded and searched at once
_TASK = 16  # pictures that a thread decodes before it looks for other work
_AHEAD = 3  # batches that are under way while the oldest one's answers are read
_MOST_THREADS = 8

Prepared: TypeAlias = PreparedImage | BadInputError | None  # None for a composed query alone
_Prepare: TypeAlias = Callable[[list[Query]], list[Prepared]]
_Ask: TypeAlias = Callable[[list[Query], list[Prepared]], "list[Outcome]"]
_Answer: TypeAlias = Callable[[list[Query], list["Future[list[Prepared]]"]], "list[Outcome]"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One query of a batch: its answer, or why there is none."""

    query: Query
    answer: Answer | None = None
    error: BadInputError | None = None
    truth: str | None = None  # the query's class, where it is known and the gallery has it
    image: PreparedImage | None = None  # what the network saw of the query itself
    composed: ComposedQuery | None = None  # what was added to it and taken from it

    @property
    def name(self) -> str:
        """What the query is called, with all that it is made of."""
        return self.composed.describe(self.query.name) if self.composed else self.query.name


def answer_queries(
    searcher: Searcher,
    queries: Iterable[Query],
    *,
    k: int = 10,
    labels: Sequence[str] = (),
    limits: Limits = STORED_LIMITS,
    preprocess: Preprocess = Preprocess.AUTO,
    invert: bool | None = None,
    composed: ComposedQuery | None = None,
    exact: bool = False,
    threads: int = 0,
) -> Iterator[Outcome]:
    """Answer queries in their order, each as it would be answered alone.

    :param queries: Taken from as they are needed.
    :param composed: Vectors added to each query's and taken from it.
    :param exact: Whether to look at every item though the index is approximate.
    :param threads: How many share the work; 0 for one a core, at most 8.
    :raises BadInputError: If a label is no class of the gallery.
    """
    searcher.check_labels(labels)

    ended = threading.Event()

    def prepare(part: list[Query]) -> list[Prepared]:
        wanted = itertools.takewhile(lambda _: not ended.is_set(), part)
        return [prepare_query(searcher, query, preprocess, invert) for query in wanted]

    def ask(batch: list[Query], prepared: list[Prepared]) -> list[Outcome]:
        return answer_prepared(
            searcher, batch, prepared, k=k, labels=labels, limits=limits, composed=composed, exact=exact
        )

    queries = iter(queries)
    first = list(itertools.islice(queries, 2))
    if len(first) < 2:  # starting threads would take longer
        yield from ask(first, prepare(first)) if first else ()
        return
    try:
        yield from _in_threads(itertools.chain(first, queries), prepare, ask, threads)
    finally:
        ended.set()


def _in_threads(queries: Iterable[Query], prepare: _Prepare, ask: _Ask, threads: int) -> Iterator[Outcome]:
    """The outcomes of many queries, their pictures prepared and their batches answered by several threads.

    Where nobody wants the rest, what the threads have begun is not waited for: a picture can take seconds.
    """
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import ThreadpoolController

    threads = threads or min(os.cpu_count() or 1, _MOST_THREADS)
    limiter = ThreadpoolController()

    def answer(batch: list[Query], parts: list[Future[list[Prepared]]]) -> list[Outcome]:
        return ask(batch, [image for part in parts for image in part.result()])

    # These threads keep the cores busy; beside them, threads of BLAS and OpenMP would spin for each other.
    finished = False
    with limiter.limit(limits=1):  # BLAS everywhere
        pool = ThreadPoolExecutor(threads, "batch", partial(limiter.limit, limits=1))  # OpenMP in each
        try:
            yield from _in_order(queries, prepare, answer, pool)
            finished = True
        finally:
            pool.shutdown(wait=finished, cancel_futures=True)


def answer_prepared(
    searcher: Searcher,
    queries: Sequence[Query],
    prepared: Sequence[Prepared],
    *,
    k: int = 10,
    labels: Sequence[str] = (),
    limits: Limits = STORED_LIMITS,
    composed: ComposedQuery | None = None,
    exact: bool = False,
) -> list[Outcome]:
    """Encode and search queries together, given what `prepare_query` made of each."""
    outcomes = [
        _start(searcher, query, image, composed) for query, image in zip(queries, prepared, strict=True)
    ]
    return _answer(searcher, outcomes, k, labels, limits, exact=exact)


def prepare_query(searcher: Searcher, query: Query, preprocess: Preprocess, invert: bool | None) -> Prepared:
    """What the network will see of a query, or why it cannot be asked."""
    try:
        if query.error is not None:
            return query.error
        if query.item is not None:
            return item_image(searcher, query.item)
        if query.picture is None:
            return None
        return prepare_picture(
            query.picture, searcher.bundle.encoder.input, preprocess=preprocess, invert=invert
        )
    except BadInputError as error:
        return error


def item_image(searcher: Searcher, item: int) -> PreparedImage:
    """What the network saw of an item of the gallery.

    :raises BadInputError: If there is no such item.
    """
    try:
        return PreparedImage(searcher.thumbnail(item))
    except ValueError:
        ids, name = searcher.bundle.ids, searcher.bundle.manifest.name
        raise BadInputError(
            f"there is no item {item} in {name}", hint=f"ids are {ids[0]} to {ids[-1]}"
        ) from None


@dataclass(frozen=True, eq=False)
class _Batch:
    """Queries whose answers are worked on: their pictures in parts, then all of their answers."""

    parts: list[Future[list[Prepared]]]
    answers: Future[list[Outcome]]

    @classmethod
    def begin(
        cls, queries: list[Query], prepare: _Prepare, answer: _Answer, pool: ThreadPoolExecutor
    ) -> _Batch:
        """Hand the work to a pool."""
        parts = [
            pool.submit(prepare, queries[start : start + _TASK]) for start in range(0, len(queries), _TASK)
        ]
        # Work begins in the order it was submitted, so what an answer waits for is never behind it.
        return cls(parts, pool.submit(answer, queries, parts))

    def cancel(self) -> None:
        """Give up what has not begun."""
        for part in self.parts:
            part.cancel()
        self.answers.cancel()


def _in_order(
    queries: Iterable[Query], prepare: _Prepare, answer: _Answer, pool: ThreadPoolExecutor
) -> Iterator[Outcome]:
    """The outcomes of all queries, batch by batch; a few batches are worked on ahead of their use."""
    waiting: deque[_Batch] = deque()
    source = iter(queries)
    try:
        while True:
            if batch := list(itertools.islice(source, BATCH)):
                waiting.append(_Batch.begin(batch, prepare, answer, pool))
            if waiting and (len(waiting) > _AHEAD or not batch):
                yield from waiting.popleft().answers.result()
            elif not batch:
                return
    finally:
        for ahead in waiting:
            ahead.cancel()


def _start(searcher: Searcher, query: Query, prepared: Prepared, composed: ComposedQuery | None) -> Outcome:
    if isinstance(prepared, BadInputError):
        return Outcome(query, error=prepared, composed=composed)
    if composed is not None:
        return Outcome(query, image=prepared, composed=composed)
    label = query.label if query.item is None else searcher.label(query.item)
    truth = label if label in searcher.bundle.manifest.classes else None
    return Outcome(query, truth=truth, image=prepared)


def _answer(
    searcher: Searcher,
    outcomes: list[Outcome],
    k: int,
    labels: Sequence[str],
    limits: Limits,
    *,
    exact: bool,
) -> list[Outcome]:
    """One batch: every query with its answer, or with what went wrong."""
    vectors = _vectors(searcher, outcomes)
    asked, rows = [], []
    for position, outcome in enumerate(outcomes):
        found = vectors[position]
        try:
            if isinstance(found, BadInputError):
                raise found
            rows.append(found if outcome.composed is None else outcome.composed.apply(found))
            asked.append(position)
        except BadInputError as error:
            outcomes[position] = replace(outcome, error=error)
    if asked:
        queries = [outcomes[row].query for row in asked]
        answers = searcher.query_vectors(
            np.stack(rows),
            [None if outcomes[row].composed else outcomes[row].image for row in asked],
            k=k + max(len(query.own[1:]) for query in queries),
            labels=labels,
            left_out=[next(iter(query.own), query.item) for query in queries],
            limits=limits,
            exact=exact,
        )
        for position, answer, query in zip(asked, answers, queries, strict=True):
            outcomes[position] = replace(outcomes[position], answer=_without(answer, query.own, k))
    return outcomes


def _without(answer: Answer, own: tuple[int, ...], k: int) -> Answer:
    """An answer of at most k hits, none of which is the query's own picture again."""
    if not own and len(answer.hits) <= k:
        return answer
    hits = [hit for hit in answer.hits if hit.id not in own][:k]
    return replace(answer, hits=tuple(hit._replace(rank=rank) for rank, hit in enumerate(hits, 1)))


def _vectors(searcher: Searcher, outcomes: Sequence[Outcome]) -> list[Vectors | BadInputError]:
    """The vector of each query, (D,): of its picture, or as it is stored; or why it has none."""
    nothing = np.zeros(searcher.bundle.store.dim, np.float32)
    vectors: list[Vectors | BadInputError] = [outcome.error or nothing for outcome in outcomes]
    pictures = [row for row, outcome in enumerate(outcomes) if outcome.image and outcome.query.item is None]
    for row, outcome in enumerate(outcomes):
        if outcome.image and outcome.query.item is not None:
            vectors[row] = searcher.bundle.store.vectors(np.array([outcome.query.item], np.int64))[0]
    for row, outcome in enumerate(outcomes):
        if outcome.query.vector is not None:
            vectors[row] = _fitting(searcher, outcome.query)
    for row, vector in zip(pictures, _encode(searcher, [outcomes[row] for row in pictures]), strict=True):
        vectors[row] = vector
    return vectors


def _fitting(searcher: Searcher, query: Query) -> Vectors | BadInputError:
    """A query's own vector, or why it cannot be compared with the index's."""
    dim, vector = searcher.bundle.store.dim, query.vector
    if vector is None or len(vector) != dim:
        length = 0 if vector is None else len(vector)
        name = searcher.bundle.manifest.name
        return BadInputError(f"{query.name} has {length:,} numbers, and the vectors of {name} have {dim:,}")
    return vector


def _encode(searcher: Searcher, outcomes: Sequence[Outcome]) -> list[Vectors | BadInputError]:
    """Encode pictures together; only where one has no vector, each alone."""
    if not outcomes:
        return []
    pixels = np.stack([outcome.image.pixels for outcome in outcomes if outcome.image])
    try:
        return list(searcher.bundle.encoder.encode(pixels))
    except BadImageError as error:
        if len(outcomes) == 1:
            return [BadImageError(f"{printable(outcomes[0].name)}: {error.message}", error.hint)]
        return [vector for outcome in outcomes for vector in _encode(searcher, [outcome])]
