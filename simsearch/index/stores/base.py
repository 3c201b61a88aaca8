"""The contract of every vector store: what is asked, what is answered, and in which order.

Everything above `index/stores/` knows stores by `VectorStore` alone. Restrictions are class numbers, never
lists of ids: those of ten million items would be 80 MB a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]  # (N, D), unit rows
Ids: TypeAlias = NDArray[np.int64]  # (N,), unique, >= 0
Labels: TypeAlias = NDArray[np.int64]  # (N,), class numbers, >= 0
Rows: TypeAlias = NDArray[np.int64]  # positions in an array
Scores: TypeAlias = NDArray[np.float32]  # rough or exact, as is said

UNIT_TOLERANCE = 1e-3
NOTHING = -1  # the id in a place that has no hit; its score is NaN


class Hits(NamedTuple):
    """The nearest stored vectors of each of Q queries.

    `scores` are cosine similarities, float32 (Q, k), descending along each row; `ids` int64 (Q, k). A place
    without a hit comes after all others, and holds NaN and `NOTHING`.
    """

    scores: NDArray[np.float32]
    ids: Ids


class Block(NamedTuple):
    """Stored items in ascending order of id: ids (N,), class numbers (N,) or None, vectors (N, D)."""

    ids: Ids
    labels: Labels | None
    vectors: Vectors


class VectorStore(Protocol):
    """Unit vectors under int64 ids, in classes or without labels, searchable by inner product."""

    @property
    def dim(self) -> int:
        """Length D of each vector."""

    @property
    def is_exact(self) -> bool:
        """Whether an unrestricted search looks at every vector. All others always do."""

    @property
    def classes(self) -> tuple[int, ...]:
        """The numbers of the classes that have an item, ascending; none without labels."""

    def __len__(self) -> int:
        """Number of stored vectors."""

    def count(self, label: int | None = None) -> int:
        """Number of stored vectors, or of those in a class."""

    def search(
        self, queries: Vectors, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None
    ) -> Hits:
        """Find the k stored vectors most similar to each query.

        The score of a pair of vectors depends on nothing but the two vectors: not on the other
        queries of a batch, not on k, not on the engine's index type.

        :param queries: Unit rows, float32, shape (Q, D).
        :param k: How many; where the store, or these classes, hold fewer, that many columns return.
        :param classes: Numbers of the only classes that hits may have; then always exact.
        :param left_out: For each query an id that is no answer to it, left out before the cut at k,
            int64 (Q,); `NOTHING` for none.
        :return: Scores descending; equal scores are ordered by id, ascending, also across the cut at k.
        :raises ValueError: If D differs from the store's, a query is no finite unit vector, or k < 1.
        """

    def search_each(
        self, queries: Vectors, k: int, classes: Sequence[int], *, left_out: Ids | None = None
    ) -> Hits:
        """Search inside each of these different classes, exactly, as `search` restricted to it would.

        :return: Scores float32 (Q, C, k), ids int64 (Q, C, k); NaN and `NOTHING` where a class has fewer.
        :raises ValueError: As `search`.
        """

    def vectors(self, ids: Ids) -> Vectors:
        """The stored vectors of these ids, float32 (len(ids), D).

        :raises ValueError: If an id is not stored.
        """

    def scan(self, after: int = -1) -> Iterator[Block]:
        """Everything with an id above `after`, in blocks, in ascending order of id."""

    def sample(self, count: int, seed: int = 0) -> Block:
        """At most `count` items at random, the same for the same seed."""

    def close(self) -> None:
        """Give back what the store holds open; it answers nothing afterwards."""


def gather(store: VectorStore) -> Block:
    """The whole store as one block: what an evaluation needs, and no query."""
    blocks = list(store.scan())
    if len(blocks) == 1:
        return blocks[0]
    labels = [block.labels for block in blocks if block.labels is not None]
    return Block(
        ids=np.concatenate([np.empty(0, np.int64), *(block.ids for block in blocks)]),
        labels=np.concatenate(labels) if labels else None,
        vectors=np.concatenate([np.empty((0, store.dim), np.float32), *(block.vectors for block in blocks)]),
    )


def outline(store: VectorStore) -> Block:
    """The ids and class numbers of a whole store as one block, and no vectors, (0, D)."""
    blocks = [(block.ids, block.labels) for block in store.scan()]
    labels = [own for _, own in blocks if own is not None]
    return Block(
        ids=np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in blocks)]),
        labels=np.concatenate(labels) if labels else None,
        vectors=np.empty((0, store.dim), np.float32),
    )


def positions(ids: Ids, wanted: Ids, *, dense: bool = False) -> Ids:
    """Where each wanted id stands among ascending ids, int64 (len(wanted),).

    :param dense: That no id between the first and the last is missing: a subtraction then tells, many times
        as quick as a search.
    :raises ValueError: If one is not among them.
    """
    rows: Ids = wanted - ids[0] if dense and len(ids) else np.searchsorted(ids, wanted)
    if ((rows < 0) | (rows >= len(ids))).any() or (not dense and (ids[rows] != wanted).any()):
        raise ValueError("an id is not stored")
    return rows


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
