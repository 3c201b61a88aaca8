"""The store on a Milvus server, beside the contract: against FAISS, and beyond the server's limits."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore

pytest.importorskip("pymilvus")
from engines.galleries import items_of, sealed

pytestmark = pytest.mark.engine
COUNT, DIM, CLASSES = 20_000, 16, 5


def unit(seed: int, count: int, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def gallery():
    """Vectors of which 20 are equal, ids beyond 32 bits with gaps, and labels."""
    vectors = unit(0, COUNT)
    vectors[100:120] = vectors[7]
    return vectors, 10**12 + 3 * np.arange(COUNT), np.arange(COUNT) % CLASSES


@pytest.fixture(scope="module")
def store(milvus, gallery):
    """Sealed and waited for; asked at once."""
    return sealed(milvus, *gallery)


@pytest.fixture(scope="module")
def faiss(gallery):
    return FaissStore.build(*gallery)


@pytest.fixture(scope="module")
def queries(gallery):
    return np.concatenate([unit(1, 60), gallery[0][7:8], gallery[0][:3]])


def assert_equal(actual, expected) -> None:
    assert_array_equal(actual.ids, expected.ids, strict=True)
    assert_array_equal(actual.scores, expected.scores, strict=True)


def test_a_flat_collection_answers_as_faiss_does_ids_and_bits(store, faiss, queries):
    own = np.full(len(queries), gallery_id(7))
    assert_equal(store.search(queries, 10), faiss.search(queries, 10))
    assert_equal(store.search(queries, 10, classes=[1, 3]), faiss.search(queries, 10, classes=[1, 3]))
    assert_equal(store.search(queries, 10, left_out=own), faiss.search(queries, 10, left_out=own))
    classes = list(range(CLASSES))
    assert_equal(store.search_each(queries, 5, classes), faiss.search_each(queries, 5, classes))
    assert_equal(
        store.search_each(queries, 5, classes, left_out=own),
        faiss.search_each(queries, 5, classes, left_out=own),
    )


def gallery_id(row: int) -> int:
    return 10**12 + 3 * row


def test_more_hits_than_the_server_gives_at_once_are_found_range_by_range(store, faiss, queries):
    assert_equal(store.search(queries[:1], 18_000), faiss.search(queries[:1], 18_000))


def test_more_ties_than_the_server_gives_at_once_go_to_the_lowest_ids(milvus):
    vectors = np.tile(unit(2, 1), (COUNT, 1))
    vectors[-1] = unit(3, 1)
    ids = np.arange(COUNT) * 5 + 1
    store = sealed(milvus, vectors, ids, np.zeros(COUNT, np.int64))
    expected = FaissStore.build(vectors, ids).search(vectors[-2:], 12)
    assert_equal(store.search(vectors[-2:], 12), expected)
    assert_equal(store.search(vectors[-2:], 12, classes=[0]), expected)


def test_scan_and_sample_of_many_items_are_whole_and_even(store, gallery):
    vectors, ids, labels = gallery
    whole = gather(store)
    assert_array_equal(whole.ids, ids)
    assert_array_equal(whole.vectors, vectors)
    assert_array_equal(whole.labels, labels)
    assert [store.count(number) for number in range(CLASSES + 1)] == [COUNT // CLASSES] * CLASSES + [0]
    samples = [store.sample(2_000, seed) for seed in range(3)]
    assert_array_equal(samples[1].ids, store.sample(2_000, 1).ids)
    rows = (samples[0].ids - ids[0]) // 3
    assert_array_equal(samples[0].vectors, vectors[rows])
    assert len(np.unique(rows)) == 2_000
    assert (np.abs(np.bincount(rows * 10 // COUNT, minlength=10) - 200) < 80).all()  # 6 standard deviations
    assert len(np.intersect1d(samples[0].ids, samples[1].ids)) < 1_000
    assert_array_equal(store.sample(COUNT + 5, 3).ids, ids)


def test_what_is_written_is_read_at_once_by_its_writer_and_counted_only_when_expected(milvus):
    vectors = unit(4, 40)
    store = sealed(milvus, vectors[:30], np.arange(30), np.zeros(30, np.int64))
    store.upsert(items_of(vectors[30:], np.arange(30, 40), np.ones(10, np.int64)))
    assert len(store) == 30  # until it is said that they belong to the gallery
    store.expect(40, 39, [0, 1])
    assert store.search(vectors[35:36], 1).ids.tolist() == [[35]]
    store.remove(np.array([35]))
    store.expect(39, 39, [0, 1])
    assert 35 not in store.search(vectors[35:36], 39).ids
    assert [block.ids.tolist() for block in store.scan()] == [[*range(35), *range(36, 40)]]


def test_an_approximate_collection_finds_most_and_scores_exactly(milvus, gallery, faiss, queries):
    store = sealed(milvus, *gallery, factory="HNSW16")
    assert not store.is_exact
    found, best = store.search(queries, 10), faiss.search(queries, 10)
    shared = [len(np.intersect1d(a, b)) / 10 for a, b in zip(found.ids, best.ids, strict=True)]
    assert np.mean(shared) > 0.9
    pairs = faiss.vectors(found.ids.ravel()).astype(np.float64).reshape(*found.ids.shape, DIM)
    exact = np.einsum("qkd,qd->qk", pairs, queries.astype(np.float64)).astype(np.float32)
    assert_array_equal(found.scores, np.clip(exact, -1, 1))


def test_the_client_logs_nothing(store, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(ValueError, match="an id is not stored"):
        store.vectors(np.array([5]))
    assert not [record for record in caplog.records if record.name.startswith("pymilvus")]
