"""What is FAISS's own about its store: how it is built, how it reads back, what short lists do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import faiss
import numpy as np
import pytest
from conftest import ROOT
from numpy.testing import assert_array_equal

from simsearch.index.stores import faiss as stores
from simsearch.index.stores.base import Hits
from simsearch.index.stores.exact import exact_scores
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import read_index

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
    return FaissStore.build(vectors, ids, factory=factory)


def random_rows(seed: int, count: int, dim: int = 8) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def assert_hits(actual: Hits, scores, ids) -> None:
    assert_array_equal(actual.scores, np.array(scores, np.float32), strict=True)
    assert_array_equal(actual.ids, np.array(ids, np.int64), strict=True)


def test_a_query_whose_list_is_too_short_does_not_change_the_answers_of_its_batch():
    """Two lists, around x and y; the query (0.6, 0.8, 0) looks only around y, though x is nearer."""
    around_y = [[0, np.cos(angle), np.sin(angle)] for angle in np.linspace(0.8, 1.2, 40)]
    vectors = np.array([[1, 0, 0]] * 5 + around_y, np.float32)
    lists = faiss.IndexFlatIP(3)
    lists.add(np.eye(3, dtype=np.float32)[:2])
    index = faiss.IndexIVFFlat(lists, 3, 2, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    store = FaissStore(index, np.arange(45), None, vectors)
    queries = np.array([[1, 0, 0], [0.6, 0.8, 0]], np.float32)  # five vectors around x: all are compared
    scores = exact_scores(queries[[1, 1]], vectors[5:7])[None]
    assert_hits(store.search(queries, 2), [[1, 1], *scores], [[0, 1], [5, 6]])
    assert_hits(store.search(queries[:1], 2), [[1, 1]], [[0, 1]])
    assert_hits(store.search(queries[1:], 2), scores, [[5, 6]])


def test_an_index_that_finds_fewer_than_k_is_replaced_by_an_exact_search():
    vectors = np.concatenate([np.tile(EAST, (3, 1)), np.tile(VECTORS[3], (40, 1))])
    store = store_of("IVF2,Flat", vectors, np.arange(43))
    inverted = faiss.extract_index_ivf(store.index)
    assert inverted.nprobe == 1
    assert_hits(store.search(EAST, 5), [[1, 1, 1, 0, 0]], [[0, 1, 2, 3, 4]])
    inverted.reset()  # the index finds nothing at all
    assert_hits(store.search(EAST, 2), [[1, 1]], [[0, 1]])


def test_an_empty_store_answers_without_hits():
    store = store_of("Flat", VECTORS[:0], IDS[:0])
    assert len(store) == 0
    assert_hits(store.search(EAST, 3), np.empty((1, 0)), np.empty((1, 0)))


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
    assert_array_equal(store.vectors(IDS), VECTORS, strict=True)


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


@pytest.mark.parametrize(
    "labels", [np.zeros(5, np.int64), np.zeros(6, np.int32), np.array([0, 1, 2, 3, 4, -1])]
)
def test_labels_that_are_not_one_class_number_an_item_are_refused(labels):
    with pytest.raises(ValueError, match=r"labels must be int64 \(6,\), non-negative"):
        FaissStore.build(VECTORS, IDS, labels)


def test_parts_of_different_stores_are_refused():
    flat, approximate = store_of("Flat").index, store_of("HNSW8").index
    with pytest.raises(ValueError, match="6 vectors in the index, 5 ids, 6 exact vectors"):
        FaissStore(flat, IDS[:5])
    with pytest.raises(ValueError, match="6 vectors in the index, 6 ids, 5 exact vectors"):
        FaissStore(approximate, IDS, None, VECTORS[:5])
    with pytest.raises(ValueError, match="6 vectors in the index, 6 ids, 6 exact vectors"):
        FaissStore(approximate, IDS, None, VECTORS[:, :3])
    with pytest.raises(ValueError, match="a IndexHNSWFlat does not hold exact vectors; pass them"):
        FaissStore(approximate, IDS)
    with pytest.raises(ValueError, match="must be trained, under inner product"):
        FaissStore(faiss.IndexFlatL2(4), IDS[:0])
    with pytest.raises(ValueError, match="must be trained, under inner product"):
        FaissStore(faiss.index_factory(4, "SQ8", faiss.METRIC_INNER_PRODUCT), IDS[:0], None, VECTORS[:0])


# --- files


@every_factory
def test_an_index_read_back_gives_the_same_hits(factory, tmp_path):
    vectors, queries, ids = random_rows(6, 200), random_rows(7, 10), np.arange(200) * 3
    store = store_of(factory, vectors, ids)
    store.write(tmp_path / "index")
    index = read_index(tmp_path / "index", dim=8, count=200)
    again = FaissStore(index, ids, None, None if store.is_exact else vectors)
    assert_hits(again.search(queries, 9), *store.search(queries, 9))
    assert_array_equal(again.vectors(ids), vectors, strict=True)


def test_an_index_of_another_size_or_metric_is_not_read(tmp_path):
    path = tmp_path / "index"
    store_of().write(path)
    with pytest.raises(ValueError, match="it holds 6 vectors of length 4, not 5 of 4"):
        read_index(path, dim=4, count=5)
    with pytest.raises(ValueError, match="it holds 6 vectors of length 4, not 6 of 3"):
        read_index(path, dim=3, count=6)
    euclidean = faiss.IndexFlatL2(4)
    euclidean.add(VECTORS)
    faiss.write_index(euclidean, str(path))
    with pytest.raises(ValueError, match="it does not compare by inner product"):
        read_index(path, dim=4, count=6)


def test_an_index_file_that_vanished_is_missing_not_damaged(tmp_path):
    path = tmp_path / "index"
    with pytest.raises(FileNotFoundError):
        read_index(path, dim=4, count=6)


@every_factory
def test_every_truncation_of_an_index_file_is_refused(factory, tmp_path):
    path = tmp_path / "index"
    store_of(factory).write(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="FAISS cannot read it"):
            read_index(path, dim=4, count=6)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_while_an_index_is_written_is_an_error():
    """/dev/full accepts what fits a buffer and fails at the flush, which FAISS itself only prints."""
    with pytest.raises(OSError, match="No space left on device"):
        store_of().write(Path("/dev/full"))


@pytest.mark.parametrize(
    "factory", ["IVF4,Flat", "IVF4,PQ2x4", "PQ2x4", "IVF4_HNSW4,SQ4", "PCA2,IVF4,Flat", "IVF4,SQ8,RFlat"]
)
def test_a_gallery_small_for_its_lists_is_indexed_in_silence(
    factory: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """FAISS would write some lines of warning to stderr for each of its clusterings."""
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    FaissStore.build(vectors, np.arange(60), factory=factory)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("factory", ["IVF16,PQ8np", "IVF16_HNSW8,PQ8np", "OPQ8,IVF16,PQ8np"])
def test_an_index_with_product_codes_reads_back(factory: str, tmp_path: Path) -> None:
    """FAISS's reader wanted room for a table, larger than the file, that inner products never use."""
    vectors = np.random.default_rng(0).normal(size=(900, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = FaissStore.build(vectors, np.arange(900), factory=factory)
    store.write(tmp_path / "index")
    again = FaissStore(read_index(tmp_path / "index", dim=32, count=900), store.ids, None, vectors)
    asked, expected = again.search(vectors[:50], 7), store.search(vectors[:50], 7)
    assert_hits(asked, expected.scores, expected.ids)


def test_a_mapped_file_is_indexed_and_searched_where_torch_utils_have_replaced_faiss_s_methods(
    tmp_path: Path,
) -> None:
    """`faiss.contrib.torch_utils` is imported by other packages, and takes nothing but plain arrays."""
    code = """if True:
        import sys
        import numpy as np
        import faiss.contrib.torch_utils
        from simsearch.index.stores.faiss import FaissStore
        from simsearch.index.stores.faiss_index import make_index

        vectors = np.eye(8, dtype=np.float32)[np.arange(400) % 8]
        np.save(sys.argv[1], vectors)
        index = make_index(np.load(sys.argv[1], mmap_mode="r"), "IVF2,Flat")
        store = FaissStore(index, np.arange(400), np.arange(400) % 2, vectors)
        print(store.search(vectors[:1], 2, classes=[0]).ids.tolist())
    """
    pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    command = [sys.executable, "-c", code, str(tmp_path / "vectors.npy")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "[[0, 8]]\n"), done.stderr


@pytest.mark.parametrize(("enough", "probed"), [(1, 2), (2, 3), (3, 4), (100, 4)])
def test_a_class_is_looked_for_in_as_many_lists_as_hold_enough_of_it(monkeypatch, enough, probed):
    """Four lists in order of their distance to the query: none of the class, one item, one, and two."""
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(4), 4, 4, faiss.METRIC_INNER_PRODUCT)
    centers = np.array([[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 1, 0, 0]], np.float32)
    index.quantizer.add(centers)
    index.train(centers)
    labels = np.array([0, 0, 1, 1, 1, 1])
    vectors = centers[[0, 0, 1, 2, 3, 3]]
    index.add(vectors)
    store = FaissStore(index, np.arange(6), labels, vectors, effort=1)
    asked = []
    monkeypatch.setattr(stores, "_ENOUGH", enough)
    monkeypatch.setattr(stores, "_WITHIN", 1)
    monkeypatch.setattr(store, "propose", lambda _, fetch, within: asked.append((fetch, within.nprobe)))
    store.propose_within(EAST, 2, [1], everywhere=True)
    store.propose_within(EAST, 2, [1], everywhere=False)
    assert asked == [(2, probed), (2, 1)]
    assert store._lists.tolist() == [0, 0, 1, 2, 3, 3]


def test_no_more_sets_of_classes_are_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(stores, "_MOST_KEPT", 2)
    store = FaissStore.build(VECTORS, IDS, np.array([0, 1, 2, 0, 1, 2]), factory="IVF2,Flat")
    for classes in ((0,), (1,), (0,), (2,), (0, 2)):
        bits = np.unpackbits(store._chosen(classes).bits, bitorder="little")[:6]
        assert np.flatnonzero(bits).tolist() == store.rows_in(classes).tolist()
        assert len(store._kept) <= 2


def test_lists_that_a_graph_of_centroids_does_not_find_hold_nothing():
    quantizer = SimpleNamespace(search=lambda *_: (None, np.array([[1, -1, -1]])))
    index = SimpleNamespace(nlist=3, quantizer=quantizer)
    assert stores._lists_with(index, np.array([0, 1, 5]), EAST) == 4  # more than there are: all of them
