"""Segments' files, opened and parsed: vectors under ids, with classes, pictures, sources, and stamps."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.files import size_of
from simsearch.index.checked import (
    BLOCKS,
    Blocks,
    CheckedArray,
    CheckedBytes,
    CheckedVectors,
    block_count,
    map_blocks,
    most_read,
)
from simsearch.index.columns import Arrays
from simsearch.index.manifest import Manifest, Segment
from simsearch.index.packed import SmallPictures, Sources
from simsearch.index.reading import STAMP
from simsearch.index.rows import JoinedRows
from simsearch.index.stores.base import Ids, Labels, VectorStore, is_unit, positions
from simsearch.index.stores.flat import FlatStore
from simsearch.index.stores.opening import flat_start, join_flat, open_store

Files = Mapping[str, io.BufferedReader]
NPY_START = 128  # bytes before the numbers in a small array's `.npy` file, as NumPy writes it

_NO_IDS = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Items:
    """What a segment says of its items, row by row in ascending order of id; None where it was not read."""

    ids: Ids  # (n,), removed ones among them
    kept: NDArray[np.int64] | None  # the rows that are not removed; None for all
    labels: Labels | None  # (n,), rows of manifest.classes; of removed items any
    sources: Sources | None  # n
    stamps: NDArray[np.void] | None  # (n,) of STAMP; also None where the items were not made of files

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows that are not removed."""
        return np.arange(len(self.ids)) if self.kept is None else self.kept

    @property
    def live(self) -> int:
        """How many are not removed."""
        return len(self.ids) if self.kept is None else len(self.kept)


def open_items(files: Files, count: int, manifest: Manifest, removed: Ids) -> Items:
    """Parse what these files of a segment of `count` rows say of its items; its ids are among them.

    :param removed: Ids that are not answered, ascending, of this segment and others.
    :raises ValueError: If they do not fit each other, or the manifest.
    """
    ids = load_array(files["ids"], np.int64, (count,))
    kept = kept_rows(ids, removed)
    sources = None
    if "sources" in files:
        sources = Sources(files["sources"].read(), load_array(files["source_ends"], np.int64, (count,)))
    stamps = load_array(files["stamps"], STAMP, (count,)) if "stamps" in files else None
    return Items(ids, kept, _load_labels(files, count, manifest, kept), sources, stamps)


def open_segments(
    files: Sequence[Files], manifest: Manifest, removed: Ids, private: int
) -> tuple[VectorStore, Arrays]:
    """Several segments read as one, without what was removed, from files whose checksums are right.

    :param removed: Ids that are not answered, ascending.
    :param private: Files of arrays of at most so many bytes are read, larger ones mapped.
    :raises ValueError: If they do not fit each other, or the manifest.
    """
    every = [
        open_items(opened, segment.count, manifest, removed)
        for opened, segment in zip(files, manifest.parts, strict=True)
    ]
    if any(before.ids[-1] >= after.ids[0] for before, after in pairwise(every)):
        raise ValueError("the ids of the segments do not ascend")
    if sum(items.live for items in every) != manifest.count:
        raise ValueError("a removed id is not stored")
    blocks = [
        _map_blocks(opened, segment, private, alone=not manifest.is_changed)
        for opened, segment in zip(files, manifest.parts, strict=True)
    ]
    thumbnails = [
        _load_thumbnails(opened, len(items.ids), manifest, private, mapped)
        for opened, items, mapped in zip(files, every, blocks, strict=True)
    ]
    store = _open_store(files, every, blocks, manifest, private)
    if not manifest.is_changed:
        return store, Arrays(every[0].ids, every[0].labels, thumbnails[0], every[0].sources or ())
    kept = [items.kept for items in every]
    labeled = [items.labels[items.rows] for items in every if items.labels is not None]
    return store, Arrays(
        np.concatenate([items.ids[items.rows] for items in every]),
        np.concatenate(labeled) if labeled else None,
        JoinedRows(thumbnails, kept),
        JoinedRows([items.sources for items in every], kept),
    )


