"""An evaluation's JSON read back: what is compared, and what figures are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from simsearch.documents import parse_document, record_of
from simsearch.errors import BadInputError
from simsearch.evaluate.report import REPORT_VERSION, PerQuery
from simsearch.files import read_small_file
from simsearch.stats.pairs import Verification

MAX_REPORT_BYTES = 2**29  # a million queries take a third of it
_HINT = "write one with `simsearch evaluate --json > FILE`"

_Finite: TypeAlias = Annotated[float, msgspec.Meta(gt=-1e9, lt=1e9)]
_Share: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e-9, le=1 + 1e-9)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Row: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


@dataclass(frozen=True, eq=False)
class SavedReport:
    """The parts of a `Report` that was written as JSON that can be compared and drawn; fields as there."""

    path: Path
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
                hint="pairs need at least two classes, and two images in one",
            )
        return self.verification


def read_report(path: Path) -> SavedReport:
    """Read an evaluation's JSON.

    :raises BadInputError: If the file cannot be read, or is no report of this version.
    """
    try:
        data = read_small_file(path, MAX_REPORT_BYTES)
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {str(error.strerror).lower()}") from error
    if data is None:
        raise BadInputError(f"{path} is too large to be the JSON of an evaluation", hint=_HINT)
    try:
        fields = parse_document(data)
    except ValueError as error:
        raise BadInputError(f"{path} is not the JSON of an evaluation: {error}", hint=_HINT) from error
    if fields.get("schema", REPORT_VERSION) != REPORT_VERSION:
        raise BadInputError(
            f"{path} is a report of schema {fields['schema']!r}, not {REPORT_VERSION}", hint=_HINT
        )
    try:
        return _restored(path, record_of(_Report, fields))
    except ValueError as error:
        raise BadInputError(f"{path} is not the JSON of an evaluation: {error}", hint=_HINT) from error


class _Reliability(msgspec.Struct):
    ece: _Finite
    brier: _Finite
    counts: tuple[_Count, ...]
    predicted: tuple[_Share | None, ...]
    observed: tuple[_Share | None, ...]

    def __post_init__(self) -> None:
        if not len(self.counts) == len(self.predicted) == len(self.observed) > 0:
            raise ValueError("the bins of its probabilities differ in number")


class _Histogram(msgspec.Struct):
    low: _Finite
    high: _Finite
    same: tuple[_Count, ...]
    different: tuple[_Count, ...]

    def __post_init__(self) -> None:
        if not len(self.same) == len(self.different) > 0 or not self.low < self.high:
            raise ValueError("the bins of its scores differ in number")


class _Interval(msgspec.Struct):
    low: _Share
    high: _Share


class _Verification(msgspec.Struct):
    pairs: _Count
    seed: int
    threshold: float
    accuracy: _Share
    accuracy_interval: _Interval
    roc_auc: _Share
    equal_error_rate: _Share
    calibration: _Reliability
    histogram: _Histogram
    learned: _Reliability | None = None


class _PerQuery(msgspec.Struct):
    query: tuple[str, ...]
    row: list[_Row]
    label: tuple[str, ...]
    nearest: list[_Row]
    values: dict[str, list[_Finite]]

    def __post_init__(self) -> None:
        columns: tuple[Any, ...] = (self.row, self.label, self.nearest, *self.values.values())
        if not self.query or any(len(column) != len(self.query) for column in columns):
            raise ValueError("its columns of queries differ in length")
        if "MAP" not in self.values:
            raise ValueError("its queries have no MAP")


class _Report(msgspec.Struct):
    schema: int
    index: str
    model: str
    encoder: str
    protocol: str
    query_set: str
    gallery_fingerprint: str
    query_fingerprint: str
    classes: tuple[str, ...]
    confusion: list[list[_Count]]
    recall_levels: tuple[_Share, ...]
    precision: tuple[_Share, ...]
    verification: _Verification | None
    per_query: _PerQuery

    def __post_init__(self) -> None:
        sides = {len(self.confusion), *(len(row) for row in self.confusion)}
        if sides != {len(self.classes)} or not self.classes:
            raise ValueError("its confusions do not fit its classes")
        if len(self.recall_levels) != len(self.precision) or len(self.recall_levels) < 2:
            raise ValueError("its curve has too few points")


def _restored(path: Path, stored: _Report) -> SavedReport:
    table, pairs = stored.per_query, stored.verification
    return SavedReport(
        path=path,
        index=stored.index,
        model=stored.model,
        encoder=stored.encoder,
        protocol=stored.protocol,
        query_set=stored.query_set,
        gallery_fingerprint=stored.gallery_fingerprint,
        query_fingerprint=stored.query_fingerprint,
        classes=stored.classes,
        confusion=np.array(stored.confusion, np.int64),
        recall_levels=stored.recall_levels,
        precision=stored.precision,
        verification=None if pairs is None else msgspec.convert(pairs, Verification, from_attributes=True),
        per_query=PerQuery(
            query=table.query,
            row=np.array(table.row, np.int64),
            label=table.label,
            nearest=np.array(table.nearest, np.int64),
            values={name: np.array(column, np.float64) for name, column in table.values.items()},
        ),
    )
