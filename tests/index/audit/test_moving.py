"""Moving copies aside: nothing is lost or replaced, whatever is in the way, and all of it can be undone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from toys import quadrant_image

from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError
from simsearch.index.audit.copies import find_copies
from simsearch.index.audit.groups import Duplicates, group_copies
from simsearch.index.audit.moving import MOVED, move_files, plan_moves, read_moves, undo_moves
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.index.change.folder_build import Source, build_folder

Found = tuple[Duplicates, Path]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def found(tmp_path: Path, plain_model: Model) -> Found:
    """A folder in which one picture lies three times and another once, and its copies."""
    root = tmp_path / "pictures"
    for number, name in enumerate(("a/1.png", "b/1.png", "b/deep/2, 3.png", "b/4.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(quadrant_image(90, 10, 0, 40 if number < 3 else 200)).save(root / name)
    build_index(load_image_folder(root, plain_model.encoder.input), plain_model, tmp_path / "index")
    bundle = open_bundle(tmp_path / "index")
    return group_copies(bundle, None, find_copies(bundle)), root


def test_files_keep_their_paths_and_come_back(found: Found, tmp_path: Path) -> None:
    duplicates, root = found
    before, aside = contents(root), tmp_path / "aside"
    listing = move_files(plan_moves(duplicates, root, aside), aside)
    assert listing == aside / MOVED
    assert set(contents(root)) == {"a/1.png", "b/4.png"}
    assert set(contents(aside)) == {"b/1.png", "b/deep/2, 3.png", MOVED}
    assert undo_moves(read_moves(listing)) == (2, 0)
    assert contents(root) == before
    assert undo_moves(read_moves(listing)) == (0, 2)


def test_between_file_systems_a_file_is_copied_whole_before_it_goes(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duplicates, root = found
    before, aside = contents(root), tmp_path / "aside"

    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    move_files(plan_moves(duplicates, root, aside), aside)
    moved = contents(aside)
    del moved[MOVED]
    assert contents(root) | moved == before


def test_nothing_is_replaced_and_then_nothing_is_moved(found: Found, tmp_path: Path) -> None:
    duplicates, root = found
    before, aside = contents(root), tmp_path / "aside"
    (aside / "b" / "deep").mkdir(parents=True)
    (aside / "b" / "deep" / "2, 3.png").write_text("mine")
    with pytest.raises(BadInputError, match=r"2, 3\.png is there already"):
        plan_moves(duplicates, root, aside)
    assert contents(root) == before
    # Something that appears between the plan and the move stops it, and stays.
    (aside / "b" / "deep" / "2, 3.png").unlink()
    moves = plan_moves(duplicates, root, aside)
    (aside / "b" / "deep" / "2, 3.png").write_text("mine")
    with pytest.raises(BadInputError, match="file exists"):
        move_files(moves, aside)
    assert (aside / "b" / "deep" / "2, 3.png").read_text() == "mine"
    assert (root / "b" / "deep" / "2, 3.png").read_bytes() == before["b/deep/2, 3.png"]
    assert undo_moves(read_moves(aside / MOVED)) == (1, 1)
    assert contents(root) == before


def test_what_has_changed_since_is_left_alone(found: Found, tmp_path: Path) -> None:
    duplicates, root = found
    (root / "b" / "1.png").write_bytes((root / "b" / "4.png").read_bytes() + b"longer")
    (root / "b" / "deep" / "2, 3.png").unlink()
    assert plan_moves(duplicates, root, tmp_path / "aside") == []


def test_a_folder_in_the_gallery_or_an_index_without_files_is_refused(found: Found) -> None:
    duplicates, root = found
    with pytest.raises(BadInputError, match="lies in the gallery's own folder"):
        plan_moves(duplicates, root, root / "copies")
    with pytest.raises(BadInputError, match="was not made from files"):
        plan_moves(replace(duplicates, index="mnist"), None, root / "copies")


def test_a_folder_that_cannot_be_written_loses_nothing(found: Found, tmp_path: Path) -> None:
    duplicates, root = found
    before = contents(root)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadInputError, match="cannot write"):
        move_files(plan_moves(duplicates, root, tmp_path / "file" / "aside"), tmp_path / "file" / "aside")
    assert contents(root) == before


@pytest.mark.parametrize("text", ["", "a,b\n", "from,to\nonly one\n"])
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(BadInputError, match="is no list of moved files"):
        read_moves(tmp_path / "list.csv")


def test_a_full_disk_keeps_the_file_where_it_was(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duplicates, root = found
    before, aside = contents(root), tmp_path / "aside"
    moves = plan_moves(duplicates, root, aside)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    make: Callable[..., None] = fail
    monkeypatch.setattr(os, "link", lambda *_, **__: fail_link())
    monkeypatch.setattr("simsearch.index.audit.moving.shutil.copyfileobj", make)

    def fail_link() -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    with pytest.raises(BadInputError, match="no space left"):
        move_files(moves, aside)
    assert contents(root) == before
    assert set(contents(aside)) == {MOVED}


def test_hashes_come_from_the_index_but_a_file_is_read_before_it_is_moved(
    found: Found, tmp_path: Path, plain_model: Model
) -> None:
    _, root = found
    build_folder(Source(root, "pictures"), plain_model, tmp_path / "stamped", processes=1)
    bundle = open_bundle(tmp_path / "stamped")
    changed, before = root / "b" / "1.png", (root / "b" / "1.png").stat()
    changed.write_bytes(bytes(reversed(changed.read_bytes())))
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))  # so that nothing shows it
    duplicates = group_copies(bundle, None, find_copies(bundle))
    assert {member.source for member in duplicates.groups[0].others} == {"b/1.png", "b/deep/2, 3.png"}
    moves = plan_moves(duplicates, root, tmp_path / "aside")
    assert [move.source for move in moves] == [root / "b" / "deep" / "2, 3.png"]
    os.utime(changed)  # now it shows, and is read
    duplicates = group_copies(bundle, None, find_copies(bundle))
    assert {member.source: member.kind.value for member in duplicates.groups[0].others} == {
        "b/1.png": "pixels",  # as the index keeps it
        "b/deep/2, 3.png": "file",
    }
