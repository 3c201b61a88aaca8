"""What is known of items beside their vectors: classes, sources and pictures, of all or of some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simsearch.index.packed import Sources
from simsearch.index.stores.base import Ids, positions
from simsearch.prepare.inputs import Picture
from simsearch.records import records_of


class Described(NamedTuple):
    """What is known of one item."""

    label: int | None  # a row of manifest.classes
    source: str


class Columns(Protocol):
    """Of N items in ascending order of id. Asking of some must not cost what all would."""

    @property
    def ids(self) -> Ids:
        """All ids, (N,)."""

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """All classes, (N,), rows of manifest.classes; None without labels."""

    @property
    def thumbnails(self) -> Any:
        """N pictures by row: of some rows an array where all have one size, and a list otherwise."""

    @property
    def sources(self) -> Sequence[str]:
        """N sources by row."""

    def describe(self, ids: Ids) -> list[Described]:
        """What is known of the items of these ids, in their order.

        :raises ValueError: If there is no such item.
        """

    def pictures_of(self, ids: Ids) -> Sequence[Picture]:
        """The pictures of the items of these ids, in their order.

        :raises ValueError: If there is no such item.
        """


@dataclass(frozen=True, eq=False)
class Arrays:
    """Columns that are held, or mapped, row by row."""

    ids: Ids
    labels: NDArray[np.int64] | None
    thumbnails: Any
    sources: Sequence[str]

    def describe(self, ids: Ids) -> list[Described]:
        """What is known of these items; see `Columns.describe`."""
        rows = positions(self.ids, ids)
        labels = [None] * len(rows) if self.labels is None else self.labels[rows].tolist()
        many = self.sources
        sources = many.take(rows) if isinstance(many, Sources) else [many[row] for row in rows.tolist()]
        return records_of(Described, labels, sources)

    def pictures_of(self, ids: Ids) -> Sequence[Picture]:
        """The pictures of these items; see `Columns.pictures_of`."""
        pictures: Sequence[Picture] = self.thumbnails[positions(self.ids, ids)]
        return pictures
