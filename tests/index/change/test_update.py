"""Pictures added, removed, renamed and changed: ids stay, classes come and go, nothing else is touched."""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import assert_tidy
from msgspec import structs
from numpy.testing import assert_array_equal
from PIL import Image
from toys import PLAIN, quadrant_image, write_quadrants

from simsearch.data import collection
from simsearch.data.folders import load_image_folder
from simsearch.data.vector_tables import VectorTable
from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError, BusyError, MissingBundleError, MissingExtraError
from simsearch.index import reading
from simsearch.index.build import build_index
from simsearch.index.bundle import bundle_lock, commit, open_bundle, read_items, read_manifest
from simsearch.index.catalog import class_counts
from simsearch.index.change.paths import chosen_items
from simsearch.index.importing import import_index
from simsearch.index.manifest import StoreRecord
from simsearch.index.stores.base import gather
from simsearch.index.update import Index
from simsearch.index.verify import verify
from simsearch.search.searcher import Searcher

GREYS = [(100, 0, 0, 0), (60, 80, 0, 0), (0, 100, 0, 0), (0, 0, 60, 80), (0, 0, 0, 90), (80, 60, 0, 0)]
FILES = ["a/0.png", "a/1.png", "b/2.png", "b/3.png", "b/4.png", "b/5.png"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two pictures of class a and four of class b."""
    for name, grays in zip(FILES, GREYS, strict=True):
        write_quadrants(tmp_path / "pictures" / name, *grays)
    return tmp_path / "pictures"


@pytest.fixture
def index(pictures: Path, plain_model: Model, tmp_path: Path) -> Index:
    build_index(load_image_folder(pictures, PLAIN, processes=1), plain_model, tmp_path / "index")
    return Index.open(tmp_path / "index", threads=1)


def held(folder: Path) -> dict[int, tuple[str, str | None]]:
    """What an index holds: source and class by id. Pictures must give the vectors, files be tidy."""
    bundle = open_bundle(folder, threads=1)
    vectors = bundle.encoder.encode(np.asarray(bundle.thumbnails[:]))
    assert_array_equal(gather(bundle.store).vectors, vectors)
    assert_tidy(folder)
    labels = [None] * len(bundle.ids) if bundle.labels is None else bundle.labels.tolist()
    names = [None if label is None else bundle.manifest.classes[label] for label in labels]
    return dict(zip(bundle.ids.tolist(), zip(bundle.sources, names, strict=True), strict=True))


BEFORE = {number: (name, name[0]) for number, name in enumerate(FILES)}


def test_a_class_of_which_no_file_can_be_read_is_no_class(index: Index, pictures: Path) -> None:
    (pictures / "z").mkdir()
    (pictures / "z" / "0.png").write_bytes(b"no picture")
    write_quadrants(pictures / "c" / "0.png", 10, 20, 200, 40)
    index.add_paths([pictures / "z" / "0.png", pictures / "c" / "0.png"])
    assert index.manifest.classes == ("a", "b", "c")
    index.sync()
    assert Index.open(index.folder).manifest.classes == ("a", "b", "c")


def test_a_sync_says_that_a_table_lacks_most_files(index: Index, pictures: Path, tmp_path: Path) -> None:
    for number in range(20):
        write_quadrants(pictures / "b" / f"more{number}.png", 10 * number, 20, 200, 40)
    index.sync()
    (tmp_path / "t.csv").write_text("path,label\na/0.png,a\nb/2.png,b\n")
    with pytest.raises(BadInputError) as caught:
        index.sync(labels=str(tmp_path / "t.csv"))
    assert caught.value.message.endswith("would go, because their files are without a label in t.csv")
    assert "disk" not in caught.value.hint


def test_a_class_is_the_same_however_its_name_is_written(index: Index) -> None:
    index.add([quadrant_image(1, 2, 3, 4)], labels="café")
    index.add([quadrant_image(1, 2, 3, 5)], labels=" cafe\u0301 ")
    assert index.manifest.classes == ("a", "b", "café")
    chosen = list(chosen_items(index.items(), index.manifest, labels=["cafe\u0301"]))
    assert [known.id for known in chosen] == [6, 7]
    searcher = Searcher.open(index.folder)
    hits = searcher.query(quadrant_image(1, 2, 3, 4), labels=["cafe\u0301"]).hits
    assert {hit.id for hit in hits} == {6, 7}
    for label in ("  ", "\udcff"):
        with pytest.raises(BadInputError, match="cannot name a class"):
            index.add([quadrant_image(1, 2, 3, 4)], labels=label)
    assert Index.open(index.folder).manifest == index.manifest


def test_a_picture_that_is_added_gets_the_next_id_and_the_class_of_its_folder(
    index: Index, pictures: Path
) -> None:
    new = write_quadrants(pictures / "c" / "new.png", 9, 0, 9, 0)
    outcome = index.add([new], labels="c")
    assert (outcome.added, outcome.removed, outcome.skipped) == ((6,), (), ())
    assert held(index.folder) == {**BEFORE, 6: ("c/new.png", "c")}
    assert len(index) == 7
    assert class_counts(index.folder, index.manifest) == {"a": 2, "b": 4, "c": 1}
    assert index.add_paths([write_quadrants(pictures / "a" / "x.png", 7, 0, 0, 1)]).added == (7,)
    assert held(index.folder)[7] == ("a/x.png", "a")
    assert all(check.passed for check in verify(index.folder, threads=1))


def test_a_folder_inside_the_folder_of_the_index_is_seen_from_there(index: Index, pictures: Path) -> None:
    write_quadrants(pictures / "a" / "deep" / "1.png", 7, 0, 0, 1)
    (pictures / "a" / "notes.txt").write_text("no picture")
    outcome = index.add_paths([pictures / "a", pictures / "a"])
    assert held(index.folder) == {**BEFORE, 6: ("a/deep/1.png", "a")}
    reasons = {entry.path: entry.reason for entry in outcome.skipped}
    assert reasons == {
        "notes.txt": "not a picture",
        "a/0.png": "already in the index",
        "a/1.png": "already in the index",
    }


def test_files_from_elsewhere_are_known_by_their_whole_path(index: Index, tmp_path: Path) -> None:
    elsewhere = write_quadrants(tmp_path / "elsewhere" / "z" / "1.png", 7, 0, 0, 1)
    index.add_paths([tmp_path / "elsewhere"], labels="folder")
    assert held(index.folder)[6] == (str(elsewhere), "z")
    with pytest.raises(BadInputError, match=r"there is nothing to add \(.*1.png: already in the index\)"):
        index.add([elsewhere], labels=["z"])


def test_arrays_and_bytes_can_be_added(index: Index) -> None:
    image = quadrant_image(1, 2, 3, 4)
    assert index.add([image, Image.fromarray(image)], labels=["a", "d"]).added == (6, 7)
    assert held(index.folder) == {**BEFORE, 6: ("added/6", "a"), 7: ("added/7", "d")}


def test_ids_are_never_used_again(index: Index) -> None:
    index.remove([5])
    index.compact()
    assert index.add([quadrant_image(1, 2, 3, 4)], labels="b").added == (6,)
    index.remove([6, 0])
    assert index.add([quadrant_image(1, 2, 3, 4)], labels="b").added == (7,)
    assert sorted(held(index.folder)) == [1, 2, 3, 4, 7]


def test_a_class_that_lost_its_last_item_is_gone_and_can_come_back(index: Index) -> None:
    index.remove([0, 1])
    assert read_manifest(index.folder).classes == ("b",)
    assert held(index.folder) == {number: BEFORE[number] for number in (2, 3, 4, 5)}
    index.add([quadrant_image(1, 2, 3, 4)], labels="a")
    assert read_manifest(index.folder).classes == ("a", "b")
    index.add([quadrant_image(1, 2, 3, 5)], labels="0")
    assert read_manifest(index.folder).classes == ("0", "a", "b")
    index.compact()
    assert read_manifest(index.folder).class_numbers is None
    assert {item: label for item, (_, label) in held(index.folder).items()} == {
        2: "b", 3: "b", 4: "b", 5: "b", 6: "a", 7: "0",
    }  # fmt: skip


def test_an_index_without_classes_takes_none(pictures: Path, plain_model: Model, tmp_path: Path) -> None:
    split = load_image_folder(pictures, PLAIN, labels="none", processes=1)
    build_index(split, plain_model, tmp_path / "plain")
    index = Index.open(tmp_path / "plain", threads=1)
    with pytest.raises(BadInputError, match="has no classes"):
        index.add([quadrant_image(1, 2, 3, 4)], labels="a")
    assert index.add([quadrant_image(1, 2, 3, 4)]).added == (6,)
    assert held(index.folder)[6] == ("added/6", None)


def test_what_cannot_be_done_is_said_and_changes_nothing(
    index: Index, pictures: Path, tmp_path: Path
) -> None:
    before = held(index.folder)
    manifest = read_manifest(index.folder)
    broken = pictures / "a" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno")
    loose = write_quadrants(tmp_path / "loose.png", 1, 2, 3, 4)
    for do, message in [
        (lambda: index.remove([99]), "there is no item 99 in index"),
        (lambda: index.remove([]), "there is nothing to remove"),
        (lambda: index.remove(range(6)), "nothing would be left in index"),
        (lambda: index.add_paths([tmp_path / "absent"]), "there is no .*absent"),
        (lambda: index.add_paths([loose]), "index has classes, and .*loose.png has none"),
        (lambda: index.add([loose]), "index has classes, and a picture has none"),
        (lambda: index.add([loose], labels=["a", "b"]), "there are 1 pictures and 2 labels"),
        (lambda: index.add([loose, quadrant_image(1, 2, 3, 4)], labels="a"), "cannot be added together"),
        (lambda: index.add([broken], labels="a"), r"nothing to add \(a/broken.png: cannot decode it"),
        (
            lambda: index.add([np.zeros((28, 28), np.uint8)], labels="a"),
            "no vector|no unit vector|not finite",
        ),
    ]:
        with pytest.raises(BadInputError, match=message):
            do()
    assert held(index.folder) == before
    assert read_manifest(index.folder) == manifest


def test_a_second_writer_is_told_in_one_line(index: Index) -> None:
    with bundle_lock(index.folder), pytest.raises(BusyError, match="another process is writing"):
        index.remove([0])


def test_there_must_be_an_index(tmp_path: Path) -> None:
    with pytest.raises(MissingBundleError):
        Index.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


# --- sync


def test_a_sync_without_changes_records_the_files_once(index: Index) -> None:
    assert index.plan().kept == 6
    index.sync()
    assert held(index.folder) == BEFORE
    manifest = read_manifest(index.folder)
    outcome = index.sync()
    assert (outcome.added, outcome.removed) == ((), ())
    assert read_manifest(index.folder) == manifest


def test_files_that_are_new_changed_renamed_or_gone_are_followed(index: Index, pictures: Path) -> None:
    index.sync()
    write_quadrants(pictures / "c" / "new.png", 9, 0, 9, 0)
    write_quadrants(pictures / "a" / "1.png", 1, 2, 3, 4)
    (pictures / "b" / "2.png").rename(pictures / "b" / "two.png")
    (pictures / "b" / "3.png").rename(pictures / "a" / "three.png")
    (pictures / "b" / "4.png").unlink()
    os.utime(pictures / "b" / "5.png", (1, 1))
    plan = index.plan()
    assert [item.path for item, _ in plan.added] == ["a/1.png", "c/new.png"]
    assert [known.source for known in plan.changed] == ["a/1.png"]
    assert [known.source for known in plan.gone] == ["b/4.png"]
    assert {item: revision.source for item, revision in plan.renamed.items()} == {
        2: "b/two.png",
        3: "a/three.png",
    }
    assert (list(plan.touched), plan.kept) == ([5], 2)
    outcome = index.sync()
    assert (outcome.added, outcome.removed) == ((6, 7), (1, 4))
    assert held(index.folder) == {
        0: ("a/0.png", "a"),
        2: ("b/two.png", "b"),
        3: ("a/three.png", "a"),
        5: ("b/5.png", "b"),
        6: ("a/1.png", "a"),
        7: ("c/new.png", "c"),
    }
    assert not index.plan()


def test_a_file_that_changed_before_the_first_sync_is_noticed_by_its_time(
    index: Index, pictures: Path
) -> None:
    changed = write_quadrants(pictures / "a" / "1.png", 1, 2, 3, 4)
    os.utime(changed, (2**32, 2**32))
    assert [known.id for known in index.plan().changed] == [1]


def test_copies_that_change_places_keep_one_id_each(index: Index, pictures: Path) -> None:
    copy = (pictures / "a" / "0.png").read_bytes()
    (pictures / "a" / "copy.png").write_bytes(copy)
    index.sync()
    (pictures / "a" / "0.png").rename(pictures / "b" / "x.png")
    (pictures / "a" / "copy.png").rename(pictures / "b" / "y.png")
    index.sync()
    assert {source for source, _ in held(index.folder).values()} >= {"b/x.png", "b/y.png"}
    assert sorted(held(index.folder)) == [0, 1, 2, 3, 4, 5, 6]


def test_another_table_of_labels_gives_items_other_classes(
    index: Index, pictures: Path, tmp_path: Path
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,label\n" + "".join(f"{name},{'ab'[row % 2]}\n" for row, name in enumerate(FILES[:5]))
    )
    outcome = index.sync(labels=str(table))
    assert outcome.removed == (5,)
    assert [label for _, label in held(index.folder).values()] == ["a", "b", "a", "b", "a"]
    assert not index.plan()
    assert pictures.is_dir()


def test_items_from_elsewhere_stay(index: Index, tmp_path: Path) -> None:
    index.add(
        [write_quadrants(tmp_path / "x.png", 1, 2, 3, 4), write_quadrants(tmp_path / "y.png", 4, 2, 3, 4)],
        labels="a",
    )
    (tmp_path / "x.png").unlink()
    index.add([quadrant_image(1, 2, 3, 4)], labels="a")
    index.sync()
    assert sorted(held(index.folder)) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    missing = chosen_items(index.items(), index.manifest, missing=True)
    assert [known.source for known in missing] == [str(tmp_path / "x.png")]


def test_a_moved_folder_is_found_where_it_is_said_to_be(index: Index, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"was made from .*pictures, not from"):
        index.sync(tmp_path)
    pictures.rename(tmp_path / "moved")
    with pytest.raises(BadInputError, match="pictures is not there, so nothing was changed") as caught:
        index.sync()
    assert caught.value.hint == "where it is now: `simsearch sync index FOLDER`"
    index.sync(tmp_path / "moved")
    assert read_manifest(index.folder).root == str(tmp_path / "moved")
    assert held(index.folder) == BEFORE
    for path in (tmp_path / "moved").rglob("*.png"):
        path.unlink()
    with pytest.raises(BadInputError, match="holds no pictures, so nothing would be left"):
        index.sync()
    assert held(index.folder) == BEFORE


def test_most_items_do_not_go_without_a_word(pictures: Path, plain_model: Model, tmp_path: Path) -> None:
    """One of two folders of twelve is on a disk that is not mounted; and then of one that cannot be read."""
    for number in range(24):
        write_quadrants(pictures / "ab"[number % 2] / f"x{number}.png", 1 + number, 2, 3, 4)
    build_index(load_image_folder(pictures, PLAIN, processes=1), plain_model, tmp_path / "index")
    index = Index.open(tmp_path / "index", threads=1)
    (pictures / "b").rename(tmp_path / "b")
    with pytest.raises(BadInputError, match="16 of 30 items of index would go, because") as caught:
        index.sync()
    assert caught.value.hint.startswith("is every disk mounted?")
    assert len(read_items(index.folder, index.manifest)[0].ids) == len(held(index.folder)) == 30
    assert len(index.plan().gone) == 16
    outcome = index.sync(losing_most=True)
    assert (len(outcome.removed), len(index)) == (16, 14)
    write_quadrants(tmp_path / "other" / "a" / "1.png", 200, 2, 3, 4)
    assert len(index.sync(tmp_path / "other", replace=True).removed) == 14
    assert list(held(index.folder).values()) == [("a/1.png", "a")]


def test_what_cannot_be_read_now_stays(index: Index, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pictures / "a" / "1.png").unlink()
    look = collection._look_at

    def failing(path: str, root: Path) -> object:
        return collection._unreadable(OSError(5, "Input/output error")) if path == "b" else look(path, root)

    monkeypatch.setattr(collection, "_look_at", failing)
    outcome = index.sync()
    assert (outcome.removed, [entry.path for entry in outcome.skipped]) == ((1,), ["b"])
    assert held(index.folder) == {number: BEFORE[number] for number in (0, 2, 3, 4, 5)}


def test_a_new_case_or_unicode_form_of_a_name_is_a_new_name(index: Index, pictures: Path) -> None:
    write_quadrants(pictures / "a" / "Caf\N{LATIN SMALL LETTER E WITH ACUTE}.png", 9, 0, 9, 0)
    index.sync()
    (pictures / "a" / "0.png").rename(pictures / "a" / "0.PNG")
    (pictures / "b").rename(pictures / "B")
    (pictures / "a" / "Caf\N{LATIN SMALL LETTER E WITH ACUTE}.png").rename(pictures / "a" / "Cafe\u0301.png")
    outcome = index.sync()
    assert (outcome.added, outcome.removed) == ((), ())
    assert held(index.folder) == {
        0: ("a/0.PNG", "a"),
        1: BEFORE[1],
        **{number: (f"B/{number}.png", "B") for number in (2, 3, 4, 5)},
        6: ("a/Cafe\u0301.png", "a"),
    }


def test_a_file_that_changes_while_it_is_read_is_taken_the_next_time(
    index: Index, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.sync()
    read = reading.read_image_file
    moving = write_quadrants(pictures / "b" / "moving.png", 9, 0, 9, 0)

    def growing(path: Path) -> bytes:
        data = read(path)
        if path == moving:
            path.write_bytes(data + b"more")
        return data

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(reading, "read_image_file", growing)
        with pytest.raises(BadInputError, match=r"moving\.png: it changed while it was read"):
            index.add([moving], labels="b")
        write_quadrants(pictures / "b" / "new.png", 9, 9, 9, 0)
        outcome = index.sync()
    assert [(entry.path, entry.reason) for entry in outcome.skipped] == [
        ("b/moving.png", "it changed while it was read")
    ]
    assert held(index.folder) == {**BEFORE, 6: ("b/new.png", "b")}
    index.sync()
    assert held(index.folder)[7] == ("b/moving.png", "b")


def test_an_index_of_no_folder_is_not_synced(
    build_toy: Callable[..., Path], toy_gallery: object, pictures: Path
) -> None:
    index = Index.open(build_toy(toy_gallery), threads=1)
    with pytest.raises(BadInputError, match="toy was made from toy, not from a folder of images"):
        index.sync(pictures)


# --- segments


def test_segments_stay_few_and_halve_in_size(index: Index) -> None:
    for number in range(20):
        index.add([quadrant_image(number + 1, 2, 3, 4)], labels="a")
        counts = [part.count for part in read_manifest(index.folder).parts]
        assert all(later * 2 <= earlier for earlier, later in itertools.pairwise(counts)), counts
    assert sorted(held(index.folder)) == list(range(26))


def test_a_segment_that_lost_a_quarter_is_written_again(index: Index) -> None:
    index.remove([0])
    assert "removed" in read_manifest(index.folder).files
    index.remove([2])
    assert "removed" not in read_manifest(index.folder).files
    assert [part.count for part in read_manifest(index.folder).parts] == [4]
    assert sorted(held(index.folder)) == [1, 3, 4, 5]


@pytest.mark.parametrize("factory", ["HNSW8", "IVF2,Flat", "SQ8"])
def test_an_approximate_index_is_trained_anew_when_it_is_compacted(
    pictures: Path, plain_model: Model, tmp_path: Path, factory: str
) -> None:
    split = load_image_folder(pictures, PLAIN, processes=1)
    build_index(split, plain_model, tmp_path / "index", factory=factory)
    index = Index.open(tmp_path / "index", threads=1)
    index.add([quadrant_image(1, 2, 3, 4), quadrant_image(4, 3, 2, 1)], labels="a")
    assert [part.factory for part in index.manifest.parts] == [factory, "Flat"]
    assert not open_bundle(index.folder).store.is_exact
    index.remove([0])
    before = held(index.folder)
    index.compact()
    assert held(index.folder) == before
    assert [part.factory for part in index.manifest.parts] == [factory]
    assert all(check.passed for check in verify(index.folder, threads=1))


def test_too_few_items_for_the_index_type_leave_it_as_it_was(
    pictures: Path, plain_model: Model, tmp_path: Path
) -> None:
    split = load_image_folder(pictures, PLAIN, processes=1)
    build_index(split, plain_model, tmp_path / "index", factory="IVF5,Flat")
    index = Index.open(tmp_path / "index", threads=1)
    index.remove([0, 1, 2])
    assert sorted(held(index.folder)) == [3, 4, 5]
    with pytest.raises(BadInputError, match="FAISS cannot build 'IVF5,Flat'"):
        index.compact()
    assert sorted(held(index.folder)) == [3, 4, 5]
    index.add([quadrant_image(1, 2, 3, 4)], labels="a")
    manifest = read_manifest(index.folder)
    for number in range(5):  # as many come as go, so that there are always too few
        index.remove([6 + number])
        index.add([quadrant_image(1, 2, 3, 5 + number)], labels="a")
        manifest = read_manifest(index.folder)
        assert [part.count for part in manifest.parts] == [6, 1]
    assert sorted(held(index.folder)) == [3, 4, 5, 11]
    assert manifest.factory == "IVF5,Flat"


# --- indexes of other kinds


def test_an_index_of_vectors_without_an_encoder_loses_items_and_takes_no_pictures(tmp_path: Path) -> None:
    vectors = np.eye(6, dtype=np.float32)
    sources = tuple(f"{row}.png" for row in range(6))
    table = VectorTable(vectors, np.arange(6), np.arange(6) % 2, ("a", "b"), sources, 0)
    import_index(table, tmp_path / "foreign", dataset="elsewhere")
    index = Index.open(tmp_path / "foreign", threads=1)
    with pytest.raises(BadInputError, match="holds vectors that another program computed"):
        index.add([quadrant_image(1, 2, 3, 4)], labels="a")
    index.remove([0])
    index.remove([1, 2])
    bundle = open_bundle(index.folder, threads=1)
    assert (bundle.ids.tolist(), list(bundle.sources)) == ([3, 4, 5], ["3.png", "4.png", "5.png"])
    assert_array_equal(gather(bundle.store).vectors, vectors[3:])
    assert_tidy(index.folder)


@pytest.mark.skipif(importlib.util.find_spec("pymilvus") is not None, reason="its client is installed")
def test_an_index_whose_items_a_server_holds_is_not_changed_without_its_client(
    build_toy: Callable[..., Path], toy_gallery: object
) -> None:
    folder = build_toy(toy_gallery)
    manifest = read_manifest(folder)
    record = StoreRecord("milvus", "http://127.0.0.1:19530", "toy", 0, 5, (0, 1, 2), True)
    served = structs.replace(manifest, files={"encoder": manifest.files["encoder"]}, store=record)
    commit(folder, served)
    with pytest.raises(MissingExtraError, match="needs pymilvus") as caught:
        Index.open(folder, threads=1).remove([0])
    assert caught.value.hint == "pip install 'simsearch[scale]'"
    assert read_manifest(folder) == served
