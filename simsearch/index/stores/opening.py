"""Index files and stores: a flat FAISS index is read and written as the array that it is, without FAISS."""

from __future__ import annotations

import io
import math
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.files import size_of
from simsearch.index.stores.base import Ids, Labels, Vectors
from simsearch.index.stores.flat import FlatStore

# What FAISS writes before the vectors of an `IndexFlatIP`: its kind, dimension, number of vectors, two
# numbers that stand for nothing, whether it is trained, its metric; then how many floats follow.
_HEADER = struct.Struct("<4siqqq?iQ")
_KIND, _INNER_PRODUCT = b"IxFI", 0
_BLOCK_BYTES = 2**22


def join_flat(
    files: Sequence[io.BufferedReader],
    ids: Sequence[Ids],
    labels: Sequence[Labels] | None,
    kept: Sequence[Ids | None],
    *,
    dim: int,
) -> FlatStore | None:
    """One store of all vectors in flat index files, whose checksums are right; None if one is no such file.

    :param ids: Of each file, strictly ascending, int64 (n,), also from one to the next.
    :param labels: Of each file the number of each item's class, int64 (n,); None without labels.
    :param kept: Of each file the rows that are wanted, ascending; None for all.
    :raises ValueError: If they do not fit together.
    """
    rows = [slice(None) if chosen is None else chosen for chosen in kept]
    found = [own[chosen] for own, chosen in zip(ids, rows, strict=True)]
    vectors = np.empty((sum(map(len, found)), dim), np.float32)
    end = 0
    for file, own, chosen in zip(files, ids, kept, strict=True):
        start, end = end, end + (len(own) if chosen is None else len(chosen))
        if read_flat(file, dim=dim, count=len(own), kept=chosen, into=vectors[start:end]) is None:
            for opened in files:
                opened.seek(0)
            return None
    classes = None
    if labels is not None:
        classes = _one([own[chosen] for own, chosen in zip(labels, rows, strict=True)])
    return FlatStore(_one(found), classes, vectors)


def _one(arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def open_store(
    file: io.BufferedReader,
    ids: Ids,
    labels: Labels | None,
    vectors: Vectors | None,
    *,
    dim: int,
    most_read: float = math.inf,
    coded: bool = False,
    effort: int | None = None,
) -> FlatStore:
    """The store in an index file, whose checksum is right.

    :param ids: Strictly ascending, int64 (N,).
    :param labels: The number of each item's class, int64 (N,); None without labels.
    :param vectors: The exact vectors, float32 (N, D), where they lie in a file of their own.
    :param most_read: A FAISS index of more bytes than that is mapped, where it is not flat.
    :param coded: That the vectors are what the codes of a FAISS index give, where it is not flat.
    :param effort: How much of an approximate index a search looks at; see `set_search_effort`.
    :raises ValueError: If it is no inner-product index of N vectors of this length.
    """
    if vectors is None and (flat := read_flat(file, dim=dim, count=len(ids))) is not None:
        return FlatStore(ids, labels, flat)
    from simsearch.index.stores.coded import CodedVectors
    from simsearch.index.stores.faiss import FaissStore
    from simsearch.index.stores.faiss_index import parse_index

    index = parse_index(file, dim=dim, count=len(ids), most_read=most_read)
    held: Any = CodedVectors(index) if coded and vectors is None else vectors
    return FaissStore(index, ids, labels, held, effort=effort)


def read_flat(
    file: io.BufferedReader, *, dim: int, count: int, kept: Ids | None = None, into: Vectors | None = None
) -> Vectors | None:
    """The vectors of a flat index; None, at its start, if the file is another.

    :param kept: The rows that are wanted, ascending; None for all.
    :param into: Where they go, float32 (len(kept), dim); None for an array of their own.
    """
    size, numbers = size_of(file), count * dim
    head = file.read(_HEADER.size) if size == _HEADER.size + 4 * numbers else b""
    if len(head) == _HEADER.size:
        kind, found_dim, found, _, _, trained, metric, follow = _HEADER.unpack(head)
        if (kind, found_dim, found, trained, metric) == (_KIND, dim, count, True, _INNER_PRODUCT):
            if into is None:
                into = np.empty((count if kept is None else len(kept), dim), np.float32)
            if follow == numbers and _read_rows(file, count, kept, into):
                return into if sys.byteorder == "little" else into.byteswap(inplace=True)
    file.seek(0)
    return None


def _read_rows(file: io.BufferedReader, count: int, kept: Ids | None, into: Vectors) -> bool:
    """Read rows from here on, of which those that are kept follow one another; whether the file has them."""
    if kept is None or len(kept) == count:
        return file.readinto(into.data.cast("B")) == into.nbytes
    step = max(1, _BLOCK_BYTES // (4 * into.shape[1]))
    ends = np.searchsorted(kept, np.minimum(np.arange(0, count + step, step), count)).tolist()
    block = np.empty((step, into.shape[1]), np.float32)
    for first, start, end in zip(range(0, count, step), ends[:-1], ends[1:], strict=True):
        rows = min(step, count - first)
        target = into[start:end] if end - start == rows else block[:rows]
        if file.readinto(target.data.cast("B")) != target.nbytes:
            return False
        if end - start < rows:
            into[start:end] = target[kept[start:end] - first]
    return True


def write_flat(path: Path, dim: int, count: int, blocks: Iterable[Vectors]) -> None:
    """Write a flat index of `count` vectors as FAISS itself would, without holding them in memory.

    :raises OSError: If it cannot be written.
    """
    with path.open("wb") as file:
        file.write(_header(dim, count))
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").data.cast("B"))


def is_flat(file: io.BufferedReader, dim: int, count: int) -> bool:
    """Whether an open file, at its start, is a flat index of this shape; it is at its start again."""
    head = file.read(_HEADER.size)
    file.seek(0)
    return head == _header(dim, count)


def flat_start(file: io.BufferedReader, dim: int, count: int) -> int:
    """Where the vectors of a flat index of this shape begin in its file.

    :raises ValueError: If it is another.
    """
    if file.read(_HEADER.size) != _header(dim, count) or size_of(file) != _HEADER.size + 4 * dim * count:
        raise ValueError(f"it holds no flat index of {count} vectors of length {dim}")
    return _HEADER.size


def _header(dim: int, count: int) -> bytes:
    return _HEADER.pack(_KIND, dim, count, 2**20, 2**20, True, _INNER_PRODUCT, dim * count)
