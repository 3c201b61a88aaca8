"""The README says nothing that does not hold: its tree, its examples, its figures, its commands."""

import json
import re
from collections.abc import Callable

import pytest
from conftest import ROOT, SHIPPED_INDEX
from typer.main import get_command
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.encode.model_folder import PRETRAINED
from simsearch.evaluate.evaluation import evaluate
from simsearch.index.bundle import open_bundle

README = (ROOT / "README.md").read_text()


def block(language: str) -> list[str]:
    """The fenced blocks in a language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in fences if name == language]


def test_the_tree_names_every_room_and_every_file_beside_them() -> None:
    (tree,) = [text for text in block("") if text.startswith("simsearch/")]
    rows = re.findall(r"^  ([\w./]+(?:, [\w./]+)*) +(.+)$", tree, re.MULTILINE)
    package = ROOT / "simsearch"
    there = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    there |= {f"{path.name}/" for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {name for names, _ in rows for name in names.split(", ")} == there
    for room, comment in rows:
        for place in re.findall(r"\b(\w+\.py|\w+/)(?!\w)", comment):
            assert (package / room / place).exists(), f"{room}: {place}"


def test_the_python_example_runs_and_prints_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = block("python")
    exec(compile(code, "README.md", "exec"), {})
    said = [line.split("# ", 1)[1] for line in code.splitlines() if line.startswith("print(")]
    assert capsys.readouterr().out.splitlines() == said


def test_the_answer_that_is_shown_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (shown,) = block("text")
    command, *lines = shown.splitlines()
    arguments = command.removeprefix("$ simsearch ").split()
    given = CliRunner(env={"COLUMNS": "100"}).invoke(app, arguments).stdout.splitlines()
    assert [words(line) for line in given if line.strip()] == [words(line, about) for line in lines if line]


def words(line: str, number: Callable[[float], object] = float) -> list[object]:
    """A line's words, without bars, its scores as numbers."""
    return [
        number(float(word)) if re.fullmatch(r"[01]\.\d{4}", word) else word
        for word in line.split()
        if not set(word) <= set("█▉▊▋▌▍▎▏")
    ]


def about(score: float) -> object:
    """Equal within what other processors may round otherwise."""
    return pytest.approx(score, abs=2e-4)


def test_the_table_of_commands_is_complete() -> None:
    listed = set(re.findall(r"^\| `simsearch ([a-z-]+)", README, re.MULTILINE))
    assert listed == set(get_command(app).commands)  # type: ignore[attr-defined]


def test_the_figures_are_those_of_the_shipped_index() -> None:
    report = evaluate(open_bundle(SHIPPED_INDEX))
    for name, figure in report.figures.items():
        interval = f"{figure.low:.4f} to {figure.high:.4f}"
        if name in ("P@1", "R-precision", "MAP@R", "MAP"):
            assert f"| {name} | {figure.value:.4f} | {interval} |" in README
    assert report.verification is not None
    assert f"pair accuracy {report.verification.accuracy:.4f}" in README


def test_the_training_figures_are_those_of_the_shipped_model() -> None:
    best = json.loads((PRETRAINED / "model.json").read_bytes())["training"]["best"]
    assert f"epoch {best['epoch']}" in README
    assert f"{best['val_accuracy']:.4f}" in README
