"""The documentation says nothing that does not hold: pages, links, picture of the rooms, files, names."""

import ast
import asyncio
import re
import tomllib
from functools import cache
from pathlib import Path

import httpx
import pytest
from conftest import ROOT, SHIPPED_INDEX

from simsearch.web.app import create_app
from simsearch.web.settings import Settings

DOCS = ROOT / "docs"
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
PAGES = [*sorted(DOCS.glob("*.md")), CONTRIBUTING, ROOT / "README.md"]
ARCHITECTURE = (DOCS / "architecture.md").read_text("utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]


def without_code(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> frozenset[str]:
    """What links into a page may name: its headings as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text("utf-8")), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def test_the_index_lists_every_page_once() -> None:
    listed = re.findall(r"^- \[[^]]+\]\(([^)#]+)\)", (DOCS / "README.md").read_text("utf-8"), re.MULTILINE)
    pages = {path.name for path in DOCS.iterdir() if path.suffix in (".md", ".ipynb")} - {"README.md"}
    assert sorted(listed) == sorted(pages | {"../.github/CONTRIBUTING.md"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", without_code(page.read_text("utf-8")))
    for place, anchor in links:
        target = page.parent / place if place else page
        assert target.exists(), place
        if anchor:
            assert anchor in anchors(target.resolve()), f"{place}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_scripts_and_modules_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"(?<![\w/])(?:tests|simsearch|docs)/[\w/]+\.py\b", page.read_text("utf-8"))
    assert [file for file in named if not (ROOT / file).is_file()] == []


def test_the_picture_of_the_rooms_is_that_of_the_contracts() -> None:
    [drawing] = [
        text for text in re.findall(r"^```text\n(.*?)^```$", ARCHITECTURE, re.M | re.S) if "┌" in text
    ]
    rows = [line.split("│")[1:-1] for line in drawing.splitlines() if line.startswith("│")]
    drawn = [{cell.split()[0] for cell in cells} for cells in rows]
    [contract] = [one for one in CONTRACTS if one["type"] == "layers" and one["containers"] == ["simsearch"]]
    assert drawn == [set(re.split(r" [|:] ", layer)) for layer in contract["layers"]]


def test_the_table_of_libraries_is_that_of_the_contracts() -> None:
    table = ARCHITECTURE.split("| library |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in row.split("|")[1].strip().split(", ")}
    forbidden = [one["forbidden_modules"] for one in CONTRACTS if " stay" in one["name"]]
    assert named == {name for names in forbidden for name in names}


@cache
def names_in(file: Path) -> frozenset[str]:
    """The functions, classes and constants of a module."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return frozenset(names)


@pytest.mark.parametrize("page", [DOCS / "architecture.md", CONTRIBUTING], ids=lambda page: page.name)
def test_files_and_names_exist(page: Path) -> None:
    text = without_code(page.read_text("utf-8"))
    file = r"(?:[\w-]+/)*\w[\w.-]*\.(?:py|toml|css)|(?:[\w-]+/)+[\w.-]+\.json"  # alone, JSON is in a bundle
    files = re.findall(rf"`({file})(?:: (\w+))?`", text)
    folders = re.findall(r"`((?:[\w-]+/)+)`", text)
    assert len(files) > 10
    for file, name in files:
        [place] = {place / file for place in (ROOT / "simsearch", ROOT) if (place / file).is_file()} or [None]
        assert place, file
        assert not name or name in names_in(place), f"{file}: {name}"
    for folder in folders:
        assert any((place / folder).is_dir() for place in (ROOT / "simsearch", ROOT)), folder


def test_every_operation_of_the_http_api_is_in_its_table() -> None:
    app = create_app({"mnist-test": SHIPPED_INDEX}, Settings())

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost"
        ) as client:
            return await client.get("/openapi.json")

    paths = asyncio.run(ask()).json()["paths"]
    served = {f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs}
    rows = re.findall(r"^\| (`(?:GET|POST).*?) \|", (DOCS / "web.md").read_text("utf-8"), re.MULTILINE)
    listed = set(re.findall(r"`((?:GET|POST) [^`]+)`", "\n".join(rows).replace("{id}", "{item}")))
    assert listed == served | {"GET /openapi.json"}


def test_the_glossary_is_in_order_and_explains_each_word_once() -> None:
    page = (DOCS / "glossary.md").read_text("utf-8")
    words = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)[1:]
    assert len(words) > 30
    assert words == sorted(set(words), key=lambda word: word.replace("-", " ").casefold())


def test_the_table_of_moved_modules_names_what_is_there() -> None:
    page = (DOCS / "changelog.md").read_text("utf-8")
    table = re.findall(r"^\| `(simsearch\.[\w.]+)` \| (`simsearch\..+) \|$", page, re.MULTILINE)
    assert len(table) > 50
    assert [old for old, _ in table] == sorted({old for old, _ in table})
    for old, places in table:
        assert not ROOT.joinpath(*old.split(".")).with_suffix(".py").exists(), old
        for new in re.findall(r"`([\w.]+)`", places):
            path = ROOT.joinpath(*new.split("."))
            assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), new


def test_recipes_of_the_justfile_run_what_is_there() -> None:
    text = (ROOT / ".justfile").read_text("utf-8")
    assert {"setup", "test", "lint", "bench", "fuzz"} <= set(
        re.findall(r"^(\w+).*:(?!=)", text, re.MULTILINE)
    )
    files = re.findall(r"(?:tests|\.ci)/[\w./-]+", text)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_setup_is_the_readmes() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    [command] = re.findall(r"^python3 -m venv \.venv && (.+) && \.venv/bin/pytest", readme, re.MULTILINE)
    assert f"python3 -m venv .venv\n    {command}\n" in (ROOT / ".justfile").read_text("utf-8")
