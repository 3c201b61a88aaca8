"""Large files of an index, checked block by block: each block against its checksum before its first use.

To hash the files of a million items takes longer than to answer a query from them, and most queries need
little of them. So beside large files the checksums of their blocks are kept, in a file that is itself checked
when the index is opened. A file that is mapped and cut short in place kills the process: see `open_bundle`.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from simsearch.errors import BrokenBundleError
from simsearch.files import open_regular, size_of
from simsearch.index.manifest import FileEntry, Segment
from simsearch.index.stores.base import is_unit

BLOCKS = "blocks"  # the role of the file of checksums
LARGE = 2**24  # bytes of a file from which on blocks have checksums
_ROLES = ("index", "vectors", "thumbnails", "pictures")  # in this order in the file of checksums
FLAT = "Flat"  # the factory string of an index that is an array
_BLOCK = 2**16  # bytes
_MAPPED = 2**22  # bytes that are mapped at once, where rows lie apart: some 64 kB around each
_REBUILD = "build it again with `simsearch build-index`"


def block_sums(folder: Path, files: Mapping[str, FileEntry]) -> NDArray[np.uint64] | None:
    """The checksums, XXH3-64, of the blocks of a segment's files; None where none of them is large.

    :raises BrokenBundleError: If a file is not what it was when it was written.
    """
    if all(files[role].size < LARGE for role in _roles(files)):
        return None
    return np.concatenate([_sums_of(folder, files[role]) for role in _roles(files)])


def most_read(private: int) -> int:
    """The bytes of a FAISS index from which on it is mapped, though it was checked as a whole."""
    return private or LARGE


def block_count(files: Mapping[str, FileEntry]) -> int:
    """How many checksums a segment with these files has in its file of them."""
    return sum(_count(files[role].size) for role in _roles(files))


def checked_by_block(segment: Segment, private: int, *, alone: bool) -> frozenset[str]:
    """The roles of a segment's files that are mapped and checked block by block.

    :param private: Files of at most so many bytes are read, and checked as a whole. An index that FAISS or
        every query reads is mapped only by a process that ends at once.
    :param alone: Whether it is all of an index; of several, flat ones are read into one array.
    """
    if BLOCKS not in segment.files:
        return frozenset()
    roles = {role for role in _roles(segment.files) if segment.files[role].size > private}
    if private or segment.factory != FLAT or not alone:
        roles.discard("index")
    return frozenset(roles)


def map_blocks(
    files: Mapping[str, io.BufferedReader],
    segment: Segment,
    sums: NDArray[np.uint64],
    private: int,
    *,
    alone: bool,
) -> dict[str, Blocks]:
    """Map the files of a segment that are checked by block; see `checked_by_block`.

    :param sums: All checksums of its file of them.
    """
    mapped, start = {}, 0
    for role in _roles(segment.files):
        stop = start + _count(segment.files[role].size)
        if role in checked_by_block(segment, private, alone=alone):
            mapped[role] = Blocks(files[role], sums[start:stop], once=not private)
        start = stop
    return mapped


class Blocks:
    """A mapped file; what is read of it has the right checksum."""

    def __init__(self, file: io.BufferedReader, sums: NDArray[np.uint64], *, once: bool) -> None:
        """Map an open file, which may be closed then.

        :param sums: Of its blocks.
        :param once: Whether long stretches are read once, so that memory does not keep them.
        """
        self.content: NDArray[np.uint8] = np.memmap(file, np.uint8, "r")
        file.seek(0)
        self._name, self._sums, self.once = file.name, sums, once
        self._right = np.zeros(len(sums), bool)

    def check(self, numbers: NDArray[np.int64]) -> None:
        """Compare these blocks with their checksums, unless that was done.

        :raises BrokenBundleError: If one is another.
        """
        for number in np.unique(numbers[~self._right[numbers]]).tolist():
            block = self.content[number * _BLOCK : (number + 1) * _BLOCK]
            if xxhash.xxh3_64_intdigest(block.data) != self._sums[number]:
                raise BrokenBundleError(
                    f"{self._name} is damaged: its size or checksum is wrong", hint=_REBUILD
                )
            self._right[number] = True

    def check_bytes(self, start: int, stop: int) -> None:
        """Check the blocks that hold these bytes."""
        self.check(np.arange(start // _BLOCK, -(-stop // _BLOCK)))

    def forget(self, start: int, stop: int) -> None:
        """Take a stretch that was read out of this process's memory, if it will not be needed again."""
        mapped: Any = getattr(self.content, "_mmap", None)
        if self.once and mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            first = start // mmap.PAGESIZE * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_DONTNEED, first, stop - first)


