"""The commands audit and duplicates: what they print, write and refuse."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SHIPPED_INDEX
from PIL import Image
from toys import quadrant_image, toy_split
from typer.testing import CliRunner, Result

from simsearch.cli.main import app
from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index

HOSTILE = "<b>x&y"


def run(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def index(tmp_path: Path, plain_model: Model) -> Path:
    """Two classes of four pictures, one of them in the wrong folder, and two copies of one file."""
    pictures = tmp_path / "pictures"
    for label, grays in ((HOSTILE, (100, 0, 0, 0)), ("b", (0, 0, 100, 0))):
        (pictures / label).mkdir(parents=True)
        for number in range(4):
            picture = quadrant_image(grays[0], 9 * number, grays[2], 0)
            Image.fromarray(picture).save(pictures / label / f"{number}.png")
    Image.fromarray(quadrant_image(0, 30, 100, 0)).save(pictures / HOSTILE / "wrong.png")
    (pictures / "b" / "again.png").write_bytes((pictures / "b" / "1.png").read_bytes())
    build_index(load_image_folder(pictures, plain_model.encoder.input), plain_model, tmp_path / "toy")
    return tmp_path / "toy"


def test_an_audit_is_printed_drawn_and_given_to_programs(index: Path) -> None:
    printed = run("audit", index, "--neighbors", 3)
    assert printed.exit_code == 0
    assert (
        "1 label is at odds with the neighbors' by confident learning, which estimates that 1 of 10 are"
        in printed.stdout
    )
    row = next(line.split() for line in printed.stdout.splitlines() if "wrong.png" in line)
    assert row[:4] == [HOSTILE, "b", "0.00", "1.00"]
    drawn = run("audit", index, "--neighbors", 3, "--images", "blocks").stdout
    assert "→ b" in drawn
    assert "confident" in drawn
    document = json.loads(run("audit", index, "--neighbors", 3, "--json", "--count", 1).stdout)
    assert (document["audit"], document["index"], document["confident"]) == (1, "toy", 1)
    assert [error["source"] for error in document["label_errors"]] == [f"{HOSTILE}/wrong.png"]


def test_corrections_and_the_document_are_written(index: Path, tmp_path: Path) -> None:
    labels, page = tmp_path / "labels.csv", tmp_path / "audit.html"
    result = run("audit", index, "--neighbors", 3, "--fix", labels, "--html", page, "--against", index)
    assert result.exit_code == 0
    assert "1 of 10 labels are corrected" in result.stderr
    rows = list(csv.DictReader(io.StringIO(labels.read_text())))
    assert [row for row in rows if row["was"]] == [
        {"path": f"{HOSTILE}/wrong.png", "label": "b", "was": HOSTILE}
    ]
    text = page.read_text()
    assert "<b>x" not in text
    assert "&lt;b&gt;x&amp;y, or b" in text
    assert (tmp_path / "pictures" / "b" / "1.png").as_uri() in text
    assert "10 of 10 items have a copy in toy" in text
    assert "http" not in text.replace("http-equiv", "")


def test_the_report_links_to_the_files_of_its_queries(index: Path, tmp_path: Path) -> None:
    assert run("evaluate", "--index", index, "--report", tmp_path / "report.html").exit_code == 0
    text = (tmp_path / "report.html").read_text()
    assert f'<a href="{(tmp_path / "pictures" / HOSTILE / "wrong.png").as_uri()}">' in text
    (tmp_path / "pictures").rename(tmp_path / "gone")
    assert run("evaluate", "--index", index, "--report", tmp_path / "report.html").exit_code == 0
    assert "file:" not in (tmp_path / "report.html").read_text()


def test_duplicates_are_printed_moved_and_moved_back(index: Path, tmp_path: Path) -> None:
    command = ("duplicates", index, "--kind", "file")
    printed = run(*command)
    assert "1 of 10 pictures are too many; groups: 1 (10 files compared byte by byte)." in printed.stdout
    assert "the same file" in printed.stdout
    assert "✓ best" in run(*command, "--images", "blocks").stdout
    document = json.loads(run(*command, "--json").stdout)
    assert (document["duplicates"], document["copies"]) == (1, 1)
    rows = list(csv.DictReader(io.StringIO(run(*command, "--csv").stdout)))
    assert [(row["source"], row["best"], row["kind"]) for row in rows] == [
        ("b/1.png", "true", "file"),
        ("b/again.png", "false", "file"),
    ]
    page = tmp_path / "copies.html"
    moved = run("duplicates", index, "--move-to", tmp_path / "aside", "--html", page)
    assert moved.exit_code == 0
    assert (tmp_path / "aside" / "b" / "again.png").is_file()
    assert "the first of equal files" in page.read_text()
    assert "there is nothing to move" in run("duplicates", index, "--move-to", tmp_path / "aside").stderr
    back = run("duplicates", "--undo", tmp_path / "aside" / "moved.csv")
    assert (back.exit_code, back.stdout) == (0, "files moved back: 1\n")
    assert (tmp_path / "pictures" / "b" / "again.png").is_file()
    assert run("duplicates", "--undo", tmp_path / "aside" / "moved.csv").exit_code == 2


def test_what_cannot_be_done_is_said_in_a_line(
    index: Path, tmp_path: Path, build_toy: Callable[..., Path]
) -> None:
    plain = build_toy(
        replace(toy_split([((1, 0, 0, 0), 0), ((0, 1, 0, 0), 0)]), labels=None, classes=()), "plain"
    )
    for arguments, message, code in (
        (("audit", plain, "--fix", tmp_path / "x.csv"), "error: plain has no labels to correct", 2),
        (("audit", tmp_path / "none"), "error: there is no index in", 3),
        (("audit", plain, "--html", tmp_path / "no" / "x.html"), "is no folder", 2),
        (("audit", index, "--against", SHIPPED_INDEX), "vectors of two encoders say nothing", 2),
        (("duplicates", plain, "--move-to", tmp_path / "x"), "was not made from files", 2),
        (("duplicates", index, "--json", "--csv"), "exclude each other", 2),
        (("duplicates", "--undo", tmp_path / "none.csv"), "error: cannot read", 2),
    ):
        result = run(*arguments)
        assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
        assert "Traceback" not in result.stderr
    assert not (tmp_path / "x.csv").exists()
    assert "No label can be judged" in run("audit", plain).stdout


def test_a_gallery_whose_folder_is_gone_is_compared_by_what_it_keeps(index: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").rename(tmp_path / "gone")
    printed = run("duplicates", index, "--kind", "pixels").stdout
    assert "no file is there to be compared" in printed
    assert "the same pixels" in printed
    assert "there is nothing to move" in run("duplicates", index, "--move-to", tmp_path / "aside").stderr
    assert not (tmp_path / "aside").exists()
