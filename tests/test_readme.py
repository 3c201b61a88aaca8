"""The README says nothing that does not hold: its tree, its example and its figures are checked here."""

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, SHIPPED_INDEX

from simsearch.bundle import open_bundle
from simsearch.evaluation import evaluate
from simsearch.models import PRETRAINED

README = (ROOT / "README.md").read_text()


def block(language: str) -> list[str]:
    """The fenced blocks in a language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in fences if name == language]


def test_the_tree_names_every_module_once() -> None:
    (tree,) = [text for text in block("") if text.startswith("simsearch/")]
    named = re.findall(r"([\w.]+\.py)\b", tree)
    modules = [path.name for path in (ROOT / "simsearch").rglob("*.py") if path.name != "__init__.py"]
    assert sorted(named) == sorted(modules)


def test_the_python_example_runs_and_prints_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = block("python")
    exec(compile(code, "README.md", "exec"), {})
    said = [line.split("# ", 1)[1] for line in code.splitlines() if line.startswith("print(")]
    assert capsys.readouterr().out.splitlines() == said


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


def test_every_page_of_the_documentation_is_linked() -> None:
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".ipynb")}
    assert {page for page in pages if f"]({page})" not in README} == set()


def test_links_to_files_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / Path(target)).exists()] == []
