"""The queue and its batches: nothing is lost or mixed up, and what is wrong stays with its picture."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toys import quadrant_image

from simsearch.data.splits import Split
from simsearch.errors import BadImageError, BadInputError, BusyError
from simsearch.prepare.prepare import Preprocess, png_bytes
from simsearch.search.batch import Outcome
from simsearch.search.queries import Query
from simsearch.search.searcher import Searcher
from simsearch.web.engine import Engine, Question
from simsearch.web.pace import QUICK_S, Pace

NONE = Preprocess.NONE


@pytest.fixture
def searcher(build_toy: Callable[..., Path], toy_gallery: Split) -> Searcher:
    return Searcher.open(build_toy(toy_gallery))


@pytest.fixture
def engines() -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(workers: int = 1, *, batch: int = 16, capacity: int = 1_000, **settings: object) -> Engine:
        made.append(Engine(workers, batch=batch, capacity=capacity, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def picture(*grays: int) -> Query:
    return Query("picture", png_bytes(quadrant_image(*grays)))


PICTURE = picture(90, 0, 0, 0)


def ids(outcomes: list[Outcome]) -> list[list[int]]:
    return [[hit.id for hit in outcome.answer.hits] if outcome.answer else [] for outcome in outcomes]


def test_answers_come_back_in_the_order_of_their_queries(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    corners = [picture(*(90 if n == corner else 0 for corner in range(4))) for n in range(4)]
    outcomes = asyncio.run(engines(3, batch=4).ask(Question(searcher, 1, preprocess=NONE), corners * 10))
    assert ids(outcomes) == [[0], [3], [4], [5]] * 10


def test_what_waits_together_is_one_batch_up_to_the_limit(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    sizes: list[int] = []
    engine = engines(1, batch=4, on_batch=sizes.append)
    asyncio.run(engine.ask(Question(searcher, 1, preprocess=NONE), [PICTURE] * 10))
    assert sizes == [4, 4, 2]


def test_questions_that_differ_share_a_queue_but_no_answer(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    engine = engines(2)
    questions = [
        *(Question(searcher, k, preprocess=NONE) for k in (1, 2, 3, 1, 2, 3)),
        Question(searcher, 9, labels=("b",), preprocess=NONE),
    ]

    async def ask() -> list[list[Outcome]]:
        return list(await asyncio.gather(*(engine.ask(question, [PICTURE]) for question in questions)))

    found = [ids(outcomes)[0] for outcomes in asyncio.run(ask())]
    assert found == [[0], [0, 1], [0, 1, 2], [0], [0, 1], [0, 1, 2], [3, 4]]


def test_items_and_pictures_share_a_batch(searcher: Searcher, engines: Callable[..., Engine]) -> None:
    asked = [Query("id 0", item=0), PICTURE, Query("id 1", item=1)]
    outcomes = asyncio.run(engines().ask(Question(searcher, 2, preprocess=NONE), asked))
    assert ids(outcomes) == [[1, 2], [0, 1], [0, 2]]


def test_a_bad_picture_fails_alone(searcher: Searcher, engines: Callable[..., Engine]) -> None:
    asked = [PICTURE, Query("junk", b"junk"), picture(0, 0, 0, 0), Query("id 9", item=9), PICTURE]
    outcomes = asyncio.run(engines().ask(Question(searcher, 1, preprocess=NONE), asked))
    errors = [type(outcome.error) for outcome in outcomes]
    assert errors == [type(None), BadImageError, BadImageError, BadInputError, type(None)]
    assert ids(outcomes) == [[0], [], [], [], [0]]


def test_a_question_that_cannot_be_answered_is_an_error_and_the_engine_goes_on(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    engine = engines()
    with pytest.raises(ValueError, match="k must be at least 1"):
        asyncio.run(engine.ask(Question(searcher, 0, preprocess=NONE), [PICTURE]))
    with pytest.raises(BadInputError, match="there is no class 'x' in toy"):
        asyncio.run(engine.ask(Question(searcher, 1, labels=("x",), preprocess=NONE), [PICTURE]))
    assert ids(asyncio.run(engine.ask(Question(searcher, 1, preprocess=NONE), [PICTURE]))) == [[0]]


def test_more_than_may_wait_is_refused_whole(searcher: Searcher, engines: Callable[..., Engine]) -> None:
    engine, question = engines(1, capacity=3), Question(searcher, 1, preprocess=NONE)
    with pytest.raises(BusyError, match="the server has too much to do"):
        asyncio.run(engine.ask(question, [PICTURE] * 4))
    assert engine.waiting() == 0
    assert len(asyncio.run(engine.ask(question, [PICTURE] * 3))) == 3


def test_closing_answers_what_waits_and_refuses_what_comes(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    engine, question = engines(2), Question(searcher, 1, preprocess=NONE)

    async def ask_and_close() -> list[Outcome]:
        asked = asyncio.ensure_future(engine.ask(question, [PICTURE] * 50))
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.close)
        with pytest.raises(BusyError):
            await engine.ask(question, [PICTURE])
        return await asked

    assert ids(asyncio.run(ask_and_close())) == [[0]] * 50


def test_a_caller_that_gives_up_harms_nobody(searcher: Searcher, engines: Callable[..., Engine]) -> None:
    engine, question = engines(), Question(searcher, 1, preprocess=NONE)

    async def give_up() -> list[Outcome]:
        leaving = asyncio.ensure_future(engine.ask(question, [PICTURE] * 5))
        await asyncio.sleep(0)
        leaving.cancel()
        return await engine.ask(question, [PICTURE] * 5)

    assert ids(asyncio.run(give_up())) == [[0]] * 5


def await_idle(engine: Engine, workers: int = 1) -> None:
    """Wait until each worker has given back the process that decoded for it."""
    while len(engine._idle) < workers:
        time.sleep(0.005)


@pytest.fixture
def answering(searcher: Searcher, engines: Callable[..., Engine]) -> Callable[..., list[bool]]:
    """Ask for pictures, one after the other; whether each was answered on the event loop."""

    def ask(pace: Pace, asked: list[Query], *, between: Callable[[Engine], None] = await_idle) -> list[bool]:
        threads: list[int] = []
        engine = engines(pace=pace, on_batch=lambda _: threads.append(threading.get_ident()))
        for query in asked:
            assert ids(asyncio.run(engine.ask(Question(searcher, 1, preprocess=NONE), [query]))) == [[0]]
            between(engine)
        return [thread == threading.get_ident() for thread in threads]

    return ask


@pytest.mark.skipif(os.name != "posix", reason="there the workers answer all")
def test_what_comes_alone_is_answered_on_the_event_loop_once_answers_are_known_to_be_quick(
    answering: Callable[..., list[bool]],
) -> None:
    frozen, slow = Pace(lambda: 0.0), Pace(itertools.count().__next__)
    assert answering(frozen, [PICTURE] * 3) == [False, True, True]
    assert answering(slow, [PICTURE] * 3) == [False] * 3


def test_a_large_file_is_left_to_a_worker(answering: Callable[..., list[bool]]) -> None:
    large = Query("large", PICTURE.picture + b"\xff" * 2**15)  # type: ignore[operator]
    assert answering(Pace(lambda: 0.0), [PICTURE, large]) == [False] * 2


@pytest.mark.skipif(os.name != "posix", reason="there the workers answer all")
def test_a_process_that_ended_is_started_again_by_a_worker(answering: Callable[..., list[bool]]) -> None:
    def end(engine: Engine) -> None:
        await_idle(engine)
        engine._idle[-1].close()

    assert answering(Pace(lambda: 0.0), [PICTURE] * 3, between=end) == [False] * 3


def test_of_those_that_come_at_once_one_is_answered_on_the_loop_and_none_is_mixed_up(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    engine, question = engines(2, pace=Pace(lambda: 0.0), warm=True), Question(searcher, 1, preprocess=NONE)
    corners = [picture(*(90 if n == corner else 0 for corner in range(4))) for n in range(4)]

    async def ask() -> list[list[Outcome]]:
        return list(await asyncio.gather(*(engine.ask(question, [query]) for query in corners * 5)))

    for _ in range(2):
        assert [ids(outcomes)[0] for outcomes in asyncio.run(ask())] == [[0], [3], [4], [5]] * 5
        await_idle(engine, 2)


def test_a_lone_caller_that_gives_up_leaves_no_answer_to_the_next(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    engine, question = engines(pace=Pace(lambda: 0.0)), Question(searcher, 1, preprocess=NONE)
    asyncio.run(engine.ask(question, [PICTURE]))
    await_idle(engine)

    async def give_up() -> list[Outcome]:
        leaving = asyncio.ensure_future(engine.ask(question, [PICTURE]))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        return await engine.ask(question, [picture(0, 0, 90, 0)])

    assert ids(asyncio.run(give_up())) == [[4]]


def test_an_index_that_took_long_is_quick_again_when_it_was(searcher: Searcher) -> None:
    times = iter([0, 2 * QUICK_S, 1, 1 + QUICK_S / 2, 2, 2 + 4 * QUICK_S])
    pace, seen = Pace(lambda: next(times)), []
    for queries in (1, 1, 8):
        with pace.measured(searcher, queries):
            pass
        seen.append(pace.is_quick(searcher))
    assert seen == [False, True, True]


def test_a_process_that_is_given_back_after_the_end_ends_too(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    question = Question(searcher, 1, preprocess=NONE)
    engine = engines(pace=Pace(lambda: 0.0))
    asyncio.run(engine.ask(question, [PICTURE]))
    await_idle(engine)
    lent = engine._lend(question, PICTURE)
    assert lent is not None
    engine.close()
    assert lent.is_running
    engine._give_back(lent)
    assert not lent.is_running
    assert engine._idle == []


def test_a_worker_that_is_left_behind_ends_its_process_and_starts_no_other(
    searcher: Searcher, engines: Callable[..., Engine]
) -> None:
    begun, done = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        begun.set()
        done.wait()

    engine = engines(on_batch=wait, batch=1)

    async def ask_and_leave() -> None:
        asked = [
            asyncio.ensure_future(engine.ask(Question(searcher, 1, preprocess=NONE), [PICTURE])) for _ in "12"
        ]
        await asyncio.to_thread(begun.wait)
        await asyncio.to_thread(engine.close, 0.0)
        done.set()
        assert ids(await asked[0]) == [[0]]
        asked[1].cancel()

    asyncio.run(ask_and_leave())
    (worker,) = engine._threads
    worker.join()
    assert engine._idle == []
