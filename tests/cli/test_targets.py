"""targets.py: no output replaces a picture, a table that is read, a part of an index or model, or another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.cli.targets import check_targets
from simsearch.errors import BadInputError

TABLE = "path,label,who\na/0.png,a,me\nb/0.png,b,me\nlater.png,c,me\n"


def refusal(*targets: Path | None, inputs: tuple[Path, ...] = (), pictures: bool = False) -> str:
    with pytest.raises(BadInputError) as caught:
        check_targets(*targets, inputs=inputs, pictures=pictures)
    assert caught.value.hint == "name another file"
    return caught.value.message


def test_what_holds_something_else_is_refused(tmp_path: Path) -> None:
    picture, table = tmp_path / "a.html", tmp_path / "t.csv"
    Image.new("L", (4, 4)).save(picture, "PNG")
    table.write_text("path,label\n")
    (tmp_path / "link.csv").symlink_to(table)
    assert refusal(None, picture) == f"cannot write {picture}: it is a picture"
    assert refusal(table, inputs=(tmp_path / "link.csv",)) == (
        f"cannot write {table}: it is read by this command"
    )
    assert refusal(table, tmp_path / "link.csv") == (
        f"cannot write {tmp_path / 'link.csv'}: it is written by this command already"
    )
    for name, what in (("manifest.json", "an index"), ("model.json", "a model")):
        folder = tmp_path / what
        folder.mkdir()
        (folder / name).write_text("{}")
        for target in (folder / name, folder / "new.csv"):
            assert refusal(target) == f"cannot write {target}: it lies in the folder of {what}"


def test_what_holds_nothing_or_an_earlier_output_is_written(tmp_path: Path) -> None:
    table, figure = tmp_path / "t.csv", tmp_path / "f.png"
    table.write_text("path,label\n")
    Image.new("L", (4, 4)).save(figure)
    check_targets(table, tmp_path / "new.html", None, inputs=["mnist", None, tmp_path / "other.csv"])
    check_targets(figure, pictures=True)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


def test_commands_replace_none_of_their_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a/0.png", "a/1.png", "b/0.png", "b/1.png")):
        picture = tmp_path / "g" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((28, 28), np.uint8)
        pixels[4:24, 8 + 2 * number : 12 + 2 * number] = 255
        Image.fromarray(pixels).save(picture)
    table = tmp_path / "labels.csv"
    table.write_text(TABLE.replace("later", "a/1"))
    build = ("build-index", "--dataset", "g", "--name", "g")
    built = CliRunner().invoke(app, [*build, "--labels", "labels.csv"])
    assert built.exit_code == 0, built.output
    picture = tmp_path / "g" / "a" / "0.png"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "it is a picture" in run("audit", "g", "--fix", picture)
    assert "it is a picture" in run("audit", "g", "--html", picture)
    assert "it is a picture" in run("duplicates", "g", "--html", picture)
    assert "it is a picture" in run("export", "g", "--npz", picture)
    assert "it is a picture" in run("evaluate", "-i", "g", "--report", picture)
    build = (*build, "--replace")
    assert "it is a picture" in run(*build, "--skipped", picture)
    assert "read by this command" in run(*build, "--labels", table, "--skipped", table)
    assert "read by this command" in run("audit", "g", "--fix", table)
    assert "read by this command" in run("query", picture, "-i", "g", "--show-prepared", picture)
    assert "folder of an index" in run("audit", "g", "--fix", tmp_path / "indexes" / "g" / "manifest.json")
    assert "already" in run("export", "g", "--npz", "same.x", "--html", "same.x")
    assert "already" in run("evaluate", "-i", "g", "--run", "same.x", "--qrels", "same.x")
    assert "already" in run("figure", "pairs", "-o", "p.svg", "--csv", "p.svg")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
