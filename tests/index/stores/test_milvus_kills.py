"""Milvus under kills: nothing acknowledged is lost, no wrong answer is given. Each starts its own server."""

from __future__ import annotations

import threading
import time
from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from simsearch.errors import NotUsableError, SimsearchError, UnavailableError
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore

pytest.importorskip("pymilvus")
from engines.cluster import Cluster
from engines.galleries import items_of, sealed
from engines.single import URI, Single

from simsearch.index.stores.milvus import collection as stored
from simsearch.index.stores.milvus.client import TOKEN, Server
from simsearch.index.stores.milvus.store import MilvusStore

pytestmark = pytest.mark.engine
COUNT, DIM, BATCH = 20_000, 32, 500
K = 10


@pytest.fixture(scope="module")
def gallery():
    rows = np.random.default_rng(0).standard_normal((COUNT, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, np.arange(COUNT) * 3, np.arange(COUNT) % 5


def empty(name: str, *, shards: int = 1) -> tuple[Server, MilvusStore]:
    server = Server(URI, timeout=30)
    index = stored.IndexType("Flat")
    stored.create(server, name, dim=DIM, index=index, encoder="toy", shards=shards)
    return server, MilvusStore(server, name, dim=DIM, count=COUNT, last=3 * COUNT, classes=range(5))


def load(store: MilvusStore, gallery, half_way) -> float:
    """Load in batches, each acknowledged; halfway something happens. Returns seconds."""
    vectors, ids, labels = gallery
    began = time.monotonic()
    for start in range(0, COUNT, BATCH):
        if start == COUNT // 2:
            half_way()
        part = slice(start, start + BATCH)
        store.upsert(items_of(vectors[part], ids[part], labels[part]))
    return time.monotonic() - began


def assert_whole(store: MilvusStore, gallery) -> None:
    vectors, ids, labels = gallery
    found = gather(store)
    assert_array_equal(found.ids, ids)
    assert_array_equal(found.vectors, vectors)
    assert_array_equal(found.labels, labels)


def test_a_server_killed_during_a_load_has_all_that_it_acknowledged_and_the_load_goes_on(tmp_path, gallery):
    server = Single(tmp_path / "server")
    server.start()
    try:
        client, store = empty("killed")
        restarted = threading.Thread(target=server.start)

        def kill_and_restart() -> None:
            server.kill()
            restarted.start()

        seconds = load(store, gallery, kill_and_restart)  # each batch is tried again until it is acknowledged
        restarted.join()
        stored.finish(client, "killed")
        print(f"{COUNT:,} rows loaded in {seconds:.1f} s, server killed halfway and started again")
        assert_whole(store, gallery)
        server.kill()
        with pytest.raises(UnavailableError, match="gives no answer") as caught:
            store.search(gallery[0][:1], K)
        assert "\n" not in caught.value.message
        began = time.monotonic()
        server.start()
        assert_array_equal(answered(store, gallery[0][:1]), [[0]])
        print(f"killed and started again, it answers after {time.monotonic() - began:.1f} s")
        assert_whole(store, gallery)
    finally:
        server.stop()


def answered(store: MilvusStore, queries, seconds: float = 120.0):
    """The best hit, as soon as the store answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            return store.search(queries, 1).ids
        except UnavailableError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def test_wrong_credentials_are_refused_and_never_shown(tmp_path, monkeypatch):
    server = Single(tmp_path / "server", authorization=True)
    server.start()
    try:
        for token in ("root:Wrong-Secret-9", ""):
            monkeypatch.setenv(TOKEN, token)
            with pytest.raises(NotUsableError, match="refuses the credentials") as caught:
                Server(URI).call("list_collections")
            assert "Secret" not in f"{caught.value.message}{caught.value.hint}"
        monkeypatch.setenv(TOKEN, "root:Milvus")
        assert Server(URI).call("list_collections") == []
    finally:
        server.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    servers = Cluster(tmp_path_factory.mktemp("cluster") / "run", query_nodes=4)
    servers.start()
    yield servers
    print(f"memory in MB: {servers.memory()}")
    servers.stop()


def test_a_data_node_killed_during_a_load_loses_nothing(cluster, gallery):
    client, store = empty("loaded", shards=2)

    def kill_and_restart() -> None:
        cluster.kill("datanode1")
        threading.Timer(5, cluster.start_node, ["datanode1"]).start()

    seconds = load(store, gallery, kill_and_restart)
    began = time.monotonic()
    stored.finish(client, "loaded", replicas=2)
    print(
        f"{COUNT:,} rows loaded in {seconds:.1f} s, data node killed halfway; "
        f"ready {time.monotonic() - began:.1f} s later"
    )
    assert_whole(store, gallery)


def test_while_a_query_node_is_replaced_no_wrong_answer_is_given(cluster, gallery):
    store = sealed(URI, *gallery, shards=2, replicas=2)
    queries = gallery[0][:50]
    best = FaissStore.build(*gallery).search(queries, K)
    assert_array_equal(store.search(queries, K).ids, best.ids)
    asked = _Asked(best.ids)
    reader = MilvusStore(
        Server(URI, timeout=5), store.name, dim=DIM, count=COUNT, last=3 * COUNT, classes=range(5)
    )
    threads = [asked.thread("answered", lambda rows: reader.search(queries[rows], K)) for _ in range(4)]
    threads += [
        asked.thread("unwatched", lambda rows: reader._nearest(queries[rows], K, "")) for _ in range(8)
    ]
    time.sleep(3)
    cluster.kill("querynode1")
    time.sleep(35)
    cluster.start_node("querynode1")
    time.sleep(5)
    assert_array_equal(answered(reader, queries[:1]), [[0]])
    asked.stop.set()
    for thread in threads:
        thread.join()
    for kind, counts in asked.counts.items():
        print(f"{kind}: {dict(counts)}")
    assert asked.counts["answered"]["right"] > 0
    assert asked.counts["answered"]["refused"] > 0
    assert asked.counts["answered"]["wrong"] == 0


class _Asked:
    """Threads that ask again and again, and count what they get."""

    def __init__(self, expected) -> None:
        self._expected, self.stop = expected, threading.Event()
        self.counts: dict[str, Counter[str]] = {"answered": Counter(), "unwatched": Counter()}

    def thread(self, kind: str, ask) -> threading.Thread:
        started = threading.Thread(target=self._run, args=(kind, ask), daemon=True)
        started.start()
        return started

    def _run(self, kind: str, ask) -> None:
        row = 0
        while not self.stop.is_set():
            row = (row + 1) % len(self._expected)
            try:
                found = ask(slice(row, row + 1)).ids
                right = np.array_equal(found, self._expected[row : row + 1])
                self.counts[kind]["right" if right else "wrong"] += 1
            except SimsearchError:
                self.counts[kind]["refused"] += 1
                time.sleep(0.1)
