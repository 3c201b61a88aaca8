"""Every error simsearch raises for the user's world, and the exit code each one means.

    SimsearchError                 1  unexpected
    ├── BadInputError              2  bad usage or bad input
    │   ├── BadImageError             a picture that cannot be read, or shows nothing
    │   ├── BadDatasetError           a dataset that is unknown or cannot be read
    │   └── MissingExtraError         a command whose optional dependencies are not installed
    ├── NotUsableError             3  missing or broken index, model or dataset file
    │   ├── BrokenBundleError
    │   ├── BrokenModelError
    │   ├── MissingBundleError
    │   ├── MissingModelError
    │   └── DatasetUnavailableError   no source delivered the dataset
    ├── BusyError                  4  someone else is writing
    └── UnavailableError           4  a server cannot answer, or not wholly, now

A caller's mistake in the Python API (a wrong shape, k < 1) is a plain ValueError.
Only `simsearch.cli.main` exits; only `simsearch.web` chooses status codes.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path


class SimsearchError(Exception):
    """What happened, and what to do about it: one line each."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInputError(SimsearchError):
    """The request or its input cannot be used."""

    exit_code = 2


class BadImageError(BadInputError):
    """A picture cannot be read, is too large, or shows nothing."""


class BadDatasetError(BadInputError):
    """A dataset is unknown, empty or malformed."""


class MissingExtraError(BadInputError):
    """An optional dependency is not installed."""


class NotUsableError(SimsearchError):
    """Something simsearch needs on disk is missing or broken."""

    exit_code = 3


class MissingBundleError(NotUsableError):
    """There is no index where one was expected."""


class BrokenBundleError(NotUsableError):
    """An index is damaged, inconsistent or from another format version."""


class MissingModelError(NotUsableError):
    """There is no model where one was expected."""


class BrokenModelError(NotUsableError):
    """A model folder or checkpoint is damaged or does not fit."""


class DatasetUnavailableError(NotUsableError):
    """No source delivered the dataset."""


class BusyError(SimsearchError):
    """Another process is writing what this one wants to write."""

    exit_code = 4


class UnavailableError(SimsearchError):
    """A server that holds what is needed cannot answer now, or not wholly; later it may."""

    exit_code = 4


def cannot_write(path: Path, error: OSError) -> BadInputError:
    """Why nothing can be written there, in one line."""
    reason = (error.strerror or str(error)).lower()
    return BadInputError(f"cannot write {path}: {reason}", hint="free some space, or choose another place")


def require(module: str, extra: str) -> None:
    """Check that an optional module is installed, without importing it.

    :raises MissingExtraError: Naming the pip command that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(
            f"this command needs {module}, which is not installed",
            hint=f"pip install 'simsearch[{extra}]'",
        )
