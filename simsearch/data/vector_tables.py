"""Tables of vectors that another program computed: `.npz` and Parquet, read and checked."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.data.collection import natural
from simsearch.errors import BadInputError, require
from simsearch.files import open_regular
from simsearch.text import listed

VECTORS = ("vectors", "vector", "embeddings", "embedding")
LABELS = ("labels", "label")
SOURCES = ("sources", "source", "paths", "path")
IDS = ("ids", "id")
_UNIT = 1e-3
_MOST_INFLATED = 200  # times the file's size


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
            columns = _npz_columns(file) if suffix == ".npz" else _parquet_columns(file)
            return _table(path, columns, column)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInputError(f"cannot read vectors from {path}: {reason}") from error


def _npz_columns(file: io.BufferedReader) -> dict[str, NDArray[Any]]:
    """Every array, none of them pickled.

    :raises ValueError: If one is no array, or is larger than a file of this size can be meant to be.
    """
    columns = {}
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > _MOST_INFLATED * max(
            2**20, sum(entry.compress_size for entry in entries)
        ):
            raise ValueError("it unpacks to far more than it holds")
        for entry in entries:
            if entry.filename.endswith(".npy"):
                content = io.BytesIO(archive.read(entry))
                columns[entry.filename.removesuffix(".npy")] = np.lib.format.read_array(content)
    return columns


def _parquet_columns(file: io.BufferedReader) -> dict[str, NDArray[Any]]:
    require("pyarrow", "parquet")
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file)
    columns: dict[str, NDArray[Any]] = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pyarrow.types.is_list(column.type) or pyarrow.types.is_fixed_size_list(column.type):
            columns[name] = _rows_of(name, column)
        elif not pyarrow.types.is_nested(column.type):
            columns[name] = np.array(column.to_pylist(), object)
    for key, value in (table.schema.metadata or {}).items():
        columns.setdefault(key.decode("utf-8", "replace"), np.array(value.decode("utf-8", "replace")))
    return columns


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
        wanted = column or " or ".join(VECTORS)
        raise ValueError(f"it has no {wanted}; it has {listed(columns) or 'nothing'}")
    vectors, scaled = _unit_rows(raw)
    count = len(vectors)
    ids = _ids(_find(columns, IDS), count)
    labels, classes = _labels(_find(columns, LABELS), _find(columns, ("classes",)), count)
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
    rows = raw.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(wrong):
        raise ValueError(f"the vector of row {wrong[0]} is not finite, or 0: leave it out")
    return (rows / lengths[:, None]).astype(np.float32), int((np.abs(lengths - 1) > _UNIT).sum())


def _ids(raw: NDArray[Any] | None, count: int) -> NDArray[np.int64]:
    if raw is None:
        return np.arange(count, dtype=np.int64)
    try:
        ids = np.array([int(value) for value in raw.tolist()], np.int64)
    except (TypeError, OverflowError, ValueError):
        raise ValueError("its ids are no whole numbers") from None
    if ids.shape != (count,) or (ids < 0).any() or (ids >= 2**62).any() or len(np.unique(ids)) != count:
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
    texts = [str(value) for value in values]
    classes = tuple(sorted(set(texts), key=natural))
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[text] for text in texts], np.int64), classes
