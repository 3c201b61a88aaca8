"""One behaviour suite over every kind of index: scores by hand, ties by id, and a brute-force reference."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from simsearch.index.stores.base import NOTHING, Hits
from simsearch.index.stores.faiss import FaissStore, exact_scores, read_faiss_index

FACTORIES = ("Flat", "HNSW8", "IVF2,Flat", "PQ1x2", "SQ8")
every_factory = pytest.mark.parametrize("factory", FACTORIES)

IDS = np.array([2, 3, 5, 8, 13, 21])
VECTORS = np.array(
    [[1, 0, 0, 0], [0.6, 0.8, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [-1, 0, 0, 0], [0.8, 0.6, 0, 0]],
    np.float32,
)
EAST = np.array([[1, 0, 0, 0]], np.float32)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On galleries this small, FAISS's threads only wait for each other."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


def store_of(factory="Flat", vectors=VECTORS, ids=IDS) -> FaissStore:
    return FaissStore.build(vectors, ids, factory)


def random_rows(seed: int, count: int, dim: int = 8) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def brute_force(vectors, ids, queries, k) -> Hits:
    """Every pair by itself in float64, sorted by (-score, id) with Python's own sort."""
    answers = []
    for query in queries:
        scores = [np.float32(np.dot(query.astype(float), vector.astype(float))) for vector in vectors]
        answers.append(sorted(zip(-np.array(scores), ids, strict=True))[:k])
    table = np.array(answers).reshape(len(queries), -1, 2)
    return Hits(-table[:, :, 0].astype(np.float32), table[:, :, 1].astype(np.int64))


def assert_hits(actual: Hits, scores, ids) -> None:
    assert_array_equal(actual.scores, np.array(scores, np.float32), strict=True)
    assert_array_equal(actual.ids, np.array(ids, np.int64), strict=True)


# --- the contract


