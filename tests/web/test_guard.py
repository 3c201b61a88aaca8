"""Who is answered, what is refused before it is read, and what hostile or slow clients cost."""

from __future__ import annotations

import io
import os
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from conftest import ROOT, SHIPPED_INDEX
from PIL import Image
from pngs import black_png
from servers import PATIENCE_S, Served, connect, everything, running

from simsearch.web.headers import SECURITY_HEADERS
from simsearch.web.settings import LOOPBACK_HOSTS, Settings, is_loopback

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
PNG = {"Content-Type": "image/png"}
MB = 2**20
HURRY = Settings(workers=2, head_timeout=0.5, body_timeout=0.5)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running({"mnist-test": SHIPPED_INDEX}) as url:
        yield url


@pytest.fixture(scope="module")
def hurried() -> Iterator[str]:
    """A server that waits for nobody."""
    with running({"mnist-test": SHIPPED_INDEX}, HURRY) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as client:
        yield client


def assert_cut_off(connection: socket.socket, drop: bytes) -> None:
    """Send drop after drop until the server has had enough."""
    deadline = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline:
            connection.sendall(drop)
            time.sleep(0.05)
    except OSError:  # a reset or a broken pipe, as it comes
        return
    pytest.fail("the server is still listening")


# --- whom it answers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.1", "", "[::1", "a@b:x"]
)
def test_a_foreign_host_is_refused(client: httpx.Client, host: str) -> None:
    response = client.get("/", headers={"Host": host})
    assert response.status_code == 421
    assert response.json()["detail"] == "this server does not answer to that Host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8000"])
