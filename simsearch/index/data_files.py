"""The data files of an index: written whole under names made of their checksums, checked when opened."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from simsearch.errors import BrokenBundleError
from simsearch.files import open_regular, replace_file, size_of
from simsearch.index.manifest import FileEntry

REBUILD = "build it again with `simsearch build-index`"
_CHUNK = 2**20  # bytes

Writer = Callable[[Path], None]


def write_data_file(folder: Path, role: str, write: Writer) -> FileEntry:
    """Write one data file under a name made of its checksum.

    :param write: Called with a temporary path to write to.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=folder) as aside:
        path = Path(aside) / role
        write(path)
        with path.open("rb+") as file:
            entry = FileEntry.of(role, size_of(file), checksum(file))
            os.fsync(file.fileno())
        _give_name(path, folder / entry.name, entry)
    return entry


def write_array(array: NDArray[Any]) -> Writer:
    """A writer of one array as `.npy`, without pickle."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            # Given the file itself, NumPy writes past Python and does not notice that the disk is full.
            np.save(SimpleNamespace(write=file.write), array, allow_pickle=False)

    return write


def checksum(file: io.BufferedIOBase) -> str:
    """XXH3-128 of an open file's content, as hexadecimal digits; the file is then at its start again.

    It is read, not mapped: a mapped file that is cut short meanwhile would kill the process.
    """
    file.seek(0)
    state, buffer = xxhash.xxh3_128(), bytearray(_CHUNK)
    with memoryview(buffer) as view:
        while count := file.readinto(view):
            state.update(view[:count])
    file.seek(0)
    return state.hexdigest()


def _give_name(path: Path, target: Path, entry: FileEntry) -> None:
    try:
        replace_file(path, target)
    except PermissionError:
        # Windows: a reader has a file of this name mapped. The name is a checksum: the content may be there.
        with open_regular(target) as file:
            if os.name != "nt" or checksum(file) != entry.xxh3_128:
                raise


@contextlib.contextmanager
def open_checked(folder: Path, entry: FileEntry) -> Iterator[io.BufferedReader]:
    """Open one of an index's files, its size and then its checksum compared with the manifest.

    :raises FileNotFoundError: If it is not there.
    :raises BrokenBundleError: If it cannot be read, or is another.
    """
    with open_sized(folder, entry) as file:
        try:
            damaged = checksum(file) != entry.xxh3_128
        except OSError as error:
            raise _unreadable(folder / entry.name, error) from error
        if damaged:
            raise _damaged(folder / entry.name)
        yield file


@contextlib.contextmanager
def open_sized(folder: Path, entry: FileEntry) -> Iterator[io.BufferedReader]:
    """Open one of an index's files, whose blocks are checked before they are used, its size compared.

    :raises FileNotFoundError, BrokenBundleError: As `open_checked`.
    """
    path = folder / entry.name
    with contextlib.ExitStack() as held:
        try:
            file = held.enter_context(open_regular(path))
            damaged = size_of(file) != entry.size
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from error
        if damaged:
            raise _damaged(path)
        yield file


def _unreadable(path: Path, error: OSError) -> BrokenBundleError:
    return BrokenBundleError(f"{path} cannot be read: {error.strerror}", hint=REBUILD)


def _damaged(path: Path) -> BrokenBundleError:
    return BrokenBundleError(f"{path} is damaged: its size or checksum is wrong", hint=REBUILD)
