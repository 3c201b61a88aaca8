"""How many connections there may be, how long each may take, and what those cost that never read."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from conftest import ROOT, SHIPPED_INDEX
from servers import Served, connect, everything, running, serving
from test_hostile_requests import assert_complete, get

from simsearch.errors import BadInputError
from simsearch.web import server as module
from simsearch.web.server import fit_connections
from simsearch.web.settings import Settings

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
PNG = {"Content-Type": "image/png"}
MB = 2**20
LARGE = "GET /api/items/1/neighbors?k=1000&pictures=true HTTP/1.1\r\nHost: localhost\r\n\r\n"  # 0.6 MB
SMALL = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc, or the limit of open files")


def deaf(url: str) -> socket.socket:
    """A connection with hardly any room for answers."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    host, port = url.removeprefix("http://").split(":")
    connection.connect((host, int(port)))
    return connection


def wait_for(condition: object, what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# --- small answers


def test_small_answers_are_not_held_back_for_an_acknowledgement() -> None:
    with serving({"mnist-test": SHIPPED_INDEX}) as (url, server), httpx.Client(base_url=url) as client:
        client.get("/healthz")
        (connection,) = server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


# --- how many


@pytest.fixture(scope="module")
def narrow() -> Iterator[str]:
    with running({"mnist-test": SHIPPED_INDEX}, Settings(workers=1, max_connections=8)) as url:
        yield url


def test_a_connection_too_many_is_told_so_and_those_beyond_are_closed(narrow: str) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(connect(narrow)) for _ in range(8)]
        for connection in held:
            connection.sendall(SMALL.encode())
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        surplus = stack.enter_context(connect(narrow))
        surplus.sendall(SMALL.encode())
        answer = everything(surplus)
        assert assert_complete(answer) == 503
        assert b"retry-after: 1" in answer.lower()
        assert b"there are too many connections" in answer
        silent, beyond = stack.enter_context(connect(narrow)), stack.enter_context(connect(narrow))
        assert everything(beyond) == b""
        assert everything(silent) == b""  # it had a second to ask
        held[0].close()
        wait_for(lambda: httpx.get(f"{narrow}/healthz").status_code == 200, "there is room again")


def test_as_many_connections_as_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, connections in ((20_000, 1_000), (256, 147), (None, 1_000)):
        monkeypatch.setattr(module, "open_files", lambda limit=limit: (limit, 26))
        assert fit_connections(Settings()).max_connections == connections
    monkeypatch.setattr(module, "open_files", lambda: (100, 26))
    with pytest.raises(BadInputError, match="only 100 files open") as raised:
        fit_connections(Settings())
    assert raised.value.hint == "allow more: ulimit -n 1024"


@pytest.mark.signals
@linux
def test_at_the_limit_of_open_files_it_answers_says_little_and_recovers() -> None:
    with Served("--index", SHIPPED_INDEX, files=160) as served:
        with ExitStack() as stack:
            crowd = [stack.enter_context(connect(served.url)) for _ in range(300)]
            for connection in crowd:
                connection.sendall(SMALL.encode())
            answers = [connection.recv(12) for connection in crowd[:20]]
            assert answers == [b"HTTP/1.1 200"] * 20
        wait_for(lambda: httpx.get(f"{served.url}/healthz").status_code == 200, "it answers again")
        code, complaint = served.end(signal.SIGTERM)
    assert (code, complaint) == (143, "terminated\n")


@pytest.mark.signals
@linux
def test_without_files_to_accept_with_it_does_not_fill_the_disk_with_complaints() -> None:
    import resource

    with Served("--index", SHIPPED_INDEX) as served, ExitStack() as stack:
        assert httpx.get(f"{served.url}/healthz").status_code == 200
        used = len(os.listdir(f"/proc/{served.process.pid}/fd"))  # noqa: PTH208
        before = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (used, before[1]))
        for _ in range(10):
            stack.enter_context(connect(served.url))
        said, began = served.wait_for_line("Traceback"), time.monotonic()
        time.sleep(2)  # it goes on to complain, once a second
        resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, before)
        wait_for(lambda: httpx.get(f"{served.url}/healthz").status_code == 200, "it accepts again")
        seconds = time.monotonic() - began
        _, complaint = served.end(signal.SIGTERM)
    assert (said + complaint).count("Traceback") <= 3 + seconds
    assert len(complaint) < 20_000


