"""Which items have the same file: of equal size, and then of equal hash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from simsearch.index.bundle import Bundle
from simsearch.index.originals import Originals

Files = dict[int, list[tuple[int, Path]]]  # size -> rows and files
Groups = dict[tuple[int, int], list[int]]  # hash -> rows


@dataclass
class SameFiles:
    """Pairs of rows whose files are equal byte by byte, and what could be compared."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    there: int = 0  # files that are where the index says
    failed: int = 0  # of these, such as could not be read


def same_files(bundle: Bundle, against: Bundle | None = None) -> SameFiles:
    """Compare the files of an index with each other, or with those of another index.

    Of each group of equal files every other one is paired with the first; in another index, each with that
    one's first. Only files of a size that occurs twice are read, and of these only such
    as have changed since the index was made, where it keeps their hashes.
    """
    found = SameFiles()
    own = Originals(bundle)
    sizes = _by_size(own, found)
    if against is None:
        twice = [size for size, files in sizes.items() if len(files) > 1]
        for rows in _equal(own, sizes, twice, found).values():
            found.pairs += [(rows[0], row) for row in rows[1:]]
        return found
    other = Originals(against)
    others = _by_size(other, found)
    shared = sizes.keys() & others.keys()
    ours, theirs = _equal(own, sizes, shared, found), _equal(other, others, shared, found)
    found.pairs += [(row, theirs[key][0]) for key, rows in ours.items() if key in theirs for row in rows]
    return found


def _by_size(originals: Originals, found: SameFiles) -> Files:
    sizes: Files = defaultdict(list)
    for row, path in originals.all_existing():
        try:
            sizes[path.stat().st_size].append((row, path))
            found.there += 1
        except OSError:  # gone since
            found.failed += 1
    return sizes


def _equal(originals: Originals, sizes: Files, wanted: Iterable[int], found: SameFiles) -> Groups:
    groups: Groups = defaultdict(list)
    for size in wanted:
        for row, path in sizes[size]:
            try:
                groups[originals.content_hash(row, path)].append(row)
            except OSError:
                found.failed += 1
    return groups
