"""The files of hits: paths that exist, copies, links, the viewer; and which hits are left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SHIPPED_INDEX
from PIL import Image
from toys import quadrant_image
from typer.testing import CliRunner, Result

from simsearch.cli.main import app
from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index

NAMES = ("a/1.png", "a/2 \n.png", "b/3.png", "b/copy of 1.png")


def run(*arguments: str | Path | int) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def pictures(tmp_path: Path, plain_model: Model) -> Path:
    """Pictures in turned order from 100, 0, 0, 0 on, the first in two files; their index lies beside them."""
    root = tmp_path / "pictures"
    for number, name in enumerate(NAMES[:3]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(quadrant_image(100, 40 * number, 0, 0)).save(root / name)
    (root / NAMES[3]).write_bytes((root / NAMES[0]).read_bytes())
    build_index(load_image_folder(root, plain_model.encoder.input), plain_model, tmp_path / "toy")
    return root


@pytest.fixture
def query(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Ask about the first picture, from the folder above."""
    monkeypatch.chdir(tmp_path)
    return lambda *more: run("query", pictures / NAMES[0], "--index", tmp_path / "toy", *more)


def test_paths_exist_from_here_absolutely_and_for_xargs(query: Callable[..., Result], pictures: Path) -> None:
    order = (NAMES[0], NAMES[3], NAMES[1], NAMES[2])
    assert query("--paths").stdout == "".join(f"pictures/{name}\n" for name in order)
    assert query("--paths", "--absolute", "-k", 1).stdout == f"{pictures / NAMES[0]}\n"
    listed = query("--paths", "-0").stdout.split("\0")
    assert listed == [*(f"pictures/{name}" for name in order), ""]
    assert all(Path(name).is_file() for name in listed[:-1])


def test_files_that_are_gone_or_no_pictures_any_more_are_left_out(
    query: Callable[..., Result], pictures: Path
) -> None:
    (pictures / NAMES[1]).unlink()
    (pictures / NAMES[2]).write_text("something else")
    result = query("--paths")
    assert result.stdout == f"pictures/{NAMES[0]}\npictures/{NAMES[3]}\n"
    assert "2 hits are left out: their files are gone" in result.stderr


def test_an_index_without_files_names_its_sources() -> None:
    result = run("query", "--id", 0, "--index", SHIPPED_INDEX, "--paths", "-k", 1)
    assert result.stdout.startswith("mnist/test/")


def test_the_query_itself_is_left_out_by_its_content(query: Callable[..., Result], pictures: Path) -> None:
    (pictures / "elsewhere.png").write_bytes((pictures / NAMES[0]).read_bytes())
    result = run(
        "query", pictures / "elsewhere.png", "--index", pictures.parent / "toy", "--others", "--json"
    )
    (entry,) = json.loads(result.stdout)["queries"]
    assert [(hit["rank"], hit["source"]) for hit in entry["hits"]] == [(1, NAMES[1]), (2, NAMES[2])]
    assert [row["label"] for row in entry["classes"]] == ["a", "b"]
    piped = CliRunner().invoke(
        app,
        ["query", "-", "--index", str(pictures.parent / "toy"), "--others", "--paths", "-k", "1"],
        input=(pictures / NAMES[0]).read_bytes(),
    )
    assert piped.stdout.endswith(f"{NAMES[1]}\n")
    assert query("--paths", "-k", 1).stdout == f"pictures/{NAMES[0]}\n"


def test_only_matches_drops_hits_below_the_least_score(query: Callable[..., Result]) -> None:
    hits = json.loads(query("--json").stdout)["queries"][0]["hits"]
    least = hits[2]["score"]  # exactly this score is a match
    kept = json.loads(query("--json", "--only-matches", "--min-score", least).stdout)["queries"][0]["hits"]
    assert [hit["id"] for hit in kept] == [hit["id"] for hit in hits[:3]]
    assert all(hit["match"] for hit in kept)
    refused = query("--only-matches")
    assert (refused.exit_code, "nothing says what a match is" in refused.stderr) == (2, True)


