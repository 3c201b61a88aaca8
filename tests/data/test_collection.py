"""What lies in a folder, file by file."""

import os
import shutil
import socket
import sys
import unicodedata
from pathlib import Path

import pytest
from strokes import draw

from simsearch.data.collection import (
    Item,
    Items,
    Skipped,
    comparable,
    content_hash,
    natural,
    scan,
    summary,
    write_skipped,
)
from simsearch.errors import BadDatasetError, BadInputError


def paths(root: Path) -> list[str]:
    return [item.path for item in scan(root).items]


def test_files_come_in_natural_order_whatever_their_suffix(tmp_path: Path) -> None:
    for name in ("10.png", "9.png", "b/2.JPE", "b/1.jfif", "b/deep/3.tif", "a/no-suffix", "c/4.dat"):
        draw(tmp_path / name, kind="PNG")
    assert paths(tmp_path) == [
        "9.png", "10.png", "a/no-suffix", "b/1.jfif", "b/2.JPE", "b/deep/3.tif", "c/4.dat"
    ]  # fmt: skip


def test_an_item_has_its_size_and_time_and_its_copies_have_its_hash(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 10)
    draw(tmp_path / "b.png", 11)
    shutil.copy(tmp_path / "a.png", tmp_path / "copy.png")
    os.utime(tmp_path / "a.png", ns=(5, 7_000_000_000))
    collection = scan(tmp_path)
    a, b, copy = collection.items
    assert (a.size, a.mtime_ns) == ((tmp_path / "a.png").stat().st_size, 7_000_000_000)
    hashes = [content_hash(collection.file(item)) for item in (a, b, copy)]
    assert hashes[0] == hashes[2] != hashes[1]


def test_the_hash_is_xxh3_of_128_bits(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert content_hash(tmp_path / "empty") == "99aa06d3014798d86001c324468d497f"


def test_what_is_passed_over_is_named_but_hidden_files_are_not(tmp_path: Path) -> None:
    draw(tmp_path / "a" / "1.png")
    draw(tmp_path / ".hidden.png")
    draw(tmp_path / ".cache" / "b.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "nothing").touch()
    collection = scan(tmp_path)
    assert [item.path for item in collection.items] == ["a/1.png"]
    assert collection.skipped == (
        Skipped("notes.txt", "not a picture"),
        Skipped("nothing", "not a picture"),
    )


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_to_files_are_taken_those_to_folders_and_nowhere_are_not(tmp_path: Path) -> None:
    draw(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "2.png").symlink_to("1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "self.png").symlink_to("self.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert paths(tmp_path) == ["a/1.png", "a/2.png"]
    assert scan(tmp_path).skipped == (
        Skipped("a/loop", "a link to a folder, not followed"),
        Skipped("a/self.png", "a link that leads nowhere"),
        Skipped("b", "a link to a folder, not followed"),
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_pipes_and_sockets_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    os.mkfifo("pipe.png")
    with socket.socket(socket.AF_UNIX) as ear:
        ear.bind("socket")
        assert {entry.reason for entry in scan(tmp_path).skipped} == {"not a regular file"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows such names")
def test_a_name_that_is_no_text_is_passed_over(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", os.fsencode(tmp_path) + b"/\xff.png")
    assert paths(tmp_path) == ["a.png"]
    assert scan(tmp_path).skipped == (Skipped("\\udcff.png", "its name is not valid UTF-8"),)


def test_folders_may_lie_deeper_than_python_recurses(tmp_path: Path) -> None:
    folders = [tmp_path / ("d/" * depth) for depth in range(1, 1_101)]
    for folder in folders:
        folder.mkdir()
    draw(folders[-1] / "a.png")
    assert paths(tmp_path) == ["d/" * 1_100 + "a.png"]
    (folders[-1] / "a.png").unlink()
    for folder in reversed(folders):  # what pytest cleans up with recurses
        folder.rmdir()


@pytest.mark.skipif(os.name == "nt" or not os.geteuid(), reason="this user may read everything")
def test_a_folder_that_may_not_be_read_is_passed_over_with_its_reason(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "closed").mkdir(mode=0)
    assert scan(tmp_path).skipped == (Skipped("closed", "cannot be read: permission denied"),)


def test_a_root_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="nowhere cannot be read"):
        scan(tmp_path / "nowhere")


def test_names_are_compared_in_one_form() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert comparable(composed) == comparable(decomposed) == composed
    assert sorted(["Cafz", decomposed, "Cafa"], key=natural) == sorted(
        ["Cafz", decomposed, "Cafa"], key=lambda name: unicodedata.normalize("NFC", name).casefold()
    )


def test_a_summary_has_a_line_a_reason_the_most_frequent_first() -> None:
    skipped = [
        Skipped("a/1.png", "it has 9,000 x 9,000 pixels, more than 4,194,304"),
        *(Skipped(f"{n}.txt", "not a picture") for n in range(663)),
        Skipped("b/2.png", "it has 8,000 x 7,000 pixels, more than 4,194,304"),
        Skipped("a\x1b[2J.png", "it is empty"),
    ]
    assert list(summary(skipped, "photos/")) == [
        "skipped 663 files, as photos/0.txt: not a picture",
        "skipped 2 files, as photos/a/1.png: it has 9,000 x 9,000 pixels, more than 4,194,304",
        "skipped photos/a\\x1b[2J.png: it is empty",
    ]
    assert list(summary([])) == []


def test_the_whole_list_is_a_csv_file(tmp_path: Path) -> None:
    write_skipped(tmp_path / "out.csv", [Skipped("a,b.png", "it is empty"), Skipped("c", "not a picture")])
    assert (tmp_path / "out.csv").read_text() == 'path,reason\n"a,b.png",it is empty\nc,not a picture\n'
    with pytest.raises(BadInputError, match="cannot write"):
        write_skipped(tmp_path, [])


def test_items_are_held_as_they_were() -> None:
    items = [Item("9/é.png", 3, 2), Item("a", 2**40, -1), Item("b/b/b.jpg", 0, 1)]
    held = Items(items)
    assert (list(held), held[-1], held[:2], len(held)) == (items, items[2], items[:2], 3)
    with pytest.raises(IndexError):
        held[3]
