"""What stands before the app: who may ask, how much may be sent, how long it may take, and the headers.

A request is refused before its body is read if its Host or Origin is foreign, its token is wrong, or its
body would be too large. Origins are compared with the Host header, which a proxy must therefore pass on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simsearch.web.problems import problem
from simsearch.web.settings import Settings

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
OPEN_PATHS = ("/", "/healthz", "/readyz")  # answered without a token, as are the page's files
STATIC = "/static/"


class Guard:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, settings: Settings, on_refusal: Callable[[int], None]) -> None:
        """Guard an app.

        :param on_refusal: Called with the status of each request that does not reach the app.
        """
        self._app, self._settings, self._on_refusal = app, settings, on_refusal
        self._digest = _digest(settings.token.encode()) if settings.token else None
        self._held = 0  # bytes of bodies in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        refusal = self._refuse(Headers(scope=scope), scope["path"])
        if refusal is not None:
            self._on_refusal(refusal.status_code)
            await refusal(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                await self._app(scope, body.receive, send)
        except TimeoutError:
            self._on_refusal(503)
            await problem(503, "the request took too long")(scope, receive, send)
        finally:
            self._held -= body.size

    def _refuse(self, headers: Headers, path: str) -> Response | None:
        host = headers.get("host", "")
        if not self._answers_to(host):
            return problem(
                421,
                "this server does not answer to that Host",
                "name it with --allow-host",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
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
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._settings.hosts or (self._settings.any_address and _is_address(name))

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
    return problem(413, _LIMIT.format(settings.max_body / 2**20), "make the picture smaller: 28x28 is enough")


def _digest(token: bytes) -> bytes:
    """Of one length whatever the token's is, so that comparing says nothing about it."""
    return hashlib.sha256(token).digest()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(SECURITY_HEADERS)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return wrapped
