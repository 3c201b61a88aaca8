"""The architecture as a test: the rooms and the arrows between them, and what a process loads."""

import ast
import re
import subprocess
import sys

import pytest
from conftest import ROOT, SHIPPED_INDEX

PACKAGE = ROOT / "simsearch"
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def test_imports_keep_to_the_contracts() -> None:
    """`[tool.importlinter]` in pyproject.toml: arrows point down, libraries stay at their boundaries."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_top_of_the_package_is_rooms_and_at_most_eight_files() -> None:
    files = [path.name for path in PACKAGE.iterdir() if path.is_file()]
    assert len(files) <= 8, files


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(PACKAGE).as_posix())
def test_a_room_lists_its_files_a_line_each(room) -> None:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    listed = re.findall(r"^([\w.]+(?:\.py|/|\.css|\.json))(?=\s|,)", docstring, re.MULTILINE)
    there = {path.name for path in room.glob("*.py") if path.name != "__init__.py"}
    there |= {f"{path.name}/" for path in room.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {name for name in listed if name.endswith((".py", "/"))} == there
    assert len(listed) == len(set(listed))


def test_the_size_of_a_digit_is_written_in_its_preparation_alone() -> None:
    """Everything else takes it from the model's card."""
    written = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\b28 ?(, ?|x)28\b", path.read_text("utf-8"))
    }
    assert {file.split("/")[0] for file in written} == {"prepare"}


def test_functions_fit_a_screen() -> None:
    lengths = {
        f"{path.relative_to(PACKAGE)}:{node.name}": int(node.end_lineno or 0) - node.lineno + 1
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}
    assert sorted(lengths.values())[len(lengths) // 2] < 10


def loaded_modules(*arguments: str) -> set[str]:
    """The modules that a command leaves loaded in its process."""
    code = (
        "import sys\n"
        f"sys.argv = ['simsearch', *{arguments!r}]\n"
        "from simsearch.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(); print('LOADED', *sorted(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    for arguments in (
        ["--help"],
        ["query", "--help"],
        ["train", "--help"],
        ["serve", "--help"],
        ["--version"],
    ):
        heavy = {"torch", "torchvision", "numpy", "faiss", "onnxruntime", "PIL", "pooch", "xxhash", "fastapi"}
        assert loaded_modules(*arguments) & heavy == set()


def test_a_query_and_an_evaluation_load_no_torch() -> None:
    picture = str(ROOT / "docs" / "digit.png")
    for arguments in (["query", picture], ["evaluate"], ["similarity", picture, picture]):
        index = [] if arguments[0] == "similarity" else ["--index", str(SHIPPED_INDEX)]
        loaded = loaded_modules(*arguments, *index)
        assert {"onnxruntime", "numpy"} & loaded
        assert loaded & {"torch", "torchvision", "onnx", "pooch", "matplotlib", "jinja2"} == set()


def test_help_loads_no_rich() -> None:
    for arguments in (["--help"], ["figure", "--help"], ["query", "--help"]):
        loaded = loaded_modules(*arguments)
        assert loaded & {"typer.rich_utils", "rich.console", "rich.markdown", "pygments"} == set()


def test_a_query_loads_what_its_answer_needs_and_nothing_else() -> None:
    """Each of these takes a thirtieth of a cold query's time, or more: `tests/benchmarks/start.py`."""
    loaded = loaded_modules("query", str(ROOT / "docs" / "digit.png"), "--index", str(SHIPPED_INDEX))
    unused = {
        *("faiss", "numpy.ma", "numpy.polynomial", "numpy.random", "threadpoolctl", "concurrent.futures"),
        *(
            "filelock",
            "importlib.metadata",
            "email",
            "csv",
            "tempfile",
            "gzip",
            "rich.progress",
            "PIL.ImageOps",
        ),
        *("simsearch.encode.onnx_check", "simsearch.encode.graph", "simsearch.encode.history"),
        *("simsearch.prepare.paper.page", "simsearch.prepare.photo", "PIL.ImageOps"),
        *("simsearch.evaluate", "simsearch.data", "simsearch.train", "simsearch.web", "simsearch.show.html"),
        *("simsearch.show.figures", "simsearch.show.terminal.views", "simsearch.show.terminal.window"),
        *("simsearch.stats.pairs", "simsearch.stats.retrieval", "simsearch.index.stores.faiss"),
    }
    assert loaded & unused == set()
    assert sum(name.startswith("simsearch") for name in loaded) < 90


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys; before = set(sys.modules); import simsearch; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["simsearch"]
