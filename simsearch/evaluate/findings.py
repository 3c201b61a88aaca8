"""An evaluation's JSON read back: what figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BadInputError
from simsearch.evaluate.report import HINT, PerQuery, read_document
from simsearch.stats.reliability import Reliability
from simsearch.stats.significance import Interval
from simsearch.stats.verification import Histogram, Verification


@dataclass(frozen=True, eq=False)
class Findings:
    """The parts of a saved `Report` that can be drawn; fields as there."""

    index: str
    model: str
    encoder: str
    protocol: str
    query_set: str
    gallery_fingerprint: str
    query_fingerprint: str
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]  # (C, C), [label of the query][label of the nearest item]
    recall_levels: tuple[float, ...]
    precision: tuple[float, ...]
    verification: Verification | None
    per_query: PerQuery

    @property
    def about(self) -> str:
        """What was evaluated, in one line."""
        return f"{self.index}, {len(self.per_query.query):,} queries of {self.query_set}, model {self.model}"

    @property
    def about_pairs(self) -> str:
        """What the pairs are of, in one line."""
        return f"{self.verified().pairs:,} balanced random pairs of {self.query_set}, model {self.model}"

    def verified(self) -> Verification:
        """The verification of pairs.

        :raises BadInputError: If there was none.
        """
        if self.verification is None:
            raise BadInputError(
                f"the evaluation of {self.index} verified no pairs",
                hint="pairs need at least two classes, and two images in each",
            )
        return self.verification


def read_findings(path: Path) -> Findings:
    """Read an evaluation's JSON.

    :raises BadInputError: If the file cannot be read, or is no report of this version.
    """
    raw = read_document(path)
    try:
        confusion = np.array(raw["confusion"], np.int64)
        classes = tuple(_text(name) for name in raw["classes"])
        recall, precision = _shares(raw["recall_levels"]), _shares(raw["precision"])
        if confusion.shape != (len(classes),) * 2 or not classes or (confusion < 0).any():
            raise ValueError("the confusions do not fit the classes")
        if len(recall) != len(precision) or len(recall) < 2:
            raise ValueError("the curve has too few points")
        return Findings(
            **{name: _text(raw[name]) for name in _TEXTS},
            classes=classes,
            confusion=confusion,
            recall_levels=recall,
            precision=precision,
            verification=None if raw["verification"] is None else _verification(raw["verification"]),
            per_query=_per_query(raw["per_query"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInputError(f"{path} is not the JSON of an evaluation", hint=HINT) from error


_TEXTS = (
    "index",
    "model",
    "encoder",
    "protocol",
    "query_set",
    "gallery_fingerprint",
    "query_fingerprint",
)


def _reliability(raw: Mapping[str, Any]) -> Reliability:
    reliability = Reliability(
        ece=_finite(raw["ece"]),
        brier=_finite(raw["brier"]),
        counts=_counts(raw["counts"]),
        predicted=tuple(None if share is None else _share(share) for share in raw["predicted"]),
        observed=tuple(None if share is None else _share(share) for share in raw["observed"]),
    )
    if not len(reliability.counts) == len(reliability.predicted) == len(reliability.observed) > 0:
        raise ValueError("the bins of the probabilities differ in number")
    return reliability


def _verification(raw: Mapping[str, Any]) -> Verification:
    known, learned = raw["histogram"], raw.get("learned")
    histogram = Histogram(
        _finite(known["low"]), _finite(known["high"]), _counts(known["same"]), _counts(known["different"])
    )
    if not len(histogram.same) == len(histogram.different) > 0 or not histogram.low < histogram.high:
        raise ValueError("the bins of the scores differ in number")
    interval = raw["accuracy_interval"]
    return Verification(
        pairs=int(raw["pairs"]),
        seed=int(raw["seed"]),
        threshold=float(raw["threshold"]),
        accuracy=_share(raw["accuracy"]),
        accuracy_interval=Interval(_share(interval["low"]), _share(interval["high"])),
        roc_auc=_share(raw["roc_auc"]),
        equal_error_rate=_share(raw["equal_error_rate"]),
        calibration=_reliability(raw["calibration"]),
        histogram=histogram,
        learned=None if learned is None else _reliability(learned),
    )


def _per_query(raw: Mapping[str, Any]) -> PerQuery:
    query = tuple(_text(name) for name in raw["query"])
    values = {_text(name): np.array(column, np.float64) for name, column in raw["values"].items()}
    table = PerQuery(
        query=query,
        row=np.array(raw["row"], np.int64),
        label=tuple(_text(name) for name in raw["label"]),
        nearest=np.array(raw["nearest"], np.int64),
        values=values,
    )
    columns = (table.row, table.nearest, *values.values())
    if not query or len(table.label) != len(query) or any(c.shape != (len(query),) for c in columns):
        raise ValueError("columns differ in length")
    if "MAP" not in values or not all(np.isfinite(column).all() for column in values.values()):
        raise ValueError("a query has no value")
    return table


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("a name is not text")
    return value


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e9:
        raise TypeError("a figure is no number")
    return float(value)


def _share(value: Any) -> float:
    if not -1e-9 <= _finite(value) <= 1 + 1e-9:
        raise ValueError("a share is not in [0, 1]")
    return float(value)


def _shares(values: Any) -> tuple[float, ...]:
    return tuple(_share(value) for value in values)


def _counts(values: Any) -> tuple[int, ...]:
    counts = tuple(int(_finite(value)) for value in values)
    if min(counts, default=0) < 0:
        raise ValueError("a count is below zero")
    return counts
