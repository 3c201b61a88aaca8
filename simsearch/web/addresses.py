"""What an address says behind its `?`, read once: FastAPI takes longer over that than a search does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

_MOST, _LONGEST = 256, 300  # addresses that are remembered, and bytes of each
_SEEN = "__parameters_seen__"

Endpoint = Callable[..., Awaitable[Response]]


def remembered(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose parameters, but the request itself, say no more than the address does.

    On an `AddressRoute` they are read when an address is asked for the first time. What is refused never
    comes so far, and is read, and refused, each time.
    """
    seen: dict[bytes, dict[str, Any]] = {}

    @wraps(endpoint)
    async def remembering(request: Request, **parameters: Any) -> Response:
        address = request.scope["query_string"]
        if len(address) <= _LONGEST:
            if len(seen) >= _MOST:
                seen.clear()
            seen[address] = parameters
        return await endpoint(request, **parameters)

    setattr(remembering, _SEEN, seen)
    return remembering


class AddressRoute(APIRoute):
    """A route that calls a remembered endpoint at once where the address was asked for before."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request; see FastAPI's own."""
        read, endpoint = super().get_route_handler(), self.endpoint
        seen: dict[bytes, dict[str, Any]] | None = getattr(endpoint, _SEEN, None)
        if seen is None:
            return read

        async def answer(request: Request) -> Response:
            parameters = seen.get(request.scope["query_string"])
            if parameters is None:
                return await read(request)
            response: Response = await endpoint.__wrapped__(request, **parameters)  # type: ignore[attr-defined]
            return response

        return answer
