"""The architecture as a test: imports point down the layers, and stay out of where they are not needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SHIPPED_INDEX

PACKAGE = ROOT / "simsearch"

# From the bottom to the top; a module imports only from lines above its own.
LAYERS = (
    ("__init__", "errors", "words"),
    (
        "anatomy",
        "atomic",
        "charts",
        "decoding",
        "familiarity",
        "graphics",
        "history",
        "holdout",
        "image_files",
        "intervals",
        "locations",
    ),
    (
        "calibration",
        "checks",
        "interrupts",
        "locks",
        "metrics",
        "onnx_graph",
        "pairs",
        "ranking",
        "reliability",
        "seal",
        "thumbnails",
        "versions",
    ),
    ("fitting", "images", "mnist_files", "queries", "verification"),
    ("distortions", "encoder", "mnist_sources", "outliers", "report"),
    ("findings", "mnist"),
    ("datasets",),
    ("models", "stores.base", "stores.faiss_structure", "manifest"),
    ("candidates", "combining", "stores.faiss"),
    ("bundle", "neighbourhood"),
    ("calibrate",),
    ("indexing", "search", "evaluation"),
    ("batch", "compare", "html_parts", "mistakes", "query_table", "trec"),
    ("answer_formats", "html_report"),
    ("outputs",),
    ("doctor", "terminal", "verify", "views"),
    ("answer_view",),
    ("figures.files", "figures.fonts", "figures.projection", "figures.theme"),
    ("figures.page",),
    (
        "figures.architecture",
        "figures.confusion",
        "figures.curves",
        "figures.embedding",
        "figures.grids",
        "figures.history",
        "figures.pairs",
        "figures.similarity",
    ),
    ("train.augment", "train.model", "train.pairs", "train.recipes"),
    ("train.checkpoints", "train.export", "train.objectives", "train.optimization"),
    ("train.anatomy", "train.loop"),
    ("train.run",),
    ("web.description", "web.settings", "web.problems", "web.connections", "web.pages"),
    ("web.engine", "web.guard", "web.monitoring", "web.registry", "web.uploads"),
    ("web.api",),
    ("web.app",),
    ("web.server",),
    ("commands.failures", "commands.options"),
    ("commands.answers",),
    (
        "commands.building",
        "commands.calibrating",
        "commands.figures",
        "commands.measuring",
        "commands.searching",
        "commands.serving",
        "commands.training",
        "commands.upkeep",
    ),
    ("cli",),
    ("__main__",),
)
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}
EMPTY = {"commands", "figures", "stores", "train", "web"}  # packages whose __init__ is a docstring


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imported_names(tree: ast.AST) -> set[str]:
    """Dotted names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


def own_imports(name: str) -> set[str]:
    """Which of simsearch's modules a module imports."""
    names = imported_names(ast.parse(MODULES[name].read_text()))
    own = {imported.removeprefix("simsearch.") for imported in names if imported.startswith("simsearch.")}
    return {imported for imported in own if imported in MODULES and imported not in EMPTY}


def test_every_module_has_its_place_in_the_layers() -> None:
    assert set(MODULES) - EMPTY == set(RANK)


@pytest.mark.parametrize("name", sorted(RANK))
def test_imports_point_down(name: str) -> None:
    assert {other for other in own_imports(name) if RANK[other] >= RANK[name]} == set()


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("torch", "train."),
        ("torchvision", "train."),
        ("onnx", "train."),
        ("faiss", "stores.faiss"),
        ("typer", ("cli", "commands.")),
        ("rich", ("answer_view", "terminal", "thumbnails", "views")),
        ("onnxruntime", ("encoder", "train.export")),
        ("pyarrow", "query_table"),
        ("fastapi", "web."),
        ("starlette", "web."),
        ("uvicorn", "web."),
        ("prometheus_client", "web."),
        ("python_multipart", "web."),
        ("matplotlib", "figures."),
        ("sklearn", "figures.projection"),
    ],
)
def test_a_library_is_imported_only_at_its_boundary(library: str, allowed: str | tuple[str, ...]) -> None:
    users = {
        name
        for name, path in MODULES.items()
        if library in {imported.split(".")[0] for imported in imported_names(ast.parse(path.read_text()))}
    }
    assert {name for name in users if not name.startswith(allowed)} == set()


def loaded_modules(*arguments: str) -> set[str]:
    """The modules that a command leaves loaded in its process."""
    code = (
        "import sys\n"
        f"sys.argv = ['simsearch', *{arguments!r}]\n"
        "from simsearch.cli import main\n"
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
        assert "onnxruntime" in loaded or "faiss" in loaded
        assert loaded & {"torch", "torchvision", "onnx", "pooch", "matplotlib"} == set()


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys; before = set(sys.modules); import simsearch; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["simsearch"]
