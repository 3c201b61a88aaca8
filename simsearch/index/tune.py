"""Which kind of index suits a gallery: kinds are built from its own vectors, and asked for its own items.

The kinds, and the efforts that each is tried with, follow autofaiss and FAISS's own `ParameterSpace`; here
every kind is measured as answers are made: candidates are scored from what would be stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsearch.errors import BadInputError
from simsearch.index.bundle import Bundle, open_as
from simsearch.index.retype import IndexKind, retypable
from simsearch.index.stores.base import Ids, Vectors
from simsearch.index.stores.coded import PRECISIONS
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import centroids_of
from simsearch.index.stores.flat import FlatStore

SUGGESTED = 200_000  # items from which on another kind than the flat one is worth a thought
K = 10  # hits, whose recall is measured
_ASKED = 200  # items
_TIMED, _FEWEST_TIMED = 50, 5  # of them, one by one
_TIMING_S = 2.0  # of one kind, beyond which the fewest will do
_LEAST_IN_LISTS = 2_000  # items of an inverted file
_MOST_IN_A_GRAPH = 200_000  # items: building takes minutes
_ENOUGH = 0.9995  # recall, beyond which no more effort is tried
_EFFORTS = (128, 256, 512, 1024)  # candidates of a graph
_BYTES = dict(zip(PRECISIONS, (4, 2, 1), strict=True))  # a number
_LINKS = 4 * 2 * 32  # bytes of a graph of HNSW32 an item


@dataclass(frozen=True)
class Measured:
    """What a kind of index does with a gallery."""

    kind: IndexKind
    recall: float  # share of the exact ten nearest that are among its ten nearest
    seconds: float  # of one search, the median
    size: int  # bytes of vectors and of what searches them, about what memory they take


@dataclass(frozen=True)
class Wanted:
    """What an index must come up to."""

    recall: float = 0.95
    size: float = float("inf")  # bytes
    seconds: float = float("inf")

    def suits(self, measured: Measured) -> bool:
        """Whether a kind does."""
        return (
            measured.recall >= self.recall and measured.size <= self.size and measured.seconds <= self.seconds
        )


def kinds(count: int) -> list[IndexKind]:
    """The kinds that are tried for a gallery of so many items."""
    found = [IndexKind("Flat", precision) for precision in PRECISIONS]
    if count <= _MOST_IN_A_GRAPH:
        found += [IndexKind("HNSW32", precision) for precision in PRECISIONS]
    if count >= _LEAST_IN_LISTS:
        lists = 2 ** round(np.log2(count**0.5))
        found += [IndexKind(f"IVF{lists},Flat"), IndexKind(f"IVF{lists},SQ8")]
        found += [IndexKind(f"IVF{lists},Flat", precision) for precision in PRECISIONS[1:]]
    return found


def size_of(kind: IndexKind, count: int, dim: int) -> int:
    """The bytes of vectors and of what searches them, roughly: what is in memory when all was asked."""
    number = _BYTES[kind.precision] * dim
    if kind.factory == "Flat":
        return count * number
    links = _LINKS if kind.factory.startswith("HNSW") else 8
    codes = number if kind.precision != PRECISIONS[0] else dim * (1 if "SQ8" in kind.factory else 4) + number
    lists = int(kind.factory[3:].split(",")[0]) * 4 * dim if kind.factory.startswith("IVF") else 0
    return count * (codes + links) + lists


def measure_kinds(
    folder: Path,
    wanted: Wanted = Wanted(),
    *,
    seed: int = 0,
    on_kind: Callable[[IndexKind], object] = lambda _: None,
) -> Iterator[Measured]:
    """Build each kind that fits into memory from an index's vectors, and measure it with rising effort.

    The index stays as it is. Items are asked for without themselves.

    :raises BadInputError: If it cannot become another kind; see `retypable`.
    """
    bundle = open_as(folder, retypable(folder))
    store = bundle.store
    assert isinstance(store, FlatStore)  # in files, and of one segment
    if len(store) < 2:
        raise BadInputError(
            f"{bundle.manifest.name} has one item, of which no other is the nearest", "add some first"
        )
    asked = store.sample(_ASKED, seed)
    queries = np.array(asked.vectors)
    truth = store.compare(queries, exact=True).nearest(K, left_out=asked.ids).ids
    centroids: dict[str, Vectors] = {}
    for kind in kinds(len(store)):
        size = size_of(kind, len(store), store.dim)
        if size > wanted.size or not _may_become(bundle, kind):
            continue
        on_kind(kind)
        built = _built(store, kind, centroids)
        yield from _measured(built, kind, size, queries, asked.ids, truth)


def best_of(measured: Sequence[Measured], wanted: Wanted) -> Measured | None:
    """The quickest that suits, of equally quick ones the smallest; None if none does."""
    suiting = [one for one in measured if wanted.suits(one)]
    return min(suiting, key=lambda one: (one.seconds, one.size), default=None)


def frontier(measured: Sequence[Measured]) -> list[Measured]:
    """Those than which no other is better in one respect and as good in the others."""
    return [
        one
        for one in measured
        if not any(
            other.recall >= one.recall
            and other.seconds <= one.seconds
            and other.size <= one.size
            and (other.recall, other.seconds, other.size) != (one.recall, one.seconds, one.size)
            for other in measured
        )
    ]


def none_suits(measured: Sequence[Measured]) -> BadInputError:
    """The error where nothing suits."""
    best = max(measured, key=lambda one: one.recall, default=None)
    found = "" if best is None else f"; the best recall@{K} found is {best.recall:.3f}"
    return BadInputError(f"no kind of index suits{found}", "ask for less recall, or for more memory or time")


def _may_become(bundle: Bundle, kind: IndexKind) -> bool:
    """Whether what is stored is precise enough."""
    return PRECISIONS.index(kind.precision) >= PRECISIONS.index(bundle.manifest.dtype)


def _built(store: FlatStore, kind: IndexKind, centroids: dict[str, Vectors]) -> FlatStore:
    """An index of this kind, as it would be written.

    :param centroids: Of the inverted lists that were built before, by their part of the factory string: they
        are the same whatever is stored in the lists, and finding them takes most of the time.
    """
    if kind == IndexKind():
        return FlatStore(store.ids, store.labels, store.matrix)
    coded, lists = kind.precision != PRECISIONS[0], kind.factory.partition(",")[0]
    built = FaissStore.build(
        store.matrix,
        store.ids,
        store.labels,
        factory=kind.full_factory,
        coded=coded,
        centroids=centroids.get(lists),
    )
    if lists.startswith("IVF"):
        centroids[lists] = centroids_of(built.index)
    return built


def _measured(
    store: FlatStore, kind: IndexKind, size: int, queries: Vectors, ids: Ids, truth: Ids
) -> Iterator[Measured]:
    """One kind with rising effort, until it finds nearly everything."""
    for effort in _efforts(kind) if isinstance(store, FaissStore) and not store.is_exact else (None,):
        if isinstance(store, FaissStore) and effort is not None:
            store.set_effort(effort)
        found = store.search(queries, K, left_out=ids).ids
        same = (found[:, :, None] == truth[:, None, :]) & (truth[:, None, :] >= 0)
        recall = float(same.any(1).sum() / max(1, (truth >= 0).sum()))
        spent = []
        for row in range(min(_TIMED, len(queries))):
            started = time.perf_counter()
            store.search(queries[row : row + 1], K, left_out=ids[row : row + 1])
            spent.append(time.perf_counter() - started)
            if len(spent) >= _FEWEST_TIMED and sum(spent) > _TIMING_S:
                break
        seconds = float(np.median(spent))
        yield Measured(IndexKind(kind.factory, kind.precision, effort), recall, seconds, size)
        if recall >= _ENOUGH:
            return


def _efforts(kind: IndexKind) -> Sequence[int]:
    if kind.factory.startswith("HNSW"):
        return _EFFORTS
    lists = int(kind.factory[3:].split(",")[0])
    return [2**power for power in range(max(1, lists.bit_length() - 1))]
