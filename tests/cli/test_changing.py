"""add, remove, sync and compact from the command line: what they print, and each refusal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import SHIPPED_INDEX
from toys import PLAIN, write_quadrants
from typer.testing import CliRunner, Result

from simsearch.cli.main import app
from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.index.bundle import bundle_lock, read_manifest


def run(*arguments: str | Path) -> Result:
    clean = {name: None for name in os.environ if name.startswith("SIMSEARCH_")}
    runner = CliRunner(env={**clean, "COLUMNS": "100", "NO_COLOR": "1", "SIMSEARCH_THREADS": "1"})
    return runner.invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: str | Path, code: int = 2) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    return result.stderr.splitlines()[0]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for row in range(8):
        write_quadrants(tmp_path / "pictures" / "ab"[row % 2] / f"{row}.png", row + 1, 2, 3, 4)
    return tmp_path / "pictures"


@pytest.fixture
def index(pictures: Path, plain_model: Model, tmp_path: Path) -> Path:
    build_index(load_image_folder(pictures, PLAIN, processes=1), plain_model, tmp_path / "mine")
    return tmp_path / "mine"


def test_pictures_are_added_by_one_line(index: Path, pictures: Path, tmp_path: Path) -> None:
    write_quadrants(pictures / "a" / "new.png", 9, 9, 3, 4)
    loose = write_quadrants(tmp_path / "loose.png", 9, 9, 3, 5)
    result = run("add", index, pictures / "a")
    assert (result.exit_code, result.stdout) == (0, f"{index}: 1 added, now 9 images in 2 segments\n")
    assert result.stderr == "skipped 4 files, as a/0.png: already in the index\n"
    result = run("add", index, loose, loose, "--label", "c")
    assert result.stdout == f"{index}: 1 added, now 10 images in 2 segments\n"
    assert read_manifest(index).classes == ("a", "b", "c")
    assert refused("add", index, loose, "--label", "c").startswith("error: there is nothing to add (")
    assert refused("add", index, tmp_path / "absent").startswith("error: there is no ")


def test_items_are_removed_by_id_source_class_and_because_they_are_missing(
    index: Path, pictures: Path
) -> None:
    (pictures / "b" / "1.png").unlink()
    result = run("remove", index, "--id", "0", "--source", "a/2*", "--missing", "--dry-run")
    assert result.stdout == "remove  0  a/0.png\nremove  1  a/2.png\nremove  4  b/1.png\n"
    result = run("remove", index, "--id", "0", "--source", "a/2*", "--missing")
    assert result.stdout == f"{index}: 3 removed, now 5 images in one segment\n"
    assert run("remove", index, "--missing").stdout == f"{index}: nothing is missing\n"
    assert run("remove", index, "--label", "a").stdout == f"{index}: 2 removed, now 3 images in one segment\n"
    assert refused("remove", index) == "error: nothing is named"
    assert refused("remove", index, "--id", "0") == "error: there is no item 0 in mine"
    assert refused("remove", index, "--label", "a") == "error: there is no class 'a' in mine"
    assert refused("remove", index, "--source", "a") == "error: no item of mine is called 'a'"
    assert refused("remove", index, "--source", "b") == "error: nothing would be left in mine"


def test_a_folder_is_followed_and_the_plan_is_printed_before(index: Path, pictures: Path) -> None:
    assert run("sync", index).stdout == f"{index}: now 8 images in one segment\n"
    write_quadrants(pictures / "c" / "new.png", 9, 9, 3, 4)
    write_quadrants(pictures / "a" / "0.png", 9, 9, 9, 4)
    (pictures / "b" / "1.png").rename(pictures / "a" / "one.png")
    (pictures / "b" / "3.png").unlink()
    result = run("sync", index, "--dry-run")
    assert result.stdout.splitlines() == [
        "replace a/0.png (a)",
        "add     c/new.png (c)",
        "rename  b/1.png -> a/one.png",
        "remove  b/3.png",
        f"{index}: 1 new, 1 changed, 1 renamed, 1 gone, 5 as they were",
    ]
    assert read_manifest(index).count == 8
    result = run("sync", index)
    assert result.stdout == f"{index}: 2 added, 2 removed, now 8 images in 2 segments\n"
    assert result.stderr == "1 new, 1 changed, 1 renamed, 1 gone, 5 as they were\n"
    assert run("compact", index).stdout == f"{index}: now 8 images in one segment\n"
    assert run("verify", index).exit_code == 0
    assert run("info", "--index", index).exit_code == 0


def test_a_folder_that_lost_most_of_its_files_is_followed_once_that_is_said_to_be_right(
    index: Path, pictures: Path, tmp_path: Path
) -> None:
    for row in range(8, 30):
        write_quadrants(pictures / "b" / f"{row}.png", row + 1, 2, 3, 4)
    run("sync", index)
    (pictures / "b").rename(tmp_path / "b")
    said = refused("sync", index)
    assert said == "error: 26 of 30 items of mine would go, because their files are not there"
    assert run("sync", index, "--dry-run").stdout.endswith("26 gone, 4 as they were\n")
    assert run("sync", index, "--yes").stdout == f"{index}: 26 removed, now 4 images in one segment\n"
    pictures.rename(tmp_path / "elsewhere")
    assert refused("remove", index, "--missing").endswith("pictures is not there, so nothing was changed")


def test_each_refusal_is_one_line(index: Path, tmp_path: Path) -> None:
    for command in ("add", "remove", "sync", "compact"):
        more = {"add": [tmp_path], "remove": ["--id", "0"]}.get(command, [])
        assert "ships with simsearch" in refused(command, SHIPPED_INDEX, *more)
        assert refused(command, tmp_path / "none", *more, code=3).startswith("error: there is no index in ")
        with bundle_lock(index):
            more = {"add": [tmp_path / "pictures"], "remove": ["--id", "0"]}.get(command, [])
            assert refused(command, index, *more, code=4) == f"error: another process is writing {index}"
    assert refused("sync", index, tmp_path).startswith("error: mine was made from ")
    assert refused("sync", index, tmp_path / "absent").endswith("absent is no folder")