@every_factory
def test_scores_and_ids_are_those_worked_out_by_hand(factory):
    queries = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, -1]], np.float32)
    assert_hits(
        store_of(factory).search(queries, 6),
        [[1, 1, 0.8, 0.6, 0, -1], [0.8, 0.6, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
        [[2, 5, 21, 3, 8, 13], [3, 21, 2, 5, 8, 13], [2, 3, 5, 8, 13, 21]],
    )


@every_factory
def test_k_cuts_the_ranking_and_returns_what_there_is_beyond_the_gallery(factory):
    store = store_of(factory)
    assert_hits(store.search(EAST, 1), [[1]], [[2]])
    assert_hits(store.search(EAST, 3), [[1, 1, 0.8]], [[2, 5, 21]])
    whole = store.search(EAST, 6)
    assert_hits(store.search(EAST, 7), whole.scores, whole.ids)
    assert_hits(store.search(EAST, 10**6), whole.scores, whole.ids)


@every_factory
@pytest.mark.parametrize("k", [1, 5, 49])
def test_ties_across_the_cut_go_to_the_lowest_ids(factory, k):
    ids = np.arange(50) * 7 + 3
    store = store_of(factory, np.tile(VECTORS[1], (50, 1)), ids)
    score = np.float32(np.float64(VECTORS[1, 0]))
    assert_hits(store.search(EAST, k), [[score] * k], [ids[:k]])


@pytest.mark.parametrize("among", [None, np.arange(60)])
def test_ties_across_the_cut_are_found_behind_better_hits(among):
    vectors = np.tile(VECTORS[1], (60, 1))
    vectors[50:] = EAST
    assert_hits(
        store_of("Flat", vectors, np.arange(60)).search(EAST, 12, among=among),
        [[1] * 10 + [VECTORS[1, 0]] * 2],
        [[*range(50, 60), 0, 1]],
    )


@pytest.mark.parametrize("among", [None, np.arange(50)])
def test_scores_that_rounding_lifted_above_1_are_ties_at_1(among):
    lengths = 1 + np.linspace(1e-5, 9e-4, 50, dtype=np.float32)  # the highest raw score has the highest id
    store = store_of("Flat", lengths[:, None] * EAST, np.arange(50))
    assert_hits(store.search(EAST, 5, among=among), [[1] * 5], [[0, 1, 2, 3, 4]])


@every_factory
@pytest.mark.parametrize("among", [None, np.arange(0, 300, 3)])
def test_a_query_alone_and_within_a_batch_gets_the_same_answer_bit_for_bit(factory, among):
    store = store_of(factory, random_rows(0, 300), np.arange(300))
    queries = random_rows(1, 100)
    batch = store.search(queries, 7, among=among)
    alone = [store.search(query[None], 7, among=among) for query in queries]
    assert_hits(batch, np.concatenate([a.scores for a in alone]), np.concatenate([a.ids for a in alone]))


def test_a_query_whose_list_is_too_short_does_not_change_the_answers_of_its_batch():
    """Two lists, around x and y; the query (0.6, 0.8, 0) looks only around y, though x is nearer."""
    around_y = [[0, np.cos(angle), np.sin(angle)] for angle in np.linspace(0.8, 1.2, 40)]
    vectors = np.array([[1, 0, 0]] * 5 + around_y, np.float32)
    lists = faiss.IndexFlatIP(3)
    lists.add(np.eye(3, dtype=np.float32)[:2])
    index = faiss.IndexIVFFlat(lists, 3, 2, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    store = FaissStore(index, np.arange(45), vectors)
    queries = np.array([[1, 0, 0], [0.6, 0.8, 0]], np.float32)  # five vectors around x: all are compared
    scores = exact_scores(queries[[1, 1]], vectors[5:7])[None]
    assert_hits(store.search(queries, 2), [[1, 1], *scores], [[0, 1], [5, 6]])
    assert_hits(store.search(queries[:1], 2), [[1, 1]], [[0, 1]])
    assert_hits(store.search(queries[1:], 2), scores, [[5, 6]])


@pytest.mark.parametrize("factory", ["HNSW8", "IVF2,Flat", "PQ2x4", "SQ8"])
def test_approximate_indexes_return_exact_scores_of_stored_vectors(factory):
    vectors, queries = random_rows(2, 100), random_rows(3, 20)
    hits = store_of(factory, vectors, np.arange(100)).search(queries, 5)
    for query, scores, ids in zip(queries, hits.scores, hits.ids, strict=True):
        expected = brute_force(vectors[ids], ids, query[None], 5)
        assert_hits(Hits(scores[None], ids[None]), expected.scores, expected.ids)


def test_an_index_that_finds_fewer_than_k_is_replaced_by_an_exact_search():
    vectors = np.concatenate([np.tile(EAST, (3, 1)), np.tile(VECTORS[3], (40, 1))])
    store = store_of("IVF2,Flat", vectors, np.arange(43))
    inverted = faiss.extract_index_ivf(store.index)
    assert inverted.nprobe == 1
    assert_hits(store.search(EAST, 5), [[1, 1, 1, 0, 0]], [[0, 1, 2, 3, 4]])
    inverted.reset()  # the index finds nothing at all
    assert_hits(store.search(EAST, 2), [[1, 1]], [[0, 1]])


@every_factory
def test_among_restricts_to_exactly_these_ids(factory):
    store = store_of(factory)
    assert_hits(store.search(EAST, 2, among=np.array([3, 5, 13])), [[1, 0.6]], [[5, 3]])
    assert_hits(store.search(EAST, 9, among=np.array([3, 5, 13])), [[1, 0.6, -1]], [[5, 3, 13]])
    assert_hits(store.search(EAST, 9, among=np.array([8])), [[0]], [[8]])
    nothing = store.search(EAST, 9, among=np.array([], np.int64))
    assert_hits(nothing, np.empty((1, 0)), np.empty((1, 0)))


@every_factory
def test_no_queries_get_no_hits(factory):
    store, none = store_of(factory), np.empty((0, 4), np.float32)
    assert_hits(store.search(none, 3), np.empty((0, 3)), np.empty((0, 3)))
    assert_hits(store.search(none, 3, among=IDS[:2]), np.empty((0, 2)), np.empty((0, 2)))


def test_an_empty_store_answers_without_hits():
    store = store_of("Flat", VECTORS[:0], IDS[:0])
    assert len(store) == 0
    assert_hits(store.search(EAST, 3), np.empty((1, 0)), np.empty((1, 0)))


@every_factory
@pytest.mark.parametrize("unknown", [[0], [2, 4], [21, 22], [-1, 2], [2**62]])
def test_an_id_that_is_not_stored_is_refused(factory, unknown):
    store = store_of(factory)
    with pytest.raises(ValueError, match="an id is not stored"):
        store.search(EAST, 1, among=np.array(unknown))
    with pytest.raises(ValueError, match="an id is not stored"):
        store.vectors(np.array(unknown))


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([[np.nan, 0, 0, 0]], "every query must be a finite vector of length 1"),
        ([[np.inf, 0, 0, 0]], "every query must be a finite vector of length 1"),
        ([[0, 0, 0, 0]], "every query must be a finite vector of length 1"),
        ([[1, 0, 0, 0], [2, 0, 0, 0]], "every query must be a finite vector of length 1"),
        ([[1e30, 0, 0, 0]], "every query must be a finite vector of length 1"),
        ([[1.002, 0, 0, 0]], "every query must be a finite vector of length 1"),
        ([[1, 0, 0]], r"queries must be float32 \(Q, 4\), not float32 \(1, 3\)"),
        ([1, 0, 0, 0], r"queries must be float32 \(Q, 4\), not float32 \(4,\)"),
        ([[[1, 0, 0, 0]]], r"queries must be float32 \(Q, 4\), not float32 \(1, 1, 4\)"),
    ],
)
@pytest.mark.parametrize("among", [None, IDS[:2]])
@every_factory
def test_queries_that_are_no_unit_vectors_of_this_length_are_refused(factory, among, queries, message):
    with pytest.raises(ValueError, match=message):
        store_of(factory).search(np.array(queries, np.float32), 2, among=among)


@pytest.mark.parametrize("among", [None, IDS[:2]])
def test_queries_of_another_type_and_k_below_1_are_refused(among):
    store = store_of()
    with pytest.raises(ValueError, match=r"queries must be float32 \(Q, 4\), not float64 \(1, 4\)"):
        store.search(EAST.astype(np.float64), 2, among=among)
    for k in (0, -1):
        with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
            store.search(EAST, k, among=among)


@every_factory
def test_stored_vectors_come_back_exactly_by_id(factory):
    store = store_of(factory)
    assert (len(store), store.dim, store.is_exact) == (6, 4, factory == "Flat")
    assert_array_equal(store.vectors(np.array([13, 2, 13])), VECTORS[[4, 0, 4]], strict=True)
    assert_array_equal(store.all_vectors(), VECTORS, strict=True)
    assert_array_equal(store.rows(np.array([21, 2])), [5, 0])


# --- an independent reference


@settings(max_examples=100, deadline=None)
@given(data=st.data(), count=st.integers(1, 70), k=st.integers(1, 80), grid=st.booleans())
def test_flat_and_among_agree_with_a_brute_force_search(data, count, k, grid):
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.choice(10 * count, count, replace=False))
    vectors, queries = random_rows(seed, count, 3), random_rows(seed + 1, 3, 3)
    if grid:  # only six different vectors: almost everything ties
        axes = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
        vectors, queries = axes[rng.integers(6, size=count)], axes[rng.integers(6, size=3)]
    store = store_of("Flat", vectors, ids)
    assert_hits(store.search(queries, k), *brute_force(vectors, ids, queries, k))
    rows = np.flatnonzero(rng.random(count) < 0.5)
    among = brute_force(vectors[rows], ids[rows], queries, k)
    assert_hits(store.search(queries, k, among=ids[rows]), *among)


