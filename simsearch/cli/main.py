"""The `simsearch` program: its commands in panels, and how each of them may end."""

from __future__ import annotations

import errno
import os
import traceback
from typing import Annotated, Any

import typer

from simsearch import __version__
from simsearch.cli.commands import COMMANDS
from simsearch.cli.failures import explain
from simsearch.cli.lazy import LazyGroup
from simsearch.cli.signals import end_interrupted, end_quietly, interruption_behind, run_program

_FULL = (errno.ENOSPC, errno.EFBIG)


class Commands(LazyGroup):
    """The root command: turns errors into one line each, and into exit codes."""

    def __init__(self, **attrs: Any) -> None:
        """Take in all commands."""
        super().__init__(**attrs)
        for panel, commands in COMMANDS.items():
            self.add_listed(commands, panel)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the command line."""
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt as stop:
            raise typer.Exit(end_interrupted(stop)) from None

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt as stop:
            raise typer.Exit(end_interrupted(stop)) from None
        except BrokenPipeError:
            raise typer.Exit(end_quietly()) from None
        except Exception as error:
            if isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
                raise  # stdout is a file on a full disk
            if signalled := interruption_behind(error):
                raise typer.Exit(end_interrupted(signalled)) from None
            if ctx.params.get("debug"):
                traceback.print_exc()
            raise typer.Exit(explain(error)) from None


app = typer.Typer(
    cls=Commands,
    name="simsearch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The `simsearch` program."""
    if not os.environ.get("COLUMNS", "1").strip("0"):  # what some shells say where there is no terminal
        del os.environ["COLUMNS"]  # in no columns Rich prints nothing
    run_program(app)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"simsearch {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Learned visual similarity search: find the images that resemble yours.

    Example: simsearch query digit.png
    """
