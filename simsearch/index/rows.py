"""Rows of several segments as one sequence, without those of removed items: sources and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class JoinedRows(Sequence[Any]):
    """Sequences one after the other, of each some rows; nothing is copied before it is asked for."""

    def __init__(self, parts: Sequence[Any], kept: Sequence[Rows | None]) -> None:
        """Join parts: arrays, or sequences that rows of numbers select lists from.

        :param kept: Of each part the rows that are there, ascending; None for all.
        """
        self._parts, self._kept = tuple(parts), tuple(kept)
        counts = [len(part) if rows is None else len(rows) for part, rows in zip(parts, kept, strict=True)]
        self._ends = np.cumsum(counts, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, row: Any) -> Any:
        """The entry of a row; of a slice, of rows or of a mask an array, or a list if the parts are none."""
        if isinstance(row, slice | np.ndarray | list):
            return self._several(np.arange(len(self))[row])
        row = range(len(self))[row]
        number = int(np.searchsorted(self._ends, row, "right"))
        return self._parts[number][int(self._inside(number, np.array([row]))[0])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Everything as one array."""
        return np.asarray(self[:], dtype)

    def packed(self, row: int) -> bytes:
        """The entry of a row as it is stored, of parts that pack their entries."""
        number = int(np.searchsorted(self._ends, row, "right"))
        content: bytes = self._parts[number].packed(int(self._inside(number, np.array([row]))[0]))
        return content

    def _several(self, rows: Rows) -> Any:
        part_of = np.searchsorted(self._ends, rows, "right")
        if hasattr(self._parts[0], "dtype"):
            found = np.empty((len(rows), *self._parts[0].shape[1:]), self._parts[0].dtype)
            for number in np.unique(part_of):
                chosen = part_of == number
                found[chosen] = self._parts[number][self._inside(number, rows[chosen])]
            return found
        return [
            self._parts[number][int(self._inside(number, np.array([row]))[0])]
            for number, row in zip(part_of.tolist(), rows.tolist(), strict=True)
        ]

    def _inside(self, number: int, rows: Rows) -> Rows:
        """The rows of a part that these rows of the whole are."""
        inside = rows - (self._ends[number - 1] if number else 0)
        kept = self._kept[number]
        return inside if kept is None else kept[inside]
