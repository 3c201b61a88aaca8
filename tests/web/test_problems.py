"""What is wrong with a store on a server, over HTTP; a watch over a count stands for the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from simsearch.errors import MissingBundleError, NotUsableError, SimsearchError, UnavailableError
from simsearch.index.stores.milvus.watch import Watch
from simsearch.web.problems import PROBLEM, handle_problems


class Store:
    """Rows that are served, and what asking for them raises besides."""

    def __init__(self) -> None:
        self.served, self.failure = 10, SimsearchError("")
        self.watch = Watch(self.count, 10, quiet=0.0)

    def count(self) -> int:
        if self.failure.message:
            raise self.failure
        return self.served


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def get(store: Store) -> Callable[[], httpx.Response]:
    app = FastAPI()
    handle_problems(app)

    @app.get("/")
    def ask() -> str:
        store.watch.confirm()
        return "whole"

    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://h") as client:
            return await client.get("/")

    return lambda: asyncio.run(answer())


def test_an_incomplete_collection_is_503_with_when_to_try_again_until_it_is_whole(
    store: Store, get: Callable[[], httpx.Response]
) -> None:
    assert get().json() == "whole"
    store.served = 9
    answer = get()
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert answer.headers["retry-after"] == "1"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "the collection is incomplete: 9 of 10 items are served",
        "hint": "try again",
    }
    store.served = 10
    assert get().json() == "whole"


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (UnavailableError("the Milvus server at http://h:1 gives no answer"), 503),
        (NotUsableError("the Milvus server at http://h:1 refuses the credentials"), 500),
        (MissingBundleError("the Milvus server at http://h:1 has no collection toy__1"), 500),
    ],
)
def test_a_server_that_fails_is_told_from_one_that_is_late(
    store: Store, get: Callable[[], httpx.Response], failure: SimsearchError, status: int
) -> None:
    store.failure = failure
    answer = get()
    assert (answer.status_code, answer.json()["detail"]) == (status, failure.message)
    assert ("retry-after" in answer.headers) == (status == 503)
