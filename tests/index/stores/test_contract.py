"""One behavior suite over every store, through the contract alone: scores by hand, ties by id, brute force.

A store joins by a line in `STORES`: how to make one of vectors, ids and class numbers. One that needs a
server joins by `SERVED`, and a fixture that makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from simsearch.index.stores.base import NOTHING, Hits, VectorStore, gather
from simsearch.index.stores.comparison import compare
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.flat import FlatStore
from simsearch.index.stores.hits import leave_out
from simsearch.index.stores.segments import SegmentedStore

Make = Callable[..., VectorStore]


def segmented(vectors, ids, labels=None, *, factories=("Flat",)) -> VectorStore:
    """The items in as many segments as there are factories, the last of two items if there are enough."""
    ends = np.linspace(0, max(1, len(ids) - 2), len(factories) + 1).astype(int)[1:-1].tolist()
    ends = [0, *sorted({end for end in ends if end < len(ids)} - {0}), len(ids)]
    parts = []
    for factory, start, end in zip(factories, ends[:-1], ends[1:], strict=False):
        rows = slice(start, end)
        parts.append(
            FaissStore.build(
                vectors[rows], ids[rows], None if labels is None else labels[rows], factory=factory
            )
        )
    return SegmentedStore(parts)


def with_removed(vectors, ids, labels=None, *, factories=("Flat", "Flat")) -> VectorStore:
    """The same items, and a copy of each that was removed, under ids between them and after."""
    count = len(ids)
    free = np.setdiff1d(np.arange(ids[-1] + count + 1), ids)
    gone = np.sort(np.random.default_rng(count).permutation(free)[:count])
    everything = np.concatenate([ids, gone])
    order = np.argsort(everything)
    store = segmented(
        np.concatenate([vectors, vectors])[order],
        everything[order],
        None if labels is None else np.concatenate([labels, labels])[order],
        factories=factories,
    )
    return SegmentedStore(store.parts, gone)


STORES: dict[str, Make] = {
    factory: partial(FaissStore.build, factory=factory)
    for factory in ("Flat", "HNSW8", "IVF2,Flat", "PQ1x2", "SQ8")
}
STORES |= {
    "arrays": lambda vectors, ids, labels=None: FlatStore(ids, labels, vectors),
    "segments": partial(segmented, factories=("Flat",) * 3),
    "segments, removed": with_removed,
    "segments, approximate, removed": partial(with_removed, factories=("SQ8", "Flat")),
}
EXACT = ("Flat", "arrays", "segments", "segments, removed")
SERVED = [pytest.param("Milvus", marks=pytest.mark.engine)]  # by a process of its own; see `tests/engines`

IDS = np.array([2, 3, 5, 8, 13, 21])
LABELS = np.array([0, 4, 4, 7, 4, 0])  # items 2 and 21; 3, 5 and 13; 8
VECTORS = np.array(
    [[1, 0, 0, 0], [0.6, 0.8, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [-1, 0, 0, 0], [0.8, 0.6, 0, 0]],
    np.float32,
)
EAST = np.array([[1, 0, 0, 0]], np.float32)
NAN = float("nan")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On galleries this small, FAISS's threads only wait for each other."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


@pytest.fixture(params=[*STORES, *SERVED])
def make(request) -> Make:
    return make_of(request, request.param)


def make_of(request, name: str) -> Make:
    return request.getfixturevalue("milvus_galleries") if name == "Milvus" else STORES[name]


@pytest.fixture(params=[*sorted(EXACT), *SERVED])
def exact(request) -> Make:
    return make_of(request, request.param)


@pytest.fixture
def store(make) -> VectorStore:
    return make(VECTORS, IDS, LABELS)


def random_rows(seed: int, count: int, dim: int = 8) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def coarse_rows(seed: int, count: int, dim: int = 4) -> np.ndarray:
    """Few different vectors, so that many scores tie, also across a cut."""
    rows = np.random.default_rng(seed).integers(-1, 2, (count, dim)).astype(np.float32)
    rows[np.abs(rows).sum(1) == 0] = 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_force(vectors, ids, queries, k) -> Hits:
    """Every pair by itself in float64, sorted by (-score, id) with Python's own sort."""
    answers = []
    for query in queries:
        products = [float(np.dot(query.astype(float), vector.astype(float))) for vector in vectors]
        scores = [np.float32(min(1.0, max(-1.0, product))) for product in products]
        answers.append(sorted(zip(-np.array(scores), ids, strict=True))[:k])
    table = np.array(answers).reshape(len(queries), -1, 2)
    return Hits(-table[:, :, 0].astype(np.float32), table[:, :, 1].astype(np.int64))


