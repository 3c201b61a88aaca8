"""Which items of a gallery are the very file that is queried with: of equal content, whatever its name."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from simsearch.files import open_regular
from simsearch.index.originals import Originals
from simsearch.index.reading import file_hash, hash_of
from simsearch.search.hit_files import require_files
from simsearch.search.queries import Query
from simsearch.search.searcher import Searcher

_Hash: TypeAlias = tuple[int, int]


class OwnFiles:
    """The gallery's files by size; one is read only when a query has its size."""

    def __init__(self, searcher: Searcher) -> None:
        """Look where the files are.

        :raises BadInputError: If the index was not made from files.
        """
        require_files(searcher)
        self._ids, self._originals = searcher.bundle.ids, Originals(searcher.bundle)
        self._sizes: dict[int, list[tuple[int, Path]]] = defaultdict(list)  # rows and files
        self._hashes: dict[int, _Hash | None] = {}
        for row, path in self._originals.all_existing():
            self._sizes[_size(path)].append((row, path))

    def mark(self, queries: Iterable[Query]) -> Iterator[Query]:
        """The same queries, each with the items whose file it is."""
        for query in queries:
            yield query if query.picture is None else replace(query, own=self.ids(query.picture))

    def ids(self, picture: Path | bytes) -> tuple[int, ...]:
        """The items whose file has this content, in order of id."""
        size = len(picture) if isinstance(picture, bytes) else _size(picture)
        same_size = self._sizes.get(size, [])
        if not same_size:
            return ()
        own = hash_of(picture) if isinstance(picture, bytes) else _hash(picture)
        rows = [row for row, path in same_size if own is not None and self._hash_of_row(row, path) == own]
        return tuple(self._ids[rows].tolist())

    def _hash_of_row(self, row: int, path: Path) -> _Hash | None:
        if row not in self._hashes:
            self._hashes[row] = None
            with contextlib.suppress(OSError):  # gone since
                self._hashes[row] = self._originals.content_hash(row, path)
        return self._hashes[row]


def _hash(picture: Path) -> _Hash | None:
    with contextlib.suppress(OSError), open_regular(picture) as file:
        return file_hash(file)
    return None  # gone, or no file: the query itself will say so


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
