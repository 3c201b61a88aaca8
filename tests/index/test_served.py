"""An index whose items a Milvus server holds, beside the same index of FAISS files."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from msgspec import structs
from numpy.testing import assert_array_equal
from toys import toy_split

from simsearch.errors import (
    BrokenBundleError,
    MissingBundleError,
    NotUsableError,
    UnavailableError,
)
from simsearch.index.build import build_index
from simsearch.index.bundle import MANIFEST, open_bundle, read_manifest
from simsearch.index.catalog import class_counts, delete_index
from simsearch.index.manifest import StoreRecord
from simsearch.index.serving import Target
from simsearch.index.verify import verify
from simsearch.prepare.prepare import Preprocess
from simsearch.search.searcher import Searcher

pytestmark = pytest.mark.engine
PLAIN = Preprocess.NONE


@pytest.fixture(scope="module")
def gallery():
    """Three hundred pictures of three classes; the toy encoder's vectors of many tie."""
    rng = np.random.default_rng(0)
    quadrants = [tuple(int(v) for v in rng.integers(1, 9, 4) * 20) for _ in range(300)]
    return toy_split([(grays, row % 3) for row, grays in enumerate(quadrants)])


@pytest.fixture(scope="module")
def target(milvus):
    return Target(milvus)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, gallery, toy_model, target):
    """The same gallery in files and on the server."""
    indexes = tmp_path_factory.mktemp("indexes")
    build_index(gallery, toy_model, indexes / "files")
    build_index(gallery, toy_model, indexes / "served", target=target)
    return indexes / "files", indexes / "served"


def test_answers_are_those_of_the_same_index_in_files(folders, gallery):
    in_files, served = (Searcher.open(folder) for folder in folders)
    for row in range(0, 300, 37):
        picture = gallery.images[row]
        assert parts(served.query(picture, k=7, preprocess=PLAIN)) == parts(
            in_files.query(picture, k=7, preprocess=PLAIN)
        )
        own = served.query_item(row, k=7, labels=["b"])
        assert parts(own) == parts(in_files.query_item(row, k=7, labels=["b"]))
        assert_array_equal(served.thumbnail(row), in_files.thumbnail(row))
        assert served.label(row) == in_files.label(row)


def parts(answer):
    """What an answer says, without the picture that was asked about."""
    return answer.hits, answer.classes, answer.verdict


def test_a_query_reads_no_column_whole(folders, gallery):
    served = Searcher.open(folders[1])
    served.query(gallery.images[0], preprocess=PLAIN)
    assert not {"ids", "labels"} & vars(served.bundle.columns).keys()


def test_what_needs_everything_gets_it_in_order_of_id(folders, gallery):
    bundle = open_bundle(folders[1])
    assert_array_equal(bundle.ids, np.arange(300), strict=True)
    assert_array_equal(bundle.labels, gallery.labels, strict=True)
    assert list(bundle.sources) == list(gallery.sources)
    assert_array_equal(bundle.thumbnails[np.array([7, 3])], gallery.images[[7, 3]])
    assert_array_equal(bundle.thumbnails[:], gallery.images)
    assert bundle.sources[299] == gallery.sources[299]
    assert class_counts(folders[1], bundle.manifest) == {"a": 100, "b": 100, "c": 100}
    assert all(check.passed for check in verify(folders[1]))


def test_calibration_is_that_of_the_same_index_in_files(folders):
    in_files, served = (read_manifest(folder) for folder in folders)
    assert served.calibration == in_files.calibration
    assert served.calibration is None or served.calibration.gallery


def test_another_build_writes_another_generation_and_the_old_one_goes(
    tmp_path, toy_gallery, toy_model, target
):
    from simsearch.index.stores.milvus.client import Server

    first = build_index(toy_gallery, toy_model, tmp_path / "own", target=target)
    second = build_index(toy_gallery, toy_model, tmp_path / "own", target=target)
    assert second.store.generation == first.store.generation + 1
    names = Server(target.uri).call("list_collections")
    assert second.store.served_name in names
    assert first.store.served_name not in names
    delete_index("own", tmp_path)
    assert second.store.served_name not in Server(target.uri).call("list_collections")
    assert not (tmp_path / "own").exists()


