"""Every form of output, of every kind of query, on galleries with and without labels and calibration."""

import copy
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from toys import calibrate_index, quadrant_image

from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.prepare.prepare import Preprocess
from simsearch.search.answers import Limits
from simsearch.search.batch import Outcome, answer_queries
from simsearch.search.compose import read_composed_query
from simsearch.search.formats import ANSWER_VERSION, SCHEMA, Format, outcome_to_dict, write_answers
from simsearch.search.queries import Query, expand, items
from simsearch.search.searcher import Searcher

NONE = Preprocess.NONE
DOCUMENT = json.loads(SCHEMA.read_text())
VALIDATOR = jsonschema.Draft202012Validator(DOCUMENT)


@pytest.fixture
def galleries(tmp_path: Path, toy_model: Model, toy_gallery: Split) -> dict[str, Searcher]:
    bare = replace(toy_gallery, labels=None, classes=())
    for name, split in (("plain", toy_gallery), ("bare", bare)):
        build_index(split, toy_model, tmp_path / name)
        calibrated = "bare-calibrated" if name == "bare" else "calibrated"
        build_index(split, toy_model, tmp_path / calibrated)
        calibrate_index(tmp_path / calibrated)
    names = ("plain", "calibrated", "bare", "bare-calibrated")
    return {name: Searcher.open(tmp_path / name) for name in names}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "q" / "a" / "é, 1.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(quadrant_image(30, 40, 0, 0)).save(path)
    return path


def every_kind(searcher: Searcher, picture: Path) -> Iterator[Outcome]:
    """Files, a missing file, standard input, items, no such item, a truth, an unknown, and combinations."""
    stdin = io.BytesIO(picture.read_bytes())
    queries = [*expand([str(picture), "nowhere.png", "-", str(picture.parents[1])], stdin), *items([0, 99])]
    for limits in (Limits(), Limits(unknown_below=1.0), Limits(min_score=0.7)):
        yield from answer_queries(searcher, queries, k=3, preprocess=NONE, limits=limits)
    for like, unlike in (([str(picture)], []), ([], [str(picture)])):
        added = read_composed_query(like, unlike, searcher.bundle.encoder, io.BytesIO(), NONE, None)
        asked = [Query(""), Query("p", picture), *items([2])]
        yield from answer_queries(searcher, asked, k=3, preprocess=NONE, composed=added)


@pytest.mark.parametrize("name", ["plain", "calibrated", "bare", "bare-calibrated"])
def test_real_output_of_every_kind_fits_the_schema(
    galleries: dict[str, Searcher], picture: Path, name: str
) -> None:
    searcher = galleries[name]
    outcomes = list(every_kind(searcher, picture))
    document = json.loads("".join(write_answers(Format.JSON, searcher, outcomes)))
    VALIDATOR.validate(document)
    lines = [json.loads(line) for line in write_answers(Format.JSONL, searcher, outcomes)]
    assert len(lines) == len(document["queries"]) == len(outcomes)
    for line, entry in zip(lines, document["queries"], strict=True):
        VALIDATOR.validate(line)
        assert line == {"schema": ANSWER_VERSION, "index": name, **entry}
    seen = {(entry["kind"], "error" in entry) for entry in document["queries"]}
    assert seen == {
        ("file", False),
        ("file", True),  # a missing file, and a picture minus itself
        ("stdin", False),
        ("item", False),
        ("item", True),
        ("combination", False),
    }
    verdicts = [entry.get("verdict") for entry in document["queries"]]
    if name == "calibrated":
        assert {verdict["known"] for verdict in verdicts if verdict} == {True, False}
    else:
        assert set(verdicts) == {None}


def test_the_schema_is_valid_and_names_its_version() -> None:
    jsonschema.Draft202012Validator.check_schema(DOCUMENT)
    for form in ("document", "line"):
        assert DOCUMENT["$defs"][form]["properties"]["schema"] == {"const": ANSWER_VERSION}


