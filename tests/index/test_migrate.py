"""An index moved to a server and back: the same items, ids, bits and answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from toys import toy_split

from simsearch.errors import BadInputError, UnavailableError
from simsearch.index import migrate
from simsearch.index.build import build_index
from simsearch.index.bundle import MANIFEST, open_bundle, read_manifest
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


def test_without_a_server_an_index_stays_where_it_is(folder):
    before = (folder / MANIFEST).read_bytes()
    with pytest.raises(UnavailableError, match="gives no answer"):
        to_server(folder, Target("http://127.0.0.1:19999"))
    assert (folder / MANIFEST).read_bytes() == before
    assert len(content(folder)[0]) == 250
