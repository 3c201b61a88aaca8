"""Tables of vectors that another program computed: `.npz` and Parquet, read and checked."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.data.class_names import class_name
from simsearch.data.collection import natural
from simsearch.errors import BadInputError, require
from simsearch.files import open_regular, size_of
from simsearch.text import listed

VECTORS = ("vectors", "vector", "embeddings", "embedding")
LABELS = ("labels", "label")
SOURCES = ("sources", "source", "paths", "path")
IDS = ("ids", "id")
CLASSES = "classes"
_UNIT = 1e-3
_MOST_ID = 2**62 - 1
_MOST_INFLATED = 200  # times the file's size
_BATCH = 256  # rows of Parquet that are unpacked at once
_BOMB = "it unpacks to far more than it holds"
_UNREADABLE = (
    *(OSError, ValueError, EOFError, MemoryError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


@dataclass(frozen=True, eq=False)
class VectorTable:
    """N vectors with what is known of them, in ascending order of id."""

    vectors: NDArray[np.float32]  # (N, D), unit rows
    ids: NDArray[np.int64]  # (N,)
    labels: NDArray[np.int64] | None  # (N,), rows of classes
    classes: tuple[str, ...]
    sources: tuple[str, ...]  # N
    scaled: int  # vectors that were not of length 1
    model: str | None = None  # what computed them, where the file says so
    encoder: str | None = None  # its fingerprint


def read_vector_table(path: Path, column: str | None = None) -> VectorTable:
    """Read the vectors of an `.npz` or Parquet file.

    They are called `vectors`, `vector`, `embeddings` or `embedding`; beside them may be `labels` (text, or
    numbers of `classes`), `sources` or `paths`, and `ids`, in the singular or plural.

    :param column: What the vectors are called otherwise.
    :raises BadInputError: If the file cannot be read, or a row cannot be used.
    :raises MissingExtraError: If it is Parquet, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".parquet"):
        raise BadInputError(f"{path} ends neither in .npz nor in .parquet", hint="export the vectors as one")
    try:
        with open_regular(path) as file:
            columns = _npz_columns(file) if suffix == ".npz" else _parquet_columns(file, column)
            return _table(path, columns, column)
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInputError(f"cannot read vectors from {path}: {reason}") from error


def _npz_columns(file: io.BufferedReader) -> dict[str, NDArray[Any]]:
    """Every array, none of them pickled.

    :raises ValueError: If one is no array, or is larger than a file of this size can be meant to be.
    """
    columns = {}
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > _most_bytes(size_of(file)):
            raise ValueError(_BOMB)
        for entry in entries:
            if entry.filename.endswith(".npy"):
                columns[entry.filename.removesuffix(".npy")] = _npy_array(archive.read(entry))
    return columns


def _most_bytes(size: int) -> int:
    """How much a file of this size may unpack to."""
    return _MOST_INFLATED * max(2**20, size)


def _npy_array(data: bytes) -> NDArray[Any]:
    """The array in the content of a `.npy` file, for which no memory is taken that it does not fill.

    :raises ValueError: If it holds fewer numbers than it says.
    """
    content = io.BytesIO(data)
    version = np.lib.format.read_magic(content)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is not None:
        shape, _, kind = read_header(content)
        if not kind.hasobject and math.prod(shape) * max(1, kind.itemsize) > len(data):
            raise ValueError(f"an array of {kind} {shape} in it is cut short")
    content.seek(0)
    return np.lib.format.read_array(content)


