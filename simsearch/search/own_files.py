"""Which items of a gallery are the very file that is queried with: of equal content, whatever its name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import xxhash

from simsearch.data.collection import content_hash
from simsearch.index.originals import Originals
from simsearch.search.hit_files import require_files
from simsearch.search.queries import Query
from simsearch.search.searcher import Searcher


class OwnFiles:
    """The gallery's files by size; one is read only when a query has its size."""

    def __init__(self, searcher: Searcher) -> None:
        """Look where the files are.

        :raises BadInputError: If the index was not made from files.
        """
        require_files(searcher)
        self._sizes: dict[int, list[tuple[int, Path]]] = defaultdict(list)
        self._hashes: dict[Path, str | None] = {}
        ids = searcher.bundle.ids
        for row, path in Originals(searcher.bundle).all_existing():
            self._sizes[_size(path)].append((int(ids[row]), path))

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
        own = xxhash.xxh3_128_hexdigest(picture) if isinstance(picture, bytes) else self._hash(picture)
        return tuple(item for item, path in same_size if own is not None and self._hash(path) == own)

    def _hash(self, path: Path) -> str | None:
        if path not in self._hashes:
            try:
                self._hashes[path] = content_hash(path)
            except OSError:  # gone, or no file: the query itself will say so
                self._hashes[path] = None
        return self._hashes[path]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
