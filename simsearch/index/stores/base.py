"""The contract of every vector store: what is asked, what is answered, and in which order."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]  # (N, D), unit rows
Ids: TypeAlias = NDArray[np.int64]  # (N,), unique, >= 0

UNIT_TOLERANCE = 1e-3
NOTHING = -1  # the id in a place that has no hit; its score is NaN


class Hits(NamedTuple):
    """The nearest stored vectors of each of Q queries.

    `scores` are cosine similarities, float32 (Q, k), descending along each row; `ids` int64 (Q, k).
    """

    scores: NDArray[np.float32]
    ids: Ids


class VectorStore(Protocol):
    """Unit vectors under int64 ids, searchable by inner product."""

    @property
    def dim(self) -> int:
        """Length D of each vector."""

    def __len__(self) -> int:
        """Number of stored vectors."""

    def search(self, queries: Vectors, k: int, *, among: Ids | None = None) -> Hits:
        """Find the k stored vectors most similar to each query.

        The score of a pair of vectors depends on nothing but the two vectors: not on the other
        queries of a batch, not on k, not on the engine's index type.

        :param queries: Unit rows, float32, shape (Q, D).
        :param k: How many; where fewer are stored (or named by `among`), that many columns return.
        :param among: Ascending stored ids to restrict the search to; then always exact.
        :return: Scores descending; equal scores are ordered by id, ascending, also across the cut at k.
        :raises ValueError: If D differs from the store's, a query is no finite unit vector, k < 1,
            or `among` names an id that is not stored.
        """

    def vectors(self, ids: Ids) -> Vectors:
        """The stored vectors of these ids, float32 (len(ids), D).

        :raises ValueError: If an id is not stored.
        """


def check_queries(queries: Vectors, dim: int, k: int) -> None:
    """The argument checks that every store shares; see `VectorStore.search`."""
    if queries.ndim != 2 or queries.shape[1] != dim or queries.dtype != np.float32:
        raise ValueError(f"queries must be float32 (Q, {dim}), not {queries.dtype} {queries.shape}")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if not is_unit(queries):
        raise ValueError("every query must be a finite vector of length 1")


def is_unit(vectors: Vectors) -> bool:
    """Whether every row is finite and of length 1, to the precision that float32 arithmetic leaves."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # without a copy of all vectors
    return bool((np.abs(lengths - 1) < UNIT_TOLERANCE).all())  # False for NaN
