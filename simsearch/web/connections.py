"""Connections with limits that uvicorn itself does not have: how many there are, how long each may take to
send a request or to take an answer, and how much an answer that nobody reads may hold.

What is refused here never reaches the app; it is a problem document with the headers of every other answer.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simsearch.web.headers import NOT_STORED, SECURITY_HEADERS
from simsearch.web.problems import problem
from simsearch.web.settings import Settings

_SURPLUS = 1 / 8  # of the connections: those beyond the limit that are still told that they are too many
_SURPLUS_S = 1.0


class Unread:
    """The bytes of answers that wait for their clients, on all connections of one server together."""

    def __init__(self, most: int) -> None:
        """Start from none of at most so many."""
        self._most, self.held = most, 0

    def fits(self, size: int) -> bool:
        """Whether an answer of this size may be sent now."""
        return self.held + size <= self._most


class BoundedProtocol(HttpToolsProtocol):
    """A connection within the settings' limits of number, time and memory; see `bounded`."""

    limits: ClassVar[Settings]
    unread: ClassVar[Unread]

    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _in_head, _in_message, _surplus = True, False, False
    _head = 0  # bytes so far of headers that are not complete
    _held = 0  # bytes of an answer that the client has not taken

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # pause and resume now mean: something waits, nothing waits
        allowed = self.limits.max_connections
        if len(self.connections) > allowed + max(1, int(allowed * _SURPLUS)):
            transport.abort()
        self._surplus = len(self.connections) > allowed
        self._allow(_SURPLUS_S if self._surplus else self.limits.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._surplus:
            self._refuse(503, "there are too many connections", "try again in a second")
            return
        continued = self._in_head
        super().data_received(data)
        if self._in_head:
            self._head = len(data) + (self._head if continued else 0)
            if self._head > self.limits.max_head:
                self._refuse(431, f"the headers are larger than {self.limits.max_head // 2**10} kB")

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the same for whatever is wrong
        self._refuse(400, "the request is not HTTP that can be understood")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._in_message = True
        if self._reading is None:
            self._allow(self.limits.head_timeout)

    def on_headers_complete(self) -> None:
        self._disarm()
        if len(self.pipeline) == self.limits.max_pipeline:
            raise ValueError("too many requests wait for their turn")  # ends in send_400_response
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = False
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_message and not self._in_head:
            self._allow(self.limits.body_timeout)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taken()
        self._held = self.transport.get_write_buffer_size()
        self.unread.held += self._held
        self._await_client(self.limits.write_timeout + self._held / self.limits.write_rate)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def shutdown(self) -> None:
        super().shutdown()
        if self._writing is not None:  # before uvicorn's patience with the others is at its end
            self._await_client(self.limits.shutdown_timeout / 2)

    def _refuse(self, status: int, detail: str, hint: str = "") -> None:
        """Answer what will not be read, and close; where earlier requests wait, answer only those."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(refusal(status, detail, hint))
            self.transport.close()
        elif self._in_head or not self._in_message:
            self.cycle.keep_alive = False
        else:  # the rest of the body that is being read cannot be understood
            self.transport.close()

    def _allow(self, seconds: float) -> None:
        self._disarm()
        self._reading = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _disarm(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _await_client(self, seconds: float) -> None:
        if self._writing is not None:
            seconds = min(seconds, self._writing.when() - self.loop.time())
            self._writing.cancel()
        self._writing = self.loop.call_later(seconds, self.transport.abort)

    def _taken(self) -> None:
        self.unread.held -= self._held
        self._held = 0
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


def bounded(settings: Settings, unread: Unread) -> type[BoundedProtocol]:
    """A protocol for uvicorn that keeps a connection within the settings' limits.

    :param unread: Counts what the connections' clients have not taken.
    """

    class Bounded(BoundedProtocol):
        limits = settings

    Bounded.unread = unread
    return Bounded


def refusal(status: int, detail: str, hint: str = "") -> bytes:
    """A whole answer, for where there is no request to speak of."""
    response = problem(
        status, detail, hint, {"Connection": "close", **SECURITY_HEADERS, **dict([NOT_STORED])}
    )
    lines = [name + b": " + value for name, value in response.raw_headers]
    start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()
    return b"\r\n".join([start, *lines, b"", bytes(response.body)])
