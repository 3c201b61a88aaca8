"""Known mistakes and the nearest of some items, over HTTP: values that can be worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pages import CORNERS
from servers import running
from toys import toy_split
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError
from simsearch.evaluate.mistakes import misplaced_items
from simsearch.evaluate.saved_report import read_report
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.web.app import create_app
from simsearch.web.mistakes import group_mistakes
from simsearch.web.settings import Settings

# Vectors (1, 0), (1, 0), (.6, .8), (0, 1) and, in a plane of their own, (1, 0), (.6, .8).
LABELS = (0, 0, 0, 1, 1, 2)
PAIRS = [
    {"label": "a", "nearest": "b", "items": [{"id": 2, "nearest": 3}]},
    {"label": "b", "nearest": "a", "items": [{"id": 3, "nearest": 2}]},
    {"label": "b", "nearest": "c", "items": [{"id": 4, "nearest": 5}]},
]  # and not item 5, the only one of class c


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, toy_model: Model) -> Path:
    folder = tmp_path_factory.mktemp("indexes")
    build_index(toy_split(list(zip(CORNERS, LABELS, strict=True))), toy_model, folder / "toy")
    build_index(toy_split([(corner, None) for corner in CORNERS], ()), toy_model, folder / "plain")
    build_index(toy_split([(CORNERS[0], 0)]), toy_model, folder / "alone")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    indexes = {name: folder / name for name in ("toy", "plain", "alone")}
    with running(indexes) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def evaluation(folder: Path) -> Path:
    """The stored evaluation of the toy index."""
    path = folder / "toy.json"
    path.write_text(CliRunner().invoke(app, ["evaluate", "--index", str(folder / "toy"), "--json"]).stdout)
    return path


def test_items_nearest_to_another_class_are_listed_by_pair_of_classes(client: httpx.Client) -> None:
    assert client.get("/api/mistakes").json() == {"items": 6, "mistakes": 3, "stored": False, "pairs": PAIRS}


def test_an_only_item_is_no_mistake_and_without_labels_there_are_none(client: httpx.Client) -> None:
    assert client.get("/api/mistakes?index=alone").json()["pairs"] == []
    refused = client.get("/api/mistakes?index=plain")
    assert (refused.status_code, refused.json()["detail"]) == (
        404,
        "plain has no labels, so no image of it is misplaced",
    )


def test_a_stored_evaluation_says_the_same_and_only_of_its_own_index(
    folder: Path, evaluation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simsearch.web.mistakes.MOST_ITEMS", 5)  # too many to be found while somebody waits
    settings = Settings(workers=1, evaluations=(evaluation,))
    with running({"toy": folder / "toy"}, settings) as url:
        assert httpx.get(f"{url}/api/mistakes").json() == {
            "items": 6,
            "mistakes": 3,
            "stored": True,
            "pairs": PAIRS,
        }
    with running({"toy": folder / "toy"}, Settings(workers=1)) as url:
        refused = httpx.get(f"{url}/api/mistakes")
        assert refused.status_code == 404
        assert "--evaluation" in refused.json()["hint"]
    with pytest.raises(BadInputError, match="is of the index toy, not of the one in"):
        create_app({"alone": folder / "alone"}, settings)


def test_an_evaluation_with_other_queries_is_refused(folder: Path, evaluation: Path, tmp_path: Path) -> None:
    document = json.loads(evaluation.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**document, "protocol": "query set", "query_set": "photos"}))
    with pytest.raises(BadInputError, match="asked about photos, not about its own items"):
        create_app({"toy": folder / "toy"}, Settings(evaluations=(other,)))
    assert read_report(evaluation).protocol != "query set"


def test_only_so_many_mistakes_are_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simsearch.web.mistakes.MOST_SHOWN", 2)
    bundle = open_bundle(folder / "toy")
    assert group_mistakes(bundle, *misplaced_items(bundle)) == PAIRS[:2]


def test_the_nearest_of_some_items_are_exact_and_equal_ones_in_order_of_id(client: httpx.Client) -> None:
    asked = {"vector": [0.8, 0.6, 0, 0], "items": [3, 2, 1, 0, 4], "k": 4}
    hits = client.post("/api/nearest", json=asked).json()["hits"]
    assert [(hit["id"], hit["label"]) for hit in hits] == [(2, "a"), (0, "a"), (1, "a"), (3, "b")]
    assert [hit["score"] for hit in hits] == pytest.approx([0.96, 0.8, 0.8, 0.6])
    assert all(hit["picture"].startswith("data:image/png") for hit in hits)
    assert client.post("/api/nearest", json={**asked, "items": []}).json() == {"hits": []}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"vector": [1.0, 0.0], "items": [0]}, "queries must be float32"),
        ({"vector": [2.0, 0.0, 0.0, 0.0], "items": [0]}, "of length 1"),
        ({"vector": [1.0, 0.0, 0.0, 0.0], "items": [6]}, "an id is not stored in toy"),
        ({"vector": [1.0, 0.0, 0.0, 0.0], "items": [-1]}, "items"),
        ({"vector": [1.0, 0.0, 0.0, 0.0], "items": [0], "k": 0}, "k"),
        ({"vector": ["x"], "items": [0]}, "vector"),
        ({"items": [0]}, "vector"),
        ([1, 2], "body"),
    ],
)
def test_what_cannot_be_asked_is_refused(client: httpx.Client, asked: object, says: str) -> None:
    refused = client.post("/api/nearest", json=asked)
    assert refused.status_code == 422
    assert says in refused.json()["detail"]


@pytest.mark.parametrize("body", ["{", "[" * 100_000, '{"vector": [1e999], "items": [0]}', "NaN"])
def test_what_is_no_json_is_refused_too(client: httpx.Client, body: str) -> None:
    refused = client.post("/api/nearest", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code in (400, 422)
    assert refused.headers["content-type"] == "application/problem+json"
