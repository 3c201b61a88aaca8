"""One finding of a check, as `doctor` and `verify` report it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simsearch.errors import SimsearchError


@dataclass(frozen=True)
class Check:
    """One finding. `passed` is None for something optional that is not there, or that was not looked at."""

    name: str
    passed: bool | None
    detail: str


def failed(name: str, error: SimsearchError) -> Check:
    """A check that ended with this error."""
    return Check(name, False, f"{error.message}; {error.hint}" if error.hint else error.message)


def guarded(name: str, check: Callable[[], str]) -> Check:
    """Run a check that says what it found, or raises why it failed."""
    try:
        return Check(name, True, check())
    except SimsearchError as error:
        return failed(name, error)