def _map_blocks(files: Files, segment: Segment, private: int, *, alone: bool) -> dict[str, Blocks]:
    """The files of a segment that are checked block by block."""
    if BLOCKS not in files:
        return {}
    sums = load_array(files[BLOCKS], np.uint64, (block_count(segment.files),))
    return map_blocks(files, segment, sums, private, alone=alone)


def _open_store(
    files: Sequence[Files],
    every: Sequence[Items],
    blocks: Sequence[Mapping[str, Blocks]],
    manifest: Manifest,
    private: int,
) -> VectorStore:
    """The vectors: flat segments that follow one another are one array, without what was removed."""
    if "index" in blocks[0]:
        return _map_flat(files[0], every[0], blocks[0]["index"], manifest.dim)
    stores: list[VectorStore] = []
    removed = [_NO_IDS]
    for is_approximate, run in groupby(range(len(files)), lambda row: "vectors" in files[row]):
        rows = [row for row in run if every[row].live]
        items, opened = [every[row] for row in rows], [files[row] for row in rows]
        flat = None if is_approximate or not rows else _join_flat(opened, items, manifest.dim)
        if flat is not None:
            stores.append(_of_unit_vectors(flat))
            continue
        for row in rows:
            stores.append(_open_alone(files[row], every[row], blocks[row], manifest, private))
            if (kept := every[row].kept) is not None:
                removed.append(np.delete(every[row].ids, kept))
    gone = np.concatenate(removed)
    if len(stores) == 1 and not len(gone):
        return stores[0]
    from simsearch.index.stores.segments import SegmentedStore  # most queries are of one segment

    return SegmentedStore(stores, gone)


def _of_unit_vectors(store: FlatStore) -> FlatStore:
    """A store, its vectors looked at; those that are read when they are asked for are looked at then.

    :raises ValueError: If one is not of length 1.
    """
    if isinstance(store.matrix, np.ndarray) and not all(is_unit(block.vectors) for block in store.scan()):
        raise ValueError("a stored vector is not finite and of length 1")
    return store


def _map_flat(files: Files, items: Items, blocks: Blocks, dim: int) -> FlatStore:
    shape = (len(items.ids), dim)
    vectors: Any = CheckedVectors(blocks, flat_start(files["index"], *shape[::-1]), shape)
    return FlatStore(items.ids, items.labels, vectors)


def _join_flat(files: Sequence[Files], every: Sequence[Items], dim: int) -> FlatStore | None:
    labels = [items.labels for items in every if items.labels is not None]
    return join_flat(
        [opened["index"] for opened in files],
        [items.ids for items in every],
        labels if len(labels) == len(every) else None,
        [items.kept for items in every],
        dim=dim,
    )


def _open_alone(
    files: Files, items: Items, blocks: Mapping[str, Blocks], manifest: Manifest, private: int
) -> FlatStore:
    shape = (len(items.ids), manifest.dim)
    vectors: Any = None
    if "vectors" in blocks:
        start = array_start(files["vectors"], np.float32, shape)
        vectors = CheckedVectors(blocks["vectors"], start, shape)
    elif "vectors" in files:
        vectors = load_array(files["vectors"], np.float32, shape, private)
    store = open_store(
        files["index"],
        items.ids,
        items.labels,
        vectors,
        dim=manifest.dim,
        most_read=most_read(private),
        coded=manifest.is_coded,
        effort=manifest.effort,
    )
    return _of_unit_vectors(store)


def load_removed(files: Files, manifest: Manifest) -> Ids:
    """The ids that were removed, ascending.

    :raises ValueError: If there are more or fewer than the manifest's counts say.
    """
    count = sum(part.count for part in manifest.parts) - manifest.count
    if "removed" not in files:
        return np.empty(0, np.int64)
    removed: Ids = load_array(files["removed"], np.int64, (count,))
    if (removed[1:] <= removed[:-1]).any():
        raise ValueError("its removed ids do not ascend")
    return removed


