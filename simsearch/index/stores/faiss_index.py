"""FAISS indexes: made by a factory string, written, and read within limits; its own traps are caught here."""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np

from simsearch.files import open_regular, size_of
from simsearch.index.stores.base import Vectors, is_unit
from simsearch.index.stores.exact import SMALL
from simsearch.index.stores.faiss_check import check_structure

FLAT = "Flat"
_ADDED = 2**16  # vectors at once
_TRAINED = 2**18  # vectors, at most
_EF_SEARCH = 64  # HNSW: candidates kept while walking the graph
_DEADLY = re.compile(r"(HNSW|NSG)(0*[01](?!\d)|\d{4})|[^ -~]")  # FAISS crashes, hangs or misreads them


def make_index(vectors: Vectors, factory: str, centroids: Vectors | None = None) -> faiss.Index:
    """A FAISS index of these vectors under inner product, trained on all, or on some of very many.

    :param vectors: Unit rows, float32 (N, D); also those that are read when they are asked for.
    :param centroids: Of inverted lists, as `centroids_of` gives those of as many lists of the same vectors.
    :raises ValueError: If FAISS cannot build such an index from these vectors.
    """
    parts = [slice(start, start + _ADDED) for start in range(0, len(vectors), _ADDED)]
    if vectors.ndim != 2 or vectors.dtype != np.float32 or not all(is_unit(vectors[part]) for part in parts):
        raise ValueError("vectors must be float32 rows of length 1")
    check_factory(factory, vectors.shape[1])
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:  # HNSW over PQ ignores what it is asked for
            raise RuntimeError("it cannot compare by inner product")
        _accept_small_clusters(index)
        if centroids is not None:
            faiss.extract_index_ivf(index).quantizer.add(centroids)  # so that it is not trained again
        # As plain arrays, mapped ones too: `faiss.contrib.torch_utils` knows no others.
        index.train(np.ascontiguousarray(vectors[:: max(1, -(-len(vectors) // _TRAINED))]))
        for part in parts:
            index.add(np.ascontiguousarray(vectors[part]))
        set_search_effort(index)
        index.search(np.ascontiguousarray(vectors[:1]), 1)  # some are built, and then cannot be searched
    except (RuntimeError, MemoryError) as error:  # FAISS wraps all but a failed allocation
        raise ValueError(f"FAISS cannot build {factory!r}: {reason_of(error)}") from error
    return index


def centroids_of(index: faiss.Index) -> Vectors:
    """The centroids of an index's inverted lists, float32 (lists, D)."""
    quantizer = faiss.extract_index_ivf(index).quantizer
    found: Vectors = quantizer.reconstruct_n(0, quantizer.ntotal)
    return found


def check_factory(factory: str, dim: int) -> None:
    """Refuse a factory string that FAISS cannot parse, or that would hang or crash it.

    :raises ValueError: With FAISS's reason. What fails only when trained passes here.
    """
    if _DEADLY.search(factory):
        raise ValueError(f"FAISS cannot build {factory!r}: it is no usable factory string")
    try:
        faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"FAISS cannot build {factory!r}: {reason_of(error)}") from error


def write_index(index: faiss.Index, path: Path) -> None:
    """Write an index to a file.

    :raises OSError: If it cannot be written.
    """
    with path.open("wb") as file:  # given a path, FAISS only prints that the disk was full
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined]


def read_index(path: Path, *, dim: int, count: int) -> faiss.Index:
    """Read an index file whose checksum has been verified, with FAISS's own limits set close.

    :raises ValueError: If it is no inner-product index of `count` vectors of length `dim`.
    """
    with open_regular(path) as file:  # given a path, FAISS reports a missing file like a damaged one
        return parse_index(file, dim=dim, count=count)


def parse_index(file: io.BufferedReader, *, dim: int, count: int, most_read: float = math.inf) -> faiss.Index:
    """The index in an open file; see `read_index`.

    :param most_read: An index of more bytes than that is mapped: what a query does not look at is not read.
    :raises ValueError: If it is no inner-product index of `count` vectors of length `dim`.
    """
    size = size_of(file)
    faiss.set_deserialization_vector_byte_limit(size + size // 20 + 2**16)
    faiss.set_deserialization_loop_limit(max(count, 2**16))
    try:
        # The table of IVF,PQ serves Euclidean distance alone, and can be larger than the limit.
        if size > most_read:
            index = faiss.read_index(file.name, faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
        else:
            reader = faiss.PyCallbackIOReader(file.read)  # type: ignore[attr-defined]
            index = faiss.read_index(reader, faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"FAISS cannot read it: {reason_of(error)}") from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise ValueError("it does not compare by inner product")
    if (index.d, index.ntotal) != (dim, count):
        raise ValueError(f"it holds {index.ntotal} vectors of length {index.d}, not {count} of {dim}")
    check_structure(index)
    return index


def set_search_effort(index: faiss.Index, effort: int | None = None) -> None:
    """Look at enough of an approximate index to be useful, whatever the file says: FAISS's own defaults
    are one list of an inverted file and 16 candidates of a graph. A graph search for more widens itself.

    :param effort: So many lists of an inverted file, or candidates of a graph; None for what is usual.
    """
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        inverted.nprobe = max(1, min(effort or round(inverted.nlist**0.5), inverted.nlist))
    if isinstance(index, faiss.IndexHNSW):
        index.hnsw.efSearch = effort or _EF_SEARCH


@contextlib.contextmanager
def few_threads(work: int) -> Iterator[None]:
    """Let FAISS use one thread for so many multiplications, if starting others would take longer."""
    threads = faiss.omp_get_max_threads()  # of the calling thread alone, as is the limit set here
    if work < SMALL:
        faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def holds_vectors(index: faiss.Index) -> bool:
    """Whether an index keeps a code of each vector that gives it back: what is stored of lower precision."""
    kinds = (faiss.IndexScalarQuantizer, faiss.IndexIVFScalarQuantizer, faiss.IndexHNSWSQ)
    return isinstance(index, kinds)


def reason_of(error: Exception) -> str:
    """The sentence in a FAISS error, without the C++ signature and file before it."""
    return re.split(r"\.(?:cpp|h):\d+: ", (str(error).strip() or type(error).__name__).splitlines()[-1])[-1]


def _accept_small_clusters(index: faiss.Index) -> None:
    """Keep FAISS from printing, many times, that a gallery is small for its lists or codes.

    `evaluate` says what that costs. OPQ, which trains a quantizer of its own, still prints it.
    """
    index = faiss.downcast_index(index)
    for trained in (index, getattr(index, "pq", None), getattr(index, "rq", None)):
        if (clustering := getattr(trained, "cp", None)) is not None:
            clustering.min_points_per_centroid = 1
    for inner in ("base_index", "index", "quantizer"):
        if isinstance(part := getattr(index, inner, None), faiss.Index):
            _accept_small_clusters(part)
