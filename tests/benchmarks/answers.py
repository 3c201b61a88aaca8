"""What an answer costs beside FAISS's own search: a batch, and one query among a million vectors.

Vectors are those of the shipped index; more are made of them by seeded noise along the covariance of each
class, brought back to length 1, so that classes stay the clusters that they are. An answer here is all that
`Searcher.query_vectors` gives: hits with names and probabilities, the class ranking, and for pictures the
verdict; FAISS's is scores and rows. Both compute with one thread, in turn, and the least processor time of a
number of rounds counts.

    python tests/benchmarks/answers.py --items 1000000
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import faiss
import numpy as np

from simsearch.index.bundle import Bundle
from simsearch.index.columns import Arrays
from simsearch.index.stores.base import VectorStore, gather
from simsearch.index.stores.coded import CodedVectors
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.flat import FlatStore
from simsearch.prepare.prepare import PreparedImage
from simsearch.search.answers import Answer
from simsearch.search.searcher import Searcher

INDEX = Path(__file__).parents[2] / "indexes" / "mnist-test"
LIBRARIES = ("numpy", "faiss-cpu")
K, BATCH = 10, 256
_OF_OTHERS = 200  # queries that are asked for hits of a class that is not theirs


class Names(Sequence[str]):
    """Sources of items that have none."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: Any) -> Any:
        return f"made/{row}"


