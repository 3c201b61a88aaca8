"""One evaluation as data: what was measured, every figure, and every query's values; and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.documents import parse_json
from simsearch.errors import BadInputError
from simsearch.files import open_regular
from simsearch.stats.verification import Verification

REPORT_VERSION = 1


@dataclass(frozen=True)
class Figure:
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
    figures: Mapping[str, Figure]
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


@dataclass(frozen=True, eq=False)
class SavedReport:
    """What `compare` needs of a report that was written as JSON."""

    path: Path
    index: str
    model: str
    protocol: str
    gallery_fingerprint: str
    query_fingerprint: str
    query: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]


def read_report(path: Path) -> SavedReport:
    """Read what `compare` needs of an evaluation's JSON.

    :raises BadInputError: If the file cannot be read, or is no report of this version.
    """
    raw = read_document(path)
    try:
        table = raw["per_query"]
        texts = {name: raw[name] for name in _TEXTS}
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("a name is not text")
        query = tuple(table["query"])
        values = {str(name): np.array(column, np.float64) for name, column in table["values"].items()}
        if (
            not query
            or not values
            or any(v.shape != (len(query),) or not np.isfinite(v).all() for v in values.values())
        ):
            raise ValueError("columns differ in length")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInputError(f"{path} is not the JSON of an evaluation", hint=HINT) from error
    return SavedReport(path=path, query=query, values=values, **texts)


def read_document(path: Path) -> Any:
    """Parse an evaluation's JSON and check its schema; its fields are the caller's to check.

    :raises BadInputError: If the file cannot be read, or is no report of this version.
    """
    try:
        with open_regular(path, _MAX_BYTES) as file:
            raw: Any = parse_json(file.read(_MAX_BYTES))
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {str(error.strerror).lower()}") from error
    except ValueError as error:
        raise BadInputError(f"{path} is not JSON", hint=HINT) from error
    if not isinstance(raw, dict) or "schema" not in raw:
        raise BadInputError(f"{path} is not the JSON of an evaluation", hint=HINT)
    if raw["schema"] != REPORT_VERSION:
        raise BadInputError(
            f"{path} is a report of schema {raw['schema']!r}, not {REPORT_VERSION}", hint=HINT
        )
    return raw


_TEXTS = ("index", "model", "protocol", "gallery_fingerprint", "query_fingerprint")
_MAX_BYTES = 2**28  # of a report: a million queries have about 200 MB
HINT = "write one with `simsearch evaluate --json > FILE`"