def test_this_machines_own_names_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_behind_an_open_address_every_ip_address_is_a_host_and_no_other_name() -> None:
    settings = Settings(workers=1, any_address=True, hosts=LOOPBACK_HOSTS | {"search.example"})
    with running({"mnist-test": SHIPPED_INDEX}, settings) as url:
        for host, status in (
            ("192.168.1.5:8000", 200),
            ("[fe80::1]", 200),
            ("search.example", 200),
            ("evil.example", 421),
        ):
            assert httpx.get(f"{url}/healthz", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:1", "http://127.0.0.1"])
def test_a_page_of_another_origin_is_refused(client: httpx.Client, origin: str) -> None:
    for method, path in (("POST", "/api/search"), ("GET", "/api/indexes")):
        response = client.request(method, path, headers={"Origin": origin, **PNG})
        assert response.status_code == 403
        assert response.json()["detail"] == "requests from pages of another origin are not answered"


def test_the_pages_own_origin_is_answered(client: httpx.Client, url: str) -> None:
    assert client.post("/api/search", content=DIGIT, headers={"Origin": url, **PNG}).status_code == 200


def test_every_answer_carries_the_security_headers(client: httpx.Client) -> None:
    answers = [
        client.get("/"),
        client.get("/static/page.js"),
        client.get("/nothing"),
        client.get("/", headers={"Host": "x"}),
        client.post("/api/search", content=DIGIT, headers=PNG),
        client.get("/api/items/x"),
        client.get("/metrics"),
    ]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert "server" not in answer.headers
        assert answer.headers["cache-control"] in ("no-store", "no-cache")


def test_the_content_security_policy_allows_nothing_from_elsewhere() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


# --- tokens


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    with running({"mnist-test": SHIPPED_INDEX}, Settings(workers=1, token="secret")) as url:
        yield url


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer secret2", "Bearer \u00e9"],
)
def test_without_the_token_nothing_is_told(closed: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    for path in ("/api/indexes", "/api/items/1.png", "/metrics", "/openapi.json", "/nothing"):
        response = httpx.get(closed + path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="simsearch"'
        assert response.json()["hint"] == "send the header `Authorization: Bearer TOKEN`"
        assert "mnist" not in response.text


def test_with_the_token_all_is_answered_and_the_page_and_probes_without(closed: str) -> None:
    assert httpx.get(f"{closed}/api/indexes", headers={"Authorization": "bearer secret"}).status_code == 200
    for path in ("/", "/static/page.js", "/healthz", "/readyz"):
        assert httpx.get(closed + path).status_code == 200


def test_a_wrong_token_is_refused_before_the_body_is_read(closed: str) -> None:
    with connect(closed) as connection:
        connection.sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")  # not a byte of the body was sent


# --- limits


def test_a_body_of_two_megabytes_is_read_and_one_byte_more_is_refused(client: httpx.Client) -> None:
    fits = client.post("/api/search", content=bytes(2 * MB), headers=PNG)
    assert fits.status_code == 422
    refused = client.post("/api/search", content=bytes(2 * MB + 1), headers=PNG)
    assert refused.status_code == 413
    assert refused.json()["detail"] == "the body is larger than 2 MB"


@pytest.mark.parametrize("path", ["/api/search", "/api/search/batch"])
def test_a_body_of_unknown_length_is_refused_where_it_passes_the_limit(
    client: httpx.Client, path: str
) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(48):
            sent += 1
            yield bytes(MB // 16)

    for kind in ("image/png", "multipart/form-data; boundary=b"):
        response = client.post(path, content=chunks(), headers={"Content-Type": kind})
        assert response.status_code == 413
        assert response.json()["detail"] == "the body is larger than 2 MB"


@pytest.mark.parametrize("length", ["99999999999999999999999999", "2097153"])
def test_a_length_beyond_the_limit_is_refused_before_the_body(url: str, length: str) -> None:
    with connect(url) as connection:
        connection.sendall(
            f"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        assert re.match(rb"HTTP/1.1 4(13|00) ", connection.recv(65_536))


def test_all_bodies_together_have_a_limit() -> None:
    settings = Settings(workers=1, max_bodies=3 * MB, body_timeout=300, request_timeout=300)
    with running({"mnist-test": SHIPPED_INDEX}, settings) as url, connect(url) as holding:
        holding.sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        holding.sendall(f"Content-Length: {2 * MB}\r\n\r\n".encode() + bytes(2 * MB - 1))
        deadline = time.monotonic() + 250
        answer = httpx.Response(0)
        while answer.status_code != 503 and time.monotonic() < deadline:  # the server is still reading
            answer = httpx.post(f"{url}/api/search", content=bytes(2 * MB), headers=PNG, timeout=250)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["detail"] == "the server has too much to do"
        holding.sendall(b"\0")
        assert holding.recv(65_536).startswith(b"HTTP/1.1 422 ")
        assert httpx.post(f"{url}/api/search", content=bytes(2 * MB), headers=PNG).status_code == 422


def test_a_full_queue_is_a_503_that_says_when_to_come_back() -> None:
    with running({"mnist-test": SHIPPED_INDEX}, Settings(workers=1, queue=1)) as url:
        with ThreadPoolExecutor(24) as pool, httpx.Client(base_url=url, timeout=250) as client:
            answers = list(
                pool.map(lambda _: client.post("/api/search", content=DIGIT, headers=PNG), range(96))
            )
        assert {answer.status_code for answer in answers} == {200, 503}
        busy = next(answer for answer in answers if answer.status_code == 503)
        assert busy.headers["retry-after"] == "1"
        assert busy.json()["detail"] == "the server has too much to do"


# --- slow clients


def test_headers_that_do_not_end_are_not_waited_for(hurried: str) -> None:
    for beginning in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "):
        with connect(hurried) as connection:
            connection.sendall(beginning)
            assert everything(connection) == b""


def test_headers_dripping_in_are_not_waited_for(hurried: str) -> None:
    with connect(hurried) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert_cut_off(connection, b"X: y\r\n")


def test_headers_without_an_end_take_no_memory(hurried: str) -> None:
    with connect(hurried) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        sent = 0
        try:
            while sent < 64 * HURRY.max_head:
                sent += connection.send(b"X: " + b"y" * 8_000 + b"\r\n")
        except OSError:
            pass
        assert sent < 64 * HURRY.max_head


def test_a_body_that_does_not_come_is_a_408(hurried: str) -> None:
    with connect(hurried) as connection:
        connection.sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        connection.sendall(b"Content-Length: 1000\r\n\r\nabc")
        answer = everything(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body took too long to arrive" in answer


def test_a_body_that_nobody_wanted_is_not_read_for_ever(hurried: str) -> None:
    with connect(hurried) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert_cut_off(connection, b"1\r\nx\r\n")


def test_slow_clients_do_not_hold_up_the_others(url: str) -> None:
    slow = [connect(url) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n")
        assert httpx.post(f"{url}/api/search", content=DIGIT, headers=PNG).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_goes_away_leaves_no_trace(url: str, caplog: pytest.LogCaptureFixture) -> None:
    for beginning in (b"", b"Content-Length: 5\r\n\r\nab"):
        with connect(url) as connection:
            connection.sendall(
                b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n" + beginning
            )
    with connect(url) as connection:
        head = f"Host: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(DIGIT)}\r\n\r\n"
        connection.sendall(b"POST /api/search HTTP/1.1\r\n" + head.encode() + DIGIT)
    assert httpx.post(f"{url}/api/search", content=DIGIT, headers=PNG).status_code == 200
    assert caplog.records == []


# --- pictures that are bombs


def frames(count: int) -> bytes:
    """An animated GIF of large equal frames."""
    pages = [Image.new("P", (2_000, 2_000), n % 2) for n in range(count)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "GIF", save_all=True, append_images=pages[1:], optimize=False)
    return buffer.getvalue()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")  # noqa: PTH110
def test_bombs_stay_under_300_megabytes_above_the_start() -> None:
    bombs = {
        "144 megapixels": black_png(12_000, 12_000),
        "89 megapixels of 1 bit": black_png(9_433, 9_433, 1),
        "just under the cap": black_png(2_048, 2_048),
        "just under the cap, 16 bits": black_png(2_048, 2_048, 16),
        "one pixel high": black_png(4 * MB, 1),
        "many frames": frames(20),
        "two megabytes of nothing": bytes(2 * MB),
    }
    with (
        Served("--index", SHIPPED_INDEX) as served,
        httpx.Client(base_url=served.url) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        assert client.post("/api/search", content=DIGIT, headers=PNG).status_code == 200
        before = served.memory()

        def send(bomb: bytes) -> int:
            return client.post("/api/search", content=bomb, headers=PNG).status_code

        statuses = list(pool.map(send, [bomb for bomb in bombs.values() for _ in range(16)]))
        assert set(statuses) == {422}
        form = [("images", (name, bomb)) for name, bomb in bombs.items() if len(bomb) < MB // 4]
        assert client.post("/api/search/batch", files=form).status_code == 200
        assert client.post("/api/search", content=DIGIT, headers=PNG).status_code == 200
        print(f"{(served.memory() - before) / MB:.0f} MB above the start")
        assert served.memory() - before < 300 * MB


# --- addresses


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_which_addresses_stay_on_this_machine(address: str, local: bool) -> None:
    assert is_loopback(address) is local
