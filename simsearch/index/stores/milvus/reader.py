"""Rows of a collection, read by what the server can ask for: those of items, as the index has them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from simsearch.index.stores.base import Ids
from simsearch.index.stores.milvus import collection as stored
from simsearch.index.stores.milvus.client import Server
from simsearch.index.stores.milvus.collection import UNLABELLED
from simsearch.index.stores.milvus.rows import Rows

LIMIT = 2**14  # hits or rows in one answer of the server
MOST_BYTES = 2**25  # in one answer
_SOURCES = 256  # looked for at once


class Reader:
    """Asks for rows; whether the collection was whole meanwhile is for others to say."""

    def __init__(
        self, server: Server, name: str, dim: int, rows: Rows, numbers: Sequence[int] | None
    ) -> None:
        """Read a collection.

        :param numbers: What the collection calls each class; None for 0, 1, ...
        """
        self.rows = rows
        self.level = "Bounded"  # forty times as fast as Strong
        self._server, self._name, self._dim = server, name, dim
        self._numbers = None if numbers is None else np.array(numbers, np.int64)
        self._lost: Counter[int] | None = None  # classes' numbers of rows that do not count; not asked yet

    @property
    def page(self) -> int:
        """Rows with all their columns in one answer."""
        return max(1, min(LIMIT // 2, MOST_BYTES // (4 * self._dim + 2**12)))

    @property
    def row_bytes(self) -> int:
        """Of a row with its vector alone."""
        return 4 * self._dim + 64

    @property
    def most_hits(self) -> int:
        """Rows with their vectors alone in one answer."""
        return min(LIMIT, MOST_BYTES // self.row_bytes)

    def query(
        self, where: str, columns: Sequence[str], limit: int | None = None, level: str | None = None
    ) -> list[dict[str, Any]]:
        """Rows as they are stored."""
        more = {} if limit is None else {"limit": limit}
        return list(
            self._server.call(
                "query",
                self._name,
                filter=where,
                output_fields=["id", *columns],
                consistency_level=level or self.level,
                **more,
            )
        )

    def count(self, where: str = "") -> int:
        """How many rows match."""
        found = self._server.call(
            "query", self._name, filter=where, output_fields=["count(*)"], consistency_level=self.level
        )
        return int(found[0]["count(*)"])

    def fetch(self, rows: Ids, columns: Sequence[str], *, own: bool = True) -> dict[int, dict[str, Any]]:
        """These columns of some rows, by row, those that are there.

        :param own: With classes as the index has them.
        """
        found: dict[int, dict[str, Any]] = {}
        for part in stored.chunks(rows, self.page):
            for row in self.query(f"id in {part.tolist()}", columns):
                found[int(row["id"])] = self._named(row) if own else row
        return found

    def live(self, found: list[dict[str, Any]], *, own: bool = False) -> list[dict[str, Any]]:
        """Those of these rows that are items, under their ids, with classes as the index has them.

        :param own: Only items in the rows of their own numbers.
        """
        if not found:
            return []
        rows = np.array([row["id"] for row in found], np.int64)
        kept = self.rows.are_live(rows)
        if own:
            kept &= ~np.isin(rows, self.rows.rows)
        ids = self.rows.ids_of(rows).tolist()
        return [
            self._named({**row, "id": item})
            for row, item, is_kept in zip(found, ids, kept.tolist(), strict=True)
            if is_kept
        ]

    def stored_numbers(self, classes: Sequence[int]) -> set[int]:
        """What the collection calls these classes; those that there are not have no number."""
        if self._numbers is None:
            return {int(number) for number in classes if number >= 0}
        return {int(self._numbers[number]) for number in classes if 0 <= number < len(self._numbers)}

    def lost_of(self, number: int) -> int:
        """How many of the rows that do not count have this number of a class."""
        if self._lost is None:
            lost = self.fetch(self.rows.removed, ("label",), own=False) if len(self.rows.removed) else {}
            self._lost = Counter(int(row["label"]) for row in lost.values())
        return self._lost[number]

    def of_sources(self, sources: Collection[str]) -> set[str]:
        """Those of these sources that an item has."""
        packed = {stored.pack_text(source): source for source in sources}
        texts, found = list(packed), set[str]()
        for start in range(0, len(texts), _SOURCES):
            where = f"source in {json.dumps(texts[start : start + _SOURCES], ensure_ascii=False)}"
            found |= {packed[row["source"]] for row in self.live(self.query(where, ("source",)))}
        return found

    def after_last(self) -> Ids:
        """Rows after the last that counts, ascending, (n,)."""
        parts, at = [np.empty(0, np.int64)], self.rows.last
        while found := self.query(f"id > {at}", (), limit=self.page, level="Strong"):
            parts.append(np.sort(np.array([row["id"] for row in found], np.int64)))
            at = int(parts[-1][-1])
        return np.concatenate(parts)

    def _named(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row with its class as the index has it."""
        if self._numbers is None or row.get("label", UNLABELLED) == UNLABELLED:
            return row
        (place,) = np.flatnonzero(self._numbers == row["label"])
        return {**row, "label": int(place)}