def paths_into(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every key in a document."""
    if isinstance(value, dict):
        for key in value:
            yield (*path, key)
            yield from paths_into(value[key], (*path, key))
    elif isinstance(value, list):
        for row, inner in enumerate(value):
            yield from paths_into(inner, (*path, row))


def test_the_schema_refuses_an_answer_that_lacks_anything_or_has_more(
    galleries: dict[str, Searcher],
) -> None:
    searcher = galleries["calibrated"]
    outcomes = list(answer_queries(searcher, [*items([0, 99])], k=1))
    document = json.loads("".join(write_answers(Format.JSON, searcher, outcomes)))
    line = json.loads(next(write_answers(Format.JSONL, searcher, outcomes)))
    for whole in (document, line):
        places = list(paths_into(whole))
        assert len(places) > 20
        for *parents, key in places:
            broken, surplus = copy.deepcopy(whole), copy.deepcopy(whole)
            inner, other = broken, surplus
            for step in parents:
                inner, other = inner[step], other[step]
            del inner[key]
            other["surplus"] = 1
            assert not VALIDATOR.is_valid(broken), (parents, key)
            assert not VALIDATOR.is_valid(surplus), parents


def test_scores_are_at_full_precision(galleries: dict[str, Searcher], picture: Path) -> None:
    searcher = galleries["plain"]
    (outcome,) = answer_queries(searcher, [Query("p", picture)], k=6, preprocess=NONE)
    assert outcome.answer is not None
    exact = [hit.score for hit in outcome.answer.hits]
    assert [np.float32(score) for score in exact] == exact
    entry = json.loads("".join(write_answers(Format.JSON, searcher, [outcome])))["queries"][0]
    assert [hit["score"] for hit in entry["hits"]] == exact
    assert [hit["probability"] for hit in entry["hits"]] == [hit.probability for hit in outcome.answer.hits]
    text = "".join(write_answers(Format.CSV, searcher, [outcome]))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["score"]) for row in rows] == exact


def test_csv_has_a_row_a_hit_and_quotes_what_must_be(galleries: dict[str, Searcher], picture: Path) -> None:
    searcher = galleries["calibrated"]
    queries = [*expand([str(picture.parents[1]), "nowhere.png"], io.BytesIO()), *items([3])]
    outcomes = list(answer_queries(searcher, queries, k=2, preprocess=NONE))
    text = "".join(write_answers(Format.CSV, searcher, outcomes))
    assert text.splitlines()[0] == "query,truth,verdict,rank,id,label,score,probability,match,source"
    rows = list(csv.reader(io.StringIO(text)))[1:]
    assert [(*row[:6], row[8], row[9]) for row in rows] == [
        (str(picture), "a", "a", "1", "2", "a", "true", "toy/2"),
        (str(picture), "a", "a", "2", "3", "b", "true", "toy/3"),
        ("id 3", "b", "a", "1", "2", "a", "true", "toy/2"),
        ("id 3", "b", "a", "2", "0", "a", "false", "toy/0"),
    ]


def test_csv_says_unknown_and_nothing_where_nothing_is_known(galleries: dict[str, Searcher]) -> None:
    for name, limits, cells in (
        ("calibrated", Limits(unknown_below=1.0), ("c", "unknown", "false")),
        ("bare", Limits(), ("", "", "")),
    ):
        outcomes = list(answer_queries(galleries[name], items([5]), k=1, limits=limits))
        text = "".join(write_answers(Format.CSV, galleries[name], outcomes))
        (row,) = csv.DictReader(io.StringIO(text))
        assert (row["truth"], row["verdict"], row["match"]) == cells


def test_paths_are_the_sources_of_the_hits(galleries: dict[str, Searcher]) -> None:
    outcomes = list(answer_queries(galleries["plain"], items([0, 99, 5]), k=2))
    text = "".join(write_answers(Format.PATHS, galleries["plain"], outcomes))
    assert text == "toy/1\ntoy/2\ntoy/4\ntoy/0\n"


@pytest.mark.parametrize("form", list(Format))
def test_no_queries_are_no_answers(galleries: dict[str, Searcher], form: Format) -> None:
    text = "".join(write_answers(form, galleries["plain"], []))
    if form is Format.JSON:
        assert json.loads(text)["queries"] == []
        VALIDATOR.validate(json.loads(text))
    else:
        assert text.count("\n") == (1 if form is Format.CSV else 0)


def test_an_output_that_is_not_unicode_gets_ascii(galleries: dict[str, Searcher], picture: Path) -> None:
    searcher = galleries["plain"]
    outcomes = list(answer_queries(searcher, [Query(str(picture), picture)], k=1, preprocess=NONE))
    for form in (Format.JSON, Format.JSONL):
        plain = "".join(write_answers(form, searcher, outcomes))
        spelt = "".join(write_answers(form, searcher, outcomes, ascii_only=True))
        assert "é" in plain
        assert spelt.isascii()
        assert json.loads(spelt) == json.loads(plain)


def test_answers_are_written_as_they_come(galleries: dict[str, Searcher]) -> None:
    def outcomes() -> Iterator[Outcome]:
        yield from answer_queries(galleries["plain"], items([0]), k=1)
        raise RuntimeError("the second query")

    for form in Format:
        texts = write_answers(form, galleries["plain"], outcomes())
        came = []
        with pytest.raises(RuntimeError, match="the second query"):
            came.extend(texts)
        assert "toy/1" in "".join(came)


def test_an_outcome_without_answer_and_error_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="an answer or an error"):
        outcome_to_dict(Outcome(Query("x", Path("x"))))
