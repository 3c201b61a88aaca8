"""The pictures of a gallery in units of work: listed once, with an id each, before any is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from simsearch.data.collection import natural, scan
from simsearch.data.labels import AUTO, label_items
from simsearch.errors import BadDatasetError, BadInputError, require
from simsearch.index.change.folder_build import way_of
from simsearch.index.shards.places import Place, is_uri, open_place
from simsearch.prepare.formats import SUFFIXES

UNIT = 512  # pictures, whole batches of the encoder; a shard holds no more
_PARQUET = ".parquet"


class Unit(msgspec.Struct, frozen=True):
    """Pictures that are encoded together: files, or rows of a Parquet file."""

    first: int  # id of the first picture; the others follow
    count: int
    files: tuple[str, ...] = ()  # below the root
    numbers: tuple[int, ...] | None = None  # of the files' classes
    table: str = ""  # the Parquet file, below the root
    row: int = 0  # the first in it

    @property
    def shard(self) -> str:
        """The name of the file that it becomes."""
        return f"part-{self.first:012d}.parquet"


@dataclass(frozen=True)
class Plan:
    """A whole gallery."""

    root: str  # a path or a URI
    name: str
    units: tuple[Unit, ...]
    classes: tuple[str, ...]  # empty without labels
    labeling: str | None = None  # where classes come from, as `data/labels.py` takes it; of a folder

    @property
    def sha256(self) -> Mapping[str, str]:
        """No hashes: the files are not read to be listed."""
        return {}

    @property
    def count(self) -> int:
        """Pictures, those that will turn out to be unreadable among them."""
        return sum(unit.count for unit in self.units)

    def fingerprint(self, encoder: str) -> str:
        """Equal for the same listing, encoded by the same encoder: its shards are then the same."""
        content = msgspec.json.encode((self.units, self.classes, self.root, encoder))
        return hashlib.sha256(content).hexdigest()


def plan(source: str, labels: str = AUTO) -> Plan:
    """List a folder of pictures, a folder of Parquet files, or one Parquet file.

    A Parquet file holds encoded pictures in the column `picture`, and may hold classes in `label` and names
    in `source`.

    :param source: A path, or the URI of a place in an object store.
    :raises BadDatasetError: If there are no pictures.
    :raises BadInputError: If classes cannot be had in this way.
    """
    require("pyarrow", "parquet")
    place = open_place(source)
    try:
        tables = sorted(_files(place, _PARQUET), key=natural)
        if tables:
            return _of_tables(source, place, tables, labels)
        return _of_uri(source, place, labels) if is_uri(source) else _of_folder(source, labels)
    except OSError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadDatasetError(f"{source} cannot be read: {reason}") from None


def _files(place: Place, *suffixes: str) -> Iterator[str]:
    """The files of these suffixes in a place, below it; the empty name for the place itself."""
    from pyarrow import fs

    if place.system.get_file_info(place.path).type == fs.FileType.File:
        if place.path.lower().endswith(suffixes):
            yield ""
        return
    for found in place.system.get_file_info(fs.FileSelector(place.path, recursive=True)):
        name = found.path[len(place.path.rstrip("/")) + 1 :]
        hidden = any(part.startswith(".") for part in name.split("/"))
        if found.type == fs.FileType.File and name.lower().endswith(suffixes) and not hidden:
            yield name


def _of_folder(source: str, labels: str) -> Plan:
    """As the plain way lists a folder."""
    root = Path(source).resolve()
    labeled = label_items(scan(root), labels)
    planned = _of_files(str(root), [item.path for item in labeled.items], labeled.names)
    return replace(planned, labeling=way_of(labels, labeled))


def _of_uri(source: str, place: Place, labels: str) -> Plan:
    files = sorted(_files(place, *SUFFIXES), key=natural)
    if labels not in (AUTO, "folder", "none"):
        raise BadInputError("in an object store classes are folders, or none", "use --labels folder or none")
    first = [file.split("/")[0] for file in files if "/" in file]
    if labels == "none" or not first:
        return _of_files(source, files, None)
    files = [file for file in files if "/" in file]
    return _of_files(source, files, first)


def _of_files(source: str, files: Sequence[str], names: Sequence[str] | None) -> Plan:
    if not files:
        raise BadDatasetError(f"{source} holds no pictures", "put pictures into it, or Parquet files of them")
    classes = tuple(sorted(set(names or ()), key=natural))
    numbers = {name: number for number, name in enumerate(classes)}
    units = []
    for start in range(0, len(files), UNIT):
        part = tuple(files[start : start + UNIT])
        of = None if names is None else tuple(numbers[name] for name in names[start : start + UNIT])
        units.append(Unit(start, len(part), part, of))
    return Plan(source, _name(source), tuple(units), classes)


def _of_tables(source: str, place: Place, tables: Sequence[str], labels: str) -> Plan:
    from pyarrow import parquet

    if labels not in (AUTO, "none"):
        raise BadInputError("of Parquet files classes are in the column `label`", "leave --labels out")
    units: list[Unit] = []
    names: set[str] = set()
    labeled: set[bool] = set()
    first = 0
    for table in tables:
        with place.system.open_input_file(place.below(table) if table else place.path) as file:
            opened = parquet.ParquetFile(file)
            columns = opened.schema_arrow.names
            if "picture" not in columns:
                raise BadDatasetError(
                    f"{table or source} has no column `picture`, but {', '.join(columns)[:200]}"
                )
            labeled.add("label" in columns and labels != "none")
            if True in labeled:
                names.update(_distinct(opened))
            rows = opened.metadata.num_rows
        units += [
            Unit(first + row, min(UNIT, rows - row), table=table, row=row) for row in range(0, rows, UNIT)
        ]
        first += rows
    if not units or len(labeled) > 1:
        reason = "holds no pictures" if not units else "has the column `label` in some of its files only"
        raise BadDatasetError(f"{source} {reason}")
    return Plan(source, _name(source), tuple(units), tuple(sorted(names, key=natural)))


def _distinct(opened: Any) -> Iterator[str]:
    for batch in opened.iter_batches(columns=["label"]):
        yield from (str(name) for name in batch.column(0).unique().to_pylist())


def _name(source: str) -> str:
    name = source.rstrip("/").rpartition("/")[2] if is_uri(source) else Path(source).resolve().name
    return name.removesuffix(_PARQUET)