def assert_hits(actual: Hits, scores, ids) -> None:
    assert_array_equal(actual.scores, np.array(scores, np.float32), strict=True)
    assert_array_equal(actual.ids, np.array(ids, np.int64), strict=True)


# --- search


def test_scores_and_ids_are_those_worked_out_by_hand(store):
    queries = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, -1]], np.float32)
    assert_hits(
        store.search(queries, 6),
        [[1, 1, 0.8, 0.6, 0, -1], [0.8, 0.6, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
        [[2, 5, 21, 3, 8, 13], [3, 21, 2, 5, 8, 13], [2, 3, 5, 8, 13, 21]],
    )


def test_k_cuts_the_ranking_and_returns_what_there_is_beyond_the_gallery(store):
    assert_hits(store.search(EAST, 1), [[1]], [[2]])
    assert_hits(store.search(EAST, 3), [[1, 1, 0.8]], [[2, 5, 21]])
    whole = store.search(EAST, 6)
    assert_hits(store.search(EAST, 7), whole.scores, whole.ids)
    assert_hits(store.search(EAST, 10**6), whole.scores, whole.ids)


@pytest.mark.parametrize("k", [1, 5, 49])
def test_ties_across_the_cut_go_to_the_lowest_ids(make, k):
    ids = np.arange(50) * 7 + 3
    store = make(np.tile(VECTORS[1], (50, 1)), ids)
    score = np.float32(np.float64(VECTORS[1, 0]))
    assert_hits(store.search(EAST, k), [[score] * k], [ids[:k]])


@pytest.mark.parametrize("classes", [None, [0]])
def test_ties_across_the_cut_are_found_behind_better_hits(make, classes):
    vectors = np.tile(VECTORS[1], (60, 1))
    vectors[50:] = EAST
    assert_hits(
        make(vectors, np.arange(60), np.zeros(60, np.int64)).search(EAST, 12, classes=classes),
        [[1] * 10 + [VECTORS[1, 0]] * 2],
        [[*range(50, 60), 0, 1]],
    )


@pytest.mark.parametrize("classes", [None, [0]])
def test_scores_that_rounding_lifted_above_1_are_ties_at_1(make, classes):
    lengths = 1 + np.linspace(1e-5, 9e-4, 50, dtype=np.float32)  # the highest raw score has the highest id
    store = make(lengths[:, None] * EAST, np.arange(50), np.zeros(50, np.int64))
    assert_hits(store.search(EAST, 5, classes=classes), [[1] * 5], [[0, 1, 2, 3, 4]])


@pytest.mark.parametrize("classes", [None, [0]])
def test_a_query_alone_and_within_a_batch_gets_the_same_answer_bit_for_bit(make, classes):
    store = make(random_rows(0, 300), np.arange(300), np.arange(300) % 3)
    queries = random_rows(1, 100)
    batch = store.search(queries, 7, classes=classes)
    alone = [store.search(query[None], 7, classes=classes) for query in queries]
    assert_hits(batch, np.concatenate([a.scores for a in alone]), np.concatenate([a.ids for a in alone]))


def test_scores_are_exact_and_in_order_whatever_an_index_proposes(make):
    vectors, queries = random_rows(2, 100), random_rows(3, 20)
    hits = make(vectors, np.arange(100)).search(queries, 5)
    for query, scores, ids in zip(queries, hits.scores, hits.ids, strict=True):
        expected = brute_force(vectors[ids], ids, query[None], 5)
        assert_hits(Hits(scores[None], ids[None]), expected.scores, expected.ids)


# --- restricted to classes


def test_classes_restrict_to_exactly_their_items(store):
    assert_hits(store.search(EAST, 2, classes=[4]), [[1, 0.6]], [[5, 3]])
    assert_hits(store.search(EAST, 9, classes=[4]), [[1, 0.6, -1]], [[5, 3, 13]])
    assert_hits(store.search(EAST, 9, classes=[7]), [[0]], [[8]])
    assert_hits(store.search(EAST, 9, classes=[7, 0, 7]), [[1, 0.8, 0]], [[2, 21, 8]])


@pytest.mark.parametrize("classes", [[], [5], [-1, 10**9]])
def test_classes_without_items_have_no_hits(store, classes):
    assert_hits(store.search(EAST, 9, classes=classes), np.empty((1, 0)), np.empty((1, 0)))


@pytest.mark.parametrize("count", [1, 3, 39, 40, 41, 400, 997])
@pytest.mark.parametrize("k", [1, 5, 10])
def test_a_restricted_search_is_exact_whatever_the_number_of_items(make, count: int, k: int) -> None:
    vectors, ids = coarse_rows(count, count + 5), np.arange(count + 5) * 3
    labels = (np.random.default_rng(count).permutation(count + 5) >= count).astype(np.int64)
    expected = brute_force(vectors[labels == 0], ids[labels == 0], vectors[:5], k)
    assert_hits(make(vectors, ids, labels).search(vectors[:5], k, classes=[0]), *expected)


def test_without_labels_there_are_no_classes(make):
    store = make(VECTORS, IDS)
    assert (store.classes, store.count(), store.count(0)) == ((), 6, 0)
    assert_hits(store.search(EAST, 3, classes=[0]), np.empty((1, 0)), np.empty((1, 0)))
    assert store.search_each(EAST, 3, store.classes).ids.shape == (1, 0, 3)


# --- in each class


@pytest.mark.parametrize("k", [1, 5, 6])
def test_a_search_inside_each_class_is_the_restricted_search_of_each(make, k: int) -> None:
    vectors, ids = coarse_rows(k, 700, 6), np.arange(700) * 2 + 1
    labels = np.random.default_rng(k).integers(0, 9, 700)
    labels[:3] = 9, 10, 10  # classes with fewer than k items; those of 11 are not asked for
    labels[3:50] = 11
    store = make(vectors, ids, labels)
    hits = store.search_each(vectors[:40], k, [*range(11), 99])
    assert hits.scores.shape == hits.ids.shape == (40, 12, k)
    for label in [*range(11), 99]:
        place = min(label, 11)
        expected = store.search(vectors[:40], k, classes=[label])
        width = expected.ids.shape[1]
        assert_array_equal(hits.ids[:, place, :width], expected.ids)
        assert_array_equal(hits.scores[:, place, :width], expected.scores)
        assert (hits.ids[:, place, width:] == NOTHING).all()
        assert np.isnan(hits.scores[:, place, width:]).all()


def test_classes_are_answered_in_the_order_in_which_they_are_named(store):
    hits = store.search_each(EAST, 2, [7, 4, 0])
    assert hits.ids.tolist() == [[[8, NOTHING], [5, 3], [2, 21]]]
    assert_array_equal(hits.scores, np.array([[[0, NAN], [1, 0.6], [1, 0.8]]], np.float32))
    assert store.search_each(EAST, 2, []).ids.shape == (1, 0, 2)


# --- without an item of one's own


def test_an_item_is_left_out_of_its_own_answer_before_the_cut(store):
    queries = np.tile(EAST, (4, 1))
    own = np.array([2, 5, 13, NOTHING])
    assert_hits(
        store.search(queries, 2, left_out=own),
        [[1, 0.8], [1, 0.8], [1, 1], [1, 1]],
        [[5, 21], [2, 21], [2, 5], [2, 5]],
    )
    assert_hits(
        store.search(queries, 3, classes=[4], left_out=own),
        [[1, 0.6, -1], [0.6, -1, NAN], [1, 0.6, NAN], [1, 0.6, -1]],
        [[5, 3, 13], [3, 13, NOTHING], [5, 3, NOTHING], [5, 3, 13]],
    )
    assert store.search_each(queries, 2, [0, 7], left_out=own).ids.tolist() == [
        [[21, NOTHING], [8, NOTHING]],
        [[2, 21], [8, NOTHING]],
        [[2, 21], [8, NOTHING]],
        [[2, 21], [8, NOTHING]],
    ]


def test_leaving_the_only_item_of_a_class_out_leaves_nothing(store):
    assert_hits(store.search(EAST, 5, classes=[7], left_out=np.array([8])), [[NAN]], [[NOTHING]])
    assert_hits(store.search(EAST, 5, classes=[7], left_out=np.array([9])), [[0]], [[8]])


# --- several questions at once


def test_a_comparison_answers_as_separate_searches_do(store) -> None:
    queries, own = np.concatenate([EAST, VECTORS[1:4]]), np.array([2, 13, NOTHING, 8])
    asked = compare(store, queries, exact=True)
    assert_hits(asked.nearest(9, left_out=own), *brute_force_without(queries, own))
    assert_hits(asked.nearest(2, classes=[4]), *store.search(queries, 2, classes=[4]))
    each = store.search_each(queries, 3, [7, 0, 99], left_out=own)
    assert_hits(asked.in_each(3, [7, 0, 99], left_out=own), *each)
    found = asked.in_own(3, np.array([4, 0, 4, 7]), left_out=own)
    for row, number in enumerate([4, 0, 4, 7]):
        alone = store.search_each(queries[row][None], 3, [number], left_out=own[row][None])
        assert_hits(Hits(found.scores[row][None], found.ids[row][None]), *(part[:, 0] for part in alone))


def brute_force_without(queries, own) -> Hits:
    """All items but one's own for each query."""
    hits = brute_force(VECTORS, IDS, queries, 6)
    return leave_out(hits, own, 6)


@pytest.mark.parametrize("exact", [True, False])
def test_a_comparison_finds_the_nearest_and_the_top_class(make, exact: bool) -> None:
    """Recall and top class of every store against brute force, with 30 clusters in 6 classes."""
    centers = random_rows(7, 30, 16)
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 30, 3_000)
    vectors = centers[labels] + 0.1 * rng.standard_normal((3_000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors.astype(np.float32)
    queries, ids = vectors[::60], np.arange(3_000) * 2
    store = make(vectors, ids, labels % 6)
    asked = compare(store, queries, exact=exact)
    hits, each = asked.nearest(10), asked.in_each(5, range(6))
    scores = np.einsum("qd,nd->qn", queries, vectors, dtype=np.float64).clip(-1, 1).astype(np.float32)
    order = np.lexsort((np.broadcast_to(ids, scores.shape), -scores), axis=1)[:, :10]
    expected = Hits(np.take_along_axis(scores, order, 1), ids[order])
    shared = [len(set(a) & set(b)) for a, b in zip(hits.ids.tolist(), expected.ids.tolist(), strict=True)]
    tops = np.nan_to_num(each.scores, nan=-1).mean(axis=2).argmax(axis=1)
    exact_each = FlatStore(ids, labels % 6, vectors).search_each(queries, 5, range(6))
    assert (tops == exact_each.scores.mean(axis=2).argmax(axis=1)).mean() >= 0.999
    if exact or store.is_exact:
        assert_hits(hits, *expected)
        assert_hits(each, *exact_each)
    elif "PQ" not in str(getattr(store, "index", "")):
        assert sum(shared) >= 0.95 * 500


# --- what is refused


BAD_QUERIES = [
    ([[np.nan, 0, 0, 0]], "every query must be a finite vector of length 1"),
    ([[np.inf, 0, 0, 0]], "every query must be a finite vector of length 1"),
    ([[0, 0, 0, 0]], "every query must be a finite vector of length 1"),
    ([[1, 0, 0, 0], [2, 0, 0, 0]], "every query must be a finite vector of length 1"),
    ([[1e30, 0, 0, 0]], "every query must be a finite vector of length 1"),
    ([[1.002, 0, 0, 0]], "every query must be a finite vector of length 1"),
    ([[1, 0, 0]], r"queries must be float32 \(Q, 4\), not float32 \(1, 3\)"),
    ([1, 0, 0, 0], r"queries must be float32 \(Q, 4\), not float32 \(4,\)"),
    ([[[1, 0, 0, 0]]], r"queries must be float32 \(Q, 4\), not float32 \(1, 1, 4\)"),
]


@pytest.mark.parametrize(("queries", "message"), BAD_QUERIES)
def test_queries_that_are_no_unit_vectors_of_this_length_are_refused(store, queries, message):
    asked = np.array(queries, np.float32)
    for search in (store.search, partial(store.search, classes=[0]), partial(store.search_each, classes=[0])):
        with pytest.raises(ValueError, match=message):
            search(asked, k=2)


@pytest.mark.parametrize("classes", [None, [0]])
def test_queries_of_another_type_and_k_below_1_are_refused(store, classes):
    with pytest.raises(ValueError, match=r"queries must be float32 \(Q, 4\), not float64 \(1, 4\)"):
        store.search(EAST.astype(np.float64), 2, classes=classes)
    for k in (0, -1):
        with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
            store.search(EAST, k, classes=classes)
        with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
            store.search_each(EAST, k, [0])


def test_no_queries_get_no_hits(store):
    none = np.empty((0, 4), np.float32)
    assert_hits(store.search(none, 3), np.empty((0, 3)), np.empty((0, 3)))
    assert_hits(store.search(none, 3, classes=[0]), np.empty((0, 2)), np.empty((0, 2)))
    assert store.search_each(none, 3, [0, 7]).ids.shape == (0, 2, 3)


# --- what is stored


def test_counts_and_classes_are_those_of_what_is_stored(store):
    assert (len(store), store.dim, store.classes) == (6, 4, (0, 4, 7))
    assert [store.count(), store.count(4), store.count(0), store.count(7), store.count(1)] == [6, 3, 2, 1, 0]


@pytest.mark.parametrize("name", [*STORES, *SERVED])
def test_a_store_says_whether_its_searches_are_exact(request, name):
    assert make_of(request, name)(VECTORS, IDS).is_exact == (name in {*EXACT, "Milvus"})


def test_stored_vectors_come_back_exactly_by_id(store):
    assert_array_equal(store.vectors(np.array([13, 2, 13])), VECTORS[[4, 0, 4]], strict=True)
    assert store.vectors(np.empty(0, np.int64)).shape == (0, 4)


@pytest.mark.parametrize("ids", [[4, 5, 6, 7], [4, 5, 6, 8]], ids=["without gaps", "with a gap"])
@pytest.mark.parametrize("missing", [3, 9, -1, 2**63 - 1, -(2**63)])
def test_an_id_that_is_not_stored_is_refused(make, ids, missing):
    store = make(VECTORS[:4], np.array(ids))
    with pytest.raises(ValueError, match="an id is not stored"):
        store.vectors(np.array([4, missing]))


def test_a_scan_gives_everything_in_order_of_id_and_goes_on_after_one(store):
    whole = gather(store)
    assert_array_equal(whole.ids, IDS, strict=True)
    assert_array_equal(whole.labels, LABELS, strict=True)
    assert_array_equal(whole.vectors, VECTORS, strict=True)
    for after, left in ((-1, 6), (2, 5), (4, 4), (20, 1), (21, 0), (10**9, 0)):
        blocks = list(store.scan(after))
        assert [int(item) for block in blocks for item in block.ids] == IDS[6 - left :].tolist()


def test_a_scan_of_many_items_comes_in_blocks_that_join_without_a_gap(exact):
    blocks = list(exact(np.tile(np.eye(2, dtype=np.float32), (40_000, 1)), np.arange(80_000) * 2).scan(99))
    assert len(blocks) > 1
    assert_array_equal(np.concatenate([block.ids for block in blocks]), np.arange(50, 80_000) * 2)


def test_a_sample_is_of_different_items_and_the_same_for_the_same_seed(store):
    first, again, other = store.sample(3, seed=5), store.sample(3, seed=5), store.sample(6, seed=9)
    assert_array_equal(first.ids, again.ids)
    assert len(set(first.ids.tolist())) == 3
    assert_array_equal(first.ids, np.sort(first.ids))
    rows = np.searchsorted(IDS, first.ids)
    assert_array_equal(first.vectors, VECTORS[rows])
    assert_array_equal(first.labels, LABELS[rows])
    assert_array_equal(other.ids, IDS)
    assert_array_equal(store.sample(100).ids, IDS)
    assert {tuple(store.sample(3, seed).ids.tolist()) for seed in range(20)} != {tuple(first.ids.tolist())}


# --- an independent reference


def drawn_gallery(data):
    """Vectors, ids, class numbers and queries; in a grid of six vectors almost everything ties."""
    count, seed = data.draw(st.integers(1, 70)), data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.choice(10 * count, count, replace=False))
    vectors, queries = random_rows(seed, count, 3), random_rows(seed + 1, 3, 3)
    if data.draw(st.booleans()):
        axes = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
        vectors, queries = axes[rng.integers(6, size=count)], axes[rng.integers(6, size=3)]
    return vectors, ids, rng.integers(0, 2, count), queries, data.draw(st.integers(1, 80))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_exact_searches_agree_with_a_brute_force_search(data):
    for name in EXACT:
        assert_as_by_brute_force(STORES[name], *drawn_gallery(data))


@pytest.mark.engine
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_server_agrees_with_a_brute_force_search(milvus_galleries, data):
    assert_as_by_brute_force(milvus_galleries, *drawn_gallery(data))


def assert_as_by_brute_force(make, vectors, ids, labels, queries, k) -> None:
    store = make(vectors, ids, labels)
    assert_hits(store.search(queries, k), *brute_force(vectors, ids, queries, k))
    rows = np.flatnonzero(labels == 1)
    expected = brute_force(vectors[rows], ids[rows], queries, k)
    assert_hits(store.search(queries, k, classes=[1]), *expected)


def test_a_larger_batch_in_128_dimensions_agrees_with_a_brute_force_search(exact):
    vectors, queries = random_rows(4, 400, 128), random_rows(5, 40, 128)
    vectors[100:140], vectors[300:340] = vectors[:40], queries  # ties, and scores at 1
    ids = np.arange(400) ** 2
    assert_hits(exact(vectors, ids).search(queries, 20), *brute_force(vectors, ids, queries, 20))
