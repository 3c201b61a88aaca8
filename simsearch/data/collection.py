"""What lies in a folder now: the files that may be pictures, in natural order, and what was passed over.

A file whose suffix says nothing is taken if its first bytes are those of a picture; whether a file can be
decoded shows when it is. Hidden files are left alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import stat
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from simsearch.errors import BadDatasetError
from simsearch.files import open_regular, write_atomically
from simsearch.prepare.formats import HEAD_BYTES, SUFFIXES, kind_of
from simsearch.text import printable

NOT_FOLLOWED = "a link to a folder, not followed"
NO_PICTURE = "not a picture"
UNREADABLE = "cannot be read"  # what such a reason begins with
_MOST_DIGITS = 4_000  # of a number in a name; Python itself refuses longer ones


@dataclass(frozen=True, slots=True)
class Item:
    """A file that may be a picture."""

    path: str  # below the collection's root, with / between its parts
    size: int  # bytes
    mtime_ns: int

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders it lies in and its name, in the Unicode form in which names are compared."""
        return tuple(comparable(self.path).split("/"))


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that was passed over."""

    path: str  # below the root; bytes that are no UTF-8 are escaped
    reason: str


class Items(Sequence[Item]):
    """Items in little memory: of each its path as UTF-8, and 24 bytes."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        """Hold items; others may follow."""
        self._paths, self._ends = bytearray(), array("q")
        self._sizes, self._times = array("q"), array("q")
        for item in items:
            self.append(item)

    def append(self, item: Item) -> None:
        """Hold one more."""
        self._paths += item.path.encode()
        self._ends.append(len(self._paths))
        self._sizes.append(item.size)
        self._times.append(item.mtime_ns)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: Any) -> Any:
        """An item, or those of a slice."""
        if isinstance(row, slice):
            return [self[i] for i in range(len(self))[row]]
        row = range(len(self))[row]
        path = self._paths[self._ends[row - 1] if row else 0 : self._ends[row]]
        return Item(path.decode(), self._sizes[row], self._times[row])


@dataclass(frozen=True)
class Collection:
    """What lies in a folder and below it."""

    root: Path
    items: Sequence[Item]  # in natural order: "9" before "10"
    skipped: tuple[Skipped, ...]

    def file(self, item: Item) -> Path:
        """Where an item lies."""
        return self.root / item.path


def scan(root: Path) -> Collection:
    """Look through a folder and all folders below it, without following links to folders.

    :raises BadDatasetError: If the folder cannot be read.
    """
    items, skipped = Items(), list[Skipped]()
    waiting = [("", iter(_visible_names(root)))]  # folders, each with the names in it that are left
    while waiting:
        below, names = waiting[-1]
        if (name := next(names, None)) is None:
            waiting.pop()
            continue
        found = _look_at(below + name, root)
        if isinstance(found, Item):
            items.append(found)
        elif isinstance(found, str):
            skipped.append(Skipped(_escaped(below + name), found))
        else:
            waiting.append((f"{below}{name}/", iter(found)))
    return Collection(root, items, tuple(skipped))


def visible(folder: Path) -> list[Path]:
    """The folder's entries without the hidden ones, "9" before "10".

    :raises BadDatasetError: If the folder cannot be read.
    """
    return [folder / name for name in _visible_names(folder)]


def _visible_names(folder: Path) -> list[str]:
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208 - as below
    except OSError as error:
        raise BadDatasetError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted(names, key=natural)


def natural(name: str) -> tuple[list[int | str], str]:
    """The key that sorts "9" before "10"."""
    parts = re.split(r"(\d+)", comparable(name).casefold())
    return [int(part[:_MOST_DIGITS]) if part.isdecimal() else part for part in parts], name


def comparable(name: str) -> str:
    """A name in the Unicode form in which names are compared (NFC): file systems deliver several."""
    return unicodedata.normalize("NFC", name)


def content_hash(file: Path) -> str:
    """XXH3-128 of a file's content, as hexadecimal digits: equal for copies, whatever they are called.

    :raises OSError: If it cannot be read.
    """
    with open_regular(file) as content:
        return hashlib.file_digest(content, xxhash.xxh3_128).hexdigest()


def summary(skipped: Sequence[Skipped], base: str = "") -> Iterator[str]:
    """A line for each reason, the most frequent first, with an example.

    :param base: What stands before the paths, `photos/`.
    """
    by_reason: dict[str, list[Skipped]] = {}
    for entry in skipped:
        by_reason.setdefault(re.sub(r"\d[\d,.]*", "0", entry.reason), []).append(entry)
    for entries in sorted(by_reason.values(), key=len, reverse=True):
        example = f"{printable(base + entries[0].path)}: {entries[0].reason}"
        yield f"skipped {example}" if len(entries) == 1 else f"skipped {len(entries):,} files, as {example}"


def write_skipped(path: Path, skipped: Sequence[Skipped]) -> None:
    """Write what was passed over as CSV, a line each.

    :raises BadInputError: If the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "reason"))
    writer.writerows((entry.path, entry.reason) for entry in skipped)
    write_atomically(path, text.getvalue().encode())


def _look_at(path: str, root: Path) -> Item | str | list[str]:
    """What an entry is: an item, why it is passed over, or the names in a folder."""
    file = os.path.join(root, path)  # noqa: PTH118 - of millions, a `Path` each takes longer than to look
    try:
        state = os.stat(file)  # noqa: PTH116
    except OSError as error:
        return "a link that leads nowhere" if os.path.islink(file) else _unreadable(error)  # noqa: PTH114
    if stat.S_ISDIR(state.st_mode):
        if os.path.islink(file):  # noqa: PTH114
            return NOT_FOLLOWED
        try:
            return _visible_names(Path(file))
        except BadDatasetError as error:
            return _unreadable(error.__cause__)
    if not stat.S_ISREG(state.st_mode):
        return "not a regular file"
    if _escaped(path) != path:
        return "its name is not valid UTF-8"
    if os.path.splitext(path)[1].lower() not in SUFFIXES:  # noqa: PTH122
        try:
            with open_regular(Path(file)) as opened:
                if kind_of(opened.read(HEAD_BYTES)) is None:
                    return NO_PICTURE
        except OSError as error:
            return _unreadable(error)
    return Item(path, state.st_size, state.st_mtime_ns)


def _escaped(path: str) -> str:
    """A path; bytes that are no UTF-8 are escaped."""
    return path.encode(errors="backslashreplace").decode()


def _unreadable(error: BaseException | None) -> str:
    reason = (error.strerror if isinstance(error, OSError) else None) or os.strerror(5)
    return f"{UNREADABLE}: {reason.lower()}"