def test_a_larger_batch_in_128_dimensions_agrees_with_a_brute_force_search():
    vectors, queries = random_rows(4, 400, 128), random_rows(5, 40, 128)
    vectors[100:140], vectors[300:340] = vectors[:40], queries  # ties, and scores at 1
    ids = np.arange(400) ** 2
    expected = brute_force(vectors, ids, queries, 20)
    expected = Hits(np.minimum(expected.scores, 1), expected.ids)
    assert_hits(store_of("Flat", vectors, ids).search(queries, 20), *expected)


# --- building


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("Junk", "could not parse index string Junk"),
        ("", "could not parse index string"),
        ("Flat,Flat", "could not parse index string Flat,Flat"),
        ("Flat\n", "it is no usable factory string"),
        ("Flat\0", "it is no usable factory string"),
        ("Fl\udce4t", "it is no usable factory string"),
        ("LSH", "Error: 'metric == METRIC_L2' failed"),
        ("IDMap,Flat", "add does not make sense with IndexIDMap, use add_with_ids"),
        (
            "IVF7,Flat",
            "Error: 'nx >= static_cast<idx_t>(k)' failed: Number of training points (6) "
            "should be at least as large as number of clusters (7)",
        ),
        ("IVF0,Flat", "Error: 'cur_nprobe > 0' failed"),  # is built, and fails when it is searched
        ("HNSW0", "it is no usable factory string"),  # FAISS aborts the process
        ("HNSW1", "it is no usable factory string"),  # segmentation fault
        ("IVF2_HNSW01,Flat", "it is no usable factory string"),
        ("NSG0", "it is no usable factory string"),  # never returns
        ("HNSW99999999", "it is no usable factory string"),  # asks for 15 GB
        ("IVF99999999999,Flat", "C++ exception stoi"),
    ],
)
def test_factory_strings_that_cannot_work_are_refused_in_one_line(factory, reason):
    with pytest.raises(ValueError, match="FAISS cannot build") as caught:
        store_of(factory)
    assert str(caught.value) == f"FAISS cannot build {factory!r}: {reason}"


