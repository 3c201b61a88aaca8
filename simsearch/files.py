"""Files, safely: a crash leaves the old content or the new one, one process writes, no pipe is waited for."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from simsearch.errors import BadInputError, BusyError, cannot_write

LOCK = ".lock"

_TEMPORARY_PREFIX = ".tmp-"
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


class HeldSignals:
    """The signals that end a program, while they are held; see `hold_signals`."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._handlers: dict[int, Callable[..., object]] = {}
        self._caught: list[int] = []
        self._is_holding = self._is_over = False

    def heed(self) -> None:
        """Raise now what was held back, if anything was."""
        if self._caught:
            number = self._caught[0]
            self._caught.clear()
            self._handlers[number](number, None)

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Let signals raise wherever they come, as they do outside."""
        self.restore()
        try:
            self.heed()
            yield
        finally:
            self.hold()

    def hold(self) -> None:
        """From now on only remember them. Those that are ignored, or end the process outright, still do."""
        if self._is_over or threading.current_thread() is not threading.main_thread():
            return  # signals never raise in another
        self._is_holding = True
        for name in _ENDING:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            handler = None if number is None else signal.getsignal(number)
            if number is not None and callable(handler) and handler != self._remember:
                self._handlers[number] = handler
                signal.signal(number, self._remember)

    def restore(self) -> None:
        """Put back the handlers that were there before, where no others have come since."""
        self._is_holding = False
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._remember:
                signal.signal(number, handler)

    def end(self) -> None:
        """Never hold again. A block of `released` that was interrupted as it began may be left only later."""
        self._is_over = True
        self.restore()

    def _remember(self, number: int, frame: object) -> None:
        if self._is_holding:
            self._caught.append(number)
        else:  # it has not been put back yet, or that was interrupted
            self._handlers[number](number, frame)


@contextlib.contextmanager
def hold_signals() -> Iterator[HeldSignals]:
    """Keep Ctrl-C, SIGTERM and SIGHUP from raising in the middle of what must be done whole or undone.

    Python raises them between any two steps: between making a folder and the `try` that would remove it, or
    within that removal. Here they raise where `heed` is called, inside `released`, and at the end.
    """
    held = HeldSignals()
    try:
        held.hold()
        yield held
    finally:
        held.end()
        held.heed()


class _Ready(io.FileIO):
    """A file that is never waited for: some of the kernel's are regular ones that have nothing yet."""

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._check(count)
        return count

    def readall(self) -> bytes:
        data = super().readall()
        self._check(data)
        return data

    def _check(self, read: object) -> None:
        if read is None:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), self.name)


@contextlib.contextmanager
def open_regular(path: Path, most: int = 2**63) -> Iterator[io.BufferedReader]:
    """Open a regular file of at most `most` bytes for reading; a pipe or a device is never waited for.

    Whatever comes from outside is opened here, and once: what is measured and hashed is what is then parsed.

    :raises OSError: If it cannot be opened, is something else, or has more bytes.
    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"):  # which not every system has
        flags |= getattr(os, name, 0)
    try:
        raw = _Ready(os.fspath(path), opener=lambda name, _: os.open(name, flags))
        file: io.BufferedReader = io.BufferedReader(raw)
    except ValueError as error:  # a null byte in the path
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        if size_of(file) > most:
            raise OSError(errno.EFBIG, f"Larger than {most:,} bytes", str(path))
        yield file


def size_of(file: io.BufferedIOBase) -> int:
    """The size of an open file."""
    return os.fstat(file.fileno()).st_size


def read_small_file(path: Path, most: int) -> bytes | None:
    """Read a regular file of at most `most` bytes, whole; None if it has more.

    :raises OSError: If it cannot be read.
    """
    with open_regular(path) as file:
        data = file.read(most + 1) if size_of(file) <= most else None
    return data if data is None or len(data) <= most else None


def decompressed(file: io.BufferedReader, name: str) -> io.BufferedIOBase:
    """What is in an open file: through gzip if its name ends in `.gz`."""
    if not name.endswith(".gz"):
        return file
    import gzip

    return gzip.GzipFile(fileobj=file)


def sha256_of(file: io.BufferedReader) -> str:
    """The SHA-256 of an open file's bytes, in hexadecimal; the file is then at its start again."""
    file.seek(0)
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return found