def extended(vectors: np.ndarray, labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """So many vectors: real ones at random, moved by noise of half their class's own spread."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(vectors), count)
    made = np.empty((count, vectors.shape[1]), np.float32)
    for label in range(labels.max() + 1):
        own = np.flatnonzero(labels[rows] == label)
        spread = np.cov(vectors[labels == label].T) + 1e-9 * np.eye(vectors.shape[1])
        root = np.linalg.cholesky(spread).astype(np.float32)
        made[own] = rng.standard_normal((len(own), vectors.shape[1]), np.float32) @ (0.5 * root.T)
    made += vectors[rows]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made, labels[rows]


def least(rounds: int, works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least processor time of each, in milliseconds; they take turns."""
    best = dict.fromkeys(works, float("inf"))
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            started = time.process_time()
            work()
            best[name] = min(best[name], 1e3 * (time.process_time() - started))
    return best


def show(title: str, spent: dict[str, float], aim: str, per: int = 1) -> None:
    """Print times and their ratios to the first."""
    (base, floor), *others = spent.items()
    print(f"{title}: {base} {floor / per:.3f} ms")
    for name, taken in others:
        print(f"  {name:46s} {taken / per:9.3f} ms  {taken / floor:6.2f} x")
    print(f"  (aim: {aim})\n")


def with_store(bundle: Bundle, store: VectorStore, labels: np.ndarray) -> Searcher:
    """A searcher of other vectors, whose pictures are not kept."""
    count = len(store)
    return Searcher(replace(bundle, store=store, columns=Arrays(np.arange(count), labels, (), Names(count))))


def tops(answers: Sequence[Answer]) -> list[str]:
    return [answer.classes[0].label for answer in answers]


def shared_hits(first: Sequence[Answer], second: Sequence[Answer]) -> int:
    """How many hits two lists of answers to the same queries have in common."""
    return sum(
        len({hit.id for hit in a.hits} & {hit.id for hit in b.hits})
        for a, b in zip(first, second, strict=True)
    )


def other_than(label: str, names: Sequence[str]) -> str:
    """The class after this one."""
    return names[(names.index(label) + 1) % len(names)]


def measure_batch(rounds: int) -> dict[str, float]:
    """256 queries at the shipped 10,000: milliseconds."""
    searcher = Searcher.open(INDEX)
    stored = gather(searcher.bundle.store)
    flat = faiss.IndexFlatIP(stored.vectors.shape[1])
    flat.add(stored.vectors)
    queries, _ = extended(stored.vectors, stored.labels, BATCH, 1)
    images = [PreparedImage(searcher.thumbnail(int(item))) for item in stored.ids[:BATCH]]
    spent = least(
        rounds,
        {
            "FAISS Flat": lambda: flat.search(queries, K),
            "hits and class ranking": lambda: searcher.query_vectors(queries, [None] * BATCH, k=K),
            "and the verdict, by the pictures": lambda: searcher.query_vectors(queries, images, k=K),
        },
    )
    show(f"{BATCH} queries at {len(searcher):,}", spent, "1.6")
    return spent


def measure_flat(vectors: np.ndarray, searcher: Searcher, query: np.ndarray, rounds: int) -> dict[str, float]:
    """One query, exactly: milliseconds."""
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    spent = least(
        rounds,
        {
            "FAISS Flat": lambda: flat.search(query, K),
            "hits and class ranking": lambda: searcher.query_vectors(query, [None], k=K),
        },
    )
    show(f"one query at {len(vectors):,}", spent, "1.15")
    return spent


class Large(NamedTuple):
    """Milliseconds of one query at many vectors, and what an approximate index finds."""

    flat: dict[str, float]
    near: dict[str, float]
    recall: float
    same_top: float


def measure_large(count: int, factory: str, rounds: int, checked: int) -> Large:
    """One query at many vectors, exact and approximate, and what the approximation finds."""
    bundle = Searcher.open(INDEX).bundle
    stored = gather(bundle.store)
    vectors, labels = extended(stored.vectors, stored.labels, count, 2)
    queries, _ = extended(stored.vectors, stored.labels, checked, 3)
    exact = with_store(bundle, FlatStore(np.arange(count), labels, vectors), labels)
    flat = measure_flat(vectors, exact, queries[:1], rounds)
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, count // 100_000)])
    index.add(vectors)
    near = with_store(bundle, FaissStore(index, np.arange(count), labels, vectors), labels)
    codes: Any = CodedVectors(index)
    coded = with_store(bundle, FaissStore(index, np.arange(count), labels, codes), labels)
    some = labels[:checked].tolist()
    calls = 20

    def ask(searcher: Searcher, names: tuple[str, ...] = ()) -> None:
        for query in queries[:calls]:
            searcher.query_vectors(query[None], [None], k=K, labels=names)

    spent = least(
        rounds,
        {
            f"FAISS {factory}": lambda: [index.search(query[None], K) for query in queries[:calls]],
            "hits and class ranking": lambda: ask(near),
            "hits of one class, and class ranking": lambda: ask(near, (bundle.manifest.classes[some[0]],)),
            "of codes alone: hits and class ranking": lambda: ask(coded),
        },
    )
    show(f"one query at {count:,}", spent, "3", calls)
    truth, found, decoded = (
        [answer for query in queries for answer in searcher.query_vectors(query[None], [None], k=K)]
        for searcher in (exact, near, coded)
    )
    shared = shared_hits(truth, found)
    names = bundle.manifest.classes
    of_others = [
        [
            answer
            for query, label in zip(queries[:_OF_OTHERS], tops(truth), strict=False)
            for answer in searcher.query_vectors(query[None], [None], k=K, labels=(other_than(label, names),))
        ]
        for searcher in (exact, near)
    ]
    same = sum(a == b for a, b in zip(tops(truth), tops(found), strict=True))
    print(
        f"of {checked:,} queries: recall@{K} {shared / checked / K:.4f} (aim: .95), top class the exact one"
    )
    print(f"  in {same / checked:.4%} (aim: 99.9 %)")
    recall = shared_hits(truth, decoded) / checked / K
    as_exact = sum(a == b for a, b in zip(tops(truth), tops(decoded), strict=True)) / checked
    print(f"where the codes are all that is stored: recall@{K} {recall:.4f}, top class in {as_exact:.4%}")
    within = shared_hits(*of_others) / K / len(of_others[0])
    print(f"hits of a class that the query is not of: recall@{K} {within:.4f} of {len(of_others[0])}")
    per_query = {name: taken / calls for name, taken in spent.items()}
    return Large(flat, per_query, shared / checked / K, same / checked)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--factory", default="IVF512,SQ8")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--checked", type=int, default=1_000, help="queries whose answers are compared")
    settings = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES) + ", one thread\n")
    measure_batch(settings.rounds)
    measure_large(settings.items, settings.factory, settings.rounds, settings.checked)


if __name__ == "__main__":
    main()
