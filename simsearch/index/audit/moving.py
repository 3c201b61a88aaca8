"""Files moved aside and back: nothing is deleted, nothing replaced, and every move is written down before.

The list is a CSV file with the columns `from` and `to`, flushed line by line: after a kill it names every
file that was moved, and perhaps one that was not.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from simsearch.data.collection import content_hash
from simsearch.errors import BadInputError, cannot_write
from simsearch.files import hold_signals, open_regular, sync_folder
from simsearch.index.audit.groups import Duplicates, read_file
from simsearch.index.audit.kinds import CopyKind
from simsearch.text import csv_text

MOVED = "moved.csv"
_COLUMNS = ("from", "to")
_MOST_BYTES = 2**28  # of a list
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Move:
    """One file, where it is and where it shall be."""

    source: Path
    target: Path


def plan_moves(found: Duplicates, root: Path | None, folder: Path) -> list[Move]:
    """Where each copy that is not the best of its group would go: its path below the root, below the folder.

    Files that are not there, or are not what they were, are left out.

    :raises BadInputError: If the index was not made from files, the folder lies within the gallery, or a file
        is in the way.
    """
    if root is None:
        raise BadInputError(
            f"{found.index} was not made from files: there is nothing to move",
            hint="leave out --move-to; --json lists the copies",
        )
    folder = folder.absolute()
    if folder.resolve().is_relative_to(root.resolve()):
        raise BadInputError(
            f"{folder} lies in the gallery's own folder {root}",
            hint="choose a folder beside it, or the copies would be found again",
        )
    moves = []
    for group in found.groups:
        for member in group.others:
            path = None if member.path is None else Path(member.path)
            file = None if path is None else read_file(path)
            if path is None or file is None or file.bytes != member.bytes:
                continue
            if member.kind is CopyKind.FILE and not _is_still_equal(path, group.best.path):
                continue
            moves.append(Move(path, folder / path.relative_to(root)))
    if taken := next((move.target for move in moves if os.path.lexists(move.target)), None):
        raise BadInputError(f"{taken} is there already", hint="choose an empty folder for --move-to")
    return moves


def _is_still_equal(path: Path, best: str | None) -> bool:
    """Whether two files are equal now, byte by byte: what an index knows of them may be old."""
    with contextlib.suppress(OSError):
        return best is not None and content_hash(path) == content_hash(Path(best))
    return False


def move_files(moves: Sequence[Move], folder: Path, on_progress: Progress = lambda _: None) -> Path:
    """Move files into a folder and write down each; return the list.

    :raises BadInputError: If the folder cannot be written, or a file is in the way; what was moved is in the
        list, and stays moved.
    """
    listing = folder / MOVED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_new = not listing.exists()
        with listing.open("ab") as written, hold_signals() as signals:
            if is_new:
                _write_row(written, _COLUMNS)
            for move in moves:
                signals.heed()
                _write_row(written, (str(move.source), str(move.target)))
                _move(move)
                on_progress(1)
    except OSError as error:
        raise cannot_write(Path(error.filename2 or error.filename or folder), error) from error
    return listing


def read_moves(listing: Path) -> list[Move]:
    """What a list of moves says, ready to be undone: from where the files are to where they were.

    :raises BadInputError: If it cannot be read, or is no such list.
    """
    try:
        with open_regular(listing, _MOST_BYTES) as file:
            rows = list(csv.reader(io.StringIO(file.read().decode("utf-8", "surrogateescape"), newline="")))
    except (OSError, csv.Error) as error:
        raise BadInputError(f"cannot read {listing}: {getattr(error, 'strerror', None) or error}") from error
    if not rows or tuple(rows[0]) != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise BadInputError(f"{listing} is no list of moved files", hint=f"--move-to writes {MOVED}")
    return [Move(Path(target), Path(source)) for source, target in rows[1:]]


def undo_moves(moves: Iterable[Move]) -> tuple[int, int]:
    """Move files back; return how many were, and how many were not: gone since, or something is in the way.

    :raises BadInputError: If a folder cannot be written.
    """
    done = left = 0
    try:
        for move in moves:
            if not move.source.is_file() or os.path.lexists(move.target):
                left += 1
                continue
            _move(move)
            done += 1
    except OSError as error:
        raise cannot_write(Path(error.filename2 or error.filename or ""), error) from error
    return done, left


def _move(move: Move) -> None:
    """Give a file its new name, which nothing may have; between file systems it is copied whole before."""
    move.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(move.source, move.target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(move)
    sync_folder(move.target.parent)
    move.source.unlink()


def _copy(move: Move) -> None:
    try:
        with open_regular(move.source) as source, move.target.open("xb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        shutil.copystat(move.source, move.target)
    except FileExistsError:
        raise
    except BaseException:
        move.target.unlink(missing_ok=True)
        raise


def _write_row(file: BinaryIO, row: Sequence[str]) -> None:
    file.write(csv_text([row]).encode("utf-8", "surrogateescape"))
    file.flush()
    os.fsync(file.fileno())
