"""What an address says is read once, and never mixed up with another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response

from simsearch.web import addresses
from simsearch.web.addresses import AddressRoute, remembered


async def number(request: Request, k: Annotated[int, Query(ge=1)] = 7) -> int:
    request.app.state.read.append(k)
    return k


@pytest.fixture
def read() -> list[int]:
    return []


@pytest.fixture
def post(read: list[int]) -> Callable[..., httpx.Response]:
    """An address that says its number and its body back."""
    router = APIRouter(route_class=AddressRoute)

    @router.post("/say")
    @remembered
    async def say(request: Request, k: Annotated[int, Depends(number)]) -> Response:
        return Response(f"{k} {(await request.body()).decode()}")

    @router.post("/plain")
    async def plain(k: Annotated[int, Depends(number)]) -> Response:
        return Response(str(k))

    app = FastAPI()
    app.include_router(router)
    app.state.read = read

    def send(address: str, content: str = "") -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.post(address, content=content)

        return asyncio.run(sent())

    return send


def test_an_address_is_read_once_and_each_request_has_its_own_body(
    post: Callable[..., httpx.Response], read: list[int]
) -> None:
    asked = [("/say", "a"), ("/say?k=2", "b"), ("/say", "c"), ("/say?k=2", "d"), ("/say?k=02", "e")]
    assert [post(address, body).text for address, body in asked] == [*("7 a", "2 b", "7 c", "2 d", "2 e")]
    assert read == [7, 2, 2]


def test_what_is_refused_is_refused_each_time(post: Callable[..., httpx.Response], read: list[int]) -> None:
    for _ in range(2):
        assert post("/say?k=0").status_code == 422
        assert post("/say?k=1").text == "1 "
    assert read == [1]


def test_no_more_is_remembered_than_there_is_room_for(
    post: Callable[..., httpx.Response], read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_MOST", 2)
    monkeypatch.setattr(addresses, "_LONGEST", 4)
    for k in (1, 2, 1, 3, 1, 10_000, 10_000):
        assert post(f"/say?k={k}").text == f"{k} "
    assert read == [1, 2, 3, 1, 10_000, 10_000]


def test_other_endpoints_are_as_they_were(post: Callable[..., httpx.Response], read: list[int]) -> None:
    assert [post("/plain?k=3").text for _ in range(2)] == ["3", "3"]
    assert read == [3, 3]
