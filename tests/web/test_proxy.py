"""A server behind a proxy that offers it below a path of its own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from conftest import ROOT, SHIPPED_INDEX
from servers import behind_proxy, running

from simsearch.web.settings import Settings

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
PNG = {"Content-Type": "image/png"}
PREFIX = "/digits"


@pytest.fixture(scope="module", params=[True, False], ids=["stripped", "passed-on"])
def offered(request: pytest.FixtureRequest) -> Iterator[str]:
    settings = Settings(workers=1, root_path=PREFIX, token="secret")
    with (
        running({"mnist-test": SHIPPED_INDEX}, settings) as url,
        behind_proxy(url, PREFIX, strip=request.param) as proxy,
    ):
        yield proxy + PREFIX


def test_the_page_its_files_and_the_probes_need_no_token_there_and_nothing_else_is_open(offered: str) -> None:
    for path in ("/", "/static/page.js", "/static/palette.css", "/healthz", "/readyz"):
        assert httpx.get(offered + path).status_code == 200
    for path in (
        "/api/indexes",
        "/openapi.json",
        "/metrics",
        "/static/../api/indexes",
        "/digits/api/indexes",
    ):
        assert httpx.get(offered + path).status_code == 401


def test_the_api_is_there_and_its_document_says_so(offered: str) -> None:
    with httpx.Client(headers={"Authorization": "Bearer secret"}) as client:
        answer = client.post(f"{offered}/api/search?k=1", content=DIGIT, headers=PNG)
        assert answer.json()["queries"][0]["verdict"]["label"] == "5"
        assert client.get(f"{offered}/api/items/3").json()["label"] == "0"
        assert client.get(f"{offered}/api/items/3?K=1").status_code == 400
        assert client.get(f"{offered}/nothing").status_code == 404
        document = client.get(f"{offered}/openapi.json").json()
        assert document["servers"] == [{"url": PREFIX}]
        assert "/api/search" in document["paths"]


def test_requests_are_counted_by_route_there_too(offered: str) -> None:
    with httpx.Client(headers={"Authorization": "Bearer secret"}) as client:
        client.get(f"{offered}/api/items/3")
        text = client.get(f"{offered}/metrics").text
    assert 'simsearch_requests_total{method="GET",route="/api/items/{item}",status="200"}' in text
