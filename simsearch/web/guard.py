"""What stands before the app: who may ask, how much may be sent, how long it may take, and the headers.

A request is refused before its body is read if its Host or Origin is foreign, its token is wrong, or its
body would be too large. Origins are compared with the Host header, which a proxy must therefore pass on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simsearch.text import printable
from simsearch.web.connections import Unread
from simsearch.web.headers import NOT_STORED, SECURITY_HEADERS, host_name, is_address, is_own_origin
from simsearch.web.problems import problem, unexpected
from simsearch.web.settings import Settings

OPEN_PATHS = ("/", "/healthz", "/readyz")  # answered without a token, as are the page's files
STATIC = "/static/"
SMALL_ANSWER = 64 * 2**10  # bytes that are sent however much waits unread: the connections are limited

_ONCE = ("host", "origin", "authorization", "content-type", "content-length")
_log = logging.getLogger("simsearch.web")


class Guard:
    """ASGI middleware around everything else."""

    def __init__(
        self, app: ASGIApp, settings: Settings, unread: Unread, on_refusal: Callable[[int], None]
    ) -> None:
        """Guard an app.

        :param unread: What waits for clients that have not read their answers.
        :param on_refusal: Called with the status of each request that does not reach the app.
        """
        self._app, self._settings, self._on_refusal = app, settings, on_refusal
        self._digest = _digest(settings.token.encode()) if settings.token else None
        self._unread = unread
        self._held = 0  # bytes of bodies in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer, body = _Answer(send, self._unread, self._on_refusal), _Body(self, receive)
        root = self._settings.root_path
        path = _below(root, scope["path"])
        scope = {**scope, "root_path": root, "path": root + path}
        try:
            refusal = self._refuse(Headers(scope=scope), path) or await self._ask(scope, body, answer)
            if refusal is not None:
                self._on_refusal(refusal.status_code)
                await refusal(scope, receive, answer.send)
        finally:
            self._held -= body.size

    async def _ask(self, scope: Scope, body: _Body, answer: _Answer) -> Response | None:
        """Have the app answer; what to say in its place where it could not."""
        try:
            async with asyncio.timeout(self._settings.request_timeout) as timeout:
                answer.on_start = lambda: timeout.reschedule(None)
                await self._app(scope, body.receive, answer.send)
        except TimeoutError:
            refusal = problem(503, "the request took too long")
        except Exception as error:
            if answer.complete:  # the app has said that something unexpected happened, and raises it again
                return None
            if answer.started:
                raise
            _log.error("%s %s failed", scope["method"], printable(scope["path"]), exc_info=error)
            refusal = unexpected(error)
        else:
            return None
        answer.on_start = _nothing
        return refusal

    def _refuse(self, headers: Headers, path: str) -> Response | None:
        for name in _ONCE:
            if len(headers.getlist(name)) > 1:
                return problem(400, f"the request has more than one {name.title()} header")
        host = headers.get("host", "")
        if not self._answers_to(host):
            return problem(
                421,
                "this server does not answer to that Host",
                "name it with --allow-host",
            )
        origin = headers.get("origin")
        if origin is not None and not is_own_origin(origin, host):
            return problem(403, "requests from pages of another origin are not answered")
        if not self._is_open(path) and not self._has_token(headers):
            return problem(
                401,
                "the token is missing or wrong",
                "send the header `Authorization: Bearer TOKEN`",
                {"WWW-Authenticate": 'Bearer realm="simsearch"'},
            )
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._settings.max_body:
            return _too_large(self._settings)
        return None

    def _answers_to(self, host: str) -> bool:
        name = host_name(host)
        if name is None:
            return False
        return name in self._settings.hosts or (self._settings.any_address and is_address(name))

    def _is_open(self, path: str) -> bool:
        return self._digest is None or path in OPEN_PATHS or path.startswith(STATIC)

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = _digest(token.strip().encode("utf-8", "surrogateescape"))
        return hmac.compare_digest(given, self._digest or b"") and scheme.lower() == "bearer"

    def hold(self, size: int) -> None:
        """Count bytes of a body that is read into memory.

        :raises HTTPException: If all bodies together are too large.
        """
        if self._held + size > self._settings.max_bodies:
            raise HTTPException(503, "the server has too much to do", {"Retry-After": "1"})
        self._held += size

    @property
    def settings(self) -> Settings:
        """The server's settings."""
        return self._settings


class _Answer:
    """The answer to one request: its headers, and whether there is room for it.

    How long its client may take over it is the connection's business.
    """

    def __init__(self, send: Send, unread: Unread, on_refusal: Callable[[int], None]) -> None:
        self.started = self.complete = False
        self.on_start: Callable[[], None] = _nothing
        self._send, self._unread, self._on_refusal = send, unread, on_refusal
        self._start: Message = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":  # sent when the size of the body is known
            self._start = message
            return
        body = message.get("body", b"")
        if not self.started:
            self.started = True
            self.on_start()
            if len(body) > SMALL_ANSWER and not self._unread.fits(len(body)):
                self._on_refusal(503)
                refusal = problem(503, "too many answers wait for clients that do not read them")
                self._start = {**self._start, "status": 503, "headers": refusal.raw_headers}
                body = bytes(refusal.body)
            headers = MutableHeaders(scope=self._start)
            headers.update(SECURITY_HEADERS)
            headers.setdefault(*NOT_STORED)
            await self._send(self._start)
        self._unread.held += len(body)  # until it is with the connection, which counts what its client leaves
        try:
            await self._send({**message, "body": body})
        finally:
            self._unread.held -= len(body)
        self.complete = not message.get("more_body", False)


class _Body:
    """The body of one request, counted and timed while it arrives."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self.size = 0
        self._guard, self._receive = guard, receive
        self._deadline: float | None = None

    async def receive(self) -> Message:
        settings = self._guard.settings
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + settings.body_timeout
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the body took too long to arrive", {"Connection": "close"}) from None
        size = len(message.get("body", b""))
        if self.size + size > settings.max_body:
            raise HTTPException(413, _LIMIT.format(settings.max_body / 2**20))
        self._guard.hold(size)
        self.size += size
        return message


_LIMIT = "the body is larger than {:g} MB"


def _too_large(settings: Settings) -> Response:
    return problem(413, _LIMIT.format(settings.max_body / 2**20), "make the picture smaller")


def _digest(token: bytes) -> bytes:
    """Of one length whatever the token's is, so that comparing says nothing about it."""
    return hashlib.sha256(token).digest()


def _below(root: str, path: str) -> str:
    """The path below the server's own, whether the proxy in front has taken that off or passes it on."""
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def _nothing() -> None:
    """What there is to do at the start of an answer that is not timed."""