@pytest.mark.parametrize(
    "factory", ["IVF1,Flat", "IVF01,Flat", "HNSW02", "HNSW10", "PCA2,Flat", "L2norm,Flat"]
)
def test_unusual_factory_strings_that_work_are_accepted(factory):
    assert_hits(store_of(factory).search(EAST, 3), [[1, 1, 0.8]], [[2, 5, 21]])


@pytest.mark.parametrize(
    "vectors",
    [
        VECTORS.astype(np.float64),
        VECTORS[0],
        2 * VECTORS,
        0 * VECTORS,
        np.where(VECTORS == 1, np.float32(np.nan), VECTORS),
        np.where(VECTORS == 1, np.float32(1e30), VECTORS),
    ],
)
def test_vectors_that_are_no_unit_rows_are_refused(vectors):
    with pytest.raises(ValueError, match="vectors must be float32 rows of length 1"):
        store_of("Flat", vectors)


def test_vectors_in_any_memory_layout_are_stored_right():
    store = store_of("Flat", np.asfortranarray(VECTORS))
    assert_array_equal(store.all_vectors(), VECTORS, strict=True)


@pytest.mark.parametrize(
    "ids",
    [
        np.array([0, 1, 2, 3, 4, 4]),
        np.array([1, 0, 2, 3, 4, 5]),
        np.array([-1, 0, 1, 2, 3, 4]),
        np.array([0, 1, 2, 3, 2**63 - 1, -2]),  # its difference overflows into a positive number
        np.arange(6.0),
        np.arange(6, dtype=np.int32),
        np.array([5, 4, 3, 2, 1, 0], np.uint64),
    ],
)
def test_ids_that_are_not_ascending_int64_are_refused(ids):
    with pytest.raises(ValueError, match="ids must be int64, non-negative and strictly ascending"):
        store_of("Flat", VECTORS, ids)


