"""Which class each file of a collection is of: by its folders, by a table, or of none."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from simsearch.data.collection import Collection, Item, Skipped, comparable
from simsearch.errors import BadDatasetError, require
from simsearch.files import open_regular
from simsearch.text import did_you_mean

AUTO, FOLDER, LAST, NONE = "auto", "folder", "last", "none"
WAYS = (AUTO, FOLDER, LAST, NONE)
_COLUMNS = ("path", "label")
_MOST_BYTES = 2**28  # of a table


@dataclass(frozen=True)
class Labeled:
    """The items that are taken, and the name of each one's class."""

    items: tuple[Item, ...]
    names: tuple[str, ...] | None  # None where there are no classes
    skipped: tuple[Skipped, ...]  # what the collection passed over, and what has no label


def label_items(collection: Collection, way: str = AUTO) -> Labeled:
    """Find the class of every item; those that have none are left out, unless none has one.

    :param way: `folder`, the first folder below the root; `last`, the folder that holds the file; `none`; the
        name of a CSV or Parquet file with the columns path and label; or `auto`: `folder` if there are any.
    :raises BadDatasetError: If there is no such way, or the table cannot be used.
    :raises MissingExtraError: If the table is Parquet, and pyarrow is not installed.
    """
    if way == NONE or (way == AUTO and all("/" not in item.path for item in collection.items)):
        return Labeled(collection.items, None, collection.skipped)
    if way not in WAYS:
        return _by_table(collection, Path(way))
    level = -2 if way == LAST else 0
    reason = "in no folder, so of no class (`--labels none` takes all without classes)"
    names = {item.path: parts[level] for item in collection.items if len(parts := item.parts) > 1}
    return _taken(collection, names, reason)


def _taken(collection: Collection, names: Mapping[str, str], reason: str) -> Labeled:
    """The items with a name; the others are skipped for this reason."""
    items = tuple(item for item in collection.items if item.path in names)
    skipped = [Skipped(item.path, reason) for item in collection.items if item.path not in names]
    return Labeled(items, tuple(names[item.path] for item in items), (*collection.skipped, *skipped))


def _by_table(collection: Collection, table: Path) -> Labeled:
    labels = _read_table(table, collection.root)
    names = {
        item.path: label for item in collection.items if (label := labels.pop(comparable(item.path), ""))
    }
    if not names:
        raise BadDatasetError(
            f"no path in {table} is that of a picture in {collection.root}",
            hint=f"paths are read from {collection.root} on, as in cat/1.png",
        )
    others = tuple(entry for entry in collection.skipped if not _is_same(collection.root / entry.path, table))
    absent = tuple(Skipped(path, f"in {table.name}, but no picture here") for path in labels)
    pictures = Collection(collection.root, collection.items, others)
    found = _taken(pictures, names, f"without a label in {table.name}")
    return Labeled(found.items, found.names, (*found.skipped, *absent))


def _is_same(path: Path, table: Path) -> bool:
    return path.name == table.name and path.resolve() == table.resolve()


def _read_table(table: Path, root: Path) -> dict[str, str]:
    """Path below the root, in the form in which names are compared -> label, of a CSV or Parquet file."""
    try:
        with open_regular(table, _MOST_BYTES) as file:
            rows = _parquet_rows(file) if table.suffix.lower() == ".parquet" else _csv_rows(file)
            return _unambiguous(rows, table, root)
    except (OSError, ValueError, csv.Error) as error:
        guess = did_you_mean(str(table), WAYS)
        reason = (getattr(error, "strerror", None) or str(error).splitlines()[0]).lower()
        hint = f"{guess}choose folder, last, none, or a CSV or Parquet file with the columns path and label"
        raise BadDatasetError(f"labels {str(table)!r} cannot be read: {reason}", hint) from error


def _csv_rows(file: io.BufferedReader) -> Iterable[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"), newline=""))
    _check_columns(reader.fieldnames or ())
    return ((row["path"] or "", row["label"] or "") for row in reader)


def _parquet_rows(file: io.BufferedReader) -> Iterable[tuple[str, str]]:
    require("pyarrow", "parquet")
    import pyarrow.parquet

    opened = pyarrow.parquet.ParquetFile(file)
    _check_columns(opened.schema_arrow.names)
    table = opened.read(columns=list(_COLUMNS))
    paths, labels = (table[name].to_pylist() for name in _COLUMNS)
    return (
        (str(path), "" if label is None else str(label)) for path, label in zip(paths, labels, strict=True)
    )


def _check_columns(names: Iterable[str]) -> None:
    if not {*_COLUMNS} <= {*names}:
        raise ValueError(f"it has the columns {', '.join(names) or 'of nothing'}, not path and label")


def _unambiguous(rows: Iterable[tuple[str, str]], table: Path, root: Path) -> dict[str, str]:
    labels: dict[str, str] = {}
    base = root.resolve()
    for written, label in rows:
        path = Path(written)
        below = path.relative_to(base) if path.is_absolute() and path.is_relative_to(base) else path
        key = comparable(posixpath.normpath(below.as_posix()))
        label = comparable(label.strip())
        if labels.setdefault(key, label) != label:
            raise BadDatasetError(f"{table} gives {written} two labels, {labels[key]} and {label}")
    return labels
