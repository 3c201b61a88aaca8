"""Which class each file of a collection is of: by its folders, by a table, or of none."""

from __future__ import annotations

import csv
import posixpath
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath

from simsearch.data.collection import Collection, Item, Items, Skipped, comparable
from simsearch.data.label_tables import MAX_BYTES, read_rows
from simsearch.errors import BadDatasetError
from simsearch.files import open_regular
from simsearch.text import did_you_mean

AUTO, FOLDER, LAST, NONE = "auto", "folder", "last", "none"
WAYS = (AUTO, FOLDER, LAST, NONE)


@dataclass(frozen=True)
class Labeled:
    """The items that are taken, and the name of each one's class."""

    items: Sequence[Item]
    names: Sequence[str] | None  # None where there are no classes
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
    return _taken(collection, lambda item: parts[level] if len(parts := item.parts) > 1 else "", reason)


def _taken(collection: Collection, name_of: Callable[[Item], str], reason: str) -> Labeled:
    """The items with a name; the others are skipped for this reason."""
    names = [sys.intern(name_of(item)) for item in collection.items]  # one of each, however many items
    if all(names):
        return Labeled(collection.items, names, collection.skipped)
    items, skipped = Items(), list[Skipped]()
    for item, name in zip(collection.items, names, strict=True):
        if name:
            items.append(item)
        else:
            skipped.append(Skipped(item.path, reason))
    return Labeled(items, [name for name in names if name], (*collection.skipped, *skipped))


def _by_table(collection: Collection, table: Path) -> Labeled:
    labels = _read_table(table, collection.root)
    others = tuple(entry for entry in collection.skipped if not _is_same(collection.root / entry.path, table))
    pictures = Collection(collection.root, collection.items, others)
    reason = f"without a label in {table.name}"
    found = _taken(pictures, lambda item: labels.pop(comparable(item.path), ""), reason)
    if not found.items:
        raise BadDatasetError(
            f"no path in {table} is that of a picture in {collection.root}",
            hint=f"paths are read from {collection.root} on, as in cat/1.png",
        )
    absent = (Skipped(path, f"in {table.name}, but no picture here") for path in labels)
    return Labeled(found.items, found.names, (*found.skipped, *absent))


def _is_same(path: Path, table: Path) -> bool:
    return path.name == table.name and path.resolve() == table.resolve()


def _read_table(table: Path, root: Path) -> dict[str, str]:
    """Path below the root, in the form in which names are compared -> label, of a CSV or Parquet file."""
    try:
        is_parquet = table.suffix.lower() == ".parquet"
        with open_regular(table, MAX_BYTES) as file, closing(read_rows(file, is_parquet=is_parquet)) as rows:
            return _unambiguous(rows, table, root)
    except (OSError, ValueError, csv.Error) as error:
        guess = did_you_mean(str(table), WAYS)
        strerror = getattr(error, "strerror", None)
        reason = strerror.lower() if strerror else (str(error).splitlines() or [type(error).__name__])[0]
        hint = f"{guess}choose folder, last, none, or a CSV or Parquet file with the columns path and label"
        raise BadDatasetError(f"labels {str(table)!r} cannot be read: {reason}", hint) from error


def _unambiguous(rows: Iterable[tuple[str, str]], table: Path, root: Path) -> dict[str, str]:
    labels: dict[str, str] = {}
    base = root.resolve()
    for written, label in rows:
        key = comparable(posixpath.normpath(_below(written, base)))
        label = comparable(label.strip())
        if labels.setdefault(key, label) != label:
            raise BadDatasetError(f"{table} gives {written} two labels, {labels[key]} and {label}")
    return labels


def _below(written: str, base: Path) -> str:
    """A path from the base on, where it leads there."""
    path = PurePath(written)
    return (path.relative_to(base) if path.is_absolute() and path.is_relative_to(base) else path).as_posix()
