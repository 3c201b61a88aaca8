import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SHIPPED_INDEX
from PIL import Image
from toys import quadrant_image
from typer.main import get_command
from typer.testing import CliRunner, Result

from simsearch.cli.main import app
from simsearch.data.splits import Split
from simsearch.evaluate.evaluation import evaluate
from simsearch.index.bundle import open_bundle

KINDS = (
    "pairs",
    "similarity",
    "architecture",
    "history",
    "embedding",
    "confusion",
    "pr-curve",
    "scores",
    "reliability",
    "mistakes",
    "retrieval",
)


def figure(*arguments: str | Path | int) -> Result:
    """Run `simsearch figure` without the caller's settings."""
    clean = {name: None for name in os.environ if name.startswith("SIMSEARCH_")}
    runner = CliRunner(env={**clean, "COLUMNS": "100", "NO_COLOR": "1"})
    return runner.invoke(app, ["figure", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, mnist_test: Split) -> Path:
    """An evaluation of the shipped index with a few queries."""
    path = tmp_path_factory.mktemp("report") / "report.json"
    path.write_text(evaluate(open_bundle(SHIPPED_INDEX), mnist_test.take(range(40))).to_json())
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(quadrant_image(30, 40, 0, 0)).save(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_help_with_an_example_and_is_in_the_documentation(kind: str) -> None:
    result = figure(kind, "--help")
    assert result.exit_code == 0
    assert f"Example: simsearch figure {kind}" in result.stdout
    for option in ("--output", "--theme", "--width", "--height", "--dpi"):
        assert option in result.stdout
    assert f"`{kind}`" in (ROOT / "docs" / "figures.md").read_text("utf-8")


def test_the_python_example_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "indexes").symlink_to(ROOT / "indexes")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "figures.md").read_text("utf-8"), re.M | re.S
    )
    exec(compile(code, "figures.md", "exec"), {})
    assert (tmp_path / "retrieval.png").read_bytes().startswith(b"\x89PNG")


def test_there_are_no_other_kinds() -> None:
    assert list(get_command(app).commands["figure"].commands) == list(KINDS)  # type: ignore[attr-defined]
    assert [kind for kind in KINDS if kind not in figure("--help").stdout] == []


@pytest.mark.parametrize("kind", ["confusion", "pr-curve", "scores", "reliability"])
def test_figures_of_an_evaluation(kind: str, report: Path, tmp_path: Path) -> None:
    result = figure(kind, report, "-o", tmp_path / "a.png", "--dpi", 40, "--width", 5, "--theme", "dark")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'a.png'}\n"), result.output
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 200
        assert image.convert("RGB").getpixel((0, 0)) == (0x15, 0x18, 0x1D)


def test_mistakes_need_the_queries_that_were_asked(report: Path, tmp_path: Path) -> None:
    output = tmp_path / "mistakes.svg"
    refused = figure("mistakes", report, "-o", output, "--index", SHIPPED_INDEX)
    assert refused.exit_code == 2
    assert refused.stderr.splitlines() == [
        "error: the evaluation asked about mnist-test",
        "hint: name its queries with --queries, as `simsearch evaluate` was given them",
    ]
    assert not output.exists()


def test_pairs_are_drawn_and_written_as_a_table(tmp_path: Path, mnist_dir: Path) -> None:
    output, table = tmp_path / "pairs.pdf", tmp_path / "pairs.csv"
    result = figure("pairs", "-o", output, "--csv", table, "--count", 6, "--data-dir", mnist_dir)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [f"wrote {table}"]
    assert output.read_bytes().startswith(b"%PDF")
    rows = [line.split(",") for line in table.read_text().splitlines()]
    assert len(rows) == 7
    for first, second, first_label, second_label, same, score, probability in rows[1:]:
        assert first.startswith("mnist/train/")
        assert second.startswith("mnist/train/")
        assert int(same) == (first_label == second_label)
        assert 0 <= float(score) <= 1
        assert 0 <= float(probability) <= 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["similarity", ROOT / "docs" / "digit.png"],
        ["architecture"],
        ["history"],
        ["embedding", "--count", 100],
        ["retrieval", "--count", 2, "--k", 3],
        ["retrieval", ROOT / "docs" / "digit.png"],
    ],
    ids=lambda arguments: f"{arguments[0]}{len(arguments)}",
)
def test_figures_of_what_ships(arguments: list[str | Path | int], tmp_path: Path) -> None:
    output = tmp_path / "figure.png"
    assert figure(*arguments, "-o", output, "--dpi", 30).exit_code == 0
    first = output.read_bytes()
    assert first.startswith(b"\x89PNG")
    assert figure(*arguments, "-o", output, "--dpi", 30).exit_code == 0
    assert output.read_bytes() == first  # whatever else changes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.jpg"], "cannot write a.jpg: the name must end in .png, .svg or .pdf"),
        (["-o", "a"], "cannot write a: the name must end in .png, .svg or .pdf"),
        (["-o", "none/a.png"], "cannot write none/a.png: none is no folder"),
        (["-o", "folder.png"], "cannot write folder.png: it is a folder"),
        (["-o", "a.png", "none.json"], "cannot read none.json: no such file or directory"),
    ],
)
def test_what_cannot_be_written_or_read_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    result = figure("scores", *arguments[:2], *(arguments[2:] or ["none.json"]))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"error: {message}"
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_gallery_without_labels_is_refused_where_labels_are_needed(
    build_toy: Callable[..., Path], toy_gallery: Split, photo: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    index = build_toy(replace(toy_gallery, labels=None, classes=()))
    output = tmp_path / "a.png"
    refused = figure("similarity", photo, "-o", output, "--index", index, "--preprocess", "none")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: the index toy has no labels, so there are no classes to show\n")
    assert figure("embedding", "-o", output, "--index", index).exit_code == 0
    assert figure("retrieval", "-o", output, "--index", index).exit_code == 0


def test_two_pictures_or_none_go_through_the_network(photo: Path, tmp_path: Path) -> None:
    result = figure("architecture", photo, "-o", tmp_path / "a.png")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "error: two pictures go through the network, not 1"


def test_a_missing_extra_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import importlib.util; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'matplotlib' else real(name, *rest)\n"
        "from simsearch.cli.main import main\n"
        f"sys.argv = ['simsearch', 'figure', 'history', '-o', {str(tmp_path / 'a.png')!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: this command needs matplotlib, which is not installed",
        "hint: pip install 'simsearch[figures]'",
    ]
