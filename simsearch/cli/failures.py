"""Errors in words for the user."""

from __future__ import annotations

import typer

from simsearch.errors import SimsearchError
from simsearch.text import printable


def explain(error: Exception) -> int:
    """Print what happened and what to do; return the exit code."""
    if isinstance(error, SimsearchError):
        message, hint, code = error.message, error.hint, error.exit_code
    elif isinstance(error, ValueError) and str(error) == "embedded null byte":
        # Some versions of Typer look for the files that options name before a command runs.
        message, hint, code = "no file can have such a name: it holds a null byte", "name another file", 2
    else:
        message, hint, code = f"unexpected {type(error).__name__}: {error}", "run again with --debug", 1
    typer.echo(f"error: {printable(message)}", err=True)
    if hint:
        typer.echo(f"hint: {printable(hint)}", err=True)
    return code