def test_parts_of_different_stores_are_refused():
    flat, approximate = store_of("Flat").index, store_of("HNSW8").index
    with pytest.raises(ValueError, match="6 vectors in the index, 5 ids, 6 exact vectors"):
        FaissStore(flat, IDS[:5])
    with pytest.raises(ValueError, match="6 vectors in the index, 6 ids, 5 exact vectors"):
        FaissStore(approximate, IDS, VECTORS[:5])
    with pytest.raises(ValueError, match="6 vectors in the index, 6 ids, 6 exact vectors"):
        FaissStore(approximate, IDS, VECTORS[:, :3])
    with pytest.raises(ValueError, match="a IndexHNSWFlat does not hold exact vectors; pass them"):
        FaissStore(approximate, IDS)
    with pytest.raises(ValueError, match="must be trained, under inner product"):
        FaissStore(faiss.IndexFlatL2(4), IDS[:0])
    with pytest.raises(ValueError, match="must be trained, under inner product"):
        FaissStore(faiss.index_factory(4, "SQ8", faiss.METRIC_INNER_PRODUCT), IDS[:0], VECTORS[:0])


# --- files


@every_factory
def test_an_index_read_back_gives_the_same_hits(factory, tmp_path):
    vectors, queries, ids = random_rows(6, 200), random_rows(7, 10), np.arange(200) * 3
    store = store_of(factory, vectors, ids)
    store.write(tmp_path / "index")
    index = read_faiss_index(tmp_path / "index", dim=8, count=200)
    again = FaissStore(index, ids, None if store.is_exact else vectors)
    assert_hits(again.search(queries, 9), *store.search(queries, 9))
    assert_array_equal(again.all_vectors(), vectors, strict=True)


def test_an_index_of_another_size_or_metric_is_not_read(tmp_path):
    path = tmp_path / "index"
    store_of().write(path)
    with pytest.raises(ValueError, match="it holds 6 vectors of length 4, not 5 of 4"):
        read_faiss_index(path, dim=4, count=5)
    with pytest.raises(ValueError, match="it holds 6 vectors of length 4, not 6 of 3"):
        read_faiss_index(path, dim=3, count=6)
    euclidean = faiss.IndexFlatL2(4)
    euclidean.add(VECTORS)
    faiss.write_index(euclidean, str(path))
    with pytest.raises(ValueError, match="it does not compare by inner product"):
        read_faiss_index(path, dim=4, count=6)


def test_an_index_file_that_vanishes_is_missing_not_damaged(tmp_path, monkeypatch):
    path = tmp_path / "index"
    store_of().write(path)
    monkeypatch.setattr(faiss, "set_deserialization_loop_limit", lambda _: path.unlink())
    with pytest.raises(FileNotFoundError):
        read_faiss_index(path, dim=4, count=6)


@every_factory
def test_every_truncation_of_an_index_file_is_refused(factory, tmp_path):
    path = tmp_path / "index"
    store_of(factory).write(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="FAISS cannot read it"):
            read_faiss_index(path, dim=4, count=6)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_while_an_index_is_written_is_an_error():
    """/dev/full accepts what fits a buffer and fails at the flush, which FAISS itself only prints."""
    with pytest.raises(OSError, match="No space left on device"):
        store_of().write(Path("/dev/full"))


