"""The table of commands, their loading, and groups of options."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

import pytest
import typer
from conftest import ROOT, SHIPPED_INDEX
from typer.testing import CliRunner

from simsearch.cli.commands import COMMANDS, Listed, ListedGroup
from simsearch.cli.flattening import flatten
from simsearch.cli.main import app
from simsearch.cli.options import FigureStyle, IndexChoice, Preparation
from simsearch.errors import MissingBundleError


def listed() -> Iterator[tuple[str, Listed]]:
    """Every command by its words, those of groups included."""
    for panel in COMMANDS.values():
        for name, entry in panel.items():
            if isinstance(entry, ListedGroup):
                yield from ((f"{name} {own}", command) for own, command in entry.commands.items())
            else:
                yield name, entry


@pytest.mark.parametrize(("words", "command"), list(listed()), ids=[words for words, _ in listed()])
def test_a_command_is_where_the_table_says_and_opens_with_its_summary(words: str, command: Listed) -> None:
    module, function = command.place.split(":")
    found = getattr(import_module(f"simsearch.cli.commands.{module}"), function)
    lines = (inspect.getdoc(found) or "").splitlines()
    assert lines[0] == command.summary
    assert any(line.startswith(f"Example: simsearch {words}") for line in lines)


@pytest.mark.parametrize("words", [words for words, _ in listed()])
def test_every_option_is_named_in_lower_case(words: str) -> None:
    """Typer takes a metavar of the same letters for the name: `uri` with metavar URI became `--URI`."""
    shown = CliRunner().invoke(app, [*words.split(), "--help"]).output
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", shown, re.MULTILINE)
    assert "--help" in options
    assert [option for option in options if option != option.lower()] == []


@pytest.mark.parametrize(
    ("arguments", "modules"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["figure", "--help"], set()),
        (["query", str(ROOT / "docs" / "digit.png"), "--index", str(SHIPPED_INDEX)], {"searching"}),
        (["query", "--help"], {"searching"}),
        (["figure", "scores", "--help"], {"report_figures"}),
    ],
)
def test_only_the_command_that_runs_is_loaded(arguments: list[str], modules: set[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['simsearch', *{arguments!r}]\n"
        "from simsearch.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(); print('LOADED', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    place = "simsearch.cli.commands."
    loaded = {name.removeprefix(place) for name in done.stdout.splitlines()[-1].split() if place in name}
    assert loaded == modules


def test_a_misspelled_command_of_a_group_is_recognized() -> None:
    result = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["figure", "pares"])
    assert result.exit_code == 2
    assert "Did you mean 'pairs'" in result.stderr


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(min=1)]
    height: Annotated[int, typer.Option("--height", "-h")] = 3


def test_a_group_is_its_fields_for_typer_and_itself_for_the_command() -> None:
    called = []

    def draw(*, name: str, size: Size, bold: bool = False) -> None:
        """Draw."""
        called.append((name, size, bold))

    flat = flatten(draw)
    parameters = inspect.signature(flat).parameters
    assert list(parameters) == ["name", "width", "height", "bold"]
    assert [parameter.default for parameter in parameters.values()] == [
        inspect.Parameter.empty,
        inspect.Parameter.empty,
        3,
        False,
    ]
    assert flat.__doc__ == "Draw."
    alone = typer.Typer(add_completion=False)
    alone.command()(flat)
    assert CliRunner().invoke(alone, ["x", "--width", "2", "--bold"]).exit_code == 0
    assert called == [("x", Size(2, 3), True)]
    assert CliRunner().invoke(alone, ["x", "--width", "0"]).exit_code == 2
    assert CliRunner().invoke(alone, ["x"]).exit_code == 2


def test_groups_stand_for_their_defaults_and_find_the_index(tmp_path) -> None:
    assert (Preparation().preprocess, Preparation().invert) == ("auto", None)
    assert (FigureStyle().theme, FigureStyle().dpi) == ("light", 150)
    assert IndexChoice(str(SHIPPED_INDEX)).folder() == SHIPPED_INDEX
    with pytest.raises(MissingBundleError, match="there is no index in"):
        IndexChoice("none", tmp_path).folder()