def _parquet_columns(file: io.BufferedReader, column: str | None) -> dict[str, NDArray[Any]]:
    """The columns that are looked for, read a part at a time.

    :raises ValueError: If there are no vectors, or more than a file of this size can be meant to hold.
    """
    require("pyarrow", "parquet")
    import pyarrow
    import pyarrow.parquet

    types = pyarrow.types
    schema = pyarrow.parquet.read_schema(file)
    sought = (column,) if column else VECTORS
    if not {*sought} & {*schema.names}:
        raise _absent(column, schema.names)
    wanted = [name for name in schema.names if name in {*sought, *LABELS, *SOURCES, *IDS, CLASSES}]
    texts = [name for name in wanted if types.is_string(schema.field(name).type)]
    file.seek(0)
    opened = pyarrow.parquet.ParquetFile(file, read_dictionary=texts)
    most = _most_bytes(size_of(file))
    _check_parquet_size(opened.metadata, {*wanted}, most)
    batches, unpacked = [], 0
    for batch in opened.iter_batches(_BATCH, columns=wanted, use_threads=False):
        unpacked += sum(map(_unpacked_bytes, batch.columns))
        if unpacked > most:
            raise ValueError(_BOMB)
        batches.append(batch)
    columns: dict[str, NDArray[Any]] = {}
    for name in wanted:
        chunks = [batch.column(name) for batch in batches]
        kind = schema.field(name).type
        if types.is_list(kind) or types.is_fixed_size_list(kind):
            columns[name] = _rows_of(name, pyarrow.chunked_array(chunks, kind).combine_chunks())
        elif not types.is_nested(kind):
            columns[name] = np.array([value for chunk in chunks for value in chunk.to_pylist()], object)
    for key, value in (schema.metadata or {}).items():
        columns.setdefault(key.decode("utf-8", "replace"), np.array(value.decode("utf-8", "replace")))
    return columns


def _check_parquet_size(metadata: Any, names: set[str], most: int) -> None:
    """Refuse what the file's own words say is too large, before any of it is unpacked."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    sizes = [
        max(chunk.total_uncompressed_size, chunk.num_values)
        for chunk in chunks
        if chunk.path_in_schema.partition(".")[0] in names
    ]
    if sum(sizes) > most:
        raise ValueError(_BOMB)


def _unpacked_bytes(column: Any) -> int:
    """What an array takes when each of its texts stands for itself."""
    import pyarrow
    import pyarrow.compute as compute

    if pyarrow.types.is_dictionary(column.type) and pyarrow.types.is_string(column.type.value_type):
        lengths = compute.take(compute.binary_length(column.dictionary), column.indices)
        return len(column) + int(compute.sum(compute.cast(lengths, pyarrow.int64())).as_py() or 0)
    return int(column.nbytes)


def _rows_of(name: str, column: Any) -> NDArray[Any]:
    """A column of lists as one array; of lists of other lengths, or with gaps, an array of objects."""
    flat = column.flatten()
    if len(column) and not column.null_count and not flat.null_count and len(flat) % len(column) == 0:
        lengths = {len(row) for row in (column[0], column[len(column) - 1])}
        width = len(flat) // len(column)
        if lengths == {width}:
            return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(column), width)
    return np.array([name] * len(column), object)  # refused, if these are the vectors


def _table(path: Path, columns: Mapping[str, NDArray[Any]], column: str | None) -> VectorTable:
    raw = _find(columns, (column,) if column else VECTORS)
    if raw is None:
        raise _absent(column, columns)
    vectors, scaled = _unit_rows(raw)
    count = len(vectors)
    ids = _ids(_find(columns, IDS), count)
    labels, classes = _labels(_find(columns, LABELS), _find(columns, (CLASSES,)), count)
    found = _find(columns, SOURCES)
    if found is not None and found.shape != (count,):
        raise ValueError(f"it has sources of shape {found.shape} for {count:,} vectors")
    sources = (
        [f"{path.stem}/{item}" for item in ids.tolist()] if found is None else [*map(str, found.tolist())]
    )
    order = np.argsort(ids, kind="stable")
    return VectorTable(
        vectors=np.ascontiguousarray(vectors[order]),
        ids=ids[order],
        labels=None if labels is None else labels[order],
        classes=classes,
        sources=tuple(sources[row] for row in order),
        scaled=scaled,
        model=_word(columns, "model"),
        encoder=_word(columns, "encoder"),
    )


def _absent(column: str | None, names: Iterable[str]) -> ValueError:
    wanted = column or " or ".join(VECTORS)
    return ValueError(f"it has no {wanted}; it has {listed(names) or 'nothing'}")


def _find(columns: Mapping[str, NDArray[Any]], names: Sequence[str]) -> NDArray[Any] | None:
    return next((columns[name] for name in names if name in columns), None)


def _word(columns: Mapping[str, NDArray[Any]], name: str) -> str | None:
    found = columns.get(name)
    return str(found) if found is not None and found.shape == () else None


def _unit_rows(raw: NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    """Vectors of length 1, and how many were not.

    :raises ValueError: If they are no rows of numbers, or one has no direction.
    """
    if raw.ndim != 2 or not raw.size or raw.dtype.kind not in "fiu":
        raise ValueError(
            f"its vectors are {raw.dtype} of shape {raw.shape}, not rows of numbers of one length"
        )
    units, lengths = unit_rows(raw.astype(np.float64))
    wrong = np.flatnonzero(np.isnan(lengths))
    if len(wrong):
        raise ValueError(f"the vector of row {wrong[0]} is not finite, or 0: leave it out")
    return units, int((np.abs(lengths - 1) > _UNIT).sum())


def unit_rows(rows: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Vectors brought to length 1, (N, D), and the lengths they had, (N,): NaN where one has no direction.

    :param rows: (N, D), of any length, also such that squares of it are none in float64: then it is infinite,
        or 0.
    """
    largest = np.abs(rows).max(axis=1)
    directed = np.isfinite(largest) & (largest > 0)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(rows, axis=1)
    extreme = directed & ~(np.isfinite(lengths) & (lengths > np.sqrt(np.finfo(np.float64).tiny)))
    by = lengths.copy()
    if extreme.any():
        rows = np.where(extreme[:, None], rows / np.where(extreme, largest, 1)[:, None], rows)
        by[extreme] = np.linalg.norm(rows[extreme], axis=1)
    units = (rows / np.where(directed, by, 1)[:, None]).astype(np.float32)
    return units, np.where(directed, lengths, np.nan)