def reason_of(error: BaseException) -> str:
    """An error in one short line; of requests' nested ones the innermost."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    text = " ".join(str(inner or error).split())
    if text.startswith("HTTP") and ": " in text:
        text = text.split(": ", 1)[1]
    return text[:300] or type(error).__name__


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by a file with this content: written aside, flushed to disk, then renamed.

    :raises BadInputError: If it cannot be written; see `open_atomically`.
    """
    with open_atomically(path) as file:
        file.write(data)


def write_durably(path: Path, data: bytes) -> None:
    """Like `write_atomically`, leaving it to the caller to flush the folder once after many files.

    :raises OSError: If it cannot be written.
    """
    temporary = _temporary_beside(path)
    with hold_signals():
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            replace_file(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # of two errors the first is the one to tell
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when the block ends without an error.

    :raises BadInputError: If it cannot be written; `path` is then what it was. If its folder alone cannot be
        flushed, `path` is the new file, and a crash may bring back what it was.
    """
    temporary = _temporary_beside(path)
    with hold_signals() as signals:
        try:
            try:
                with temporary.open("xb") as file:
                    with signals.released():  # what writes may take long
                        yield file
                    file.flush()
                    os.fsync(file.fileno())
                replace_file(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):  # of two errors the first is the one to tell
                    temporary.unlink(missing_ok=True)
                raise
            sync_folder(path.parent)
        except OSError as error:
            raise cannot_write(path, error) from error


def check_target(path: Path) -> None:
    """Refuse a file that could not be written, before work is spent on its content.

    :raises BadInputError: If it is a folder, its folder does not exist, or there can be no such file.
    """
    if "\0" in str(path):
        raise cannot_write(path, OSError(errno.EINVAL, "Invalid name"))
    try:
        refused = path.is_dir() or not path.parent.is_dir()
    except OSError as error:  # a name that is too long, for example
        raise cannot_write(path, error) from error
    if refused:
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
            import shutil

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
def folder_lock(folder: Path, *, busy: str) -> Iterator[HeldSignals]:
    """Hold a folder's lock, creating the folder; if it is new and nothing was written, it is gone afterwards.

    Signals are held inside: long work must heed them, or be done where they are released.

    :param busy: What another process is doing if it holds the lock, as the message of the error.
    :raises BusyError: If another process holds the lock.
    :raises BadInputError: If there can be no such folder, or it may not be written.
    """
    from filelock import FileLock, Timeout  # which nothing that only reads needs

    created: list[Path] = []
    with hold_signals() as signals, contextlib.ExitStack() as held:
        try:
            created = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            for path in created:  # else a crash could take the folder with all that was flushed in it
                sync_folder(path.parent)
            held.enter_context(FileLock(folder / LOCK, timeout=0))
        except Timeout:
            raise BusyError(busy, hint="wait for it, then try again") from None
        except (FileExistsError, NotADirectoryError):
            raise BadInputError(f"{folder} cannot be a folder: a file has that name") from None
        except OSError as error:
            _remove_if_empty(created)
            raise cannot_write(folder, error) from error
        try:
            yield signals
        finally:
            _remove_if_empty(created)


def _temporary_beside(path: Path) -> Path:
    """A name nobody has. Opened with "x" it gets any new file's mode, which mkstemp would not give it."""
    return path.with_name(f"{_TEMPORARY_PREFIX}{os.urandom(8).hex()}")


def _remove_if_empty(created: list[Path]) -> None:
    """Remove a new folder that holds a lock and nothing else, while it is held, and its new parents."""
    with contextlib.suppress(OSError):  # Windows keeps a file that is open
        for folder in created:
            if {path.name for path in folder.iterdir()} == {LOCK}:
                (folder / LOCK).unlink()
            folder.rmdir()
