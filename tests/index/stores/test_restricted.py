"""Hits of some classes from an approximate index: FAISS is asked among their rows, or all are compared."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.index.stores import candidates
from simsearch.index.stores.base import gather
from simsearch.index.stores.comparison import compare
from simsearch.index.stores.faiss import FaissStore
from simsearch.search.searcher import Searcher

K, LEAST = 10, 0.95


@pytest.fixture(params=["IVF64,SQ8", "HNSW8", "SQ8"])
def store(request: pytest.FixtureRequest, shipped: Searcher, monkeypatch: pytest.MonkeyPatch) -> FaissStore:
    """The shipped items in an index, classes of which are not taken for few."""
    monkeypatch.setattr(candidates, "_FEW", 100)
    every = gather(shipped.bundle.store)
    return FaissStore.build(every.vectors, every.ids, every.labels, factory=str(request.param))


@pytest.mark.parametrize("classes", [(7,), (1, 2, 8)])
def test_restricted_hits_are_those_of_brute_force(store: FaissStore, classes: tuple[int, ...]) -> None:
    """Queries of these classes and of others, whose nearest items a graph or lists do not lead to."""
    asked = store.sample(60)
    assert asked.labels is not None
    found = compare(store, asked.vectors).nearest(K, classes=classes, left_out=asked.ids)
    exact = store.search(asked.vectors, K, classes=classes, left_out=asked.ids)
    assert np.isin(store.labels[found.ids], classes).all()  # type: ignore[index]
    assert (np.diff(found.scores) <= 0).all()
    shared = (found.ids[:, :, None] == exact.ids[:, None, :]).any(1).mean(1)
    own = np.isin(asked.labels, classes)
    assert 0 < own.sum() < len(own)
    assert shared[own].mean() >= LEAST
    assert shared[~own].mean() >= LEAST
