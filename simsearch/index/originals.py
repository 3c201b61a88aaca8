"""The files behind an index's items: below the folder that it was made from, and nowhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import SimsearchError
from simsearch.files import open_regular, read_small_file
from simsearch.index.bundle import Bundle, read_items
from simsearch.index.reading import STAMP, UNKNOWN, file_hash
from simsearch.prepare.cost import check_cost
from simsearch.prepare.decode import MAX_BYTES
from simsearch.prepare.formats import HEAD_BYTES, Kind, kind_of


class Originals:
    """Where the pictures of an index's items lie now.

    A file may have been changed, moved or deleted since the index was made; whether it is there is looked at
    each time.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Look below the folder that the index keeps; without one there are no files."""
        self._bundle = bundle
        self.root = None if bundle.manifest.root is None else Path(bundle.manifest.root)

    def path(self, item: int) -> Path | None:
        """Where the file of the item of this id is or was; None if the index was not made from files.

        :raises ValueError: If there is no such item.
        """
        [known] = self._bundle.columns.describe(np.array([item], np.int64))
        return self.path_of(known.source)

    def path_of(self, source: str) -> Path | None:
        """The same of a source; None too if it leads out of the folder."""
        below = PurePosixPath(source)
        if self.root is None or below.is_absolute() or ".." in below.parts or not below.parts:
            return None
        path = self.root.joinpath(*below.parts)
        # A drive or a backslash in a name can lead elsewhere on Windows.
        return path if path.is_relative_to(self.root) and "\0" not in source else None

    def existing(self, item: int) -> Path | None:
        """Where the file of the item is; None where none can be opened, or it is no picture."""
        path = self.path(item)
        if path is None:
            return None
        with contextlib.suppress(OSError), open_regular(path) as file:
            return path if kind_of(file.read(HEAD_BYTES)) else None
        return None

    def read(self, item: int) -> tuple[Kind, bytes] | None:
        """The kind and the bytes of an item's picture, whose cost is within bounds; None without one.

        :raises ValueError: If there is no such item.
        """
        path = self.path(item)
        if path is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            data = read_small_file(path, MAX_BYTES)
            if data and (kind := kind_of(data[:HEAD_BYTES])):
                check_cost(data)
                return kind, data
        return None

    def content_hash(self, row: int, path: Path) -> tuple[int, int]:
        """The XXH3-128 of a row's file as two numbers: as the index has it, if the file is what it was then.

        :raises OSError: If the file has changed, and cannot be read.
        """
        if self._stamps is not None:
            size, mtime_ns, digest = self._stamps[row].item()
            state = path.stat()
            if (state.st_size, state.st_mtime_ns) == (size, mtime_ns):
                return int(digest[0]), int(digest[1])
        with open_regular(path) as file:
            return file_hash(file)

    @cached_property
    def _stamps(self) -> NDArray[np.void] | None:
        """What each row's file was when it was read, (N,) of STAMP; None where the index does not say."""
        manifest = self._bundle.manifest
        if not any("stamps" in part.files for part in manifest.parts):
            return None
        try:
            parts = read_items(self._bundle.folder, manifest, "stamps")
        except SimsearchError:  # it has changed since it was opened
            return None
        unknown = np.array(UNKNOWN, STAMP)
        return np.concatenate(
            [
                np.full(len(part.rows), unknown) if part.stamps is None else part.stamps[part.rows]
                for part in parts
            ]
        )

    def all_existing(self) -> Iterator[tuple[int, Path]]:
        """Row and file of each item whose file is there."""
        for row, source in enumerate(self._bundle.sources):
            path = self.path_of(source)
            if path is not None:
                with contextlib.suppress(OSError):
                    if path.is_file():
                        yield row, path
