"""What it costs to ask an index that has changed: many segments, beside the same vectors in one.

Seeded noise of 128 numbers in ten classes, in segments that halve in size down to some twenty items, as an
index of very many changes has at worst. Each query asks what an answer asks: the nearest items, the nearest
of each class, and those of one class. Printed are milliseconds of one core a query, best of some rounds in
turn, and ratios to one segment. Flat segments are read into one array, so that they cost what one costs; the
rows "apart" are what they would cost otherwise. What was added to an approximate index is a tenth of it.

    OMP_NUM_THREADS=1 python tests/benchmarks/segments.py --items 100000
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import time
from collections.abc import Callable

import numpy as np

from simsearch.index.stores.base import Vectors, VectorStore
from simsearch.index.stores.comparison import Comparison, SeparateSearches, compare
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.flat import FlatStore
from simsearch.index.stores.segments import SegmentedStore

DIM, CLASSES, QUERIES = 128, 10, 64
FACTORY = "IVF100,SQ8"
Ask = Callable[[VectorStore, Vectors], Comparison]


def unit(rows: np.ndarray) -> Vectors:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def halving(items: int) -> list[int]:
    """Where segments begin and end that halve in size."""
    cuts, size = [0], items // 2
    while size > 20:
        cuts.append(cuts[-1] + size)
        size = (items - cuts[-1]) // 2
    return [*cuts, items]


def stores(vectors: Vectors) -> dict[str, tuple[VectorStore, Ask]]:
    ids = np.arange(len(vectors))
    labels, cuts, tenth = ids % CLASSES, halving(len(ids)), len(ids) * 9 // 10

    def part(start: int, end: int, factory: str = "") -> VectorStore:
        rows = slice(start, end)
        if factory:
            return FaissStore.build(vectors[rows], ids[rows], labels[rows], factory=factory)
        return FlatStore(ids[rows], labels[rows], vectors[rows])

    apart = SegmentedStore([part(*cut) for cut in itertools.pairwise(cuts)])
    grown = SegmentedStore([part(0, tenth, FACTORY), part(tenth, len(ids))])
    return {
        "flat, one segment": (part(0, len(ids)), compare),
        f"flat, {len(cuts) - 1} segments apart": (apart, compare),
        f"flat, {len(cuts) - 1} apart, a search a question": (apart, SeparateSearches),
        f"{FACTORY}, one segment": (part(0, len(ids), FACTORY), compare),
        f"{FACTORY}, and a tenth added": (grown, compare),
        "the same, a search a question": (grown, SeparateSearches),
    }


def milliseconds(store: VectorStore, ask: Ask, queries: Vectors) -> float:
    started = time.process_time()
    for row in range(len(queries)):
        compared = ask(store, queries[row : row + 1])
        compared.nearest(10)
        compared.in_each(5, store.classes)
        compared.in_own(20, np.array([3]))
    return (time.process_time() - started) / len(queries) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    rng = np.random.default_rng(0)
    vectors = unit(rng.standard_normal((arguments.items, DIM), np.float32))
    queries = unit(vectors[:QUERIES] + 0.02 * rng.standard_normal((QUERIES, DIM), np.float32))
    asked = stores(vectors)
    found: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(arguments.rounds):
        for name, (store, ask) in asked.items():
            found[name].append(milliseconds(store, ask, queries))
    for name, times in found.items():
        alone = min(found[f"{'flat' if name.startswith('flat') else FACTORY}, one segment"])
        print(f"{name:42}  {min(times):7.2f} ms  {min(times) / alone:5.2f}")


if __name__ == "__main__":
    main()
