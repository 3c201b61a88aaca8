"""Writing a segment: items that were encoded together, in files that never change afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BadInputError
from simsearch.index.checked import BLOCKS, block_sums
from simsearch.index.data_files import Writer, write_array, write_data_file
from simsearch.index.manifest import FileEntry, Segment
from simsearch.index.packed import SmallPictures, Sources, keeps_pixels
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import FLAT, read_index
from simsearch.prepare.inputs import Pictures

LIBRARIES = ("faiss-cpu", "numpy", "onnxruntime", "pillow")  # whose versions an index names


@dataclass(frozen=True, eq=False)
class Described:
    """What is kept of items beside their vectors and classes, row by row."""

    shown: Pictures | SmallPictures
    sources: Sequence[str]
    stamps: NDArray[np.void] | None = None  # of STAMP, see `segment.py`; None where they were not files

    @classmethod
    def of(
        cls, pictures: Pictures, sources: Sequence[str], stamps: NDArray[np.void] | None = None
    ) -> Described:
        """Keep the pixels that were encoded, or small pictures made of them."""
        if not keeps_pixels(pictures[0]):
            return cls(SmallPictures(*SmallPictures.pack(pictures)), sources, stamps)
        return cls(pictures, sources, stamps)


def write_segment(folder: Path, store: FaissStore, described: Described, *, factory: str = FLAT) -> Segment:
    """Write the files of a segment into an index's folder, whose lock is held.

    :param store: Of the items, built by this factory.
    :raises BadInputError: If FAISS refuses to read what it wrote.
    :raises OSError: If a file cannot be written.
    """
    text, ends = Sources.pack(described.sources)
    writers: dict[str, Writer] = {
        "index": lambda path: _write_index(path, store),
        "ids": write_array(store.ids),
        "sources": lambda path: write_bytes(path, text),
        "source_ends": write_array(ends),
    }
    shown = described.shown
    if isinstance(shown, SmallPictures):
        content = shown.content
        writers |= {
            "pictures": lambda path: write_bytes(path, content),
            "picture_ends": write_array(shown.ends),
        }
    else:
        writers["thumbnails"] = write_array(shown)
    if store.labels is not None:
        writers["labels"] = write_array(store.labels)
    if described.stamps is not None:
        writers["stamps"] = write_array(described.stamps)
    if not store.is_exact and not store.is_coded:
        writers["vectors"] = write_array(gather(store).vectors)
    files = {role: write_data_file(folder, role, write) for role, write in writers.items()}
    return Segment(len(store), factory, with_block_sums(folder, files))


def with_block_sums(folder: Path, files: Mapping[str, FileEntry]) -> Mapping[str, FileEntry]:
    """A segment's files, and one with the checksums of the blocks of those that are large; see `checked.py`.

    :raises BrokenBundleError: If one is not what it was when it was written.
    """
    sums = block_sums(folder, files)
    return files if sums is None else {**files, BLOCKS: write_data_file(folder, BLOCKS, write_array(sums))}


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file."""
    path.write_bytes(data)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn a store's refusal of a factory string into the user's error."""
    try:
        yield
    except ValueError as error:
        hint = "`Flat`, `HNSW32` and `IVF100,Flat` work on most galleries"
        raise BadInputError(str(error), hint) from error


def check_written(path: Path, dim: int, count: int) -> None:
    """Read back an index file: FAISS builds and writes some that it refuses to read.

    :raises BadInputError: If it does.
    """
    with explained():
        read_index(path, dim=dim, count=count)


def _write_index(path: Path, store: FaissStore) -> None:
    store.write(path)
    check_written(path, store.dim, len(store))
