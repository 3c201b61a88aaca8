"""Real servers on a free port of this machine, in a thread or in a process of their own."""

from __future__ import annotations

import http.client
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import uvicorn
from conftest import ROOT

from simsearch.web.server import listen, make_server, url_of
from simsearch.web.settings import Settings

PATIENCE_S = 300  # for what comes at once on a machine that does nothing else
with suppress(ImportError):  # tests of the engines ask without it
    import httpx

    for asks in (httpx.Client.__init__, httpx.get, httpx.post, httpx.request):  # of themselves they wait 5 s
        asks.__kwdefaults__["timeout"] = httpx.Timeout(PATIENCE_S)


@contextmanager
def serving(
    folders: dict[str, Path], settings: Settings | None = None
) -> Iterator[tuple[str, uvicorn.Server]]:
    """A server in a thread: its URL, without a slash at the end, and itself."""
    server = make_server(folders, settings or Settings(workers=2))
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started
    url = url_of(listener).rstrip("/")
    try:
        yield url, server
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@contextmanager
def running(folders: dict[str, Path], settings: Settings | None = None) -> Iterator[str]:
    """A server in a thread; its URL, without a slash at the end."""
    with serving(folders, settings) as (url, _):
        yield url


def connect(url: str) -> socket.socket:
    """A connection to a server."""
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def everything(connection: socket.socket) -> bytes:
    """All that the server sends until it closes."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def send(url: str, request: bytes) -> bytes:
    """All that comes back for some bytes on a connection of their own."""
    with connect(url) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough
            connection.sendall(request)
        return everything(connection)


class Served:
    """`simsearch serve` in a process of its own."""

    def __init__(self, *arguments: object, files: int | None = None) -> None:
        """Start it on a free port.

        :param files: How many it may have open.
        """
        command = [sys.executable, "-m", "simsearch", "serve", "--port", "0", *map(str, arguments)]
        if files is not None:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ}
        )
        assert self.process.stderr is not None
        ready, _, _ = select.select([self.process.stderr], [], [], PATIENCE_S)
        self.line = self.process.stderr.readline().decode() if ready else ""
        found = re.search(r"http://[\d.:]+", self.line)
        if found is None:
            self.__exit__()
        assert found is not None, self.line
        self.url = found[0]

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.communicate()

    def wait_for_line(self, part: str) -> str:
        """What stderr says until a line has these words."""
        assert self.process.stderr is not None
        said, deadline = "", time.monotonic() + PATIENCE_S
        while part not in said:
            ready, _, _ = select.select([self.process.stderr], [], [], deadline - time.monotonic())
            assert ready, said
            said += os.read(self.process.stderr.fileno(), 65_536).decode()
        return said

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit code and what else stderr says."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """The exit code and what else stderr says."""
        _, complaint = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, complaint.decode()

    def memory(self) -> int:
        """The most memory that it and its helpers ever held, in bytes, each counted for itself."""
        return sum(self._peak(pid) for pid in (self.process.pid, *self.helpers()))

    def helpers(self) -> list[int]:
        """The processes that it has started."""
        pid = self.process.pid
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]

    @staticmethod
    def _peak(pid: int) -> int:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:  # it has ended meanwhile
            return 0
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0


@contextmanager
def behind_proxy(url: str, path: str, *, strip: bool = True) -> Iterator[str]:
    """A proxy that passes on what is below a path and answers nothing else; its URL.

    :param strip: Take the path off what is passed on.
    """

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{path}/"):
                return self.send_error(404)
            with closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
                return self._pass_on(connection)

        def _pass_on(self, connection: http.client.HTTPConnection) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            headers = {name: value for name, value in self.headers.items() if name != "Content-Length"}
            wanted = self.path.removeprefix(path) if strip else self.path
            connection.request(self.command, wanted, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