class CheckedArray:
    """An array in a file, whose rows are read when they are asked for, and checked before."""

    def __init__(self, blocks: Blocks, start: int, dtype: Any, shape: tuple[int, ...]) -> None:
        """An array of this shape, whose numbers begin at a byte of a file."""
        self._blocks, self._start = blocks, start
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self._width = self.dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        self._rows: NDArray[Any] = np.ndarray(shape, self.dtype, blocks.content.data, start)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """A row, a stretch of rows, or rows by number or by mask.

        :raises BrokenBundleError: If what lies there is damaged.
        """
        if isinstance(rows, int | np.integer):
            row: NDArray[Any] = self[np.array([range(len(self))[rows]])][0]
            return row
        if not isinstance(rows, slice):
            return self._some(
                np.arange(len(self))[rows] if np.asarray(rows).dtype == bool else np.asarray(rows)
            )
        first, last, step = rows.indices(len(self))
        if step != 1 or last <= first:
            return self._some(np.arange(first, last, step))
        start, stop = self._start + first * self._width, self._start + last * self._width
        self._blocks.check_bytes(start, stop)
        if self._rows.flags.aligned and not self._blocks.once:
            return self._rows[first:last]
        found = np.array(self._rows[first:last])  # vectors of a flat index do not lie where numbers should
        self._blocks.forget(start, stop)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Everything as one array."""
        return np.asarray(self[:], dtype)

    def _some(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        rows = np.where(rows < 0, rows + len(self), rows)
        if not self._blocks.once:
            return self._read(rows)
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        for part in self._parts(rows[order]):
            found[order[part]] = self._read(rows[order[part]])
            self._blocks.forget(0, len(self._blocks.content))
        return found

    def _parts(self, rows: NDArray[np.int64]) -> Iterator[slice]:
        """Ascending rows in parts, around each of which a few megabytes are mapped."""
        mapped = np.minimum(np.diff(rows, prepend=rows[:1]) * self._width, _BLOCK) + self._width
        ends = np.flatnonzero(np.diff(np.cumsum(mapped) // _MAPPED)) + 1
        return (slice(*edge) for edge in pairwise([0, *ends.tolist(), len(rows)]))

    def _read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """These rows, their blocks checked."""
        found = self._rows[rows]  # refuses those that are not there
        starts = self._start + rows * self._width
        first, last = starts // _BLOCK, (starts + self._width - 1) // _BLOCK
        for more in range(int((last - first).max(initial=-1)) + 1):
            self._blocks.check(np.minimum(first + more, last))
        return found


class CheckedVectors(CheckedArray):
    """Vectors in a file, float32 (N, D), all of length 1."""

    def __init__(self, blocks: Blocks, start: int, shape: tuple[int, ...]) -> None:
        """Vectors whose numbers begin at a byte of a file."""
        super().__init__(blocks, start, "<f4", shape)
        self._unit = np.zeros(len(self), bool)  # those that were looked at

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Some vectors; see `CheckedArray`.

        :raises BrokenBundleError: If one is damaged, or not of length 1.
        """
        found = super().__getitem__(rows).astype(np.float32, copy=False)
        if not self._unit[rows].all():
            if not is_unit(found if found.ndim == 2 else found[None]):
                raise BrokenBundleError("a stored vector is not finite and of length 1", hint=_REBUILD)
            self._unit[rows] = True
        return found


class CheckedBytes:
    """The content of a file, read when it is asked for, and checked before."""

    def __init__(self, blocks: Blocks) -> None:
        """All bytes of a file."""
        self._blocks = blocks

    def __len__(self) -> int:
        return len(self._blocks.content)

    def __getitem__(self, part: slice) -> bytes:
        """A stretch.

        :raises BrokenBundleError: If it is damaged.
        """
        start, stop, _ = part.indices(len(self))
        self._blocks.check_bytes(start, stop)
        return self._blocks.content[start:stop].tobytes()


def _roles(files: Mapping[str, FileEntry]) -> list[str]:
    return [role for role in _ROLES if role in files]


def _count(size: int) -> int:
    return -(-size // _BLOCK)


def _sums_of(folder: Path, entry: FileEntry) -> NDArray[np.uint64]:
    sums, whole, buffer = np.empty(_count(entry.size), np.uint64), xxhash.xxh3_128(), bytearray(_BLOCK)
    with open_regular(folder / entry.name) as file, memoryview(buffer) as view:
        if size_of(file) == entry.size:
            for number in range(len(sums)):
                block = view[: file.readinto(view)]
                whole.update(block)
                sums[number] = xxhash.xxh3_64_intdigest(block)
    if whole.hexdigest() != entry.xxh3_128:
        raise BrokenBundleError(
            f"{folder / entry.name} is damaged: its size or checksum is wrong", hint=_REBUILD
        )
    return sums
