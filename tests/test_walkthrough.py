"""The notebook runs from start to end, and what is committed of it came from such a run."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

NOTEBOOK = ROOT / "docs" / "walkthrough.ipynb"
SHORT = "EPOCHS = 1\nPAIRS_PER_EPOCH = 256\nGALLERY = 150\nPOINTS = 60\n"
FIGURES = 12  # that it shows


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def pictures(book: nbformat.NotebookNode) -> int:
    outputs = [output for cell in code_cells(book) for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def assert_ran(book: nbformat.NotebookNode) -> None:
    """Every cell ran, in order, without an error or a warning, and every figure was shown."""
    cells = code_cells(book)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"display_data", "stream"}
    streams = {o.name for cell in cells for o in cell.outputs if o.output_type == "stream"}
    assert streams == {"stdout"}
    assert pictures(book) == FIGURES


@pytest.mark.usefixtures("mnist_dir")  # the notebook takes it from there
def test_the_notebook_runs_on_a_short_schedule(tmp_path: Path) -> None:
    book = read(NOTEBOOK)
    (parameters,) = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    names = [node.targets[0].id for node in ast.parse(parameters.source).body]
    assert names == [node.targets[0].id for node in ast.parse(SHORT).body]
    parameters.source = SHORT
    copy = tmp_path / "walkthrough.ipynb"
    nbformat.write(book, copy)
    shutil.copy(ROOT / "docs" / "digit.png", tmp_path)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_ran(read(copy))


def test_what_is_committed_came_from_a_whole_run() -> None:
    book = read(NOTEBOOK)
    if not any(cell.outputs for cell in code_cells(book)):
        pytest.skip("committed without outputs; docs/figures.md has the command that makes them")
    assert_ran(book)
    assert NOTEBOOK.stat().st_size < 1_500_000
    text = NOTEBOOK.read_text("utf-8")
    assert re.findall(r"(?:/home|/root|/tmp|/Users|/work)/\w+", text) == []
    assert '"iopub.status.busy"' not in text  # the time of each cell changes nothing but the diff


def test_the_notebook_uses_only_the_public_api() -> None:
    sources = "\n".join(cell.source for cell in code_cells(read(NOTEBOOK)))
    imported = [
        node for node in ast.walk(ast.parse(sources)) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = [alias.name for node in imported for alias in node.names]
    modules = {str(getattr(node, "module", None) or node.names[0].name).split(".")[0] for node in imported}
    assert modules == {"IPython", "numpy", "pathlib", "simsearch", "tempfile", "torch"}
    assert [name for name in names if name.startswith("_")] == []
    private = [
        n.attr for n in ast.walk(ast.parse(sources)) if isinstance(n, ast.Attribute) and n.attr[0] == "_"
    ]
    assert private == []


@pytest.mark.parametrize("kind", ["commands", "links"])
def test_the_notebook_says_what_holds(kind: str) -> None:
    words = "\n".join(cell.source for cell in read(NOTEBOOK).cells if cell.cell_type == "markdown")
    if kind == "links":
        targets = re.findall(r"\]\((?!https?:)([^)#]+)", words)
        assert targets
        assert [target for target in targets if not (NOTEBOOK.parent / target).exists()] == []
        return
    readme = (ROOT / "README.md").read_text("utf-8")
    commands = set(re.findall(r"`simsearch ([a-z-]+)", words))
    assert commands
    assert [command for command in commands if f"`simsearch {command}" not in readme] == []
