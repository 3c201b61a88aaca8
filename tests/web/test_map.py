"""The map of a gallery: places that can be worked out by hand, and vectors that have theirs."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from conftest import ROOT, SHIPPED_INDEX
from servers import running
from toys import quadrant_image, toy_split

from simsearch.encode.model_folder import Model
from simsearch.errors import BusyError
from simsearch.index.build import build_index
from simsearch.index.stored_map import MOST_POINTS
from simsearch.index.stores.base import Block
from simsearch.prepare.prepare import png_bytes
from simsearch.search.searcher import Searcher
from simsearch.web.map import circular_order, layouts, principal_axes
from simsearch.web.room import Room

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, toy_model: Model) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("indexes")
    corners = [(100, 0, 0, 0), (60, 80, 0, 0), (0, 0, 100, 0)]
    build_index(
        toy_split([(corner, label) for label, corner in enumerate(corners)]), toy_model, folder / "toy"
    )
    indexes = {"mnist-test": SHIPPED_INDEX, "toy": folder / "toy"}
    with running(indexes) as url, httpx.Client(base_url=url) as client:
        yield client


def places(layout: dict) -> np.ndarray:  # type: ignore[type-arg]
    levels = np.frombuffer(base64.b64decode(layout["places"]), "<u2").reshape(-1, 2) / (2**16 - 1)
    low, high = np.array(layout["low"]), np.array(layout["high"])
    return low + levels * (high - low)


def test_principal_axes_of_points_on_a_line_lie_on_it() -> None:
    steps = np.array([-2, -1, 0, 1, 2])[:, None] * np.array([[0.0, 3.0, 4.0]])
    layout = principal_axes((steps + 1).astype(np.float32))
    assert layout.axes[:, 0] == pytest.approx([0, 0.6, 0.8])
    assert layout.place(np.ones((1, 3), np.float32)) == pytest.approx(np.zeros((1, 2)), abs=1e-9)
    assert layout.place((steps + 1).astype(np.float32))[:, 0] == pytest.approx([-10, -5, 0, 5, 10])


def test_a_layout_is_the_same_however_the_sign_of_an_eigenvector_falls() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    axes = principal_axes(vectors).axes
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()


def test_similar_classes_stand_side_by_side_on_the_circle() -> None:
    ring = [0, 3, 1, 5, 2, 4]  # each similar to the next
    similarity = np.zeros((6, 6))
    for here, there in zip(ring, [*ring[1:], ring[0]], strict=True):
        similarity[here, there] = similarity[there, here] = 1
    order = circular_order(similarity)
    assert sorted(order) == list(range(6))
    assert all(similarity[order[n], order[n - 1]] == 1 for n in range(6))


def test_each_class_comes_to_its_own_place_on_the_circle(shipped: Searcher) -> None:
    block = shipped.bundle.store.sample(4_000)
    circle, principal = layouts(block)
    assert (circle.name, principal.name) == ("classes", "pca")
    assert block.labels is not None
    at = circle.place(block.vectors)
    centers = np.stack([at[block.labels == label].mean(axis=0) for label in range(10)])
    assert np.linalg.norm(centers, axis=1) == pytest.approx(np.ones(10), abs=0.1)
    nearest = np.linalg.norm(at[:, None] - centers, axis=2).argmin(axis=1)
    assert (nearest == block.labels).mean() > 0.98  # a place on the map says the class


def test_without_labels_or_with_too_many_classes_there_is_no_circle() -> None:
    vectors = np.eye(30, dtype=np.float32)
    ids = np.arange(30)
    assert [layout.name for layout in layouts(Block(ids, None, vectors))] == ["pca"]
    assert [layout.name for layout in layouts(Block(ids, ids, vectors))] == ["pca"]


def test_the_map_places_items_and_vectors_alike(client: httpx.Client) -> None:
    document = client.get("/api/map").json()
    assert document["items"] == len(document["ids"]) == MOST_POINTS
    vector = np.array(client.get("/api/items/123/vector").json()["vector"])
    assert document["labels"][123] == 6
    *linear, stored = document["layouts"]
    assert (stored["name"], stored["axes"], places(stored).shape) == ("tsne", None, (MOST_POINTS, 2))
    assert len(linear) == 2
    for layout in linear:
        own = vector @ np.array(layout["axes"]) + layout["offset"]
        assert places(layout)[123] == pytest.approx(own, abs=2e-4)


def test_a_pictures_vector_is_the_one_that_is_searched_with(client: httpx.Client, shipped: Searcher) -> None:
    answer = client.post("/api/vectors", content=DIGIT, headers=PNG).json()
    hit = shipped.query(DIGIT, k=1).hits[0]
    stored = np.array(client.get(f"/api/items/{hit.id}/vector").json()["vector"])
    assert stored @ answer["vector"] == pytest.approx(hit.score, abs=1e-6)
    pairs = answer["pairs"]
    logit = pairs["weight"] * hit.score + pairs["bias"]
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(hit.probability, abs=1e-6)
    assert pairs["calibrated"] is True


def test_a_gallery_that_is_not_calibrated_says_so(client: httpx.Client) -> None:
    answer = client.get("/api/items/1/vector", params={"index": "toy"}).json()
    assert answer["vector"] == pytest.approx([0.6, 0.8, 0, 0])
    assert (answer["pairs"], answer["known"]) == (None, None)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/map?index=none", 404),
        ("GET", "/api/items/3/vector?index=toy", 404),
        ("POST", "/api/vectors?index=none", 404),
        ("POST", "/api/vectors", 422),
    ],
)
def test_what_is_not_there_or_shows_nothing_is_refused(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    blank = png_bytes(quadrant_image(0, 0, 0, 0))
    content = {"content": blank, "headers": PNG} if method == "POST" else {}
    assert client.request(method, path, **content).status_code == status  # type: ignore[arg-type]


async def _fill(room: Room) -> None:
    go_on = threading.Event()
    first = asyncio.create_task(room.run(go_on.wait))
    second = asyncio.create_task(room.run(lambda: True))
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await room.run(lambda: True)
    assert not second.done()
    go_on.set()
    assert await first
    assert await second
    assert await room.run(lambda: 3) == 3


def test_a_room_takes_no_more_than_it_has_place_for() -> None:
    asyncio.run(_fill(Room(workers=1, capacity=2)))
