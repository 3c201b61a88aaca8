"""The work of a server: a bounded queue, and threads that answer what waits together.

Pictures are decoded and prepared in processes, one for each thread, which are killed if one takes too long.
A thread takes its share of the queries that wait, and encodes and searches them as one batch. Nothing waits
for a batch to fill: under light load each query is a batch of its own, under heavy load batches grow. A query
that comes while there is nothing else to do is answered on the event loop, if the last answer was quick: that
saves four hand-overs between threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from simsearch.errors import BusyError
from simsearch.prepare.pictures import Reading, prepare_picture, read_steps
from simsearch.prepare.prepare import PreparedImage, Preprocess
from simsearch.search.answers import STORED_LIMITS, Limits
from simsearch.search.batch import Outcome, Prepared, answer_prepared, prepare_query
from simsearch.search.queries import Query
from simsearch.search.searcher import Searcher
from simsearch.web.isolation import AT_ONCE, Helper
from simsearch.web.pace import Pace
from simsearch.web.settings import DECODE_TIMEOUT_S

_LOOPS_READ_PIPES = os.name == "posix"  # asyncio's of Windows read none that is not their own


@dataclass(frozen=True)
class Question:
    """What is asked of each query; queries that are answered together share it."""

    searcher: Searcher
    k: int
    labels: tuple[str, ...] = ()
    limits: Limits = STORED_LIMITS
    preprocess: Preprocess = Preprocess.AUTO
    invert: bool | None = None
    exact: bool = False  # whether to look at every item though the index is approximate
    reads: bool = False  # how a picture is prepared is asked, nothing else


@dataclass(frozen=True, eq=False)
class Job:
    """One query and who waits for its outcome."""

    question: Question
    query: Query
    done: asyncio.Future[Any]  # an Outcome, or a Reading
    loop: asyncio.AbstractEventLoop

    def finish(self, outcome: Outcome | Reading | Exception) -> None:
        """Hand over the outcome, from any thread."""
        with contextlib.suppress(RuntimeError):  # the server has ended, and nobody waits any more
            self.loop.call_soon_threadsafe(self._settle, outcome)

    def _settle(self, outcome: Outcome | Reading | Exception) -> None:
        if self.done.cancelled():
            return
        if isinstance(outcome, Exception):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)


def answered(outcome: Outcome) -> Outcome:
    """The outcome of the only query of a request, which has no other to go on with."""
    if outcome.error is not None:
        raise outcome.error
    return outcome


class Engine:
    """Worker threads with one queue; made and closed by the server."""

    def __init__(
        self,
        workers: int,
        *,
        batch: int,
        capacity: int,
        patience: float = DECODE_TIMEOUT_S,
        warm: bool = False,
        pace: Pace | None = None,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Start the workers.

        :param batch: Most queries that are answered together.
        :param capacity: Queries that may wait.
        :param patience: Seconds that a picture may take to be decoded and prepared.
        :param warm: Start the processes that do it now, not with the first picture.
        :param pace: How long answers take; what is quick may be answered on the event loop.
        :param on_batch: Called with the size of each batch, from the thread that answers it.
        """
        self._batch, self._capacity, self._on_batch = batch, capacity, on_batch
        self._patience, self._warm = patience, warm
        self._waiting: deque[Job] = deque()
        self._idle: list[Helper] = []  # the last one that was used is used next
        self._pace = pace or Pace()
        self._changed = threading.Condition()
        self._closing = self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"simsearch-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    async def ask(self, question: Question, queries: Sequence[Query]) -> list[Outcome]:
        """Answer queries; what is wrong with a query is in its outcome.

        :raises BadInputError: If a label is no class of the gallery.
        :raises BusyError: If too many already wait.
        """
        question.searcher.check_labels(question.labels)
        return await self._wait_for(question, queries)

    async def read(self, searcher: Searcher, picture: bytes) -> Reading:
        """How a picture of a digit is prepared, step by step.

        :raises BadInputError: If the picture cannot be read.
        :raises BusyError: If too many already wait.
        """
        reading: Reading
        (reading,) = await self._wait_for(Question(searcher, 1, reads=True), [Query("image", picture)])
        return reading

    async def _wait_for(self, question: Question, queries: Sequence[Query]) -> list[Any]:
        if len(queries) == 1 and (helper := self._lend(question, queries[0])) is not None:
            return [await self._answer_here(helper, question, queries[0])]
        loop = asyncio.get_running_loop()
        jobs = [Job(question, query, loop.create_future(), loop) for query in queries]
        with self._changed:
            if self._closing or len(self._waiting) + len(jobs) > self._capacity:
                raise BusyError("the server has too much to do", hint="try again in a second")
            self._waiting.extend(jobs)
            self._changed.notify(len(jobs))
        return list(await asyncio.gather(*(job.done for job in jobs)))

    async def prepare(self, searcher: Searcher, picture: bytes) -> PreparedImage:
        """What the network sees of a picture, as one search for it finds out.

        :raises BadInputError: If the picture cannot be used.
        :raises BusyError: If too many already wait.
        """
        (outcome,) = await self.ask(Question(searcher, 1), [Query("image", picture)])
        image = answered(outcome).image
        assert image is not None  # the query was a picture, and is answered
        return image

    def waiting(self) -> int:
        """How many queries wait."""
        return len(self._waiting)

    def close(self, patience: float | None = None) -> None:
        """Answer what waits, then end the workers.

        :param patience: Seconds after which workers that are still busy are left behind.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        end = None if patience is None else time.monotonic() + patience
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
        with self._changed:
            self._closed = True  # who is still busy ends its process itself
            for helper in self._idle:
                helper.close()
            self._changed.notify_all()

    def _lend(self, question: Question, query: Query) -> Helper | None:
        """A process for a small picture that comes while there is nothing else to do; None otherwise."""
        if query.picture is None or query.error is not None or question.reads:
            return None
        small = isinstance(query.picture, bytes) and len(query.picture) < AT_ONCE // 2
        if not (small and _LOOPS_READ_PIPES and self._pace.is_quick(question.searcher)):
            return None
        with self._changed:
            busy = self._closing or self._waiting or len(self._idle) < len(self._threads)
            return None if busy or not self._idle[-1].is_running else self._idle.pop()

    async def _answer_here(self, helper: Helper, question: Question, query: Query) -> Outcome:
        """Answer one query on the event loop, which goes on while its picture is prepared."""
        try:
            image = await helper.call_from_loop(_preparation(question, query))
        finally:
            self._give_back(helper)
        self._on_batch(1)
        with self._pace.measured(question.searcher):
            return _answer_all(question, [query], [image])[0]

    def _work(self) -> None:
        helper = Helper(self._patience)
        if self._warm:
            with contextlib.suppress(BusyError):  # the first picture tries again
                helper.start()
        self._give_back(helper)
        while taken := self._take():
            helper, jobs = taken
            try:
                self._on_batch(len(jobs))
                for question in dict.fromkeys(job.question for job in jobs):
                    self._answer(helper, question, [job for job in jobs if job.question == question])
            finally:
                self._give_back(helper)

    def _give_back(self, helper: Helper) -> None:
        with self._changed:
            if self._closed:
                helper.close()
            else:
                self._idle.append(helper)
                self._changed.notify()

    def _take(self) -> tuple[Helper, list[Job]] | None:
        """The queries that wait, or a worker's share of them; None when the engine is closed."""
        with self._changed:
            while not self._closed and not (self._idle if self._waiting else self._closing):
                self._changed.wait()
            if self._closed or not self._waiting:
                return None
            share = -(-len(self._waiting) // len(self._threads))
            jobs = [self._waiting.popleft() for _ in range(min(share, self._batch))]
            return self._idle.pop(), jobs

    def _answer(self, helper: Helper, question: Question, jobs: Sequence[Job]) -> None:
        try:
            if question.reads:
                for job in jobs:
                    assert job.query.picture is not None
                    work = partial(read_steps, job.query.picture)
                    job.finish(helper.call(work, lambda job=job: not job.done.cancelled()))  # type: ignore[misc]
                return
            prepared = [
                (job, _prepare(helper, job)) for job in jobs if not job.done.cancelled()
            ]  # for some, decoding others took too long
            with self._pace.measured(question.searcher, len(prepared)):
                outcomes = _answer_all(
                    question, [job.query for job, _ in prepared], [image for _, image in prepared]
                )
        except Exception as error:  # the worker lives on
            for job in jobs:
                job.finish(error)
            return
        for (job, _), outcome in zip(prepared, outcomes, strict=True):
            job.finish(outcome)


def _answer_all(question: Question, queries: Sequence[Query], images: Sequence[Prepared]) -> list[Outcome]:
    return answer_prepared(
        question.searcher,
        queries,
        images,
        k=question.k,
        labels=question.labels,
        limits=question.limits,
        exact=question.exact,
    )


def _prepare(helper: Helper, job: Job) -> Prepared:
    """What the network will see of a query; a picture is decoded where that can be ended."""
    question, query = job.question, job.query
    if query.picture is None or query.error is not None:
        return prepare_query(question.searcher, query, question.preprocess, question.invert)
    return helper.call(_preparation(question, query), lambda: not job.done.cancelled())


def _preparation(question: Question, query: Query) -> Callable[[], PreparedImage]:
    """What is to be done with a query's picture, for a process to do."""
    assert query.picture is not None
    return partial(
        prepare_picture,
        query.picture,
        question.searcher.bundle.encoder.input,
        preprocess=question.preprocess,
        invert=question.invert,
    )
