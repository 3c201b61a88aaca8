"""An index on a server that changes: beside the same changes of an index in files, and under failures."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from bundles import assert_tidy
from msgspec import structs
from numpy.testing import assert_array_equal
from toys import PLAIN, write_quadrants

from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError, BrokenBundleError, UnavailableError
from simsearch.index.audit.audit import audit
from simsearch.index.audit.copies import find_copies
from simsearch.index.build import build_index
from simsearch.index.bundle import bundle_lock, commit, open_bundle, read_manifest
from simsearch.index.catalog import class_counts
from simsearch.index.change.folder_build import Source, build_folder
from simsearch.index.exporting import export_npz, export_parquet
from simsearch.index.migrate import to_files, to_server
from simsearch.index.serving import Target
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.update import Index
from simsearch.index.verify import verify
from simsearch.search.searcher import Searcher

pytestmark = pytest.mark.engine


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Forty pictures in two folders, made in 2001; those of 4 and 24 are equal but for their class."""
    for number in range(40):
        grays = [(7 * number % 20) * 10 + 10, 200 - number % 20, 5 * (number % 20) + 1, 90]
        file = write_quadrants(tmp_path / "pictures" / "ab"[number // 20] / f"{number:02}.png", *grays)
        os.utime(file, (1_000_000_000 + number,) * 2)
    return tmp_path / "pictures"


@pytest.fixture
def both(tmp_path: Path, pictures: Path, plain_model: Model, milvus: str) -> tuple[Index, Index]:
    """The same index in files and on a server, with the files' stamps."""
    for name in ("files", "served"):
        build_folder(Source(pictures, "pictures", "auto"), plain_model, tmp_path / name, processes=1)
    to_server(tmp_path / "served", Target(milvus))
    return Index.open(tmp_path / "files", threads=1), Index.open(tmp_path / "served", threads=1)


def known(index: Index) -> list[object]:
    """What an index says of its items."""
    return list(index.items())


def collection(index: Index) -> str:
    assert index.manifest.store is not None
    return index.manifest.store.served_name


def assert_alike(files: Index, served: Index) -> None:
    """Items, vectors, pictures and every answer are equal, ids and bits."""
    assert known(served) == known(files)
    a, b = (open_bundle(index.folder, threads=1) for index in (files, served))
    assert b.manifest.classes == a.manifest.classes
    assert b.manifest.count == a.manifest.count
    for mine, theirs in zip(gather(b.store), gather(a.store), strict=True):
        assert_array_equal(mine, theirs)
    assert_array_equal(b.labels, a.labels)
    assert_array_equal(np.asarray(b.thumbnails[:]), np.asarray(a.thumbnails[:]))
    assert class_counts(b.folder, b.manifest) == class_counts(a.folder, a.manifest)
    queries, own = a.store.vectors(np.asarray(a.ids)), np.asarray(a.ids)
    for classes in (None, *([number] for number in range(len(a.manifest.classes)))):
        for mine, theirs in zip(
            b.store.search(queries, 7, classes=classes, left_out=own),
            a.store.search(queries, 7, classes=classes, left_out=own),
            strict=True,
        ):
            assert_array_equal(mine, theirs)
    for mine, theirs in zip(
        b.store.search_each(queries, 3, range(len(a.manifest.classes))),
        a.store.search_each(queries, 3, range(len(a.manifest.classes))),
        strict=True,
    ):
        assert_array_equal(mine, theirs)
    assert len(b.store.sample(1_000).ids) == b.manifest.count
    assert_tidy(b.folder)


def test_changes_do_to_an_index_on_a_server_what_they_do_to_one_in_files(both, pictures, tmp_path):
    files, served = both
    assert_alike(files, served)
    elsewhere = write_quadrants(tmp_path / "own" / "x.png", 9, 200, 30, 4)
    for index in both:
        index.add([elsewhere], labels="c")
        index.add([np.full((28, 28), 7, np.uint8)], labels=["a"])
    assert_alike(files, served)
    for index in both:
        assert index.remove([3, 25, 40]).removed == (3, 25, 40)
        with pytest.raises(BadInputError, match="there is no item 25 in"):
            index.remove([24, 25])
    assert_alike(files, served)
    (pictures / "a" / "10.png").unlink()
    (pictures / "c").mkdir()
    (pictures / "a" / "02.png").rename(pictures / "c" / "02.png")  # another name and another class
    (pictures / "b" / "21.png").rename(pictures / "b" / "z.png")
    write_quadrants(pictures / "b" / "22.png", 1, 2, 3, 4)
    os.utime(pictures / "a" / "05.png", (1_100_000_000,) * 2)  # touched
    plans = [index.plan() for index in both]
    assert plans[0] == plans[1]
    outcomes = [index.sync() for index in both]
    assert outcomes[0].removed == outcomes[1].removed
    assert {item.source for item in served.items()} == {item.source for item in files.items()}
    rows = gather(open_bundle(served.folder).store)
    assert len(rows.ids) == len(np.unique(rows.ids))
    assert not served.plan()  # stamps were recorded, the touched one's too
    assert {"c/02.png": 2, "b/z.png": 21}.items() <= {item.source: item.id for item in served.items()}.items()


def test_an_answer_with_removed_and_revised_items_is_that_of_the_items_that_are_there(both, pictures):
    _, served = both
    served.remove(range(0, 20, 2))
    for number in range(1, 20, 2):  # all that is left of class a gets another name
        (pictures / "a" / f"{number:02}.png").rename(pictures / "b" / f"n{number:02}.png")
    for number in range(0, 20, 2):
        (pictures / "a" / f"{number:02}.png").unlink()
    served.sync()
    bundle = open_bundle(served.folder)
    assert bundle.manifest.classes == ("b",)
    assert bundle.ids.tolist() == [*range(1, 20, 2), *range(20, 40)]
    ids, labels, vectors = gather(bundle.store)
    alone = FaissStore.build(vectors, ids, labels)
    for k in (1, 5, 29, 30, 99):
        for found, expected in zip(bundle.store.search(vectors, k), alone.search(vectors, k), strict=True):
            assert_array_equal(found, expected)
    assert [block.ids.tolist() for block in bundle.store.scan(11)] == [[13, 15, 17, 19, *range(20, 40)]]
    assert all(check.passed for check in verify(served.folder))
    with pytest.raises(ValueError, match="an id is not stored"):
        bundle.store.vectors(np.array([45]))  # the row of a revised item, and no id
    before = known(served)
    served.compact()
    assert known(served) == before
    assert read_manifest(served.folder).next_id == bundle.manifest.next_id
    assert read_manifest(served.folder).files.keys() == {"encoder"}


def test_a_reader_goes_on_with_what_it_opened(both, tmp_path):
    _, served = both
    searcher = Searcher.open(served.folder, threads=1)
    picture = np.asarray(searcher.thumbnail(7))
    before = searcher.query(picture, k=9).hits
    served.add([write_quadrants(tmp_path / "own" / "y.png", 70, 193, 36, 90)], labels="a")
    served.remove([before[0].id])
    assert searcher.query(picture, k=9).hits == before
    assert searcher.bundle.columns.describe(np.array([before[0].id]))
    now = Searcher.open(served.folder, threads=1).query(picture, k=9).hits
    assert before[0].id not in {hit.id for hit in now}
    assert 40 in {hit.id for hit in Searcher.open(served.folder, threads=1).query(picture, k=40).hits}


class KilledError(BaseException):
    """The process is no more."""


def test_what_a_killed_writer_left_is_not_seen_and_its_ids_are_not_used(both, tmp_path, monkeypatch):
    from simsearch.index import remote

    files, served = both
    new = [write_quadrants(tmp_path / "own" / f"{n}.png", n, 90, 100, 7) for n in range(1, 4)]

    def killed(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr(remote, "commit", killed)
    with pytest.raises(KilledError):
        served.remove([4])
    with pytest.raises(KilledError):
        served.add(new, labels="c")
    monkeypatch.undo()
    assert_alike(files, served)  # three rows are there, and nobody sees them
    outcome = served.add(new[:1], labels="c")
    assert outcome.added == (43,)
    bundle = open_bundle(served.folder)
    assert bundle.ids.tolist() == [*range(40), 43]
    assert bundle.store.after_last().tolist() == []
    assert (len(bundle.store), bundle.store.served()) == (41, 44)
    served.compact()
    bundle = open_bundle(served.folder)
    assert bundle.ids.tolist() == [*range(40), 43]
    assert (len(bundle.store), bundle.store.served()) == (41, 41)


def test_a_copy_of_the_folder_that_is_changed_too_does_no_harm(both, tmp_path):
    files, served = both
    copy = Index.open(shutil.copytree(served.folder, tmp_path / "copy"), threads=1)
    new = [write_quadrants(tmp_path / "own" / f"{n}.png", n, 90, 100, 7) for n in range(1, 4)]
    assert served.add(new[:2], labels="a").added == (40, 41)
    assert copy.add(new[2:], labels="b").added == (42,)
    assert served.remove([7]).removed == (7,)
    assert copy.remove([8]).removed == (8,)
    files.add(new[:2], labels="a")
    files.remove([7])
    assert_alike(files, served)
    assert open_bundle(copy.folder).ids.tolist() == [*range(8), *range(9, 40), 42]


def test_nothing_is_committed_that_the_server_gives_back_otherwise(both, tmp_path, monkeypatch):
    from simsearch.index.stores.milvus import collection as stored

    files, served = both
    upsert = stored.upsert

    def damaged(server, name, items) -> None:
        upsert(server, name, items._replace(vectors=items.vectors[:, ::-1].copy()))

    monkeypatch.setattr(stored, "upsert", damaged)
    with pytest.raises(BrokenBundleError, match="the server gives back other items than it was given"):
        served.add([write_quadrants(tmp_path / "own" / "x.png", 9, 200, 30, 4)], labels="c")
    monkeypatch.undo()
    assert_alike(files, served)


def test_pictures_of_any_name_are_known_by_it(both, pictures):
    _, served = both
    names = ["it's.png", 'a "b".png', "back\\slash.png", "ü 本.png", "x\ny.png", "base64:x.png"]
    files = [write_quadrants(pictures / "a" / name, 3, 50 + row, 7, 100) for row, name in enumerate(names)]
    assert len(served.add(files, labels="a").added) == len(names)
    assert {f"a/{name}" for name in names} <= {item.source for item in served.items()}
    with pytest.raises(BadInputError, match="already in the index"):
        served.add(files, labels="a")
    assert not served.plan()


def test_what_cannot_be_done_is_one_line_and_changes_nothing(both, tmp_path):
    files, served = both
    with pytest.raises(BadInputError, match="nothing would be left in served"):
        served.remove(range(40))
    with pytest.raises(BadInputError, match="has classes, and a picture has none"):
        served.add([np.full((28, 28), 7, np.uint8)])
    with pytest.raises(BadInputError, match="there is nothing to add"):
        served.add([tmp_path / "pictures" / "a" / "01.png"], labels="a")
    assert_alike(files, served)


def test_a_thousand_new_items_are_found_exactly_before_the_server_seals_them(milvus, tmp_path, plain_model):
    rng = np.random.default_rng(0)
    grays = rng.integers(1, 250, (3_000, 4))
    split = load_image_folder(first_pictures(tmp_path / "pictures"), PLAIN, processes=1)
    build_index(split, plain_model, tmp_path / "served", target=Target(milvus))
    index = Index.open(tmp_path / "served", threads=1)
    pixels = [np.kron(row.reshape(2, 2), np.ones((14, 14))).astype(np.uint8) for row in grays]
    index.add(pixels, labels="a")
    store = open_bundle(index.folder).store
    ids, labels, vectors = gather(store)
    expected = FaissStore.build(vectors, ids, labels).search(vectors[::50], 10)
    for found, right in zip(store.search(vectors[::50], 10), expected, strict=True):
        assert_array_equal(found, right)


def first_pictures(folder: Path) -> Path:
    for number in range(4):
        write_quadrants(folder / "ab"[number % 2] / f"{number}.png", 10 + number, 20, 30, 40)
    return folder


def test_audits_copies_and_exports_say_what_they_say_of_files(both, tmp_path):
    files, served = (open_bundle(index.folder, threads=1) for index in both)
    found = [audit(bundle, k=3).to_dict() | {"index": ""} for bundle in (files, served)]
    assert found[0] == found[1]
    assert found[0]["items"] == 40
    copies = [find_copies(bundle) for bundle in (files, served)]
    assert copies[0] == copies[1]
    assert copies[0].pairs
    for bundle in (files, served):
        export_npz(bundle, tmp_path / f"{bundle.manifest.name}.npz", 3)
        export_parquet(bundle, tmp_path / f"{bundle.manifest.name}.parquet", 3)
    for suffix in (".npz", ".parquet"):
        assert (tmp_path / f"served{suffix}").read_bytes() == (tmp_path / f"files{suffix}").read_bytes()


def test_an_index_that_changed_moves_back_with_its_ids_and_stamps(both, tmp_path):
    files, served = both
    elsewhere = write_quadrants(tmp_path / "own" / "x.png", 9, 200, 30, 4)
    for index in both:
        index.add([elsewhere], labels="0")
        index.remove([5])
    to_files(served.folder, "Flat")
    back = Index.open(served.folder, threads=1)
    assert known(back) == known(files)
    assert back.plan() == files.plan()
    assert back.add([np.full((28, 28), 7, np.uint8)], labels=["a"]).added == (41,)


@pytest.mark.usefixtures("impatient")
def test_without_its_server_an_index_is_not_changed(both):
    _, served = both
    manifest = read_manifest(served.folder)
    nowhere = structs.replace(manifest.store, uri="http://127.0.0.1:19999")
    with bundle_lock(served.folder):
        commit(served.folder, structs.replace(manifest, store=nowhere))
    before = (served.folder / "manifest.json").read_bytes()
    with pytest.raises(UnavailableError, match="gives no answer"):
        served.remove([3])
    assert (served.folder / "manifest.json").read_bytes() == before
