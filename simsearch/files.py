"""Writing files so that a crash leaves the old content or the new one, never a mixture."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from simsearch.errors import BadInputError, cannot_write

_TEMPORARY_PREFIX = ".tmp-"


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by a file with this content: written aside, flushed to disk, then renamed.

    :raises BadInputError: If it cannot be written; `path` is then what it was.
    """
    with open_atomically(path) as file:
        file.write(data)


def write_durably(path: Path, data: bytes) -> None:
    """Like `write_atomically`, leaving it to the caller to flush the folder once after many files.

    :raises OSError: If it cannot be written.
    """
    temporary = _temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace_file(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when the block ends without an error.

    :raises BadInputError: If it cannot be written; `path` is then what it was.
    """
    temporary = _temporary_beside(path)
    try:
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            replace_file(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_target(path: Path) -> None:
    """Refuse a file that could not be written, before work is spent on its content.

    :raises BadInputError: If it is a folder, or its folder does not exist.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise BadInputError(
            f"cannot write {path}: {'it' if path.is_dir() else path.parent} is "
            f"{'a folder' if path.is_dir() else 'no folder'}"
        )


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, on systems where a folder can be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_temporaries(folder: Path) -> None:
    """Delete what a killed writer left; only a folder's sole writer may call this."""
    for path in folder.glob(f"{_TEMPORARY_PREFIX}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def replace_file(source: Path, target: Path, *, tries: int = 20) -> None:
    """Rename over the target; on Windows a reader that has it open makes this fail for a moment."""
    for remaining in reversed(range(tries)):
        try:
            source.replace(target)
            return
        except PermissionError:
            if os.name != "nt" or not remaining:
                raise
            time.sleep(0.05)


def _temporary_beside(path: Path) -> Path:
    """A name nobody has. Opened with "x" it gets any new file's mode, which mkstemp would not give it."""
    return path.with_name(f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}")
