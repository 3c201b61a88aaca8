"""steps.py: how a picture was read, as the API tells it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from conftest import SHIPPED_INDEX
from papers.families import FAMILIES, NOTHING, Digit
from PIL import Image
from servers import running

from simsearch.prepare.prepare import png_bytes, prepare_image

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running({"mnist-test": SHIPPED_INDEX}) as url, httpx.Client(base_url=url) as client:
        yield client


def test_the_steps_end_with_what_the_network_sees(client: httpx.Client) -> None:
    picture = FAMILIES["squared"](Digit(3), np.random.default_rng(0))
    reading = client.post("/api/steps", content=picture, headers=PNG).json()
    names = [step["name"] for step in reading["steps"]]
    assert [name for name in names if name != "without lines"] == [
        "gray",
        "paper",
        "ink",
        "digit",
        "prepared",
    ]
    prepared = prepare_image(picture)
    assert reading["notes"] == list(prepared.notes)
    assert reading["refused"] is None
    last = base64.b64decode(reading["steps"][-1]["picture"].removeprefix("data:image/png;base64,"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(last))), prepared.pixels)


def test_what_is_refused_shows_what_was_seen(client: httpx.Client) -> None:
    picture = NOTHING["two_digits"](Digit(3), np.random.default_rng(1))
    reading = client.post("/api/steps", content=picture, headers=PNG).json()
    assert reading["refused"] == "several digits or drawings side by side in the picture"
    assert [step["name"] for step in reading["steps"]][-1] == "digit"
    assert client.post("/api/steps", content=b"junk", headers=PNG).status_code == 422


def test_a_picture_of_mnist_is_taken_as_it_is(client: httpx.Client) -> None:
    item = client.get("/api/items/7.png").content
    reading = client.post("/api/steps", content=item, headers=PNG).json()
    assert [step["name"] for step in reading["steps"]] == ["prepared"]
    shown = base64.b64decode(reading["steps"][0]["picture"].partition(",")[2])
    assert shown == png_bytes(np.asarray(Image.open(io.BytesIO(item))))
