"""A Milvus cluster whose nodes are killed: nothing acknowledged is lost, no wrong answer is given."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from simsearch.errors import SimsearchError
from simsearch.index.stores.faiss import FaissStore

pytest.importorskip("pymilvus")
from engines.galleries import answered, assert_whole, empty, large_gallery, load, sealed
from engines.single import URI

from simsearch.index.stores.milvus import collection as stored
from simsearch.index.stores.milvus.client import Server
from simsearch.index.stores.milvus.store import MilvusStore

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not os.environ.get("SIMSEARCH_TEST_CLUSTER"), reason="of a cluster alone"),
]
K = 10


@pytest.fixture(scope="module")
def gallery():
    return large_gallery()


@pytest.fixture(scope="module")
def cluster(milvus_server):
    yield milvus_server
    print(f"memory in MB: {milvus_server.memory()}")


def test_a_data_node_killed_during_a_load_loses_nothing(cluster, gallery):
    client, store = empty(URI, "loaded", gallery, shards=2)

    def kill_and_restart() -> None:
        cluster.kill("datanode1")
        threading.Timer(5, cluster.start_node, ["datanode1"]).start()

    seconds = load(store, gallery, kill_and_restart)
    began = time.monotonic()
    stored.finish(client, "loaded", replicas=2)
    print(
        f"{len(gallery.ids):,} rows loaded in {seconds:.1f} s, data node killed halfway; "
        f"ready {time.monotonic() - began:.1f} s later"
    )
    assert_whole(store, gallery)


def test_while_a_query_node_is_replaced_no_wrong_answer_is_given(cluster, gallery):
    ids, labels, vectors = gallery
    store = sealed(URI, vectors, ids, labels, shards=2, replicas=2)
    queries = vectors[:50]
    best = FaissStore.build(vectors, ids, labels).search(queries, K)
    assert_array_equal(store.search(queries, K).ids, best.ids)
    asked = _Asked(best.ids)
    shape = {"dim": store.dim, "count": len(ids), "last": int(ids[-1])}
    reader = MilvusStore(Server(URI, timeout=5), store.name, classes=range(5), **shape)
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
