"""Answers for programs: JSON, a JSON line a query, CSV, or the paths of the hits; scores in full.

`answers.schema.json` describes the JSON; `ANSWER_VERSION` changes whenever a reader of the old form
would be misled. Each format is a stream of texts that are complete lines.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simsearch.search.answers import Hit
from simsearch.search.batch import Outcome
from simsearch.search.searcher import Searcher
from simsearch.text import csv_text

if TYPE_CHECKING:
    from simsearch.search.hit_files import HitFiles

ANSWER_VERSION = 2
UNKNOWN = "unknown"  # in a column that else holds the name of a class
SCHEMA = Path(__file__).parent / "answers.schema.json"
CSV_COLUMNS = (
    "query",
    "truth",
    "verdict",
    "rank",
    "id",
    "label",
    "score",
    "probability",
    "match",
    "source",
)


class Format(StrEnum):
    """How answers are written for programs."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PATHS = "paths"


def write_answers(
    form: Format,
    searcher: Searcher,
    outcomes: Iterable[Outcome],
    *,
    ascii_only: bool = False,
    files: HitFiles | None = None,
    end: str = "\n",
) -> Iterator[str]:
    """Write outcomes as they come; the texts joined are the whole output.

    :param ascii_only: Spell other characters out in JSON, for an output that is not Unicode.
    :param files: Names the files of hits for paths; those relative to here by default.
    :param end: What ends each path.
    """
    match form:
        case Format.JSON:
            return _json(searcher, outcomes, ascii_only)
        case Format.JSONL:
            return _json_lines(searcher, outcomes, ascii_only)
        case Format.CSV:
            return _csv(outcomes)
        case Format.PATHS:
            from simsearch.search.hit_files import HitFiles  # only paths need it

            return _paths(files or HitFiles(searcher), outcomes, end)


def outcome_to_dict(outcome: Outcome) -> dict[str, Any]:
    """One entry of `queries`, in plain values."""
    entry: dict[str, Any] = {"query": outcome.name, "kind": outcome.query.kind}
    if outcome.query.item is not None:
        entry["id"] = outcome.query.item
    if outcome.composed is not None:
        entry["like"] = [part.name for part in outcome.composed.parts if part.added]
        entry["unlike"] = [part.name for part in outcome.composed.parts if not part.added]
    if outcome.answer is None:
        if outcome.error is None:
            raise ValueError("an outcome has an answer or an error")
        return {**entry, "error": outcome.error.message, "hint": outcome.error.hint}
    return {**entry, "truth": outcome.truth, **outcome.answer.to_dict()}


def index_to_dict(searcher: Searcher) -> dict[str, Any]:
    """Which index answered, in plain values."""
    manifest = searcher.bundle.manifest
    return {
        "name": manifest.name,
        "items": manifest.count,
        "model": manifest.model,
        "encoder": manifest.encoder,
    }


def _json(searcher: Searcher, outcomes: Iterable[Outcome], ascii_only: bool) -> Iterator[str]:
    """One document, written while it grows."""
    index = json.dumps(index_to_dict(searcher), indent=2, ensure_ascii=ascii_only)
    head = f'"schema": {ANSWER_VERSION},\n"index": {index},\n"queries": ['
    yield "{\n" + textwrap.indent(head, "  ")
    separator = "\n"
    for outcome in outcomes:
        entry = json.dumps(outcome_to_dict(outcome), indent=2, ensure_ascii=ascii_only)
        yield separator + textwrap.indent(entry, "    ")
        separator = ",\n"
    yield ("]" if separator == "\n" else "\n  ]") + "\n}\n"


def _json_lines(searcher: Searcher, outcomes: Iterable[Outcome], ascii_only: bool) -> Iterator[str]:
    head = {"schema": ANSWER_VERSION, "index": searcher.bundle.manifest.name}
    for outcome in outcomes:
        yield json.dumps({**head, **outcome_to_dict(outcome)}, ensure_ascii=ascii_only) + "\n"


def _csv(outcomes: Iterable[Outcome]) -> Iterator[str]:
    yield csv_text([CSV_COLUMNS])
    for outcome in outcomes:
        if outcome.answer is not None:
            verdict = outcome.answer.verdict
            judged = None if verdict is None else verdict.label if verdict.known else UNKNOWN
            known = (outcome.name, outcome.truth, judged)
            yield csv_text((*known, *_csv_cells(hit)) for hit in outcome.answer.hits)


def _csv_cells(hit: Hit) -> tuple[Any, ...]:
    match = None if hit.match is None else str(hit.match).lower()
    return (hit.rank, hit.id, hit.label, hit.score, hit.probability, match, hit.source)


def _paths(files: HitFiles, outcomes: Iterable[Outcome], end: str) -> Iterator[str]:
    for outcome in outcomes:
        names = (files.name(hit) for hit in outcome.answer.hits) if outcome.answer else ()
        yield "".join(f"{name}{end}" for name in names if name is not None)
