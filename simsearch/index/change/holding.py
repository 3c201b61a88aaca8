"""Where an index's items are held, as a change sees it: in files, or on a server."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from simsearch.index.bundle import read_items
from simsearch.index.change.commit import Change, apply_change, compact, next_id_of
from simsearch.index.change.revise import Classes
from simsearch.index.manifest import Manifest, Segment
from simsearch.index.stores.base import Ids, Labels, Vectors
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.writing import Described, write_segment


class Holding(Protocol):
    """An index whose lock is held."""

    def next_id(self) -> int:
        """The id of the next item."""

    def present(self, wanted: Ids) -> Ids:
        """Those of these ascending ids that there are items of."""

    def write(self, ids: Ids, vectors: Vectors, labels: Labels, described: Described) -> Segment:
        """Store new items; they are there when a change that adds the segment is applied.

        :param labels: Numbers of classes, as the change numbers them; without classes they do not matter.
        """

    def apply(self, change: Change, classes: Classes, next_id: int) -> Manifest:
        """Commit a change; see `apply_change`."""

    def compact(self) -> Manifest:
        """Write everything anew, without what was removed, and commit."""

    def close(self) -> None:
        """Give back what is held open."""


class InFiles:
    """An index in files of its own."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest

    def next_id(self) -> int:
        """The id of the next item."""
        return next_id_of(self._folder, self._manifest)

    def present(self, wanted: Ids) -> Ids:
        """Those of these ids that there are items of; see `Holding.present`."""
        found = wanted[:0]
        for items in read_items(self._folder, self._manifest):
            rows = np.searchsorted(items.ids, wanted).clip(max=len(items.ids) - 1)
            here = rows[items.ids[rows] == wanted]
            rows = here if items.kept is None else np.intersect1d(here, items.kept)
            found = np.append(found, items.ids[rows])
        return found

    def write(self, ids: Ids, vectors: Vectors, labels: Labels, described: Described) -> Segment:
        """Write a segment; see `Holding.write`."""
        store = FaissStore.build(vectors, ids, labels if self._manifest.is_labeled else None)
        return write_segment(self._folder, store, described)

    def apply(self, change: Change, classes: Classes, next_id: int) -> Manifest:
        """Commit a change; see `apply_change`."""
        return apply_change(self._folder, self._manifest, change, classes, next_id)

    def compact(self) -> Manifest:
        """Make one segment of all; see `compact`."""
        return compact(self._folder, self._manifest)

    def close(self) -> None:
        """Nothing is held open."""
