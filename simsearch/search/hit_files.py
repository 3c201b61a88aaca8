"""The files behind hits: named for other programs, and copied or linked into a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from simsearch.errors import BadInputError, cannot_write
from simsearch.files import open_regular
from simsearch.index.originals import Originals
from simsearch.prepare.formats import SUFFIXES
from simsearch.search.answers import Hit
from simsearch.search.batch import Outcome
from simsearch.search.searcher import Searcher

_MOST_NAME = 255  # bytes, on most file systems


class HitFiles:
    """Where hits lie now; `missing` counts those whose file is gone."""

    def __init__(self, searcher: Searcher, *, absolute: bool = False) -> None:
        """Name files from here on, or absolutely."""
        self._originals, self._absolute = Originals(searcher.bundle), absolute
        self.missing = 0

    def name(self, hit: Hit) -> str | None:
        """The path of a hit's file; None if it is gone. An index that was not made from files has sources."""
        if self._originals.root is None:
            return hit.source
        path = self.path(hit)
        if path is None or self._absolute:
            return None if path is None else str(path)
        try:
            return os.path.relpath(path)
        except ValueError:  # Windows: on another drive
            return str(path)

    def path(self, hit: Hit) -> Path | None:
        """Where a hit's file is; None, and counted, if it is gone."""
        path = self._originals.existing(hit.id)
        self.missing += path is None
        return None if path is None else path.absolute()

    def pictures(self, outcomes: Iterable[Outcome], most: int) -> Iterator[Path]:
        """The files of the first hits that are pictures by their names too, as viewers go by names."""
        hits = (hit for outcome in outcomes if outcome.answer for hit in outcome.answer.hits)
        for hit in hits:
            path = self.path(hit)
            if path is not None and path.suffix.lower() in SUFFIXES:
                yield path
                most -= 1
            if not most:
                return


class HitCopies:
    """A folder that takes copies of hits, or links to them, named by rank; `done` counts them."""

    def __init__(self, searcher: Searcher, folder: Path, *, link: bool, several: bool, k: int) -> None:
        """Make the folder.

        :param link: Make symbolic links instead of copies.
        :param several: Whether there may be several queries: their numbers then come first.
        :raises BadInputError: If it is not empty or cannot be written, or the index was not made from files.
        """
        require_files(searcher)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if next(folder.iterdir(), None) is not None:
                raise BadInputError(f"{folder} is not empty", hint="choose a new or empty folder")
        except OSError as error:
            raise cannot_write(folder, error) from error
        self._folder, self._link, self._several = folder, link, several
        self._files, self._width = HitFiles(searcher), len(str(k))
        self.done = 0

    @property
    def missing(self) -> int:
        """How many hits have no file any more."""
        return self._files.missing

    def watch(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """The same outcomes, the hits of each copied as it passes.

        :raises BadInputError: If one cannot be written; what was copied stays.
        """
        for number, outcome in enumerate(outcomes, 1):
            for hit in outcome.answer.hits if outcome.answer else ():
                path = self._files.path(hit)
                if path is not None:
                    first = f"{number:04d}-" if self._several else ""
                    first += f"{hit.rank:0{self._width}d}-"
                    self._put(path, self._folder / _fitting(first, path))
            yield outcome

    def _put(self, path: Path, target: Path) -> None:
        try:
            if self._link:
                target.symlink_to(path)
            else:
                _copy(path, target)
        except OSError as error:
            raise cannot_write(target, error) from error
        self.done += 1


def require_files(searcher: Searcher) -> None:
    """Check that an index was made from files.

    :raises BadInputError: If it keeps no folder.
    """
    manifest = searcher.bundle.manifest
    if manifest.root is None:
        raise BadInputError(
            f"{manifest.name} keeps no folder that its pictures lie in",
            hint="indexes of folders, built with simsearch 0.2.0 or later, do",
        )


def _fitting(first: str, path: Path) -> str:
    """A file's name behind a number, its stem cut where both together are longer than a name may be."""
    stem = path.stem
    while len(stem) > 1 and len(os.fsencode(first + stem + path.suffix)) > _MOST_NAME:
        stem = stem[:-1]
    return first + stem + path.suffix


def _copy(path: Path, target: Path) -> None:
    """Copy a file to a name that nothing has; half a copy is never left."""
    with open_regular(path) as source, target.open("xb") as file:
        try:
            shutil.copyfileobj(source, file)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    shutil.copystat(path, target)