def _ids(raw: NDArray[Any] | None, count: int) -> NDArray[np.int64]:
    if raw is None:
        return np.arange(count, dtype=np.int64)
    try:
        ids = np.array([int(value) for value in raw.tolist()], np.int64)
    except (TypeError, OverflowError, ValueError):
        raise ValueError("its ids are no whole numbers") from None
    if ids.size and ids.max() > _MOST_ID:
        raise ValueError(f"its ids go up to {ids.max():,}, and {_MOST_ID:,} is the largest that an item has")
    if ids.shape != (count,) or (ids < 0).any() or len(np.unique(ids)) != count:
        raise ValueError(f"its ids are not {count:,} different numbers from 0 on")
    return ids


def _labels(
    raw: NDArray[Any] | None, names: NDArray[Any] | None, count: int
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """The number of each row's class, and the classes that there are, in natural order.

    :raises ValueError: If a row has no label, or there are other numbers of labels than vectors.
    """
    if raw is None:
        return None, ()
    if raw.shape != (count,):
        raise ValueError(f"it has labels of shape {raw.shape} for {count:,} vectors")
    values = raw.tolist()
    if all(value is None for value in values):
        return None, ()
    if names is not None and raw.dtype.kind in "iu":
        if names.ndim != 1 or not 0 <= min(values) <= max(values) < len(names):
            raise ValueError("a label is not the number of one of its classes")
        values = [names[value] for value in values]
    for row, value in enumerate(values):
        if value is None or value != value or str(value) == "":
            raise ValueError(f"row {row} has no label: an index has a class for every item, or for none")
    names_of = {text: class_name(text) for text in {str(value) for value in values}}
    texts = [names_of[str(value)] for value in values]
    classes = tuple(sorted(set(texts), key=natural))
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[text] for text in texts], np.int64), classes
