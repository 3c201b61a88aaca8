"""Several segments -> one, without what was removed: read and written block by block.

Only an index type that is not flat is held in memory while it is built.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BrokenBundleError
from simsearch.index.data_files import REBUILD, open_checked, write_data_file
from simsearch.index.manifest import Segment
from simsearch.index.reading import STAMP, UNKNOWN
from simsearch.index.segment import array_start, kept_rows, load_array
from simsearch.index.stores.base import Ids
from simsearch.index.stores.coded import CodedVectors
from simsearch.index.stores.faiss_index import FLAT, make_index, parse_index, write_index
from simsearch.index.stores.opening import flat_start, is_flat, write_flat
from simsearch.index.writing import check_written, explained, with_block_sums

_BLOCK_BYTES = 2**22
_PACKED = {"sources": "source_ends", "pictures": "picture_ends"}


class Shape(NamedTuple):
    """What all segments of an index have in common."""

    dim: int
    picture: tuple[int, ...]  # of the pixels that are kept


def merge_segments(
    source: Path,
    folder: Path,
    segments: Sequence[Segment],
    shape: Shape,
    *,
    removed: Ids,
    factory: str = FLAT,
    coded: bool = False,
    renumber: Mapping[int, int] | None = None,
) -> Segment:
    """Write one segment of the items of several that are not removed.

    :param source: The folder where they lie.
    :param folder: The index's folder, whose lock is held.
    :param removed: Ids that are left out, ascending; among those of these segments and others.
    :param coded: Whether the codes of that FAISS index are what is stored of the vectors.
    :param renumber: New numbers of the classes; None keeps them.
    :raises BadInputError: If FAISS cannot build such an index.
    :raises BrokenBundleError: If a file is damaged.
    """
    with _consistent(source):
        parts = [_Part(source, segment, removed) for segment in segments]
        count = sum(part.live for part in parts)
        files = {"ids": _write(folder, "ids", np.int64, (count,), _all(parts, "ids", np.int64, ()))}
        for role, ends in _PACKED.items():
            if role in segments[0].files:
                files[role] = write_data_file(folder, role, partial(_pack, parts=parts, role=role))
                files[ends] = _write(folder, ends, np.int64, (count,), _new_ends(parts, ends))
        if "thumbnails" in segments[0].files:
            blocks = _all(parts, "thumbnails", np.uint8, shape.picture)
            files["thumbnails"] = _write(folder, "thumbnails", np.uint8, (count, *shape.picture), blocks)
        if "labels" in segments[0].files:
            labels = (_renumbered(block, renumber) for block in _all(parts, "labels", np.int64, ()))
            files["labels"] = _write(folder, "labels", np.int64, (count,), labels)
        if any("stamps" in segment.files for segment in segments):
            files["stamps"] = _write(folder, "stamps", STAMP, (count,), _stamps(parts))
        if factory == FLAT:
            vectors = _vectors(parts, shape.dim)
            files["index"] = write_data_file(
                folder, "index", lambda path: write_flat(path, shape.dim, count, vectors)
            )
        else:
            stored = _write(folder, "vectors", np.float32, (count, shape.dim), _vectors(parts, shape.dim))
            files["vectors"] = stored
            files["index"] = write_data_file(
                folder, "index", lambda path: _train(path, folder / stored.name, factory)
            )
            if coded:
                (folder / files.pop("vectors").name).unlink()
    return Segment(count, factory, with_block_sums(folder, files))


@contextlib.contextmanager
def _consistent(folder: Path) -> Iterator[None]:
    """Turn what does not fit in files into the user's error; a disk that is full remains what it is."""
    try:
        yield
    except ValueError as error:
        raise BrokenBundleError(f"the index in {folder} is inconsistent: {error}", hint=REBUILD) from error


