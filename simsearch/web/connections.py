"""Connections that do not wait for ever: uvicorn itself neither times nor limits a request's headers."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 2**10  # bytes of a request's line and headers; exceeded by at most one read
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def impatient(head_timeout: float, body_timeout: float) -> type[HttpToolsProtocol]:
    """A protocol for uvicorn that closes connections which take too long over one request.

    :param head_timeout: Seconds from connecting, or from a later request's first byte, to the headers' end.
    :param body_timeout: Seconds for the rest of a body after the request has been answered.
    """

    class ImpatientProtocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _in_head, _in_message = True, False
        _head = 0  # bytes so far of headers that are not complete

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._allow(head_timeout)

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            continued = self._in_head
            super().data_received(data)
            if self._in_head:
                self._head = len(data) + (self._head if continued else 0)
                if self._head > MAX_HEAD and not self.transport.is_closing():
                    self.transport.write(_REFUSAL)
                    self.transport.close()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head = self._in_message = True
            if self._timer is None:
                self._allow(head_timeout)

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._disarm()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._in_message = False
            self._disarm()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._in_message and not self._in_head:
                self._allow(body_timeout)

        def _allow(self, seconds: float) -> None:
            self._disarm()
            self._timer = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return ImpatientProtocol