@pytest.mark.parametrize("count", [1, 3, 39, 40, 41, 400, 997])
@pytest.mark.parametrize("k", [1, 5, 10])
def test_a_restricted_search_is_exact_whatever_the_number_of_items(count: int, k: int) -> None:
    """Coarse vectors, so that many scores tie, also across the cut."""
    rng = np.random.default_rng(count)
    vectors = rng.integers(-1, 2, (count + 5, 4)).astype(np.float32)
    vectors[np.abs(vectors).sum(1) == 0] = 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(len(vectors)) * 3
    store, among = FaissStore.build(vectors, ids), ids[rng.permutation(len(ids))[:count]]
    among.sort()
    queries = vectors[:5]
    hits = store.search(queries, k, among=among)
    for query, scores, found in zip(queries, hits.scores, hits.ids, strict=True):
        exact = np.clip(vectors.astype(np.float64) @ query.astype(np.float64), -1, 1).astype(np.float32)
        expected = sorted((-float(exact[item // 3]), int(item)) for item in among)[:k]
        assert list(zip((-scores).tolist(), found.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    "factory", ["IVF4,Flat", "IVF4,PQ2x4", "PQ2x4", "IVF4_HNSW4,SQ4", "PCA2,IVF4,Flat", "IVF4,SQ8,RFlat"]
)
def test_a_gallery_small_for_its_lists_is_indexed_in_silence(
    factory: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """FAISS would write some lines of warning to stderr for each of its clusterings."""
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    FaissStore.build(vectors, np.arange(60), factory)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ids", [[4, 5, 6, 7], [4, 5, 6, 8]], ids=["without gaps", "with a gap"])
def test_rows_of_ids_and_those_that_are_not_stored(ids: list[int]) -> None:
    vectors = np.eye(4, dtype=np.float32)
    store = FaissStore.build(vectors, np.array(ids))
    assert store.rows(np.array(ids[::-1])).tolist() == [3, 2, 1, 0]
    assert store.rows(np.empty(0, np.int64)).tolist() == []
    for missing in (3, 9, -1, 2**63 - 1, -(2**63)):
        with pytest.raises(ValueError, match="an id is not stored"):
            store.rows(np.array([4, missing]))


@pytest.mark.parametrize("factory", ["IVF16,PQ8np", "IVF16_HNSW8,PQ8np", "OPQ8,IVF16,PQ8np"])
def test_an_index_with_product_codes_reads_back(factory: str, tmp_path: Path) -> None:
    """FAISS's reader wanted room for a table, larger than the file, that inner products never use."""
    vectors = np.random.default_rng(0).normal(size=(900, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = FaissStore.build(vectors, np.arange(900), factory)
    store.write(tmp_path / "index")
    again = FaissStore(read_faiss_index(tmp_path / "index", dim=32, count=900), store.ids, vectors)
    asked, expected = again.search(vectors[:50], 7), store.search(vectors[:50], 7)
    assert_hits(asked, expected.scores, expected.ids)


@pytest.mark.parametrize("factory", ["Flat", "HNSW8"])
@pytest.mark.parametrize("k", [1, 5, 6])
def test_a_search_inside_each_group_is_the_restricted_search_of_each(factory: str, k: int) -> None:
    rng = np.random.default_rng(k)
    vectors = rng.integers(-1, 2, (700, 6)).astype(np.float32)  # many ties
    vectors[np.abs(vectors).sum(1) == 0] = 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(len(vectors)) * 2 + 1
    store, group_of = FaissStore.build(vectors, ids, factory), rng.integers(0, 9, len(vectors))
    group_of[:3] = 9, 10, 10  # groups with fewer than k items; those of 11 are in none
    group_of[3:50] = 11
    groups = [ids[group_of == group] for group in range(11)]
    hits = store.search_each(vectors[:40], k, groups)
    assert hits.scores.shape == hits.ids.shape == (40, 11, k)
    for number, group in enumerate(groups):
        expected = store.search(vectors[:40], k, among=group)
        width = expected.ids.shape[1]
        np.testing.assert_array_equal(hits.ids[:, number, :width], expected.ids)
        np.testing.assert_array_equal(hits.scores[:, number, :width], expected.scores)
        assert (hits.ids[:, number, width:] == NOTHING).all()
        assert np.isnan(hits.scores[:, number, width:]).all()


def test_no_groups_and_empty_groups_have_no_hits() -> None:
    store = FaissStore.build(np.eye(3, dtype=np.float32), np.arange(3))
    assert store.search_each(np.eye(3, dtype=np.float32), 5, []).ids.shape == (3, 0, 5)
    hits = store.search_each(
        np.eye(3, dtype=np.float32)[:1], 2, [np.empty(0, np.int64), np.array([2, 0])[::-1]]
    )
    assert hits.ids.tolist() == [[[NOTHING, NOTHING], [0, 2]]]
