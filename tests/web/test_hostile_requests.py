"""Requests that no client of good will sends: each is refused in words, with every header, never a 5xx."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest
from conftest import ROOT, SHIPPED_INDEX
from servers import everything, running, send

from simsearch.web.headers import SECURITY_HEADERS
from simsearch.web.settings import Settings

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
HURRY = Settings(workers=1, head_timeout=1, body_timeout=1, max_pipeline=4)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running({"mnist-test": SHIPPED_INDEX}, HURRY) as url:
        yield url


def get(path: str, *lines: str, method: str = "GET", host: str = "localhost") -> bytes:
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1")


def assert_complete(answer: bytes) -> int:
    """That the one answer is whole and carries what every answer does; its status."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines)
    assert {name: fields.get(name.lower()) for name in SECURITY_HEADERS} == {
        name: value.lower() for name, value in SECURITY_HEADERS.items()
    }
    assert fields["cache-control"] in ("no-store", "no-cache")
    assert len(body) == int(fields["content-length"]) or status.startswith("HTTP/1.1 304")
    return int(status.split()[1])


REFUSED = {
    "an origin that is no address": (get("/api/indexes", "Origin: http://["), 403),
    "an origin with a port beyond all": (get("/", "Origin: http://localhost:99999999999"), 403),
    "an origin with a user": (get("/", "Origin: http://a@localhost"), 403),
    "a host with a user": (get("/", host="a@localhost"), 421),
    "a host with a user and a password": (get("/", host="a:b@localhost:80"), 421),
    "a host with a port beyond all": (get("/", host="localhost:99999"), 421),
    "a host with a port of 5,000 digits": (get("/", host="localhost:" + "9" * 5_000), 421),
    "a host with port 0": (get("/", host="localhost:0"), 421),
    "a host with no port behind its colon": (get("/", host="localhost:"), 421),
    "a host with a path": (get("/", host="localhost/x"), 421),
    "a host with a space": (get("/", host="localhost x"), 421),
    "a host that opens a bracket": (get("/", host="["), 421),
    "a host that is no ASCII": (get("/", host="localhost\xe9"), 421),
    "a host with digits of another script": (get("/", host="localhost:\u00b2"), 421),
    "no host": (b"GET / HTTP/1.0\r\n\r\n", 421),
    "two hosts": (get("/", "Host: localhost"), 400),
    "two origins": (get("/", "Origin: http://localhost", "Origin: http://localhost"), 400),
    "an id of 5,000 digits": (get(f"/api/items/{'9' * 5_000}"), 422),
    "an id of 5,000 digits with a picture": (get(f"/api/items/{'9' * 5_000}.png"), 422),
    "an id of 5,000 digits with neighbors": (get(f"/api/items/{'9' * 5_000}/neighbors"), 422),
    "an id of 5,000 noughts": (get(f"/api/items/{'0' * 5_000}"), 422),
    "an id with a sign": (get("/api/items/+1"), 422),
    "an id with a line between its digits": (get("/api/items/1_0"), 422),
    "an id with a decimal point": (get("/api/items/1.0"), 422),
    "an id in digits of another script": (get("/api/items/%D9%A1"), 422),
    "k of 5,000 digits": (get(f"/api/items/1/neighbors?k={'9' * 5_000}"), 422),
    "k that is no number": (get("/api/items/1/neighbors?k=nan"), 422),
    "a score that is no number": (get("/api/items/1/neighbors?min_score=nan"), 422),
    "a score without end": (get("/api/items/1/neighbors?min_score=1e999"), 422),
    "half a character": (get("/api/items/1?index=%ED%A0%80"), 404),
    "a broken escape": (get("/api/items/1?index=%zz%"), 404),
    "a null byte in the path": (get("/api/items/%00"), 422),
    "no path": (b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "a path that is no ASCII": (get("/\xe9"), 400),
    "a path that is a star": (get("*", method="OPTIONS"), 404),
    "a tunnel": (get("localhost:80", method="CONNECT"), 400),
    "a method that is none": (get("/", method="SEARCHES"), 400),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, 400),
    "a version that is none": (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
    "a length of 5,000 digits": (get("/api/search", f"Content-Length: {'9' * 5_000}", method="POST"), 400),
    "a negative length": (get("/api/search", "Content-Length: -1", method="POST"), 400),
    "two lengths": (get("/api/search", "Content-Length: 1", "Content-Length: 2", method="POST"), 400),
    "a length and pieces": (
        get("/api/search", "Content-Length: 1", "Transfer-Encoding: chunked", method="POST"),
        400,
    ),
    "a type that goes on and on": (get("/api/search", "Content-Type: " + "a;" * 9_000, method="POST"), 415),
    "two types": (get("/api/search", "Content-Type: a", "Content-Type: b", method="POST"), 400),
    "a form in no codec": (
        get("/api/search", "Content-Type: multipart/form-data; boundary=b; charset=idna", method="POST"),
        422,
    ),
    "headers without end": (get("/", *(f"X: {'y' * 1_000}" for _ in range(300))), 431),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_in_words_and_with_every_header(url: str, what: str) -> None:
    request, status = REFUSED[what]
    assert assert_complete(send(url, request)) == status


def test_a_range_and_an_offer_of_another_protocol_change_nothing(url: str) -> None:
    ranged = send(url, get("/static/page.css", "Range: bytes=5-1,x,99999999999999999999-"))
    assert assert_complete(ranged) == 200
    upgrade = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: {}\r\n\r\n"
    for protocol in ("websocket", "h2c"):
        assert assert_complete(send(url, upgrade.format(protocol).encode())) == 200


def test_what_was_asked_before_nonsense_is_answered(url: str) -> None:
    answers = send(url, get("/healthz").replace(b"Connection: close\r\n", b"") + b"\x00\x01nonsense\r\n\r\n")
    assert assert_complete(answers) == 200


def test_a_body_whose_pieces_make_no_sense_ends_the_connection(url: str) -> None:
    head = get("/api/search", "Content-Type: image/png", "Transfer-Encoding: chunked", method="POST")
    assert send(url, head + b"zz\r\n") == b""


def test_requests_that_nobody_waits_for_are_not_hoarded(url: str) -> None:
    """The answers to the first few come; the thousands behind them were never taken."""
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answers = send(url, request * 5_000)
    assert 1 <= answers.count(b"HTTP/1.1 200 ") <= HURRY.max_pipeline + 1


HEADS = (
    *("Host", "Origin", "Authorization", "Content-Type", "Content-Length", "If-None-Match", "Expect"),
    *("Range", "Connection", "Upgrade", "Transfer-Encoding", "Cookie", "Accept-Encoding"),
)
SCRAPS = (
    *("", " ", "[", "]", ":", "@", "//", "http://", "localhost", "9" * 30, "9" * 4_400, "-1", "%", "%00"),
    *("\xe9", "\t", "null", "multipart/form-data; boundary=", "b", '"', "\\", ";", ",", "*=", "utf-8''"),
    *("chunked", "100-continue", "bytes=0-", "close", "keep-alive", "Bearer ", "image/png", "a=b", "\x7f"),
    *("(", "=?utf-8?q?=00?=", "0x10", "1e5"),
)
PATHS = (
    *("/", "/api/search", "/api/search/batch", "/api/indexes", "/api/items/", "/api/items/1/neighbors"),
    *("/static/page.js", "/healthz", "/metrics", "/openapi.json", "/nothing"),
)


def scraps(chance: random.Random) -> str:
    return "".join(chance.choices(SCRAPS, k=chance.randint(0, 4)))


def made_up(chance: random.Random) -> bytes:
    path = chance.choice(PATHS) + chance.choice(("", "%s", "?%s", "?k=%s")).replace("%s", scraps(chance))
    lines = [f"{chance.choice(HEADS)}: {scraps(chance)}" for _ in range(chance.randint(0, 3))]
    body = chance.choice((b"", DIGIT, b"--b\r\n", scraps(chance).encode("latin-1")))
    if chance.random() < 0.5:
        lines.append(f"Content-Length: {len(body)}")
    method = chance.choice(("GET", "POST", "HEAD", "OPTIONS", "PUT"))
    host = "localhost" if chance.random() < 0.9 else scraps(chance)
    return get(path.replace(" ", "+").replace("\t", "+"), *lines, method=method, host=host) + body


def test_whatever_a_request_is_made_of_the_answer_is_whole(url: str) -> None:
    chance, statuses = random.Random(14), set()
    for _ in range(600):
        request = made_up(chance)
        answer = send(url, request)
        if answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            answer = answer.partition(b"\r\n\r\n")[2]
        if answer and not request.startswith(b"HEAD"):
            status = assert_complete(answer)
            assert status < 500, request
            statuses.add(status)
    assert {200, 400, 403, 404, 405, 415, 421, 422} <= statuses
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        connection.sendall(get("/healthz"))
        assert everything(connection).startswith(b"HTTP/1.1 200 ")
