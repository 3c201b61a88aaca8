"""The exact nearest items of each class, and the evidence that they are of how familiar a query is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Hits, Ids, Vectors
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.hits import leave_out, reshape, widen
from simsearch.prepare.prepare import Images
from simsearch.stats.class_ranking import NEAREST_PER_CLASS
from simsearch.stats.novelty import EVIDENCE, NEIGHBOURS, Evidence, Neighbours, gather_evidence

_BLOCK = 256  # queries whose neighbours are held at once


class Neighbourhood:
    """A labelled gallery, asked class by class."""

    def __init__(self, store: FaissStore, labels: NDArray[np.int64] | None, thumbnails: Images) -> None:
        """Ask a gallery whose arrays are in order of id; without labels it has no classes."""
        self._store, self._thumbnails = store, thumbnails
        self.class_ids: Mapping[int, Ids] = (
            {} if labels is None else {int(label): store.ids[labels == label] for label in np.unique(labels)}
        )

    def search(self, vectors: Vectors, k: int, among: Ids | None, left_out: Ids | None) -> Hits:
        """The k best hits of each query (Q, k), without its own item; empty places where there are fewer."""
        if left_out is None:
            return widen(self._store.search(vectors, k, among=among), 1)
        return leave_out(self._store.search(vectors, k + 1, among=among), left_out, k)

    def nearest_of_classes(self, vectors: Vectors, left_out: Ids | None = None) -> Hits:
        """The five nearest items in each class, in order of class number: (Q, C, 5)."""
        groups = list(self.class_ids.values())
        if left_out is None:
            return self._store.search_each(vectors, NEAREST_PER_CLASS, groups)
        found = self._store.search_each(vectors, NEAREST_PER_CLASS + 1, groups)  # (Q, C, 6)
        rows = reshape(found, len(vectors) * len(groups), NEAREST_PER_CLASS + 1)
        kept = leave_out(rows, left_out.repeat(len(groups)), NEAREST_PER_CLASS)
        return reshape(kept, len(vectors), len(groups), NEAREST_PER_CLASS)

    def evidence(
        self, vectors: Vectors, pictures: Images, tops: NDArray[np.int64], left_out: Ids | None = None
    ) -> Evidence:
        """The evidence on how familiar each query is; see `gather_evidence`.

        :param vectors: Unit rows, float32 (Q, D).
        :param pictures: uint8 (Q, 28, 28).
        :param tops: The class that each query resembles most, int64 (Q,), with an item beside `left_out`.
        """
        starts = range(0, len(vectors), _BLOCK)
        found = [
            self._evidence(
                vectors[start : start + _BLOCK],
                pictures[start : start + _BLOCK],
                tops[start : start + _BLOCK],
                None if left_out is None else left_out[start : start + _BLOCK],
            )
            for start in starts
        ]
        return {name: np.concatenate([block[name] for block in found]) for name in EVIDENCE}

    def _evidence(
        self, vectors: Vectors, pictures: Images, tops: NDArray[np.int64], left_out: Ids | None
    ) -> Evidence:
        ids = np.full((len(vectors), NEIGHBOURS), NOTHING)
        for top in np.unique(tops):
            rows = np.flatnonzero(tops == top)
            own = None if left_out is None else left_out[rows]
            found = self.search(vectors[rows], NEIGHBOURS, self.class_ids[int(top)], own)
            ids[rows, : found.ids.shape[1]] = found.ids
        there = ids != NOTHING
        filled = np.where(there, ids, ids[:, :1])
        places = self._store.rows(filled.ravel()).reshape(filled.shape)
        nearest = Neighbours(self._store.all_vectors()[places], self._thumbnails[places], there)
        return gather_evidence(vectors, pictures, nearest)
