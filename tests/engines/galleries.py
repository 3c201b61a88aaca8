"""Galleries in Milvus, made quickly: a collection for each dimension is emptied and filled again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
from numpy.testing import assert_array_equal

from simsearch.errors import UnavailableError
from simsearch.index.stores.base import Block, Ids, Labels, Vectors, gather
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


def large_gallery(count: int = 20_000, dim: int = 32) -> Block:
    """Random unit vectors under ids with gaps, in five classes."""
    rows = np.random.default_rng(0).standard_normal((count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Block(np.arange(count) * 3, np.arange(count) % 5, rows)


def empty(uri: str, name: str, gallery: Block, *, shards: int = 1) -> tuple[Server, MilvusStore]:
    """A collection that is to hold a gallery."""
    server, dim = Server(uri, timeout=30), gallery.vectors.shape[1]
    stored.create(server, name, dim=dim, index=IndexType("Flat"), encoder="toy", shards=shards)
    count, last = len(gallery.ids), int(gallery.ids[-1])
    return server, MilvusStore(server, name, dim=dim, count=count, last=last, classes=range(5))


def load(store: MilvusStore, gallery: Block, half_way: Callable[[], None], batch: int = 500) -> float:
    """Load in batches, each acknowledged; halfway something happens. Returns seconds."""
    began, halves = time.monotonic(), len(gallery.ids) // 2
    for start in range(0, len(gallery.ids), batch):
        if start == halves:
            half_way()
        part = slice(start, start + batch)
        assert gallery.labels is not None
        store.upsert(items_of(gallery.vectors[part], gallery.ids[part], gallery.labels[part]))
    return time.monotonic() - began


def assert_whole(store: MilvusStore, gallery: Block) -> None:
    """Everything is there, bit for bit."""
    for found, expected in zip(gather(store), gallery, strict=True):
        assert_array_equal(found, expected)


def answered(store: MilvusStore, queries: Vectors, seconds: float = 120.0) -> Ids:
    """The best hit, as soon as the store answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            return store.search(queries, 1).ids
        except UnavailableError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


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
