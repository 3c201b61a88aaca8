"""One evaluation as data: what was measured, every figure, and every query's values; and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.stats.pairs import Verification

REPORT_VERSION = 1


@dataclass(frozen=True)
class Estimate:
    """A metric's mean over queries (micro) with its 95 % bootstrap interval, and the mean of class means."""

    value: float
    low: float
    high: float
    macro: float


@dataclass(frozen=True)
class ClassRow:
    """The mean of each metric over one class's queries."""

    label: str
    queries: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class PerQuery:
    """One row a query that has a value, in order of query."""

    query: tuple[str, ...]  # "mnist/test/17"
    row: NDArray[np.int64]  # (Q,), its row in the query set
    label: tuple[str, ...]
    nearest: NDArray[np.int64]  # (Q,), id of the best-scored item
    values: Mapping[str, NDArray[np.float64]]  # metric -> (Q,)


@dataclass(frozen=True)
class Approximation:
    """How much of the exact answer an approximate index returns, over all queries."""

    recall_at_1: float
    recall_at_k: float


@dataclass(frozen=True, eq=False)
class Report:
    """One evaluation of one index.

    `gallery_fingerprint` and `query_fingerprint` are equal for evaluations that may be compared:
    they name images and labels, not vectors.
    """

    index: str
    model: str
    encoder: str
    protocol: str
    gallery: int
    gallery_fingerprint: str
    query_set: str
    query_fingerprint: str
    queries: int
    without_relevant: int
    k: int
    seed: int
    resamples: int
    command: str
    versions: Mapping[str, str]
    classes: tuple[str, ...]
    figures: Mapping[str, Estimate]
    per_class: tuple[ClassRow, ...]
    confusion: tuple[tuple[int, ...], ...]  # [label of the query][label of the nearest item]
    recall_levels: tuple[float, ...]
    precision: tuple[float, ...]  # mean interpolated precision at each recall level
    verification: Verification | None
    approximation: Approximation | None
    per_query: PerQuery

    def to_json(self) -> str:
        """One JSON document with every figure and every query's values, at full precision."""
        document = {"schema": REPORT_VERSION, **asdict(self)}
        document["per_query"] = {
            "query": self.per_query.query,
            "row": self.per_query.row.tolist(),
            "label": self.per_query.label,
            "nearest": self.per_query.nearest.tolist(),
            "values": {name: column.tolist() for name, column in self.per_query.values.items()},
        }
        return json.dumps(document, allow_nan=False) + "\n"
