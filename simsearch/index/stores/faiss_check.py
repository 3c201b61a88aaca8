"""Whether a FAISS index that was read from a file can be searched without leaving its own memory.

FAISS follows the numbers in a file: a graph's links, an inverted file's rows, the sizes of codes. One
that points outside crashes the process or names a row that does not exist, so each is compared with
what it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

_MOST_REFINED = 1_000  # candidates a refining index may rank again for each that is asked for


def check_structure(index: faiss.Index) -> None:
    """Check an index and every index inside it.

    :raises ValueError: At the first thing that does not fit.
    """
    _require(bool(index.is_trained), "it is not trained")
    for kind, check in _CHECKS:
        if isinstance(index, kind):
            check(index)


def _check_codes(index: Any) -> None:
    _require(index.codes.size() == index.ntotal * index.code_size, "its codes do not fit its vectors")
    _require(index.code_size == index.sa_code_size(), "its codes are of another size than its quantizer's")


def _check_scan(index: Any) -> None:
    """Quantized codes in blocks, inside inverted lists or not, that are read a block at a time."""
    _require(index.bbs > 0 and index.bbs % 32 == 0, "its codes are in blocks of another size")
    _require(index.M <= index.M2 <= index.M + 1, "its codes are of another size than its quantizer's")
    _require((index.nbits, index.ksub) == (4, 16), "its codes are of another size than its quantizer's")
    quantizer = getattr(index, "pq", None)
    _require(quantizer is None or quantizer.M == index.M, "its quantizer has another number of parts")
    _require(not (index.implem or index.qbs or index.skip), "it asks for a search meant for experiments")
    width = max(index.code_size, index.M2 // 2)  # bytes a vector
    if hasattr(index, "invlists"):
        _require(index.invlists is not None, "a part of it is missing")
        lists: Any = faiss.downcast_InvertedLists(index.invlists)
        blocks = getattr(lists, "n_per_block", 0), getattr(lists, "block_size", 0)
        _require(blocks == (index.bbs, index.bbs * width), "its lists are in blocks of another size")
    else:
        _require(
            index.ntotal <= index.ntotal2 < index.ntotal + index.bbs
            and index.codes.size() >= index.ntotal2 * width,
            "its codes do not fit its vectors",
        )


def _check_graph(index: Any) -> None:
    graph, count = index.hnsw, index.ntotal
    levels, offsets, links = _view(graph.levels), _view(graph.offsets), _view(graph.neighbors)
    slots = _view(graph.cum_nneighbor_per_level)  # places for links up to each level
    _check_inside(index, index.storage, count)
    _require(len(levels) == count and len(offsets) == count + 1, "its graph has another number of nodes")
    if not count:
        return
    _require(len(slots) > 1 and slots[0] == 0 and (np.diff(slots) >= 0).all(), "its graph has no levels")
    _require(levels.min() >= 1 and levels.max() < len(slots), "a node of its graph is on no level")
    widths = slots[levels].astype(np.uint64)
    _require(offsets[0] == 0 and (np.diff(offsets) == widths).all(), "its graph's links are misplaced")
    _require(offsets[-1] == len(links), "its graph lacks links")
    _require(len(links) == 0 or (links.min() >= -1 and links.max() < count), "its graph leads nowhere")
    entry = graph.entry_point
    _require(0 <= entry < count and levels[entry] == graph.max_level + 1, "its graph has no entry")
    for level in range(1, graph.max_level + 1):
        starts = offsets[:-1][levels > level].astype(np.int64)
        found = links[starts[:, None] + np.arange(slots[level], slots[level + 1])]
        _require(bool(((found < 0) | (levels[found] > level)).all()), "its graph leads to another level")


def _check_lists(index: Any) -> None:
    lists, count = index.invlists, index.ntotal
    _require(lists is not None and lists.nlist == index.nlist > 0, "it has another number of lists")
    in_blocks = type(faiss.downcast_InvertedLists(lists)).__name__ == "BlockInvertedLists"
    _require(in_blocks or lists.code_size == index.code_size, "its lists hold codes of another size")
    _check_inside(index, index.quantizer, index.nlist)
    sizes = [lists.list_size(number) for number in range(index.nlist)]
    _require(sum(sizes) == count, "its lists hold another number of vectors")
    for number, size in enumerate(sizes):
        if size:
            rows = faiss.rev_swig_ptr(lists.get_ids(number), size)
            _require(rows.min() >= 0 and rows.max() < count, "its lists name a row that does not exist")


def _check_transforms(index: Any) -> None:
    dim = index.d
    for number in range(index.chain.size()):
        step: Any = faiss.downcast_VectorTransform(index.chain.at(number))
        _require(step.d_in == dim and step.d_out > 0, "its transforms do not fit each other")
        _require(bool(step.is_trained), "a transform is not trained")
        if isinstance(step, faiss.LinearTransform):
            _require(step.A.size() == step.d_in * step.d_out, "a transform has another size")
            _require(not step.have_bias or step.b.size() == step.d_out, "a transform has another size")
        dim = step.d_out
    _check_inside(index, index.index, index.ntotal, dim)


def _check_refinement(index: Any) -> None:
    _require(1 <= index.k_factor <= _MOST_REFINED, "it refines an absurd number of candidates")
    _check_inside(index, index.base_index, index.ntotal)
    _check_inside(index, index.refine_index, index.ntotal)


def _check_names(index: Any) -> None:
    names = _view(index.id_map)
    _require(len(names) == index.ntotal, "it names another number of vectors")
    _check_inside(index, index.index, index.ntotal)


def _check_inside(outer: Any, inner: Any, count: int, dim: int | None = None) -> None:
    """Check an index inside another, which counts on its size."""
    _require(inner is not None, "a part of it is missing")
    inner = faiss.downcast_index(inner)
    dim = outer.d if dim is None else dim
    _require(inner.ntotal == count and inner.d == dim, "a part of it has another size")
    check_structure(inner)


def _view(vector: Any) -> NDArray[Any]:
    """A C++ vector as an array, without a copy; it lives as long as the index."""
    if not vector.size():
        return np.empty(0, np.int64)
    array: NDArray[Any] = faiss.rev_swig_ptr(vector.data(), vector.size())
    return array


def _require(holds: bool | np.bool_, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


_CHECKS: tuple[tuple[Any, Callable[[Any], None]], ...] = (
    (faiss.IndexFlatCodes, _check_codes),
    (faiss.IndexFastScan, _check_scan),
    (faiss.IndexIVFFastScan, _check_scan),
    (faiss.IndexHNSW, _check_graph),
    (faiss.IndexIVF, _check_lists),
    (faiss.IndexPreTransform, _check_transforms),
    (faiss.IndexRefine, _check_refinement),
    (faiss.IndexIDMap, _check_names),
)
