"""Real servers on a free port of this machine, in a thread or in a process of their own."""

from __future__ import annotations

import http.client
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from conftest import ROOT

from simsearch.web.server import listen, make_server, url_of
from simsearch.web.settings import Settings

PATIENCE_S = 30


@contextmanager
def running(folders: dict[str, Path], settings: Settings | None = None) -> Iterator[str]:
    """A server in a thread; its URL, without a slash at the end."""
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
        yield url
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


class Served:
    """`simsearch serve` in a process of its own."""

    def __init__(self, *arguments: object) -> None:
        """Start it on a free port."""
        command = [sys.executable, "-m", "simsearch", "serve", "--port", "0", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ}
        )
        assert self.process.stderr is not None
        ready, _, _ = select.select([self.process.stderr], [], [], PATIENCE_S)
        self.line = self.process.stderr.readline().decode() if ready else ""
        found = re.search(r"http://[\d.:]+", self.line)
        assert found is not None, self.line
        self.url = found[0]

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.communicate()

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit code and what else stderr says."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """The exit code and what else stderr says."""
        _, complaint = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, complaint.decode()

    def memory(self) -> int:
        """The most memory that it ever held, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


@contextmanager
def behind_proxy(url: str, path: str) -> Iterator[str]:
    """A proxy that passes on what is below a path, without the path, and answers nothing else; its URL."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{path}/"):
                return self.send_error(404)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            connection = http.client.HTTPConnection(url.removeprefix("http://"))
            headers = {name: value for name, value in self.headers.items() if name != "Content-Length"}
            connection.request(self.command, self.path.removeprefix(path), body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            connection.close()
            return None

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