# --- clients that never read


def test_a_client_that_does_not_read_is_waited_for_and_no_longer() -> None:
    settings = Settings(workers=1, write_timeout=1, write_rate=MB)
    with serving({"mnist-test": SHIPPED_INDEX}, settings) as (url, server), deaf(url) as connection:
        connection.sendall(LARGE.encode())
        state = server.server_state
        wait_for(lambda: any(c.flow.write_paused for c in state.connections), "an answer waits")
        wait_for(lambda: not state.connections, "it was waited for too long", 120)
        assert len(everything(connection)) < 600_000


def test_a_client_that_reads_slowly_gets_all_of_it() -> None:
    with running({"mnist-test": SHIPPED_INDEX}, Settings(workers=1)) as url, deaf(url) as connection:
        connection.sendall(LARGE.encode())
        parts, length = [], 0
        while not length or sum(map(len, parts)) < length:
            parts.append(connection.recv(65_536))
            time.sleep(0.001)
            if not length:
                head, _, _ = b"".join(parts).partition(b"\r\n\r\n")
                length = len(head) + 4 + int(head.lower().partition(b"content-length: ")[2].split()[0])
        whole = httpx.get(f"{url}/api/items/1/neighbors?k=1000&pictures=true").content
        assert b"".join(parts).endswith(whole)


def test_answers_that_nobody_reads_have_a_budget_and_small_ones_pass() -> None:
    settings = Settings(workers=1, max_answers=2 * MB)
    with (
        serving({"mnist-test": SHIPPED_INDEX}, settings) as (url, server),
        httpx.Client(base_url=url) as client,
        ExitStack() as stack,
    ):
        for _ in range(8):
            stack.enter_context(deaf(url)).sendall(LARGE.encode())
        wait_for(lambda: sum(c.flow.write_paused for c in server.server_state.connections) >= 3, "they wait")
        refused = None
        for _ in range(100):
            refused = client.get("/api/items/1/neighbors?k=1000&pictures=true")
            if refused.status_code == 503:
                break
        assert refused is not None
        assert refused.json()["detail"] == "too many answers wait for clients that do not read them"
        assert refused.headers["retry-after"] == "1"
        assert client.post("/api/search?pictures=true", content=DIGIT, headers=PNG).status_code == 200
        stack.close()
        large = "/api/items/1/neighbors?k=1000&pictures=true"
        wait_for(lambda: client.get(large).status_code == 200, "there is room again")


@pytest.mark.signals
@linux
def test_forty_clients_that_never_read_cost_little_and_do_not_hold_up_the_end() -> None:
    statuses: list[int] = []

    def ask(client: httpx.Client) -> None:
        while True:
            try:
                statuses.append(client.post("/api/search", content=DIGIT, headers=PNG).status_code)
            except httpx.TransportError:  # it is gone, or was about to go: nothing was begun
                return

    with Served("--index", SHIPPED_INDEX) as served, ExitStack() as stack:
        client = stack.enter_context(httpx.Client(base_url=served.url))
        threads = [threading.Thread(target=ask, args=(client,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(statuses) > 50, "the others are answered")
        for _ in range(4):
            assert client.get("/api/items/1/neighbors?k=1000&pictures=true").status_code == 200
        before = served.memory()  # with all that clients who read take, of the same answers too
        for _ in range(40):
            stack.enter_context(deaf(served.url)).sendall(LARGE.encode() * 3)
        answered = len(statuses)
        wait_for(lambda: len(statuses) > answered + 50, "the others are still answered")
        print(f"{(served.memory() - before) / MB:.0f} MB above the start")
        assert served.memory() - before < 120 * MB
        started = time.monotonic()
        assert served.end(signal.SIGTERM) == (143, "terminated\n")
        assert time.monotonic() - started < 60  # of requests that it gave up after 10 s it would have told
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}


def test_a_queue_of_requests_on_one_connection_is_answered_in_order() -> None:
    with running({"mnist-test": SHIPPED_INDEX}, Settings(workers=2)) as url, connect(url) as connection:
        first = get("/api/items/1").replace(b"Connection: close\r\n", b"")
        connection.sendall(first + get("/api/items/2"))
        answers = everything(connection)
        ready, _, _ = select.select([connection], [], [], 0)
        assert ready
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert answers.index(b'"id": 1') < answers.index(b'"id": 2')
