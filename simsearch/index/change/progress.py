"""A build in progress: finished segments and what they were made of, beside the index, until it is committed.

They lie in a folder of their own inside the index's. Each line of the log is a segment; the last may be torn.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import to_builtins
from numpy.typing import NDArray

from simsearch.data.collection import Item, Skipped, natural
from simsearch.documents import record_of
from simsearch.errors import SimsearchError
from simsearch.files import read_small_file, sweep_temporaries, sync_folder, write_atomically
from simsearch.index.change.ingest import Chunk
from simsearch.index.data_files import open_checked
from simsearch.index.manifest import Segment, is_data_file
from simsearch.index.packed import Sources
from simsearch.index.reading import STAMP
from simsearch.index.segment import load_array
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.writing import write_segment

_LOG = "log.jsonl"
_MOST_LOG = 2**28  # bytes: a line a segment, and what was passed over


@dataclass
class Progress:
    """What has been done of a build, and the folder where it is kept."""

    folder: Path
    header: Mapping[str, Any]  # what must be the same for a build to be continued
    end: int = 0  # of all files, how many were looked at
    count: int = 0  # of items
    segments: list[Segment] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)  # by number
    skipped: list[Skipped] = field(default_factory=list)
    lines: list[Any] = field(default_factory=list)  # of the log, after its header

    @classmethod
    def resume(
        cls, folder: Path, header: Mapping[str, Any], items: Sequence[Item], names: Sequence[str] | None
    ) -> Progress:
        """Go on with a build of the same files as far as they still are what they were; or begin one."""
        progress = cls(folder, header)
        lines = _lines(folder / _LOG)
        if not lines or lines[0] != header:
            progress.discard()
        for line in lines[1:] if lines and lines[0] == header else ():
            if not progress._accept(line, items, names):
                break
        folder.mkdir(exist_ok=True)
        sweep_temporaries(folder)
        progress._rewrite()
        return progress

    def number_of(self, name: str) -> int:
        """What the segments call a class."""
        if name not in self._numbers:
            self._numbers[name] = len(self.classes)
            self.classes.append(name)
        return self._numbers[name]

    def __post_init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._said = 0  # of the classes, how many the log names

    def keep(self, chunk: Chunk, start: int, *, labeled: bool) -> None:
        """Write a chunk that begins with file `start`; it is not lost any more."""
        segment = None
        if len(chunk.vectors):
            ids = np.arange(self.count, self.count + len(chunk.vectors), dtype=np.int64)
            store = FaissStore.build(chunk.vectors, ids, chunk.labels if labeled else None)
            segment = write_segment(self.folder, store, chunk.described)
            sync_folder(self.folder)
            self.segments.append(segment)
            self.count += segment.count
        self.end = start + chunk.end
        self.skipped += chunk.skipped
        line: dict[str, Any] = {
            "end": self.end,
            "classes": self.classes[self._said :],
            "skipped": [[entry.path, entry.reason] for entry in chunk.skipped],
            "segment": segment and to_builtins(segment),
        }
        self._said = len(self.classes)
        with (self.folder / _LOG).open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def used_classes(self) -> tuple[str, ...]:
        """The classes that an item has, in natural order: of some no file may have been readable."""
        numbers: set[int] = set()
        for segment in self.segments:
            if "labels" in segment.files:
                with open_checked(self.folder, segment.files["labels"]) as file:
                    numbers.update(np.unique(load_array(file, np.int64, (segment.count,))).tolist())
        return tuple(sorted((self.classes[number] for number in numbers), key=natural))

    def discard(self) -> None:
        """Delete what was done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self, line: Any, items: Sequence[Item], names: Sequence[str] | None) -> bool:
        """Take over a line of an earlier log, if its files are still there and are what they were."""
        try:
            end, skipped = int(line["end"]), [Skipped(str(path), str(why)) for path, why in line["skipped"]]
            classes = [*self.classes, *map(str, line["classes"])]
            segment = None if line["segment"] is None else record_of(Segment, line["segment"])
            passed = {entry.path for entry in skipped}
            rows = [row for row in range(self.end, end) if items[row].path not in passed]
            if segment is not None:
                expected = [(items[row].path, items[row].size, items[row].mtime_ns) for row in rows]
                found, labels = _described(self.folder, segment)
                if found != expected:
                    return False
                if names is not None and [classes[number] for number in labels] != [
                    names[row] for row in rows
                ]:
                    return False
            elif rows:
                return False
        except (KeyError, TypeError, ValueError, IndexError, OSError, SimsearchError):
            return False
        for name in classes[len(self.classes) :]:
            self.number_of(name)
        self.end, self._said = end, len(self.classes)
        self.skipped += skipped
        self.lines.append(line)
        if segment is not None:
            self.segments.append(segment)
            self.count += segment.count
        return True

    def _rewrite(self) -> None:
        """A log of what was taken over, and no other files."""
        lines = [dict(self.header), *self.lines]
        text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        write_atomically(self.folder / _LOG, text)
        named = {entry.name for segment in self.segments for entry in segment.files.values()}
        for path in self.folder.iterdir():
            if is_data_file(path.name) and path.name not in named:
                path.unlink()


def _lines(log: Path) -> list[Any]:
    """The whole lines of a log; none if there is none."""
    found = []
    try:
        for line in (read_small_file(log, _MOST_LOG) or b"").splitlines():
            found.append(json.loads(line))
    except (OSError, ValueError, RecursionError):
        pass  # the first that is torn is the end
    return found


def _described(folder: Path, segment: Segment) -> tuple[list[tuple[str, int, int]], list[int]]:
    """Source, size and time of each item of a segment, and its class's number."""
    with (
        open_checked(folder, segment.files["sources"]) as text,
        open_checked(folder, segment.files["source_ends"]) as ends,
        open_checked(folder, segment.files["stamps"]) as stamps,
    ):
        sources = Sources(text.read(), load_array(ends, np.int64, (segment.count,)))
        stamped: NDArray[np.void] = load_array(stamps, STAMP, (segment.count,))
    labels: list[int] = []
    if "labels" in segment.files:
        with open_checked(folder, segment.files["labels"]) as file:
            labels = load_array(file, np.int64, (segment.count,)).tolist()
    times = zip(stamped["size"].tolist(), stamped["mtime_ns"].tolist(), strict=True)
    return [(source, *when) for source, when in zip(sources, times, strict=True)], labels