def changed(folder, tmp_path, **changes):
    """The manifest of an index with another record of its store, in a folder of its own."""
    copy = tmp_path / "changed"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    manifest = read_manifest(folder)
    whole = {name: changes.pop(name) for name in ("count", "factory") if name in changes}
    manifest = structs.replace(manifest, store=structs.replace(manifest.store, **changes), **whole)
    (copy / MANIFEST).write_bytes(manifest.to_json())
    return copy


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"generation": 99}, MissingBundleError, "has no collection"),
        ({"uri": "http://127.0.0.1:19999"}, UnavailableError, "gives no answer"),
        ({"factory": "HNSW16"}, BrokenBundleError, "is of the type Flat, not HNSW16"),
    ],
)
def test_what_does_not_fit_is_one_line(folders, tmp_path, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        open_bundle(changed(folders[1], tmp_path, **changes))
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 5}, r"holds vectors of length \[4\], not 5"),
        ({"encoder": "0" * 64}, "were made by another model"),
        ({"factory": "HNSW16"}, "is of the type Flat, not HNSW16"),
    ],
)
def test_a_collection_of_another_kind_is_not_taken_for_its_own(folders, target, changes, message):
    from simsearch.index.stores.milvus.client import Server
    from simsearch.index.stores.milvus.collection import check_collection

    manifest = read_manifest(folders[1])
    own = {"dim": manifest.dim, "encoder": manifest.encoder, "factory": manifest.factory}
    check_collection(Server(target.uri), manifest.store.served_name, **own)
    with pytest.raises(BrokenBundleError, match=message) as caught:
        check_collection(Server(target.uri), manifest.store.served_name, **(own | changes))
    assert caught.value.exit_code == 3


def test_an_incomplete_collection_is_not_answered_from(folders, tmp_path, gallery):
    searcher = Searcher.open(changed(folders[1], tmp_path, count=301, last=300))
    with pytest.raises(UnavailableError, match="the collection is incomplete: 300 of 301 items are served"):
        searcher.query(gallery.images[0], preprocess=PLAIN)
    command = [sys.executable, "-m", "simsearch", "query", "--id", "3", "--index", str(tmp_path / "changed")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 4
    assert (
        done.stderr == "error: the collection is incomplete: 300 of 301 items are served\nhint: try again\n"
    )


@pytest.mark.usefixtures("impatient")
def test_credentials_reach_no_file_and_no_message(tmp_path, toy_gallery, toy_model, target):
    token = os.environ["SIMSEARCH_MILVUS_TOKEN"]  # of the server, which knows no other
    secret = token.partition(":")[2]
    build_index(toy_gallery, toy_model, tmp_path / "own", target=target)
    for path in (tmp_path / "own").iterdir():
        assert secret.encode() not in path.read_bytes()
    with pytest.raises(UnavailableError) as caught:
        build_index(toy_gallery, toy_model, tmp_path / "other", target=Target("http://127.0.0.1:19999"))
    assert secret not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("change", [{"uri": "http://root:pw@h:1"}, {"collection": "a b"}, {"numbers": [7]}])
def test_a_manifest_that_no_build_writes_is_refused(folders, tmp_path, change):
    copy = changed(folders[1], tmp_path)
    fields = json.loads((copy / MANIFEST).read_text())
    fields["store"] |= change
    record = structs.replace(read_manifest(copy), store=StoreRecord(**fields["store"]))
    (copy / MANIFEST).write_bytes(record.to_json())
    with pytest.raises(NotUsableError) as caught:
        open_bundle(copy)
    assert "pw" not in caught.value.message