def kept_rows(ids: Ids, removed: Ids) -> NDArray[np.int64] | None:
    """The rows of ids that are not removed, ascending; None where all are kept. Both ascend.

    :raises ValueError: If a removed id between the first and the last is not there.
    """
    gone = removed[np.searchsorted(removed, ids[0]) : np.searchsorted(removed, ids[-1], "right")]
    if not len(gone):
        return None
    kept = np.ones(len(ids), bool)
    kept[positions(ids, gone)] = False
    return np.flatnonzero(kept)


def load_array(
    file: io.BufferedReader, dtype: Any, shape: tuple[int, ...], most_read: float = math.inf
) -> NDArray[Any]:
    """The array in an open `.npy` file: read, or, of more bytes than that, mapped, which outlives `file`.

    :raises ValueError: If it holds anything else.
    """
    start = array_start(file, dtype, shape)
    expected = np.dtype(dtype).itemsize * math.prod(shape)
    if expected <= most_read:
        array: NDArray[Any] = np.empty(shape, dtype)
        if file.readinto(array.view(np.uint8).data.cast("B")) != expected:
            raise ValueError(f"{Path(file.name).name} was cut short while it was read")
        return array
    return np.memmap(file, dtype, "r", start, shape)


def array_start(file: io.BufferedReader, dtype: Any, shape: tuple[int, ...]) -> int:
    """Where the numbers of the array in an open `.npy` file begin.

    :raises ValueError: If it holds anything else than such an array.
    """
    name = Path(file.name).name
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is of another version of NumPy's format")
    found, by_columns, kind = np.lib.format.read_array_header_1_0(file)
    if (kind, found, by_columns) != (np.dtype(dtype), shape, False):
        raise ValueError(f"{name} holds {kind} {found}, not {np.dtype(dtype)} {shape}")
    start, expected = file.tell(), np.dtype(dtype).itemsize * math.prod(shape)
    if size_of(file) != start + expected:
        raise ValueError(f"{name} has {size_of(file) - start:,} bytes of numbers, not {expected:,}")
    return start


def _load_labels(
    files: Files, count: int, manifest: Manifest, kept: NDArray[np.int64] | None
) -> Labels | None:
    """The class numbers, as rows of the manifest's classes."""
    if "labels" not in files:
        return None
    labels: Labels = load_array(files["labels"], np.int64, (count,))
    if manifest.class_numbers is not None:
        numbers = np.array(manifest.class_numbers, np.int64)
        order = np.argsort(numbers)
        places = np.searchsorted(numbers[order], labels).clip(max=len(numbers) - 1)
        labels = np.where(numbers[order][places] == labels, order[places], -1)
    present = labels if kept is None else labels[kept]
    if len(present) and not 0 <= present.min() <= present.max() < len(manifest.classes):
        raise ValueError("a label is not the number of a class")
    return labels if kept is None else labels.clip(0, len(manifest.classes) - 1)


def _load_thumbnails(
    files: Files, count: int, manifest: Manifest, private: int, blocks: Mapping[str, Blocks]
) -> Any:
    """The pictures, uint8 (count, H, W) or (count, H, W, 3), or small ones."""
    if "thumbnails" in files:
        shape = (count, *manifest.input.picture_shape)
        if "thumbnails" not in blocks:
            return load_array(files["thumbnails"], np.uint8, shape, private)
        start = array_start(files["thumbnails"], np.uint8, shape)
        return CheckedArray(blocks["thumbnails"], start, np.uint8, shape)
    content = CheckedBytes(blocks["pictures"]) if "pictures" in blocks else files["pictures"].read()
    return SmallPictures(content, load_array(files["picture_ends"], np.int64, (count,)))
