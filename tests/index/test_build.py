"""What a build writes down about itself, and what it refuses before it writes anything."""

from __future__ import annotations

import datetime
import hashlib
import platform
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
from msgspec import structs
from numpy.testing import assert_array_equal
from toys import toy_split

from simsearch import __version__
from simsearch.errors import BadDatasetError, BadImageError, BadInputError
from simsearch.index import data_files
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle, read_manifest
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.packed import Sources
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore
from simsearch.prepare.prepare import PREPROCESSING_VERSION
from simsearch.stats.calibration import PlattScaling


def test_the_manifest_says_what_was_built(toy_gallery, toy_model, tmp_path):
    folder = tmp_path / "my-index"
    before = datetime.datetime.now(datetime.UTC)
    manifest = build_index(
        replace(toy_gallery, sha256={"images": "d" * 64}), toy_model, folder, factory="SQ8"
    )
    after = datetime.datetime.now(datetime.UTC)
    assert read_manifest(folder) == manifest
    assert before <= datetime.datetime.fromisoformat(manifest.created) <= after
    libraries = ("faiss-cpu", "numpy", "onnxruntime", "pillow")
    assert structs.replace(manifest, created="", files={}) == structs.replace(
        manifest,
        name="my-index",
        created="",
        count=6,
        dim=4,
        factory="SQ8",
        model="toy",
        encoder=hashlib.sha256(toy_model.encoder.model).hexdigest(),
        preprocessing=PREPROCESSING_VERSION,
        projection=PlattScaling(10.0, -5.0),
        dataset="toy",
        data_sha256={"images": "d" * 64},
        classes=("a", "b", "c"),
        versions={
            "simsearch": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in libraries},
        },
        files={},
        dtype="float32",
        metric="inner_product",
    )


ALWAYS = {"index", "encoder", "ids", "thumbnails", "sources", "source_ends"}


@pytest.mark.parametrize(
    ("factory", "labeled", "roles"),
    [
        ("Flat", True, ALWAYS | {"labels"}),
        ("Flat", False, ALWAYS),
        ("IVF2,Flat", True, ALWAYS | {"labels", "vectors"}),
        ("HNSW8", False, ALWAYS | {"vectors"}),
    ],
)
def test_a_bundle_has_the_files_that_it_needs(toy_gallery, build_toy, factory, labeled, roles):
    split = toy_gallery if labeled else replace(toy_gallery, labels=None, classes=())
    folder = build_toy(split, factory=factory)
    manifest = read_manifest(folder)
    assert set(manifest.files) == roles
    assert {role: (folder / entry.name).stat().st_size for role, entry in manifest.files.items()} == {
        role: entry.size for role, entry in manifest.files.items()
    }


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF2,Flat", "SQ8", "PQ1x2"])
def test_every_kind_of_index_keeps_the_exact_vectors(toy_gallery, toy_model, build_toy, factory):
    store = open_bundle(build_toy(toy_gallery, factory=factory)).store
    vectors = toy_model.encoder.encode(toy_gallery.images)
    assert_array_equal(gather(store).vectors, vectors, strict=True)
    assert_array_equal(store.search(vectors[:1], 3).ids, [[0, 1, 2]])


def test_the_same_gallery_gives_the_same_files(toy_gallery, build_toy):
    first, second = (read_manifest(build_toy(toy_gallery, name)) for name in ("a", "b"))
    assert first.files == second.files


def test_two_builds_of_one_gallery_are_told_apart(toy_gallery, build_toy):
    """A reader that misses a file asks whether the manifest has changed since it read it."""
    assert len({read_manifest(build_toy(toy_gallery)).created for _ in range(3)}) == 3


def test_progress_counts_every_image_once(toy_model, tmp_path):
    split = toy_split([((1 + row % 200, 7, 0, 0), 0) for row in range(150)])
    seen = []
    build_index(split, toy_model, tmp_path / "toy", on_progress=seen.append)
    assert seen == [64, 64, 22]