def test_hits_are_copied_and_linked_by_rank(
    query: Callable[..., Result], tmp_path: Path, pictures: Path
) -> None:
    result = query("--copy-to", "hits", "-k", 12, "--images", "none")
    assert result.exit_code == 0
    assert "copied 4 hits into hits" in result.stderr
    names = ["01-1.png", "02-copy of 1.png", "03-2 \n.png", "04-3.png"]
    assert sorted(path.name for path in (tmp_path / "hits").iterdir()) == names
    assert (tmp_path / "hits" / names[3]).read_bytes() == (pictures / NAMES[2]).read_bytes()
    again = query("--copy-to", "hits")
    assert (again.exit_code, "hits is not empty" in again.stderr) == (2, True)
    result = run(
        "query", pictures / NAMES[0], pictures / NAMES[2], "--index", tmp_path / "toy",
        "--copy-to", tmp_path / "links", "--link", "-k", 1, "--json",
    )  # fmt: skip
    assert json.loads(result.stdout)["queries"][1]["hits"][0]["rank"] == 1
    links = {path.name: path.resolve() for path in (tmp_path / "links").iterdir()}
    assert links == {"0001-1-1.png": pictures / NAMES[0], "0002-1-3.png": pictures / NAMES[2]}


def test_a_name_of_which_no_more_bytes_are_possible_is_cut_behind_its_rank(
    pictures: Path, tmp_path: Path, plain_model: Model
) -> None:
    longest = "\N{LATIN SMALL LETTER E WITH ACUTE}" * 125 + ".jpeg"  # 255 bytes
    (pictures / NAMES[0]).rename(tmp_path / "pictures" / "a" / longest)
    split = load_image_folder(pictures, plain_model.encoder.input)
    build_index(split, plain_model, tmp_path / "toy")
    result = run("query", "--id", 2, "--index", tmp_path / "toy", "--copy-to", tmp_path / "hits", "--json")
    assert result.exit_code == 0, result.stderr
    assert f"02-{longest[2:]}" in {path.name for path in (tmp_path / "hits").iterdir()}


def test_a_folder_that_cannot_be_written_is_refused(query: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = query("--copy-to", tmp_path / "file")
    assert (result.exit_code, "error: cannot write" in result.stderr) == (2, True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--absolute",), "say how paths are printed"),
        (("--link",), "says how hits are copied"),
    ],
)
def test_options_that_need_another_say_so(
    query: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    result = query(*arguments)
    assert (result.exit_code, message in result.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [("--others",), ("--copy-to", "hits"), ("--open",)])
def test_an_index_that_keeps_no_folder_has_no_files(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("query", "--id", 0, "--index", SHIPPED_INDEX, *arguments)
    assert (result.exit_code, "mnist-test keeps no folder" in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another opener")
def test_the_viewer_gets_absolute_paths_of_pictures_alone(
    tmp_path: Path, pictures: Path, plain_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "xdg-open").write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> "{tmp_path}/opened"\n')
    (tools / "xdg-open").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    # A picture by its bytes, and something to run by its name.
    (pictures / NAMES[2]).rename(pictures / "b" / "run.desktop")
    build_index(load_image_folder(pictures, plain_model.encoder.input), plain_model, tmp_path / "run")
    result = run("query", pictures / NAMES[0], "--index", tmp_path / "run", "--open")
    assert result.exit_code == 0
    wanted = {str(pictures / name) for name in (NAMES[0], NAMES[1], NAMES[3])}
    for _ in range(6_000):  # for five minutes at most
        opened = (tmp_path / "opened").read_text() if (tmp_path / "opened").exists() else ""
        if opened.count("|") == len(wanted):
            break
        time.sleep(0.05)
    assert set(opened.split("|")[:-1]) == wanted
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = run("query", pictures / NAMES[0], "--index", tmp_path / "run", "--open")
    assert (refused.exit_code, "xdg-open cannot be started" in refused.stderr) == (2, True)


def test_output_in_a_pipe_is_never_folded(pictures: Path, plain_model: Model, tmp_path: Path) -> None:
    long = pictures / "a" / ("-".join(["long"] * 45) + ".png")
    (pictures / NAMES[2]).rename(long)
    build_index(load_image_folder(pictures, plain_model.encoder.input), plain_model, tmp_path / "toy")
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "simsearch", "query", "--id", "0", "--index", str(tmp_path / "toy")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert f"a/{long.name}" in done.stdout
