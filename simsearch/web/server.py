"""Running the app with uvicorn until it is told to stop."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import uvicorn

from simsearch.errors import BadInputError
from simsearch.web.app import create_app
from simsearch.web.connections import impatient
from simsearch.web.settings import Settings


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
    :raises BadInputError: If the address or port cannot be listened on.
    :raises NotUsableError: If an index is missing or broken.
    """
    listener = listen(address, port)
    with listener:
        server = make_server(folders, settings)
        on_start(url_of(listener))
        server.run(sockets=[listener])


def make_server(folders: Mapping[str, Path], settings: Settings) -> uvicorn.Server:
    """The server, before it runs."""
    config = uvicorn.Config(
        create_app(folders, settings),
        http=impatient(settings.head_timeout, settings.body_timeout),
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=settings.shutdown_timeout,
    )
    return uvicorn.Server(config)


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens.

    :raises BadInputError: If that is impossible.
    """
    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0))
        raise BadInputError(
            f"cannot listen on {address} port {port}: {reason.lower()}", hint="choose another with --port"
        ) from None


def url_of(listener: socket.socket) -> str:
    """The address of a listening socket, for a browser."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
