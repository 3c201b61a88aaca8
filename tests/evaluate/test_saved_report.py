import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simsearch.data.splits import Split
from simsearch.errors import BadInputError
from simsearch.evaluate.evaluation import evaluate
from simsearch.evaluate.mistakes import find_mistakes, saved_mistakes
from simsearch.evaluate.report import Report
from simsearch.evaluate.saved_report import read_report
from simsearch.index.bundle import Bundle, open_bundle
from simsearch.search.searcher import Searcher


@pytest.fixture
def bundle(build_toy: Callable[..., Path], toy_gallery: Split) -> Bundle:
    return open_bundle(build_toy(toy_gallery))


@pytest.fixture
def saved(bundle: Bundle, tmp_path: Path) -> Path:
    return write(evaluate(bundle, k=2), tmp_path)


def write(report: Report, folder: Path, name: str = "report.json") -> Path:
    path = folder / name
    path.write_text(report.to_json())
    return path


def test_a_report_reads_back_as_it_was(shipped: Searcher, mnist_test: Split, tmp_path: Path) -> None:
    report = evaluate(shipped.bundle, mnist_test.take(np.arange(300)))
    found = read_report(write(report, tmp_path))
    for field in ("index", "model", "encoder", "protocol", "query_set", "classes", "recall_levels"):
        assert getattr(found, field) == getattr(report, field)
    assert found.precision == report.precision
    assert found.verification == report.verification
    assert found.confusion.tolist() == [list(row) for row in report.confusion]
    assert (found.gallery_fingerprint, found.query_fingerprint) == (
        report.gallery_fingerprint,
        report.query_fingerprint,
    )
    table, expected = found.per_query, report.per_query
    assert (table.query, table.label) == (expected.query, expected.label)
    assert table.row.tolist() == expected.row.tolist()
    assert table.nearest.tolist() == expected.nearest.tolist()
    assert {name: column.tolist() for name, column in table.values.items()} == {
        name: column.tolist() for name, column in expected.values.items()
    }
    assert found.about == f"mnist-test, 300 queries of mnist-test, model {report.model}"
    assert found.about_pairs == f"100,000 balanced random pairs of mnist-test, model {report.model}"


def test_what_was_not_verified_says_so(saved: Path) -> None:
    saved.write_text(json.dumps({**json.loads(saved.read_text()), "verification": None}))
    found = read_report(saved)
    assert found.verification is None
    with pytest.raises(BadInputError, match="the evaluation of toy verified no pairs"):
        found.verified()


VERIFIED = {
    "pairs": 10,
    "seed": 0,
    "threshold": 0.5,
    "accuracy": 0.9,
    "accuracy_interval": {"low": 0.8, "high": 1.0},
    "roc_auc": 0.9,
    "equal_error_rate": 0.1,
    "calibration": {
        "ece": 0.1,
        "brier": 0.1,
        "counts": [3, 7],
        "predicted": [0.1, None],
        "observed": [0, None],
    },
    "histogram": {"low": 0.0, "high": 1.0, "same": [1, 4], "different": [4, 1]},
}


def test_a_verification_is_read_with_its_empty_bins(saved: Path) -> None:
    document = {**json.loads(saved.read_text()), "verification": VERIFIED}
    saved.write_text(json.dumps(document))
    found = read_report(saved).verified()
    assert found.calibration.predicted == (0.1, None)
    assert found.histogram.same == (1, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 99},
        {"classes": []},
        {"classes": [1, 2, 3]},
        {"confusion": [[1, 0], [0, 1]]},
        {"confusion": [[-1, 0, 0]] * 3},
        {"confusion": "none"},
        {"recall_levels": [0.0]},
        {"precision": [2.0] * 101},
        {"precision": [None] * 101},
        {"model": 7},
        {"per_query": {}},
        {"verification": {}},
        {"verification": {**VERIFIED, "accuracy": float("nan")}},
        {"verification": {**VERIFIED, "roc_auc": "high"}},
        {"verification": {**VERIFIED, "histogram": {"low": 1, "high": 1, "same": [1], "different": [1]}}},
        {"verification": {**VERIFIED, "histogram": {"low": 0, "high": 1, "same": [1], "different": [1, 2]}}},
        {"verification": {**VERIFIED, "calibration": {**VERIFIED["calibration"], "counts": [-1, 3]}}},
        {"verification": {**VERIFIED, "calibration": {**VERIFIED["calibration"], "counts": []}}},
    ],
)
def test_what_is_no_report_is_refused_in_one_line(saved: Path, change: dict) -> None:
    saved.write_text(json.dumps({**json.loads(saved.read_text()), **change}))
    with pytest.raises(BadInputError) as refused:
        read_report(saved)
    assert str(saved) in refused.value.message
    assert refused.value.hint == "write one with `simsearch evaluate --json > FILE`"


@pytest.mark.parametrize(
    "change",
    [{"row": [1]}, {"label": ["a"]}, {"query": []}, {"values": {"MRR": [1.0] * 5}}, {"nearest": ["x"] * 5}],
)
def test_a_broken_table_of_queries_is_refused(saved: Path, change: dict) -> None:
    document = json.loads(saved.read_text())
    document["per_query"].update(change)
    saved.write_text(json.dumps(document))
    with pytest.raises(BadInputError, match="is not the JSON of an evaluation"):
        read_report(saved)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "text.json").write_text("{")
    for name, what in (("none", "no such file"), ("list", "not the JSON of"), ("text", "is not JSON")):
        with pytest.raises(BadInputError, match=what):
            read_report(tmp_path / f"{name}.json")


def test_saved_mistakes_are_those_of_the_evaluation(bundle: Bundle, saved: Path) -> None:
    direct = find_mistakes(bundle, evaluate(bundle, k=2).per_query, count=3, neighbors=2)
    found = saved_mistakes(read_report(saved), bundle, count=3, neighbors=2)
    assert [(m.query, m.label, m.average_precision) for m in found] == [
        (m.query, m.label, m.average_precision) for m in direct
    ]
    for mistake, expected in zip(found, direct, strict=True):
        assert [(n.id, n.score, n.right) for n in mistake.neighbors] == [
            (n.id, n.score, n.right) for n in expected.neighbors
        ]
        np.testing.assert_array_equal(mistake.pixels, expected.pixels)


def test_mistakes_of_another_index_or_other_queries_are_refused(
    bundle: Bundle, saved: Path, build_toy: Callable[..., Path], toy_gallery: Split, tmp_path: Path
) -> None:
    other = open_bundle(build_toy(toy_gallery.take([0, 1, 2, 3, 4]), name="other"))
    with pytest.raises(BadInputError, match="is of the index toy, not of the one in") as refused:
        saved_mistakes(read_report(saved), other)
    assert refused.value.hint == "name its index with --index, or evaluate again"
    queries = replace(toy_gallery.take([3, 0]), name="asked")
    with pytest.raises(BadInputError, match="asked about the gallery itself"):
        saved_mistakes(read_report(saved), bundle, queries)
    found = read_report(write(evaluate(bundle, queries, k=2), tmp_path, "asked.json"))
    with pytest.raises(BadInputError, match="asked about asked") as refused:
        saved_mistakes(found, bundle)
    assert "--queries" in refused.value.hint
    assert [mistake.query for mistake in saved_mistakes(found, bundle, queries)] == ["toy/3", "toy/0"]
