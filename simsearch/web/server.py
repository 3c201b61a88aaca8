"""Running the app with uvicorn until it is told to stop."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import uvicorn

from simsearch.errors import BadInputError
from simsearch.web.app import create_app
from simsearch.web.connections import Unread, bounded
from simsearch.web.logs import calm_logs
from simsearch.web.settings import Settings

_BACKLOG = 2048  # connections that wait to be accepted
_ACCEPTED_AT_ONCE = 16  # before anything is known of those that there are
_SPARE_FILES = 64  # for indexes that are opened again, what libraries open, and a few rounds of accepting
_SEND_BUFFER = 128 * 2**10  # bytes that the system holds for a client; by default it may be megabytes
_FEWEST_CONNECTIONS = 16


def serve(
    folders: Mapping[str, Path],
    settings: Settings,
    *,
    address: str,
    port: int,
    on_start: Callable[[str], None] = lambda _: None,
) -> None:
    """Open the indexes and answer requests until SIGINT or SIGTERM; then finish those that have begun.

    :param address: The IP address, or name, to listen on.
    :param port: 0 chooses a free one.
    :param on_start: Called with the server's own URL when it can be asked.
    :raises BadInputError: If the address or port cannot be listened on, or too few files may be open.
    :raises NotUsableError: If an index is missing or broken.
    """
    listener = listen(address, port)
    with listener:
        server = make_server(folders, settings)
        on_start(url_of(listener))
        server.run(sockets=[listener])


class Server(uvicorn.Server):
    """uvicorn with logs that stay short, which takes in a crowd of connections by and by."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, with the queue that asyncio has cut to what it accepts at once."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run until told to stop."""
        with calm_logs():
            await super().serve(sockets)


def make_server(folders: Mapping[str, Path], settings: Settings) -> Server:
    """The server, before it runs.

    :raises BadInputError: If the system allows too few open files.
    :raises NotUsableError: If an index is missing or broken.
    """
    unread = Unread(settings.max_answers)
    app = create_app(folders, settings, unread)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=bounded(fit_connections(settings), unread),
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=settings.shutdown_timeout,
    )
    return Server(config)


def fit_connections(settings: Settings) -> Settings:
    """The settings with no more connections than this process may have files open.

    :raises BadInputError: If those are too few to serve anyone.
    """
    limit, used = open_files()
    room = (limit - used - _SPARE_FILES) * 8 // 9 if limit is not None else settings.max_connections
    if room < _FEWEST_CONNECTIONS:
        raise BadInputError(
            f"this process may have only {limit} files open, too few for a server",
            hint="allow more: ulimit -n 1024",
        )
    return replace(settings, max_connections=min(settings.max_connections, room))


def open_files() -> tuple[int | None, int]:
    """How many files this process may have open, None for no limit, and how many it has."""
    try:
        import resource
    except ImportError:  # Windows, where sockets are no files
        return None, 0
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = _SPARE_FILES
    with suppress(OSError):
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no paths are wanted
    return (None if limit == resource.RLIM_INFINITY else limit), used


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens, and whose connections do not hold small answers back.

    asyncio asks for that (TCP_NODELAY) only where a socket names its protocol, which
    `socket.create_server` leaves out; without it each answer waits some 40 ms for an acknowledgement.

    :raises BadInputError: If that is impossible.
    """
    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":  # elsewhere it would let others take the port over
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            listener.bind((address, port))
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = str(error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0))
        raise BadInputError(
            f"cannot listen on {address} port {port}: {reason.lower()}", hint="choose another with --port"
        ) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """The address of a listening socket, for a browser."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
