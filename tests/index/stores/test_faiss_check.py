"""Indexes that FAISS reads without complaint and would follow out of its own memory are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from simsearch.errors import BrokenBundleError
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_check import check_structure
from simsearch.index.stores.faiss_index import read_index

COUNT, DIM = 300, 8
ROWS = np.random.default_rng(3).standard_normal((COUNT, DIM))
VECTORS = (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)).astype(np.float32)


def built(factory: str) -> Any:
    return FaissStore.build(VECTORS, np.arange(COUNT), factory=factory).index


def array(vector: Any) -> np.ndarray:
    """The memory of a C++ vector."""
    return faiss.rev_swig_ptr(vector.data(), vector.size())


@pytest.mark.parametrize(
    "factory",
    [
        *("Flat", "HNSW4", "HNSW4,Flat", "HNSW4_SQ8", "IVF4,Flat", "IVF4_HNSW4,SQ8", "PQ4x4", "PQ4x4fs"),
        *("IVF4,PQ4x4", "IVF4,PQ4x4fs", "SQ4", "SQfp16", "PCA4,Flat", "PCAR4,SQ8", "OPQ2,IVF4,PQ2x4"),
        *(
            "SQ8,RFlat",
            "IVF4,SQ8,RFlat",
            "RaBitQfs",
            "IVF4,RaBitQfs",
            "RQ2x4fs",
            "IVF4,LSQ2x4fsr",
            "PQ4x4fs_64",
            "IVF4,PQ4x4fs_64",
            "L2norm,HNSW4",
            "RQ2x4",
            "IVF4,RaBitQ",
            "Pad12,SQ8",
            "ITQ4,SQ8",
        ),
    ],
)
def test_what_faiss_builds_passes(factory: str, tmp_path: Path) -> None:
    store = FaissStore.build(VECTORS, np.arange(COUNT), factory=factory)
    store.write(tmp_path / "index")
    read_index(tmp_path / "index", dim=DIM, count=COUNT)


def test_an_index_of_nothing_passes() -> None:
    check_structure(faiss.IndexHNSWFlat(4, 4, faiss.METRIC_INNER_PRODUCT))
    check_structure(faiss.IndexFlatIP(4))


def graph_leads_outside(index: Any) -> None:
    array(index.hnsw.neighbors)[5] = COUNT


def graph_leads_far_below(index: Any) -> None:
    array(index.hnsw.neighbors)[5] = -7


def node_on_no_level(index: Any) -> None:
    array(index.hnsw.levels)[5] = 0


def node_above_all_levels(index: Any) -> None:
    array(index.hnsw.levels)[5] = 99


def links_misplaced(index: Any) -> None:
    array(index.hnsw.offsets)[5] += 1


def entry_outside(index: Any) -> None:
    index.hnsw.entry_point = COUNT


def no_entry(index: Any) -> None:
    index.hnsw.entry_point = -1


def entry_on_another_level(index: Any) -> None:
    index.hnsw.max_level += 1


def link_to_another_level(index: Any) -> None:
    graph = index.hnsw
    levels = array(graph.levels)
    (high, *_), (low, *_) = np.flatnonzero(levels > 1), np.flatnonzero(levels == 1)
    array(graph.neighbors)[int(array(graph.offsets)[high]) + graph.nb_neighbors(0)] = low


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (graph_leads_outside, "its graph leads nowhere"),
        (graph_leads_far_below, "its graph leads nowhere"),
        (node_on_no_level, "a node of its graph is on no level"),
        (node_above_all_levels, "a node of its graph is on no level"),
        (links_misplaced, "its graph's links are misplaced"),
        (entry_outside, "its graph has no entry"),
        (no_entry, "its graph has no entry"),
        (entry_on_another_level, "its graph has no entry"),
        (link_to_another_level, "its graph leads to another level"),
    ],
)
def test_a_graph_that_leads_astray_is_refused(damage: Any, reason: str) -> None:
    index = built("HNSW4")
    damage(index)
    with pytest.raises(ValueError, match=f"^{reason}$"):
        check_structure(index)


@pytest.mark.parametrize("row", [-1, COUNT, 2**62])
@pytest.mark.parametrize("factory", ["IVF4,Flat", "IVF4,PQ4x4", "IVF4_HNSW4,SQ8"])
def test_a_list_that_names_a_row_that_does_not_exist_is_refused(factory: str, row: int) -> None:
    index = built(factory)
    number = next(number for number in range(4) if index.invlists.list_size(number))
    faiss.rev_swig_ptr(index.invlists.get_ids(number), 1)[0] = row
    with pytest.raises(ValueError, match=r"^its lists name a row that does not exist$"):
        check_structure(index)


def test_an_index_inside_another_is_checked() -> None:
    index = built("IVF4_HNSW4,SQ8")
    faiss.downcast_index(index.quantizer).hnsw.entry_point = 4
    with pytest.raises(ValueError, match=r"^its graph has no entry$"):
        check_structure(index)
    index = built("L2norm,HNSW4")
    graph_leads_outside(faiss.downcast_index(index.index))
    with pytest.raises(ValueError, match=r"^its graph leads nowhere$"):
        check_structure(index)


def test_what_was_not_trained_is_refused_however_deep() -> None:
    """FAISS reads it, and refuses to search: found by guided fuzzing."""
    for factory, reach in {
        "PCA4,Flat": lambda index: index,
        "OPQ2,IVF4,PQ2x4": lambda index: index.index,
        "SQ8": lambda index: index,
        "IVF4,SQ8,RFlat": lambda index: index.base_index,
    }.items():
        index = built(factory)
        reach(index).is_trained = False
        with pytest.raises(ValueError, match=r"^it is not trained$"):
            check_structure(index)
    index = built("PCA4,Flat")
    index.chain.at(0).is_trained = False
    with pytest.raises(ValueError, match=r"^a transform is not trained$"):
        check_structure(index)


FASTSCAN = {
    "ntotal2": (2**48, "its codes do not fit its vectors"),
    "bbs": (33, "its codes are in blocks of another size"),
    "M2": (64, "its codes are of another size than its quantizer's"),
    "ksub": (17, "its codes are of another size than its quantizer's"),
    "M": (3, "its quantizer has another number of parts"),
    "implem": (32, "it asks for a search meant for experiments"),
    "qbs": (7, "it asks for a search meant for experiments"),
}


@pytest.mark.parametrize("field", FASTSCAN)
@pytest.mark.parametrize("factory", ["PQ4x4fs", "IVF4,PQ4x4fs"])
def test_blocks_of_codes_of_another_size_are_refused(factory: str, field: str) -> None:
    index, (value, reason) = built(factory), FASTSCAN[field]
    if not hasattr(index, field):
        pytest.skip(f"an index of this kind has no {field}")
    setattr(index, field, value)
    with pytest.raises(ValueError, match=f"^{reason}$"):
        check_structure(index)


@pytest.mark.parametrize("factor", [float("nan"), 0, 1e9])
def test_an_absurd_refinement_is_refused(factor: float) -> None:
    index = built("SQ8,RFlat")
    index.k_factor = factor
    with pytest.raises(ValueError, match=r"^it refines an absurd number of candidates$"):
        check_structure(index)


def test_a_row_that_does_not_exist_is_a_broken_index_when_an_answer_names_it() -> None:
    index = built("IVF4,Flat")
    for number in range(4):
        faiss.rev_swig_ptr(index.invlists.get_ids(number), index.invlists.list_size(number))[:] = COUNT
    store = FaissStore(index, np.arange(COUNT), None, VECTORS)
    with pytest.raises(BrokenBundleError, match="answered with a row that does not exist") as caught:
        store.search(VECTORS[:1], 3)
    assert caught.value.exit_code == 3


def test_an_index_that_faiss_gives_up_searching_is_broken() -> None:
    index = built("PQ4x4fs")
    index.implem = 32
    store = FaissStore(index, np.arange(COUNT), None, VECTORS)
    with pytest.raises(BrokenBundleError, match=r"^FAISS cannot search the index: invalid implem 32"):
        store.search(VECTORS[:1], 3)


def test_a_factory_that_ignores_the_metric_says_so() -> None:
    with pytest.raises(
        ValueError, match="FAISS cannot build 'HNSW4_PQ2': it cannot compare by inner product"
    ):
        FaissStore.build(VECTORS, np.arange(COUNT), factory="HNSW4_PQ2")
