"""Indexes as tables and pages, and tables as indexes: both ways give the same answers."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from browsers import open_browser
from conftest import SHIPPED_INDEX
from PIL import Image
from playwright.sync_api import expect
from servers import running
from toys import quadrant_image
from typer.testing import CliRunner, Result

from simsearch.cli.main import app
from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle, read_manifest
from simsearch.search.searcher import Searcher
from simsearch.show.html.explorer_page import quantize
from simsearch.web.settings import Settings

HOSTILE = "<x></script>"


def run(*arguments: str | Path | int) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def index(tmp_path: Path, plain_model: Model) -> Path:
    """Two classes of three pictures in a folder."""
    root = tmp_path / "pictures"
    for label, left in ((HOSTILE.replace("/", "-"), 100), ("b", 0)):
        (root / label).mkdir(parents=True)
        for number in range(3):
            picture = quadrant_image(left, 30 * number, 100 - left, 0)
            Image.fromarray(picture).save(root / label / f"{number} &.png")
    build_index(load_image_folder(root, plain_model.encoder.input), plain_model, tmp_path / "toy")
    return tmp_path / "toy"


def neighbors(index: Path) -> list[list[tuple[str, float]]]:
    """The hits of every item: source and score."""
    searcher = Searcher.open(index)
    answers = [searcher.query_item(int(item), k=5) for item in searcher.bundle.ids]
    return [[(hit.source, hit.score) for hit in answer.hits] for answer in answers]


@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_an_exported_index_is_imported_with_the_same_answers(index: Path, tmp_path: Path, form: str) -> None:
    pytest.importorskip("pyarrow")
    table = tmp_path / f"table.{form}"
    assert run("export", index, f"--{form}", table).exit_code == 0
    result = run("import", table, "--name", "again", "--index-dir", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert "6 vectors of toy, 2 classes; ask with --id or --vector" in result.stdout
    old, new = open_bundle(index), open_bundle(tmp_path / "again")
    assert neighbors(tmp_path / "again") == neighbors(index)
    assert (new.manifest.encoder, new.manifest.classes) == (old.manifest.encoder, old.manifest.classes)
    assert new.own_encoder is None
    assert run("verify", tmp_path / "again").exit_code == 0
    assert run("audit", tmp_path / "again", "--against", index).exit_code == 0  # of one encoder still


def test_tables_hold_what_others_look_for(index: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert (
        run("export", index, "--parquet", tmp_path / "t.parquet", "--npz", tmp_path / "t.npz").exit_code == 0
    )
    rows = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    bundle = open_bundle(index)
    assert [(row["id"], row["source"]) for row in rows] == list(enumerate(bundle.sources))
    assert rows[3]["label"] == "b"
    assert rows[3]["vector"] == pytest.approx(bundle.store.vectors(np.array([3]))[0])
    hits = Searcher(bundle).query_item(3, k=5).hits
    assert rows[3]["neighbors"]["ids"] == [hit.id for hit in hits]
    assert rows[3]["neighbors"]["distances"] == pytest.approx([1 - hit.score for hit in hits], abs=1e-6)
    with np.load(tmp_path / "t.npz") as arrays:
        assert arrays["neighbors"][3, :5].tolist() == [hit.id for hit in hits]
        assert arrays["scores"].shape == (6, 10)
        assert [arrays["classes"][label] for label in arrays["labels"]] == [row["label"] for row in rows]


def test_a_table_written_later_is_the_same_bytes(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "t.npz"
    assert run("export", index, "--npz", table).exit_code == 0
    earlier = table.read_bytes()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)  # a zip has the time of each member
    assert run("export", index, "--npz", table).exit_code == 0
    assert table.read_bytes() == earlier


@pytest.mark.browser
def test_the_page_searches_itself_and_asks_nobody(index: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run("export", index, "--html", page).exit_code == 0
    text = page.read_text()
    assert "script-src 'sha256-" in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert HOSTILE not in text
    asked = []
    with open_browser() as browser:
        shown = browser.new_page()
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("pageerror", lambda error: pytest.fail(str(error)))
        shown.goto(f"{page.as_uri()}#id=3")
        expect(shown.locator("#chosen-title")).to_have_text("Like b, b/0 &.png")
        expect(shown.locator("#tiles li")).to_have_count(6)
        order = [b.split(", ", 1)[1] for b in shown.locator("#tiles button").evaluate_all(
            "all => all.map(each => each.getAttribute('aria-label'))"
        )]  # fmt: skip
        assert order[1:] == [source for source, _ in neighbors(index)[3]]
        address = shown.get_by_role("link", name="file").get_attribute("href")
        assert address == (tmp_path / "pictures" / "b" / "0 &.png").as_uri().replace("&", "%26")
        shown.get_by_label("Class").select_option("b")
        expect(shown.locator("#said")).to_have_text("2 images, the most similar first.")
        shown.locator("#tiles button").nth(1).click()
        expect(shown.locator("#chosen-title")).to_have_text("Like b, b/1 &.png")
        shown.get_by_role("button", name="Others at random").click()
        expect(shown.locator("#said")).to_have_text("3 images.")
        shown.get_by_label("Name").fill("nothing")
        expect(shown.locator("#said")).to_have_text("There is none.")
    assert {url.split("#")[0] for url in asked if not url.startswith("data:")} == {page.as_uri()}


def test_quantized_vectors_keep_the_order_of_digits(shipped: Searcher) -> None:
    vectors = shipped.bundle.store.sample(2_000).vectors
    steps = quantize(vectors).astype(np.float32)
    assert (np.abs(steps).max(axis=1) == 127).all()
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    assert np.abs(steps @ steps.T - vectors @ vectors.T).max() < 0.01


def test_an_index_without_an_encoder_answers_items_and_vectors_alone(tmp_path: Path, index: Path) -> None:
    assert index.is_dir()  # beside its pictures
    np.savez(tmp_path / "v.npz", vectors=np.eye(3) * 2, labels=["a", "b", "b"])
    result = run("import", tmp_path / "v.npz", "--index-dir", tmp_path, "--model", "mine")
    assert "3 of 3 vectors were scaled to length 1" in result.stderr
    assert result.exit_code == 0
    made = tmp_path / "v"
    (tmp_path / "q.json").write_text("[[3, 4, 0], [0, 0, 1]]")
    np.save(tmp_path / "q.npy", np.array([0.0, 5, 0]))
    result = run(
        "query", "--vector", tmp_path / "q.json", "--vector", tmp_path / "q.npy", "-i", made, "--json"
    )
    entries = json.loads(result.stdout)["queries"]
    assert [entry["kind"] for entry in entries] == ["vector"] * 3
    assert [(hit["id"], hit["score"]) for hit in entries[0]["hits"][:2]] == [
        (1, pytest.approx(0.8)),
        (0, pytest.approx(0.6)),
    ]
    assert [entry["hits"][0]["id"] for entry in entries] == [1, 2, 1]
    picture = tmp_path / "pictures" / "b" / "0 &.png"
    words = "v holds vectors that another program computed: no picture can be compared with them"
    for command in (
        ("query", picture, "-i", made),
        ("query", "--id", 0, "--like", picture, "-i", made),
        ("evaluate", "-i", made, "--queries", tmp_path / "pictures"),
        ("add", made, picture, "--label", "a"),
        ("figure", "similarity", picture, "-i", made, "-o", tmp_path / "s.png"),
    ):
        refused = run(*command)
        assert (refused.exit_code, words in refused.stderr) == (2, True), refused.stderr
    assert run("query", "--id", 0, "-i", made).exit_code == 0
    assert run("remove", made, "--id", 0).exit_code == 0
    assert run("query", "--id", 1, "-i", made).exit_code == 0
    assert run("evaluate", "-i", made).exit_code == 0
    assert read_manifest(made).root is None
    with pytest.raises(BadInputError, match="no picture can be compared"):
        Searcher.open(made).query(picture)


def test_the_server_serves_what_it_can_of_such_an_index(tmp_path: Path) -> None:
    import httpx

    np.savez(tmp_path / "v.npz", vectors=np.eye(3), labels=["a", "b", "b"])
    assert run("import", tmp_path / "v.npz", "--index-dir", tmp_path).exit_code == 0
    picture = (SHIPPED_INDEX.parents[1] / "docs" / "digit.png").read_bytes()
    with running({"v": tmp_path / "v"}, Settings(workers=1)) as url:
        (summary,) = httpx.get(f"{url}/api/indexes").json()["indexes"]
        assert (summary["preparation"], summary["items"]) == ("none", 3)
        assert httpx.get(f"{url}/api/items/0/neighbors").json()["queries"][0]["hits"][0]["id"] == 1
        refused = httpx.post(f"{url}/api/search", content=picture, headers={"Content-Type": "image/png"})
        assert refused.status_code == 422
        assert "no picture can be compared" in refused.json()["detail"]
        assert httpx.get(f"{url}/api/items/0/activations").json() == {"layers": []}


def test_pictures_below_a_root_are_shown(tmp_path: Path, index: Path) -> None:
    run("export", index, "--npz", tmp_path / "t.npz")
    (tmp_path / "pictures" / "b" / "2 &.png").unlink()
    result = run("import", tmp_path / "t.npz", "--index-dir", tmp_path, "--root", tmp_path / "pictures")
    assert result.exit_code == 0
    bundle = open_bundle(tmp_path / "t")
    assert bundle.thumbnails[3].shape == (128, 128, 3)
    assert bundle.thumbnails[5].shape == (8, 8, 3)  # gray: there is no file
    assert bundle.thumbnails[0][0, 0].tolist() == pytest.approx([100] * 3, abs=4)
    paths = run("query", "--id", 3, "-i", tmp_path / "t", "--paths", "--absolute", "-k", 1).stdout
    assert paths == f"{tmp_path / 'pictures' / 'b' / '1 &.png'}\n"


def test_what_is_there_is_kept(tmp_path: Path, index: Path) -> None:
    np.savez(tmp_path / "v.npz", vectors=np.eye(3))
    before = read_manifest(index)
    refused = run("import", tmp_path / "v.npz", "--name", "toy", "--index-dir", tmp_path)
    assert (refused.exit_code, "was made from" in refused.stderr) == (2, True)
    assert read_manifest(index) == before
    bad = run(
        "import", tmp_path / "v.npz", "--name", "toy", "--index-dir", tmp_path, "--replace", "--root", "no"
    )
    assert (bad.exit_code, read_manifest(index)) == (2, before)
    made = run("import", tmp_path / "v.npz", "--name", "toy", "--index-dir", tmp_path, "--replace")
    assert made.exit_code == 0
    assert len(open_bundle(index).ids) == 3
    assert len(list(index.glob("ids-*"))) == 1


def test_what_cannot_be_exported_is_said(index: Path, tmp_path: Path) -> None:
    for arguments, message, code in (
        (("export", index), "say as what: --parquet, --npz or --html FILE", 2),
        (("export", index, "--npz", tmp_path / "no" / "x.npz"), "is no folder", 2),
        (("export", tmp_path / "none", "--html", tmp_path / "x.html"), "there is no index in", 3),
        (("import", tmp_path / "none.npz", "--index-dir", tmp_path), "cannot read vectors", 2),
        (("query", "--vector", tmp_path / "none.npy", "-i", index), "cannot read vectors from", 2),
        (("query", "--vector", index / "manifest.json", "-i", index), "neither .npy nor JSON", 2),
    ):
        result = run(*arguments)
        assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
    (tmp_path / "q.json").write_text("[1, 2]")
    assert "has 2 numbers, and the vectors of toy have 4" in run(
        "query", "--vector", tmp_path / "q.json", "-i", index
    ).stderr  # fmt: skip
