"""An index moved to a server and back: the same items, ids, bits and answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from toys import toy_split

from simsearch.errors import BadInputError, BrokenBundleError, UnavailableError
from simsearch.index import migrate
from simsearch.index.build import build_index
from simsearch.index.bundle import BUILDING, MANIFEST, open_bundle, read_manifest
from simsearch.index.migrate import to_files, to_server
from simsearch.index.serving import PROGRESS, Target

pytestmark = pytest.mark.engine


@pytest.fixture
def folder(tmp_path, toy_model):
    """An index of 250 pictures, calibrated."""
    rng = np.random.default_rng(1)
    grays = [tuple(int(v) for v in rng.integers(1, 9, 4) * 20) for _ in range(250)]
    build_index(toy_split([(one, row % 3) for row, one in enumerate(grays)]), toy_model, tmp_path / "own")
    return tmp_path / "own"


def content(folder):
    bundle = open_bundle(folder)
    ids = np.asarray(bundle.ids)
    hits = bundle.store.search(bundle.store.vectors(ids[:20]), 9)
    return ids, bundle.store.vectors(ids), np.asarray(bundle.labels), np.asarray(bundle.thumbnails[:]), *hits


def assert_same(first, second) -> None:
    for a, b in zip(first, second, strict=True):
        assert_array_equal(a, b)


def test_there_and_back_everything_is_as_it_was(folder, milvus):
    from simsearch.index.stores.milvus.client import Server

    before, manifest = content(folder), read_manifest(folder)
    sources = list(open_bundle(folder).sources)
    moved = to_server(folder, Target(milvus))
    assert moved.store is not None
    assert sorted(path.suffix for path in folder.iterdir()) == [
        "",
        ".json",
        ".onnx",
    ]  # the lock, the manifest, the encoder
    assert_same(content(folder), before)
    assert list(open_bundle(folder).sources) == sources
    assert moved.calibration == manifest.calibration
    with pytest.raises(BadInputError, match="is on a server already"):
        to_server(folder, Target(milvus))
    back = to_files(folder, "Flat")
    assert_same(content(folder), before)
    assert back.files == manifest.files  # byte for byte
    assert moved.store.served_name not in Server(milvus).call("list_collections")
    with pytest.raises(BadInputError, match="is in files already"):
        to_files(folder, "Flat")


def test_a_move_that_was_stopped_goes_on_behind_what_was_acknowledged(folder, milvus, monkeypatch):
    from simsearch.index.stores.milvus import collection as stored

    monkeypatch.setattr(migrate, "_BLOCK", 50)
    before, sent = content(folder), []
    upsert = stored.upsert

    def stopped_at_the_third(server, name, items):
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(items.ids[0])
        upsert(server, name, items)

    monkeypatch.setattr(stored, "upsert", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        to_server(folder, Target(milvus))
    assert_same(content(folder), before)  # still in its files
    sent.clear()
    monkeypatch.setattr(stored, "upsert", lambda *args: (sent.append(args[2].ids[0]), upsert(*args)))
    to_server(folder, Target(milvus))
    assert sent == [100, 150, 200]
    assert not (folder / PROGRESS).exists()
    assert_same(content(folder), before)


def test_a_move_back_that_was_stopped_goes_on_behind_what_was_kept(folder, milvus, monkeypatch):
    from simsearch.index.stores.milvus import reader

    before, done = content(folder), []
    to_server(folder, Target(milvus))
    monkeypatch.setattr(reader, "LIMIT", 100)  # so pages are of 50 items
    segment = migrate._segment

    def stopped_at_the_third(place, manifest, load):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(int(load.ids[0]))
        return segment(place, manifest, load)

    monkeypatch.setattr(migrate, "_segment", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        to_files(folder, "Flat")
    assert_same(content(folder), before)  # still on the server
    assert (folder / BUILDING).is_dir()
    done.clear()
    monkeypatch.setattr(
        migrate, "_segment", lambda *args: (done.append(int(args[2].ids[0])), segment(*args))[1]
    )
    told: list[int] = []
    to_files(folder, "Flat", on_progress=told.append)
    assert done == [100, 150, 200]
    assert told == [100, 50, 50, 50]
    assert_same(content(folder), before)
    assert not (folder / BUILDING).exists()


@pytest.mark.parametrize("factory", ["HNSW8", "IVF4,Flat"])
def test_a_move_back_can_end_in_another_index_type(folder, milvus, factory):
    before = content(folder)[:4]
    to_server(folder, Target(milvus))
    manifest = to_files(folder, factory)
    assert manifest.factory == factory
    assert not open_bundle(folder).store.is_exact
    assert_same(content(folder)[:4], before)


def test_a_server_that_gives_other_items_when_asked_again_is_not_believed(folder, milvus, monkeypatch):
    to_server(folder, Target(milvus))
    before = (folder / MANIFEST).read_bytes()
    segment = migrate._segment
    monkeypatch.setattr(
        migrate,
        "_segment",
        lambda place, manifest, load: segment(
            place, manifest, load._replace(vectors=load.vectors[:, ::-1].copy())
        ),
    )
    with pytest.raises(BrokenBundleError, match="the server gives other items when it is asked again"):
        to_files(folder, "Flat")
    assert (folder / MANIFEST).read_bytes() == before
    assert not [path for path in folder.iterdir() if path.suffix == ".faiss"]  # nothing is left of it


def test_an_index_type_that_cannot_be_is_refused_before_the_work(folder, milvus):
    to_server(folder, Target(milvus))
    with pytest.raises(BadInputError, match="FAISS"):
        to_files(folder, "Nonsense")
    assert not (folder / BUILDING).exists()


@pytest.mark.usefixtures("impatient")
def test_without_a_server_an_index_stays_where_it_is(folder):
    before = (folder / MANIFEST).read_bytes()
    with pytest.raises(UnavailableError, match="gives no answer"):
        to_server(folder, Target("http://127.0.0.1:19999"))
    assert (folder / MANIFEST).read_bytes() == before
    assert len(content(folder)[0]) == 250
