"""Commands by name and summary; the module of one is loaded when it runs, and no other's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from simsearch.cli.commands import Listed, ListedGroup


class SectionedCommand(TyperCommand):
    """A command whose help lists options under headings, in plain text: boxes take three times as long."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, those of a panel together."""
        _write_options(self, ctx, formatter)


class Later(TyperCommand):
    """What stands for a command until it runs."""

    def __init__(self, name: str, listed: Listed, panel: str | None) -> None:
        """Be listed in a panel, without a parameter or a body."""
        super().__init__(name=name, help=listed.summary, rich_help_panel=panel)
        self.place = listed.place

    def load(self) -> Any:
        """The command itself, with its options."""
        from simsearch.cli.flattening import flatten

        module, _, function = self.place.partition(":")
        command = getattr(import_module(f"simsearch.cli.commands.{module}"), function)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        alone.command(self.name, cls=SectionedCommand)(flatten(command))
        return typer.main.get_command(alone)


class LazyGroup(TyperGroup):
    """A group of commands that are loaded when they run."""

    def add_listed(self, commands: Mapping[str, Listed | ListedGroup], panel: str | None = None) -> None:
        """Take in commands, in this order."""
        for name, listed in commands.items():
            if isinstance(listed, Listed):
                self.add_command(Later(name, listed, panel))
            else:
                group = LazyGroup(
                    name=name,
                    help=listed.summary,
                    no_args_is_help=True,
                    rich_help_panel=panel,
                    rich_markup_mode=None,
                )
                group.add_listed(listed.commands)
                self.add_command(group)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the commands of each panel with their summaries."""
        _write_options(self, ctx, formatter)
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            summary = (command.help or "").partition("\n")[0]
            panels.setdefault(command.rich_help_panel or "Commands", []).append((name, summary))  # type: ignore[attr-defined]
        _write_sections(panels, formatter)


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        if record := parameter.get_help_record(ctx):
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            panels.setdefault(parameter.rich_help_panel or usual, []).append(record)
    _write_sections(panels, formatter)


def _write_sections(sections: Mapping[str, list[tuple[str, str]]], formatter: Any) -> None:
    for heading, rows in sections.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)
