"""Which rows of a collection are an index's items, and under which ids.

A collection only grows: a row is never written over with anything that a reader could see. An item that was
removed stays as a row that does not count; one that was revised becomes another row, and keeps its id; rows
after `last` are of a change that was not committed. So whoever opened an index before a change goes on
answering as before it, until the collection is written anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import Ids

ABSENT = -1  # the row of an item that is not there
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows up to `last` without `removed`; those of revised items stand for their ids."""

    last: int
    removed: Ids = field(default_factory=lambda: _NONE)  # rows that do not count, ascending
    items: Ids = field(default_factory=lambda: _NONE)  # ids of revised items, ascending
    rows: Ids = field(default_factory=lambda: _NONE)  # theirs

    @property
    def is_plain(self) -> bool:
        """Whether every row up to the last is an item under its own number."""
        return not len(self.removed) and not len(self.items)

    def are_live(self, rows: Ids) -> NDArray[np.bool_]:
        """Which of these rows of the collection are items, (n,)."""
        live: NDArray[np.bool_] = rows <= self.last
        return live if self.is_plain else live & ~_contains(self.removed, rows)

    def ids_of(self, rows: Ids) -> Ids:
        """The ids of the items in these live rows."""
        if not len(self.items):
            return rows
        order = np.argsort(self.rows)
        places = np.searchsorted(self.rows[order], rows).clip(max=len(order) - 1)
        revised = self.rows[order][places] == rows
        return np.where(revised, self.items[order][places], rows)

    def rows_of(self, ids: Ids) -> Ids:
        """The rows of the items of these ids; `ABSENT` where there is no such item."""
        rows = np.where(self.are_live(ids) & (ids >= 0), ids, ABSENT)
        if not len(self.items):
            return rows
        rows = np.where(np.isin(ids, self.rows), ABSENT, rows)  # another item's row is no id
        places = np.searchsorted(self.items, ids).clip(max=len(self.items) - 1)
        return np.where(self.items[places] == ids, self.rows[places], rows)

    def changed(self, last: int, *, left: Ids, gone: Ids, revised: Ids, rows: Ids) -> Rows:
        """These rows up to another last one, without the items that are gone, some items in other rows.

        :param left: Rows after the last one that are nobody's.
        :param gone: Ids, of items that are there.
        :param revised: Ids of items that are there, ascending, with their new rows.
        """
        lost = np.concatenate([left, self.rows_of(gone), self.rows_of(revised)])
        before = ~np.isin(self.items, np.concatenate([gone, revised]))
        items = np.concatenate([self.items[before], revised])
        order = np.argsort(items)
        return Rows(
            last,
            np.union1d(self.removed, lost),
            items[order],
            np.concatenate([self.rows[before], rows])[order],
        )


def _contains(ascending: Ids, wanted: Ids) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(wanted.shape, bool)
    places = np.searchsorted(ascending, wanted).clip(max=len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == wanted
    return found