def test_an_empty_gallery_is_refused_and_nothing_is_written(toy_gallery, toy_model, tmp_path):
    with pytest.raises(BadDatasetError) as caught:
        build_index(toy_gallery.take([]), toy_model, tmp_path / "toy")
    assert (caught.value.exit_code, str(caught.value)) == (2, "toy holds no images")
    assert not (tmp_path / "toy").exists()


def test_an_image_without_a_vector_is_named_and_no_index_is_written(toy_gallery, toy_model, tmp_path):
    images = toy_gallery.images.copy()
    images[4] = 0
    with pytest.raises(BadImageError) as caught:
        build_index(replace(toy_gallery, images=images), toy_model, tmp_path / "toy")
    assert (caught.value.exit_code, str(caught.value)) == (
        2,
        "the encoder gave no unit vector for image 4 (length nan)",
    )
    assert caught.value.hint == "this picture shows nothing: leave it out"
    assert not (tmp_path / "toy").exists()


@pytest.mark.parametrize("factory", ["Junk", "", "IVF7,Flat", "HNSW0", "LSH"])
def test_a_factory_that_cannot_work_is_refused_and_the_old_index_stays(
    toy_gallery, toy_model, build_toy, factory
):
    folder = build_toy(toy_gallery)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BadInputError, match="FAISS cannot build") as caught:
        build_index(toy_gallery.take([0, 1, 2]), toy_model, folder, factory=factory)
    assert caught.value.exit_code == 2
    assert caught.value.hint == "`Flat`, `HNSW32` and `IVF100,Flat` work on most galleries"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_index_that_faiss_would_not_read_back_is_refused_and_the_old_one_stays(
    toy_gallery, toy_model, build_toy, monkeypatch
):
    folder = build_toy(toy_gallery)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(FaissStore, "write", lambda _, path: path.write_bytes(b"IxFI" + bytes(40)))
    with pytest.raises(BadInputError, match="FAISS cannot read it"):
        build_index(toy_gallery, toy_model, folder, factory="SQ8")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_ids_count_from_0_in_the_order_of_the_gallery(toy_gallery, build_toy):
    order = [5, 0, 3]
    bundle = open_bundle(build_toy(toy_gallery.take(order)))
    assert_array_equal(bundle.ids, [0, 1, 2], strict=True)
    assert_array_equal(bundle.labels, [2, 0, 1], strict=True)
    assert list(bundle.sources) == ["toy/5", "toy/0", "toy/3"]
    np.testing.assert_allclose(
        gather(bundle.store).vectors, [[0, 0, 0.6, 0.8], [1, 0, 0, 0], [0, 1, 0, 0]], atol=1e-6
    )


def test_half_a_character_in_a_source_is_spelt_out():
    """Windows allows it in names of files; UTF-8 has no bytes for it. Bytes that are no UTF-8 come back."""
    found = list(Sources(*Sources.pack(["a\ud800b", "\udfff", "\udc80\udcff", "ok"])))
    assert found == [r"a\ud800b", r"\udfff", "\udc80\udcff", "ok"]


def test_on_windows_a_data_file_that_is_there_already_may_be_in_use(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "mapped by a reader")

    entry = write_data_file(tmp_path, "ids", write_array(np.arange(3)))
    before = (tmp_path / entry.name).read_bytes()
    monkeypatch.setattr(data_files, "replace_file", refuse)
    with pytest.raises(PermissionError):  # elsewhere it is an error
        write_data_file(tmp_path, "ids", write_array(np.arange(3)))
    source, windows = tmp_path / "source", type("Windows", (), {"name": "nt"})
    source.write_bytes(before)
    monkeypatch.setattr(data_files, "os", windows)
    data_files._give_name(source, tmp_path / entry.name, entry)
    (tmp_path / entry.name).write_bytes(b"damaged")
    with pytest.raises(PermissionError):
        data_files._give_name(source, tmp_path / entry.name, entry)
