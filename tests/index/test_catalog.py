"""Which indexes there are, what they are called, and that none is lost or replaced by mistake."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simsearch.data.splits import Split
from simsearch.errors import BadInputError, BrokenBundleError, BusyError, MissingBundleError
from simsearch.index import locations
from simsearch.index.bundle import MANIFEST, bundle_lock, open_bundle, read_manifest
from simsearch.index.catalog import (
    catalog,
    changeable,
    check_source,
    class_counts,
    delete_index,
    rename_index,
)

Build = Callable[..., Path]


@pytest.fixture(autouse=True)
def _nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "_PACKAGE", tmp_path / "site" / "simsearch")


def test_every_index_is_listed_also_one_that_cannot_be_read(
    tmp_path: Path, build_toy: Build, toy_gallery: Split
) -> None:
    build_toy(toy_gallery, "b")
    (build_toy(toy_gallery, "a") / MANIFEST).write_text("{}")
    (tmp_path / "no-index").mkdir()
    a, b = catalog(tmp_path)
    assert (a.name, a.manifest, a.size, a.age) == ("a", None, 0, None)
    assert "has format None" in (a.problem or "")
    assert b.manifest is not None
    assert (b.name, b.manifest.count, b.problem) == ("b", 6, None)
    assert b.size == sum(file.stat().st_size for file in b.folder.glob("*-*"))
    assert 0 <= (b.age or 0) < 600


def test_classes_are_counted(build_toy: Build, toy_gallery: Split) -> None:
    folder = build_toy(replace(toy_gallery, classes=("a", "b", "c", "none of these")))
    manifest = read_manifest(folder)
    assert class_counts(folder, manifest) == {"a": 3, "b": 2, "c": 1, "none of these": 0}
    unlabeled = build_toy(replace(toy_gallery, labels=None, classes=()), "plain")
    assert class_counts(unlabeled, read_manifest(unlabeled)) == {}
    (folder / manifest.files["labels"].name).write_bytes(b"junk")
    with pytest.raises(BrokenBundleError):
        class_counts(folder, manifest)
    (folder / manifest.files["labels"].name).unlink()
    with pytest.raises(BrokenBundleError, match="lacks labels-"):
        class_counts(folder, manifest)


def test_a_renamed_index_answers_under_its_new_name_alone(
    tmp_path: Path, build_toy: Build, toy_gallery: Split
) -> None:
    old = build_toy(toy_gallery, "old")
    before = read_manifest(old)
    assert rename_index("old", "new", tmp_path) == tmp_path / "new"
    assert not old.exists()
    after = open_bundle(tmp_path / "new").manifest
    assert (after.name, after.files, after.created) == ("new", before.files, before.created)


@pytest.mark.parametrize("name", ["taken", "../up", "old"])
def test_a_name_that_is_taken_or_impossible_is_refused(
    tmp_path: Path, build_toy: Build, toy_gallery: Split, name: str
) -> None:
    build_toy(toy_gallery, "old")
    (tmp_path / "taken").mkdir()
    with pytest.raises(BadInputError):
        rename_index("old", name, tmp_path)
    assert read_manifest(tmp_path / "old").name == "old"


def test_a_folder_with_other_files_keeps_them_and_its_name(
    tmp_path: Path, build_toy: Build, toy_gallery: Split
) -> None:
    folder = build_toy(toy_gallery, "photos")
    (folder / "precious.png").touch()
    with pytest.raises(BadInputError, match=r"also holds precious\.png"):
        rename_index("photos", "new", tmp_path)
    assert delete_index("photos", tmp_path) == folder
    assert [path.name for path in folder.iterdir()] == ["precious.png"]


def test_a_deleted_index_is_gone_with_its_folder(
    tmp_path: Path, build_toy: Build, toy_gallery: Split
) -> None:
    folder = build_toy(toy_gallery, "old")
    delete_index("old", tmp_path)
    assert not folder.exists()
    with pytest.raises(MissingBundleError):
        delete_index("old", tmp_path)


@pytest.mark.parametrize(
    "change", [delete_index, lambda name, index_dir: rename_index(name, "new", index_dir)]
)
def test_an_index_that_is_being_written_is_left_alone(
    tmp_path: Path, build_toy: Build, toy_gallery: Split, change: Callable[[str, Path], Path]
) -> None:
    folder = build_toy(toy_gallery, "old")
    with bundle_lock(folder), pytest.raises(BusyError):
        change("old", tmp_path)
    assert read_manifest(folder).count == 6


@pytest.mark.parametrize("index_dir", ["indexes", "elsewhere"])
def test_the_shipped_index_stays_as_it_is(
    tmp_path: Path, build_toy: Build, toy_gallery: Split, index_dir: str
) -> None:
    built = build_toy(toy_gallery, "mnist-test")
    shipped = tmp_path / "site" / "indexes" / "mnist-test"
    shipped.parent.mkdir(parents=True)
    built.rename(shipped)
    for change in (delete_index, lambda name, place: rename_index(name, "mine", place)):
        with pytest.raises(BadInputError, match="ships with simsearch"):
            change("mnist-test", tmp_path / "site" / index_dir)
    assert read_manifest(shipped).count == 6


def test_a_checkouts_own_indexes_are_its_users(tmp_path: Path, build_toy: Build, toy_gallery: Split) -> None:
    checkout = tmp_path / "site" / "indexes"
    checkout.mkdir(parents=True)
    build_toy(toy_gallery, "mine").rename(checkout / "mine")
    with pytest.raises(MissingBundleError, match="there is no index in") as caught:
        delete_index("mine", tmp_path)  # it answers everywhere, and is deleted where it lies
    assert caught.value.hint == f"there is one in {checkout / 'mine'}: add --index-dir {checkout}"
    with pytest.raises(MissingBundleError):
        changeable("mine", tmp_path)
    assert changeable("mine", checkout) == checkout / "mine"
    assert rename_index("mine", "ours", checkout) == checkout / "ours"
    delete_index("ours", checkout)
    assert list(checkout.iterdir()) == []


def test_what_leads_to_the_shipped_index_is_the_shipped_index(
    tmp_path: Path, build_toy: Build, toy_gallery: Split
) -> None:
    shipped = tmp_path / "site" / "indexes" / "mnist-test"
    shipped.parent.mkdir(parents=True)
    build_toy(toy_gallery, "mnist-test").rename(shipped)
    (tmp_path / "mine").symlink_to(shipped)
    for change in (delete_index, changeable, lambda name, place: rename_index(name, "other", place)):
        with pytest.raises(BadInputError, match="ships with simsearch"):
            change("mine", tmp_path)
    assert read_manifest(shipped).count == 6


def test_of_a_link_to_an_index_only_the_link_is_deleted(
    tmp_path: Path, build_toy: Build, toy_gallery: Split
) -> None:
    folder = build_toy(toy_gallery, "real")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(BadInputError, match="link is a link to"):
        rename_index("link", "other", tmp_path)
    assert delete_index("link", tmp_path) == tmp_path / "link"
    assert not (tmp_path / "link").is_symlink()
    assert read_manifest(folder).count == 6


def test_an_index_takes_the_place_of_one_from_the_same_source_only(
    build_toy: Build, toy_gallery: Split, tmp_path: Path
) -> None:
    here = replace(toy_gallery, root="/photos/here")
    folder = build_toy(here)
    assert read_manifest(folder).root == "/photos/here"
    check_source(folder, here.name, here.root)
    check_source(tmp_path / "none yet", here.name, here.root)
    check_source(folder, toy_gallery.name, toy_gallery.root)  # of the same name; where it lay is not known
    for other in (replace(here, root="/photos/there"), replace(here, name="other")):
        with pytest.raises(BadInputError, match="was made from toy") as caught:
            check_source(folder, other.name, other.root)
        assert caught.value.hint == "choose another --name, or add --replace"
    (folder / MANIFEST).write_text("{}")
    check_source(
        folder, replace(here, name="other").name, replace(here, name="other").root
    )  # what nobody can use is nobody's loss
