"""Galleries in Milvus, made quickly: a collection for each dimension is emptied and filled again."""

from __future__ import annotations

import itertools

import numpy as np

from simsearch.index.stores.base import Ids, Labels, Vectors
from simsearch.index.stores.milvus import collection as stored
from simsearch.index.stores.milvus.client import Server
from simsearch.index.stores.milvus.collection import IndexType, Items
from simsearch.index.stores.milvus.store import MilvusStore

_numbers = itertools.count()


def items_of(vectors: Vectors, ids: Ids, labels: Labels | None = None) -> Items:
    """Items without sources and pictures."""
    return Items(ids, labels, vectors, (), ())


def classes_of(labels: Labels | None) -> list[int]:
    return [] if labels is None else np.unique(labels).tolist()


def sealed(
    uri: str,
    vectors: Vectors,
    ids: Ids,
    labels: Labels | None = None,
    *,
    factory: str = "Flat",
    shards: int = 1,
    replicas: int = 1,
) -> MilvusStore:
    """A store of its own, filled and waited for as a build does it."""
    server, name = Server(uri, timeout=30), f"gallery_{next(_numbers)}"
    if server.call("has_collection", name):
        server.call("drop_collection", name)
    dim, last, classes = vectors.shape[1], int(ids[-1]), classes_of(labels)
    stored.create(server, name, dim=dim, index=IndexType(factory), encoder="toy", shards=shards)
    store = MilvusStore(server, name, dim=dim, count=len(ids), last=last, classes=classes, factory=factory)
    store.upsert(items_of(vectors, ids, labels))
    stored.finish(server, name, replicas=replicas)
    return store


class Refilled:
    """Makes stores of ever other content in the same collection: only the latest of a dimension is valid."""

    def __init__(self, uri: str, copies: int = 1) -> None:
        """Make them on this server, in so many parts and copies."""
        self._uri, self._copies = uri, copies
        self._stores: dict[int, MilvusStore] = {}
        self._filled: dict[int, tuple[object, ...]] = {}

    def __call__(self, vectors: Vectors, ids: Ids, labels: Labels | None = None) -> MilvusStore:
        dim = vectors.shape[1]
        content = tuple(None if part is None else part.tobytes() for part in (vectors, ids, labels))
        if dim not in self._stores:
            shape = {"shards": self._copies, "replicas": self._copies}
            self._stores[dim] = sealed(self._uri, vectors, ids, labels, **shape)
            self._filled[dim] = content
        store = self._stores[dim]
        if self._filled[dim] != content:
            store.remove(np.concatenate([block.ids for block in store.scan()]))
            store.upsert(items_of(vectors, ids, labels))
            store.expect(len(ids), int(ids[-1]), classes_of(labels))
            self._filled[dim] = content
        return store
