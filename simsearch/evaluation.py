"""Batch retrieval evaluation: every gallery item asked about against all others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch import metrics
from simsearch.bundle import Bundle
from simsearch.calibration import Projection
from simsearch.errors import BadInputError
from simsearch.pairs import draw_pairs
from simsearch.stores.base import Vectors

REPORT_VERSION = 1
PAIRS = 10_000
_BLOCK_SCORES = 2**22

METRICS: Mapping[str, Callable[[metrics.RelevantRanks], metrics.Values]] = {
    "P@1": lambda ranks: metrics.precision_at(ranks, 1),
    "R-precision": metrics.r_precision,
    "MAP@R": metrics.average_precision_at_r,
    "MAP": metrics.average_precision,
}


@dataclass(frozen=True)
class ClassRow:
    """The mean of each metric over one class's queries."""

    label: str
    queries: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class PairVerification:
    """How well the projection tells pairs of one class from pairs of two, at probability 0.5."""

    pairs: int
    seed: int
    accuracy: float


@dataclass(frozen=True)
class Report:
    """One evaluation. `overall` is the mean over queries (micro), `macro` the mean of the class means."""

    index: str
    model: str
    encoder: str
    protocol: str
    gallery: int
    queries: int
    without_relevant: int
    overall: Mapping[str, float]
    macro: Mapping[str, float]
    per_class: tuple[ClassRow, ...]
    pairs: PairVerification | None  # None where the labels allow no balanced pairs

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"schema": REPORT_VERSION, **asdict(self)}


def evaluate(bundle: Bundle, *, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None) -> Report:
    """Evaluate an index by gallery leave-one-out: each item is a query against all other items.

    :param seed: Of the random pairs for pair verification.
    :param on_progress: Called with the number of queries of each finished block.
    :raises BadInputError: If the gallery has no labels, or no two items of the same class.
    """
    if bundle.labels is None:
        raise BadInputError(
            f"the index {bundle.manifest.name} has no labels, so nothing can be said to be right",
            hint="build it from a dataset with labels, or from a folder with one sub-folder a class",
        )
    vectors, labels = bundle.store.all_vectors(), bundle.labels
    values = leave_one_out(vectors, labels, on_progress=on_progress)
    valid = ~np.isnan(values["P@1"])
    if not valid.any():
        raise BadInputError(f"no two items of the index {bundle.manifest.name} have the same label")
    manifest = bundle.manifest
    rows = tuple(_class_rows(values, labels, manifest.classes))
    return Report(
        index=manifest.name,
        model=manifest.model,
        encoder=manifest.encoder,
        protocol="gallery leave-one-out",
        gallery=len(labels),
        queries=int(valid.sum()),
        without_relevant=int((~valid).sum()),
        overall={name: float(np.nanmean(value)) for name, value in values.items()},
        macro={name: float(np.mean([row.metrics[name] for row in rows])) for name in METRICS},
        per_class=rows,
        pairs=verify_pairs(vectors, labels, manifest.projection, seed=seed),
    )


def leave_one_out(
    vectors: Vectors, labels: NDArray[np.int64], *, on_progress: Callable[[int], None] = lambda _: None
) -> dict[str, metrics.Values]:
    """Per-query values of every metric, each item a query against all other items.

    An item is left out of its own ranking by its row, whatever its score; duplicates of it stay in.

    :param vectors: Unit rows, float32 (N, D), in order of id.
    :param labels: Class of each item, int64 (N,).
    :return: Metric name -> float64 (N,), NaN where no other item has the query's label.
    """

    def evaluate_block(rows: range) -> dict[str, metrics.Values]:
        part = slice(rows.start, rows.stop)
        own = (np.arange(len(rows)), np.asarray(rows))
        scores = vectors[part] @ vectors.T  # (B, N)
        relevant = labels[part, None] == labels  # (B, N)
        scores[own], relevant[own] = -np.inf, False
        ranks = metrics.relevant_ranks(scores, relevant)
        on_progress(len(rows))
        return {name: metric(ranks) for name, metric in METRICS.items()}

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(pool.map(evaluate_block, _blocks(len(vectors))))
    return {name: np.concatenate([block[name] for block in blocks]) for name in METRICS}


def verify_pairs(
    vectors: Vectors, labels: NDArray[np.int64], projection: Projection, *, count: int = PAIRS, seed: int = 0
) -> PairVerification | None:
    """Accuracy of "same class" at probability 0.5 on seeded, balanced, random pairs of items.

    :param vectors: Unit rows, float32 (N, D).
    :param labels: Class of each item, int64 (N,).
    :return: None where there is a single class, or a class with a single item.
    """
    try:
        table = draw_pairs(labels, count, np.random.default_rng(seed))
    except ValueError:
        return None
    scores = np.einsum("pd,pd->p", vectors[table.first], vectors[table.second])  # (P,)
    accuracy = np.mean((projection.logit(scores) > 0) == table.same)
    return PairVerification(pairs=count, seed=seed, accuracy=float(accuracy))


def _blocks(total: int) -> Iterator[range]:
    size = max(1, _BLOCK_SCORES // total)
    return (range(start, min(start + size, total)) for start in range(0, total, size))


def _class_rows(
    values: Mapping[str, metrics.Values], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> Iterator[ClassRow]:
    """One row for each class that has at least one query with a relevant item."""
    valid = ~np.isnan(values["P@1"])
    for label, name in enumerate(classes):
        rows = valid & (labels == label)
        if rows.any():
            means = {metric: float(value[rows].mean()) for metric, value in values.items()}
            yield ClassRow(name, int(rows.sum()), means)
