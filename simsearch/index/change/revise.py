"""Items that keep their id and picture, and get another source, class or stamp; and names of classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from simsearch.data.class_names import class_name
from simsearch.data.collection import natural
from simsearch.index.bundle import read_items
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.manifest import FileEntry, Manifest, Segment
from simsearch.index.packed import Sources
from simsearch.index.reading import STAMP, UNKNOWN, Stamp
from simsearch.index.segment import Items
from simsearch.index.writing import write_bytes


class Revision(NamedTuple):
    """What becomes of an item that keeps its id and its picture."""

    source: str
    label: str | None
    stamp: Stamp


class Classes:
    """The names of an index's classes and what its files call them; new ones get new numbers."""

    def __init__(self, manifest: Manifest) -> None:
        """Begin with those of an index."""
        numbers = manifest.class_numbers or range(len(manifest.classes))
        self.before = manifest.classes
        self.numbers = dict(zip(manifest.classes, numbers, strict=True))

    def number_of(self, name: str) -> int:
        """What files call this class.

        :raises BadInputError: If it is new, and no class can have such a name.
        """
        if name not in self.numbers and (name := class_name(name)) not in self.numbers:
            self.numbers[name] = 1 + max(self.numbers.values(), default=-1)
        return self.numbers[name]

    def ordered(self) -> tuple[str, ...]:
        """All names: in natural order, if they were so before; else new ones come last."""
        if list(self.before) == sorted(self.before, key=natural):
            return tuple(sorted(self.numbers, key=natural))
        return tuple(self.numbers)


def revise(
    folder: Path, manifest: Manifest, revised: Mapping[int, Revision], classes: Classes
) -> list[Segment]:
    """The segments, of those with revised items the small files written again."""
    parts = []
    for part, items in zip(
        manifest.parts,
        read_items(folder, manifest, "labels", "sources", "source_ends", "stamps"),
        strict=True,
    ):
        rows = {row: revised[item] for row, item in enumerate(items.ids.tolist()) if item in revised}
        if rows:
            files = {**part.files, **_write_revised(folder, manifest, items, rows, classes)}
            part = structs.replace(part, files=files)
        parts.append(part)
    return parts


def _write_revised(
    folder: Path, manifest: Manifest, items: Items, rows: Mapping[int, Revision], classes: Classes
) -> dict[str, FileEntry]:
    assert items.sources is not None
    sources = list(items.sources)
    stamps = np.full(len(sources), np.array(UNKNOWN, STAMP)) if items.stamps is None else items.stamps.copy()
    numbers = np.array([classes.numbers[name] for name in manifest.classes], np.int64)
    labels: NDArray[np.int64] | None = None if items.labels is None else numbers[items.labels]
    for row, revision in rows.items():
        sources[row], stamps[row] = revision.source, revision.stamp
        if labels is not None and revision.label is not None:
            labels[row] = classes.number_of(revision.label)
    text, ends = Sources.pack(sources)
    files = {
        "sources": write_data_file(folder, "sources", lambda path: write_bytes(path, text)),
        "source_ends": write_data_file(folder, "source_ends", write_array(ends)),
        "stamps": write_data_file(folder, "stamps", write_array(stamps)),
    }
    if labels is not None:
        files["labels"] = write_data_file(folder, "labels", write_array(labels))
    return files