class _Part:
    """A segment that is read once more, a file at a time: of many segments few files are open."""

    def __init__(self, folder: Path, segment: Segment, removed: Ids) -> None:
        self.count, self.files, self._folder = segment.count, segment.files, folder
        with self._open("ids") as file:
            self._rows = kept_rows(load_array(file, np.int64, (self.count,)), removed)

    @property
    def live(self) -> int:
        """How many items are kept."""
        return self.count if self._rows is None else len(self._rows)

    @property
    def kept(self) -> NDArray[np.int64]:
        """Their rows."""
        return np.arange(self.count) if self._rows is None else self._rows

    def array(self, role: str, dtype: Any, row: tuple[int, ...]) -> Iterator[NDArray[Any]]:
        """The kept rows of an array, in blocks."""
        with self._open(role) as file:
            start = array_start(file, dtype, (self.count, *row))
            yield from self._blocks(file, start, np.dtype(dtype), row)

    def vectors(self, dim: int) -> Iterator[NDArray[Any]]:
        """The kept vectors, in blocks."""
        if "vectors" in self.files:
            yield from self.array("vectors", np.float32, (dim,))
            return
        with self._open("index") as file:
            if is_flat(file, dim, self.count):
                start = flat_start(file, dim, self.count)
                yield from self._blocks(file, start, np.dtype(np.float32), (dim,))
            else:
                yield from self._decoded(file, dim)

    def _decoded(self, file: io.BufferedReader, dim: int) -> Iterator[NDArray[Any]]:
        vectors = CodedVectors(parse_index(file, dim=dim, count=self.count))
        kept, step = self.kept, max(1, _BLOCK_BYTES // (4 * dim))
        for first in range(0, len(kept), step):
            yield vectors[kept[first : first + step]]

    def ends(self, role: str) -> NDArray[np.int64]:
        """Where entries end, with a 0 before the first."""
        with self._open(role) as file:
            return np.concatenate([[0], load_array(file, np.int64, (self.count,))])

    def copy_packed(self, role: str, target: io.BufferedWriter) -> None:
        """Copy the kept entries of a packed file, neighbors together."""
        ends, kept = self.ends(_PACKED[role]), self.kept
        breaks = np.flatnonzero(np.diff(kept) != 1)
        firsts = kept[np.concatenate([[0], breaks + 1])]
        lasts = kept[np.concatenate([breaks, [len(kept) - 1]])]
        with self._open(role) as file:
            for start, end in zip(ends[firsts].tolist(), ends[lasts + 1].tolist(), strict=True):
                file.seek(start)
                _copy(file, target, end - start)

    def _open(self, role: str) -> AbstractContextManager[io.BufferedReader]:
        return open_checked(self._folder, self.files[role])

    def _blocks(
        self, file: io.BufferedReader, start: int, dtype: np.dtype[Any], row: tuple[int, ...]
    ) -> Iterator[NDArray[Any]]:
        width = dtype.itemsize * int(np.prod(row, dtype=np.int64))
        step = max(1, _BLOCK_BYTES // width)
        file.seek(start)
        for first in range(0, self.count, step):
            block = np.empty((min(step, self.count - first), *row), dtype)
            if file.readinto(block.view(np.uint8).data.cast("B")) != block.nbytes:
                raise ValueError(f"{Path(file.name).name} was cut short while it was read")
            if self._rows is None:
                yield block
                continue
            inside = np.searchsorted(self._rows, [first, first + len(block)])
            rows = self._rows[slice(*inside)] - first
            if len(rows):  # an empty array has no bytes to write
                yield block if len(rows) == len(block) else block[rows]


def _all(parts: Sequence[_Part], role: str, dtype: Any, row: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    for part in parts:
        yield from part.array(role, dtype, row)


def _vectors(parts: Sequence[_Part], dim: int) -> Iterator[NDArray[Any]]:
    for part in parts:
        yield from part.vectors(dim)


def _stamps(parts: Sequence[_Part]) -> Iterator[NDArray[Any]]:
    for part in parts:
        if "stamps" in part.files:
            yield from part.array("stamps", STAMP, ())
        elif part.live:
            yield np.full(part.live, np.array(UNKNOWN, STAMP))


def _renumbered(labels: NDArray[np.int64], renumber: Mapping[int, int] | None) -> NDArray[np.int64]:
    if renumber is None:
        return labels
    found, inverse = np.unique(labels, return_inverse=True)
    return np.array([renumber[number] for number in found.tolist()], np.int64)[inverse]


def _new_ends(parts: Sequence[_Part], role: str) -> Iterator[NDArray[np.int64]]:
    total = 0
    for part in parts:
        if part.live:
            ends = total + np.cumsum(np.diff(part.ends(role))[part.kept], dtype=np.int64)
            total = int(ends[-1])
            yield ends


def _pack(path: Path, parts: Sequence[_Part], role: str) -> None:
    with path.open("wb") as target:
        for part in parts:
            if part.live:
                part.copy_packed(role, target)


def _copy(file: io.BufferedReader, target: io.BufferedWriter, size: int) -> None:
    while size:
        block = file.read(min(size, _BLOCK_BYTES))
        if not block:
            raise ValueError(f"{Path(file.name).name} was cut short while it was read")
        target.write(block)
        size -= len(block)


def _write(
    folder: Path, role: str, dtype: Any, shape: tuple[int, ...], blocks: Iterable[NDArray[Any]]
) -> Any:
    return write_data_file(folder, role, array_writer(dtype, shape, blocks))


def array_writer(
    dtype: Any, shape: tuple[int, ...], blocks: Iterable[NDArray[Any]]
) -> Callable[[Path], None]:
    """A writer of an array of known shape, block by block."""

    def write(path: Path) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype).view(np.uint8).data.cast("B"))

    return write


def _train(path: Path, vectors: Path, factory: str) -> None:
    """Build an index of the vectors in a file."""
    stored = np.load(vectors, mmap_mode="r")
    with explained():
        write_index(make_index(stored, factory), path)
        check_written(path, *stored.shape[::-1])
