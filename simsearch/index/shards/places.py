"""Folders here and in object stores, by path or URI, through pyarrow's file systems or fsspec's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from simsearch.errors import BadDatasetError, require
from simsearch.files import replace_file


class Place(NamedTuple):
    """A folder or a file, and the file system that it lies in."""

    system: Any  # pyarrow.fs.FileSystem
    path: str

    def below(self, name: str) -> str:
        """The path of what lies below."""
        return f"{self.path.rstrip('/')}/{name}"


def is_uri(place: str) -> bool:
    """Whether this names a place by its scheme, such as s3://bucket/folder."""
    return "://" in place


def open_place(place: str) -> Place:
    """Find the file system of a path or URI; nothing is read.

    :raises BadDatasetError: If no file system knows the scheme.
    """
    require("pyarrow", "parquet")
    from pyarrow import fs

    if not is_uri(place):
        return Place(fs.LocalFileSystem(), str(Path(place).resolve()))
    try:
        return Place(*fs.FileSystem.from_uri(place))
    except (ValueError, OSError):  # a scheme that pyarrow does not know
        pass
    require("fsspec", "scale")
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(place)
    except (ImportError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadDatasetError(
            f"{place} cannot be reached: {reason}", "give a folder, or s3://BUCKET/..."
        ) from None
    return Place(fs.PyFileSystem(fs.FSSpecHandler(system)), str(path))


def file_state(place: Place, name: str) -> tuple[int, int] | None:
    """Size and time of change of a file below a folder of this machine's; None in an object store.

    :raises OSError: If it is not there.
    """
    if place.system.type_name != "local":
        return None
    found = Path(place.below(name)).stat()
    return found.st_size, found.st_mtime_ns


def read_whole(place: Place, path: str) -> bytes:
    """The content of a file.

    :raises OSError: If it cannot be read.
    """
    with place.system.open_input_file(path) as file:
        content: bytes = file.read()
        return content


def write_whole(place: Place, path: str, content: bytes) -> None:
    """Write a file so that readers see all of it or nothing; object stores do so by themselves.

    :raises OSError: If it cannot be written.
    """
    from pyarrow import fs

    if not isinstance(place.system, fs.LocalFileSystem):
        with place.system.open_output_stream(path) as stream:
            stream.write(content)
        return
    aside = f"{path}.tmp-{os.getpid()}"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(aside).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    replace_file(Path(aside), Path(path))
