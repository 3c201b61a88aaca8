"""Commands by name and summary; the module of one is loaded when it runs, and no other's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from simsearch.cli.commands import Listed, ListedGroup


class Later(TyperCommand):
    """What stands for a command until it runs."""

    def __init__(self, name: str, listed: Listed, panel: str | None) -> None:
        """Be listed in a panel, without a parameter or a body."""
        super().__init__(name=name, help=listed.summary, rich_help_panel=panel)
        self.place = listed.place

    def load(self) -> Any:
        """The command itself, with its options."""
        from simsearch.cli.options import flatten

        module, _, function = self.place.partition(":")
        command = getattr(import_module(f"simsearch.cli.commands.{module}"), function)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(self.name)(flatten(command))
        return typer.main.get_command(alone)


class LazyGroup(TyperGroup):
    """A group of commands that are loaded when they run."""

    def add_listed(self, commands: Mapping[str, Listed | ListedGroup], panel: str | None = None) -> None:
        """Take in commands, in this order."""
        for name, listed in commands.items():
            if isinstance(listed, Listed):
                self.add_command(Later(name, listed, panel))
            else:
                group = LazyGroup(name=name, help=listed.summary, no_args_is_help=True, rich_help_panel=panel)
                group.add_listed(listed.commands)
                self.add_command(group)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest
