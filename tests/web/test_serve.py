"""`simsearch serve` as a process: how it starts, whom it lets in, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from conftest import ROOT, SHIPPED_INDEX
from servers import PATIENCE_S, Served

from simsearch.data.splits import Split

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals")

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
PNG = {"Content-Type": "image/png"}


def refused(*arguments: str, **environment: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "simsearch", "serve", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.mark.signals
def test_it_says_where_it_is_answers_and_stops_when_it_is_told_to() -> None:
    with Served("--index", SHIPPED_INDEX) as served:
        assert served.line == f"serving mnist-test at {served.url}/  (Ctrl-C stops)\n"
        assert httpx.post(f"{served.url}/api/search", content=DIGIT, headers=PNG).status_code == 200
        assert served.end(signal.SIGTERM) == (143, "terminated\n")


@pytest.mark.signals
def test_a_request_that_has_begun_is_answered_before_it_stops() -> None:
    with Served("--index", SHIPPED_INDEX) as served:
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            head = f"Host: {host}\r\nContent-Type: image/png\r\nContent-Length: {len(DIGIT)}\r\n\r\n"
            connection.sendall(b"POST /api/search HTTP/1.1\r\n" + head.encode() + DIGIT[:100])
            assert httpx.get(f"{served.url}/healthz").status_code == 200
            served.process.send_signal(signal.SIGINT)
            wait_until_nobody_listens(host, int(port))
            connection.sendall(DIGIT[100:])
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert served.wait() == (130, "interrupted\n")


@pytest.mark.signals
def test_of_a_burst_each_request_is_answered_or_was_never_taken() -> None:
    statuses: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=served.url) as client:
            while True:
                try:
                    statuses.append(client.post("/api/search", content=DIGIT, headers=PNG).status_code)
                except httpx.TransportError:  # it is gone, or was about to go: nothing was begun
                    return

    with Served("--index", SHIPPED_INDEX) as served:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(statuses) < 100:
            time.sleep(0.01)
        assert served.end(signal.SIGTERM) == (143, "terminated\n")
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}


def wait_until_nobody_listens(host: str, port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    pytest.fail("it still listens")


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_another_address_needs_a_token_or_consent(address: str) -> None:
    assert refused("--host", address) == (
        2,
        [
            f"error: whoever reaches {address} could use this server",
            "hint: set a token with SIMSEARCH_TOKEN or --token, or allow it with --insecure",
        ],
    )


def test_with_a_token_it_listens_everywhere_and_lets_in_who_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMSEARCH_TOKEN", "s3cret")
    with Served("--index", SHIPPED_INDEX, "--host", "0.0.0.0") as served:
        assert "s3cret" not in served.line
        url = f"{served.url}/api/indexes"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_consent_is_enough() -> None:
    with Served("--index", SHIPPED_INDEX, "--host", "0.0.0.0", "--insecure") as served:
        assert httpx.get(f"{served.url}/api/indexes").status_code == 200


def test_a_port_that_is_taken_is_one_line_and_a_hint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, lines = refused("--port", port, "--index", str(SHIPPED_INDEX))
    assert code == 2
    assert lines == [
        f"error: cannot listen on 127.0.0.1 port {port}: address already in use",
        "hint: choose another with --port",
    ]


def names(served: Served) -> list[str]:
    return [index["name"] for index in httpx.get(f"{served.url}/api/indexes").json()["indexes"]]


def test_of_a_chosen_folder_only_what_is_in_it_is_served(
    tmp_path: Path, build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    for name in ("zebra", "apple"):
        build_toy(toy_gallery, name)
    with Served("--index-dir", tmp_path) as served:
        assert names(served) == ["apple", "zebra"]
        assert httpx.get(f"{served.url}/api/items/1").json()["index"] == "apple"
    (tmp_path / "mnist-test").symlink_to(SHIPPED_INDEX)
    with Served("--index-dir", tmp_path) as served:
        assert names(served) == ["mnist-test", "apple", "zebra"]


def test_a_chosen_folder_without_an_index_is_an_error(tmp_path: Path) -> None:
    assert refused("--index-dir", str(tmp_path)) == (
        3,
        [
            f"error: there is no index in {tmp_path}",
            f"hint: `simsearch build-index --index-dir {tmp_path}` builds one from MNIST's test images",
        ],
    )


@pytest.mark.parametrize("path", ["digits", "/", "/a/", "/a b", "/../x?", "/api/x", "/static"])
def test_a_path_that_no_proxy_can_offer_is_refused(path: str) -> None:
    assert refused("--root-path", path) == (
        2,
        [f"error: {path!r} cannot be the server's path", "hint: give one such as /digits"],
    )


def test_an_index_that_is_not_there_is_the_same_error_as_everywhere(tmp_path: Path) -> None:
    code, lines = refused("--index", "none", "--index-dir", str(tmp_path))
    assert (code, lines[0]) == (3, f"error: there is no index in {tmp_path / 'none'}")


@pytest.mark.parametrize("token", ["", "sch\u00f6n"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    code, lines = refused("--token", token, "--host", "0.0.0.0", "--insecure")
    assert (code, lines[0]) == (2, "error: a token must be plain ASCII text")
