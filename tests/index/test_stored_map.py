"""A layout kept beside an index: read back, and never shown for other items."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.data.splits import Split
from simsearch.documents import with_checksum
from simsearch.errors import MissingBundleError
from simsearch.evaluate.evaluation import gallery_fingerprint
from simsearch.index.bundle import Bundle, open_bundle
from simsearch.index.catalog import delete_index, rename_index
from simsearch.index.manifest import StoreRecord
from simsearch.index.stored_map import MAP, StoredMap, read_map, write_map
from simsearch.web.map import draw_map

Build = Callable[..., Path]
PLACES = np.array([[0, 0], [1, 0], [0, 1], [4, 4], [2, 2], [3, 1]], np.float32)


@pytest.fixture
def folder(build_toy: Build, toy_gallery: Split) -> Path:
    """An index of six items with its map."""
    folder = build_toy(toy_gallery, "toy")
    write_map(open_bundle(folder), StoredMap("tsne", np.arange(6), PLACES))
    return folder


def test_a_map_is_read_back_and_drawn_with_the_linear_ones(folder: Path) -> None:
    bundle = open_bundle(folder)
    stored = read_map(bundle)
    assert stored is not None
    assert (stored.method, stored.ids.tolist()) == ("tsne", list(range(6)))
    np.testing.assert_array_equal(stored.places, PLACES)
    drawn = draw_map(bundle)
    assert [layout["name"] for layout in drawn["layouts"]] == ["classes", "pca", "tsne"]
    tsne = drawn["layouts"][-1]
    assert (tsne["axes"], tsne["offset"], tsne["low"], tsne["high"]) == (None, None, [0, 0], [4, 4])


def test_of_a_map_only_items_that_are_there_are_shown(folder: Path) -> None:
    bundle = open_bundle(folder)
    ids = np.array([1, 3, 8])
    write_map(bundle, StoredMap("tsne", ids, PLACES[:3]))
    drawn = draw_map(bundle)
    assert (drawn["items"], drawn["ids"]) == (6, [1, 3])
    write_map(bundle, StoredMap("tsne", ids[2:], PLACES[:1]))
    assert read_map(bundle) is None


def test_a_map_of_other_vectors_is_none(folder: Path, build_toy: Build, toy_gallery: Split) -> None:
    kept = (folder / MAP).read_bytes()
    other = build_toy(toy_gallery, "toy", factory="HNSW8")
    (other / MAP).write_bytes(kept)
    assert read_map(open_bundle(other)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"ids": "AAAA"},
        {"places": "AAAAAAAAAAA="},
        {"places": "#"},
        {"segments": 3},
        {"method": None},
    ],
)
def test_a_malformed_map_is_none_and_the_index_answers(folder: Path, change: dict[str, object]) -> None:
    document = json.loads((folder / MAP).read_bytes())
    del document["sha256"]
    (folder / MAP).write_bytes(with_checksum({**document, **change}))
    bundle = open_bundle(folder)
    assert read_map(bundle) is None
    assert [layout["name"] for layout in draw_map(bundle)["layouts"]] == ["classes", "pca"]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 10_000, b"null", b"\xff"])
def test_a_damaged_map_is_none(folder: Path, content: bytes) -> None:
    (folder / MAP).write_bytes(content)
    assert read_map(open_bundle(folder)) is None


def test_a_flipped_bit_is_noticed(folder: Path) -> None:
    content = bytearray((folder / MAP).read_bytes())
    content[content.index(b"places") + 30] ^= 1
    (folder / MAP).write_bytes(content)
    assert read_map(open_bundle(folder)) is None


def test_a_map_goes_with_its_index(folder: Path) -> None:
    renamed = rename_index("toy", "other", folder.parent)
    assert read_map(open_bundle(renamed)) is not None
    delete_index("other", folder.parent)
    assert not renamed.exists()


@pytest.mark.parametrize("named", [["--index"], []])
def test_the_command_lays_out_an_index(folder: Path, named: list[str]) -> None:
    pytest.importorskip("sklearn")
    (folder / MAP).unlink()
    done = CliRunner().invoke(app, ["map", *named, str(folder)])
    assert (done.exit_code, done.stdout) == (0, f"{folder / MAP}\n")
    stored = read_map(open_bundle(folder))
    assert stored is not None
    assert np.isfinite(stored.places).all()
    assert len(stored.ids) == 6


def test_one_collection_on_a_server_is_not_taken_for_another(folder: Path) -> None:
    """A bundle whose manifest says that a server holds its items, and which; the server is not asked."""
    bundle = open_bundle(folder)
    record = StoreRecord("milvus", "http://h:1", "toy", 1, 5, (0, 1, 2), exact_pictures=True)
    files = {"encoder": bundle.manifest.files["encoder"]}

    def on_server(**changes: object) -> Bundle:
        held = structs.replace(record, **changes)
        return replace(bundle, manifest=structs.replace(bundle.manifest, files=files, store=held))

    write_map(on_server(), StoredMap("tsne", np.arange(6), PLACES))
    assert read_map(on_server()) is not None
    assert read_map(on_server(last=9)) is not None  # of a collection that has grown, those that are there
    assert read_map(on_server(generation=2)) is None
    assert read_map(bundle) is None
    prints = [gallery_fingerprint(on_server(**change)) for change in ({}, {"generation": 2}, {"last": 9})]
    assert len({*prints, gallery_fingerprint(bundle)}) == 4
    assert gallery_fingerprint(on_server()) == prints[0]


@pytest.mark.parametrize("change", [delete_index, lambda name, place: rename_index(name, "other", place)])
def test_a_map_of_an_index_that_has_gone_makes_no_folder(
    folder: Path, change: Callable[[str, Path], Path]
) -> None:
    bundle = open_bundle(folder)
    change("toy", folder.parent)
    with pytest.raises(MissingBundleError, match="was deleted or renamed meanwhile"):
        write_map(bundle, StoredMap("tsne", np.arange(6), PLACES))
    assert not folder.exists()
