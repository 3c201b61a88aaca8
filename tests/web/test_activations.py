"""The API's look inside the network."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from conftest import ROOT, SHIPPED_INDEX
from servers import running

from simsearch.web.activations import MOST_MAPS, layer_to_dict

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running({"mnist-test": SHIPPED_INDEX}) as url, httpx.Client(base_url=url) as client:
        yield client


def values(layer: dict) -> np.ndarray:  # type: ignore[type-arg]
    bytes_ = np.frombuffer(base64.b64decode(layer["values"]), np.uint8)
    return bytes_.reshape(layer["maps"], layer["height"], layer["width"])


def test_both_convolutions_of_an_item_and_a_picture_are_shown(client: httpx.Client) -> None:
    item = client.get("/api/items/7/activations").json()["layers"]
    assert [(layer["maps"], layer["height"], layer["width"]) for layer in item] == [(32, 14, 14), (64, 7, 7)]
    assert [values(layer).max() for layer in item] == [255, 255]
    assert all(layer["largest"] > 0 for layer in item)
    picture = client.get("/api/items/7.png").content
    assert client.post("/api/activations", content=picture, headers=PNG).json()["layers"] == item
    digit = (ROOT / "docs" / "digit.png").read_bytes()
    assert client.post("/api/activations", content=digit, headers=PNG).json()["layers"] != item


def test_what_is_not_there_is_refused(client: httpx.Client) -> None:
    assert client.get("/api/items/10000/activations").status_code == 404
    assert client.post("/api/activations", content=b"junk", headers=PNG).status_code == 422


def test_of_many_maps_the_most_active_are_kept_in_their_order() -> None:
    maps = np.zeros((100, 2, 2), np.float32)
    maps[36:, 0, 0] = np.arange(1, 65)
    layer = layer_to_dict(maps)
    assert (layer["maps"], layer["of"], layer["largest"]) == (MOST_MAPS, 100, 64.0)
    assert values(layer)[:, 0, 0].tolist() == [round(n / 64 * 255) for n in range(1, 65)]


def test_large_maps_are_shown_in_means_and_negative_values_as_nothing() -> None:
    maps = np.full((1, 56, 56), -1, np.float32)
    maps[0, :2, :2] = [[4, 0], [0, 0]]
    maps[0, 2:4, :2] = 4
    shown = values(layer_to_dict(maps))
    assert shown.shape == (1, 28, 28)
    assert shown[0, :3, 0].tolist() == [64, 255, 0]
    assert layer_to_dict(np.full((1, 2, 2), -1, np.float32))["largest"] == 0
