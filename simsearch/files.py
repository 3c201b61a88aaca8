"""Files, safely: a crash leaves the old content or the new one, one process writes, no pipe is waited for."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from simsearch.errors import BadInputError, BusyError, cannot_write

LOCK = ".lock"

_TEMPORARY_PREFIX = ".tmp-"


def read_small_file(path: Path, most: int) -> bytes | None:
    """Read a regular file of at most `most` bytes; None if it has more. A pipe is refused, never waited for.

    :raises OSError: If it cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        data = file.read(most + 1)
    return data if len(data) <= most else None


def open_decompressed(path: Path) -> io.BufferedIOBase:
    """Open a file for reading, through gzip if it is a `.gz`."""
    return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reason_of(error: BaseException) -> str:
    """An error in one short line; of requests' nested ones the innermost."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    text = " ".join(str(inner or error).split())
    if text.startswith("HTTP") and ": " in text:
        text = text.split(": ", 1)[1]
    return text[:300] or type(error).__name__


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


@contextlib.contextmanager
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


@contextlib.contextmanager
def folder_lock(folder: Path, *, busy: str) -> Iterator[None]:
    """Hold a folder's lock, creating the folder; if it is new and nothing was written, it is gone afterwards.

    :param busy: What another process is doing if it holds the lock, as the message of the error.
    :raises BusyError: If another process holds the lock.
    :raises BadInputError: If there can be no such folder, or it may not be written.
    """
    created: list[Path] = []
    with contextlib.ExitStack() as held:
        try:
            created = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / LOCK, timeout=0))
        except Timeout:
            raise BusyError(busy, hint="wait for it, then try again") from None
        except (FileExistsError, NotADirectoryError):
            raise BadInputError(f"{folder} cannot be a folder: a file has that name") from None
        except OSError as error:
            _remove_if_empty(created)
            raise cannot_write(folder, error) from error
        try:
            yield
        finally:
            _remove_if_empty(created)


def _temporary_beside(path: Path) -> Path:
    """A name nobody has. Opened with "x" it gets any new file's mode, which mkstemp would not give it."""
    return path.with_name(f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}")


def _remove_if_empty(created: list[Path]) -> None:
    """Remove a new folder that holds a lock and nothing else, while it is held, and its new parents."""
    with contextlib.suppress(OSError):  # Windows keeps a file that is open
        for folder in created:
            if {path.name for path in folder.iterdir()} == {LOCK}:
                (folder / LOCK).unlink()
            folder.rmdir()
