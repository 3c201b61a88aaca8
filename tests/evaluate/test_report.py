import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simsearch.data.splits import Split
from simsearch.errors import BadInputError
from simsearch.evaluate.compare import Comparison, compare
from simsearch.evaluate.evaluation import evaluate
from simsearch.evaluate.mistakes import find_mistakes
from simsearch.evaluate.report import Report
from simsearch.evaluate.saved_report import read_report
from simsearch.index.bundle import open_bundle


@pytest.fixture
def report(build_toy: Callable[..., Path], toy_gallery: Split) -> Report:
    return evaluate(open_bundle(build_toy(toy_gallery)), k=2, command="simsearch evaluate")


@pytest.fixture
def saved(report: Report, tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(report.to_json())
    return path


def changed(saved: Path, name: str, change: Callable[[dict], None]) -> Path:
    """A copy of a report's JSON with something changed in it."""
    document = json.loads(saved.read_text())
    change(document)
    path = saved.with_name(name)
    path.write_text(json.dumps(document))
    return path


def test_the_json_carries_every_figure_and_reads_back(report: Report, saved: Path) -> None:
    document = json.loads(saved.read_text())
    assert document["schema"] == 1
    assert document["figures"]["MAP"]["value"] == report.figures["MAP"].value
    assert document["per_query"]["nearest"] == [1, 0, 3, 2, 5]
    assert document["encoder"] == report.encoder
    assert document["command"] == "simsearch evaluate"
    assert {"simsearch", "python", "numpy", "faiss-cpu", "onnxruntime"} <= document["versions"].keys()
    back = read_report(saved)
    assert (back.index, back.protocol, back.per_query.query) == (
        "toy",
        report.protocol,
        report.per_query.query,
    )
    for name, values in report.per_query.values.items():
        assert back.per_query.values[name].tolist() == values.tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(schema=2),
        lambda document: document.pop("per_query"),
        lambda document: document.update(index=3),
        lambda document: document["per_query"]["values"].update(MAP=[1.0]),
        lambda document: document["per_query"]["values"].update(MAP=["x"] * 5),
        lambda document: document["per_query"]["values"].update(MAP=[float("nan")] * 5),
        lambda document: document["per_query"].update(query=[]),
        lambda document: document["per_query"].update(values={}),
        lambda document: document["per_query"].update(values=[]),
    ],
)
def test_what_is_no_report_is_refused(saved: Path, change: Callable[[dict], None]) -> None:
    path = changed(saved, "broken.json", change)
    with pytest.raises(BadInputError) as refused:
        read_report(path)
    assert str(path) in refused.value.message
    assert refused.value.hint == "write one with `simsearch evaluate --json > FILE`"


def test_files_that_are_not_json_or_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"none\.json: no such file"):
        read_report(tmp_path / "none.json")
    for number, content in enumerate((b"", b"{", b"\xff", b"[]", b"3", b"[" * 100_000)):
        path = tmp_path / f"{number}.json"
        path.write_bytes(content)
        with pytest.raises(BadInputError, match="is not"):
            read_report(path)


def test_a_report_compared_with_itself_shows_no_difference(saved: Path) -> None:
    rows = compare(read_report(saved), read_report(saved))
    assert [row.metric for row in rows][:4] == ["P@1", "R-precision", "MAP@R", "MAP"]
    assert rows[0] == Comparison("P@1", 0.4, 0.4, 0.0, 0.0, 0.0, 1.0)
    assert {row.better for row in rows} == {""}


def test_the_better_of_two_is_found_with_its_effect(saved: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400)
    second = np.clip(first + rng.normal(0.05, 0.1, 400), 0, 1)

    def with_values(values: np.ndarray) -> Callable[[dict], None]:
        table = {
            "query": [f"q{i}" for i in range(400)],
            "row": [*range(400)],
            "label": ["a"] * 400,
            "nearest": [0] * 400,
            "values": {"MAP": values.tolist()},
        }
        return lambda document: document.update(per_query=table)

    a = read_report(changed(saved, "a.json", with_values(first)))
    b = read_report(changed(saved, "b.json", with_values(second)))
    (row,) = compare(a, b)
    difference = (second - first).mean()
    assert (row.a, row.b) == (pytest.approx(first.mean()), pytest.approx(second.mean()))
    assert row.difference == pytest.approx(difference)
    assert row.low < difference < row.high
    assert row.low > 0
    assert (row.better, row.p_value) == ("B", 1 / 10_000)
    (back,) = compare(b, a)
    assert (back.better, back.difference) == ("A", pytest.approx(-difference))
    assert compare(a, b, seed=0) == compare(a, b, seed=0)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("gallery_fingerprint", "other", "galleries"),
        ("query_fingerprint", "other", "queries"),
        ("protocol", "other", "protocols"),
    ],
)
def test_different_things_are_not_compared(saved: Path, field: str, value: str, what: str) -> None:
    other = changed(saved, "other.json", lambda document: document.update({field: value}))
    with pytest.raises(BadInputError, match=f"have different {what}") as refused:
        compare(read_report(saved), read_report(other))
    assert refused.value.exit_code == 2


def test_different_metrics_are_not_compared(saved: Path) -> None:
    other = changed(saved, "other.json", lambda document: document["per_query"]["values"].pop("P@2"))
    with pytest.raises(BadInputError, match="have different metrics"):
        compare(read_report(saved), read_report(other))


def test_the_worst_queries_come_first_with_what_was_found_instead(
    build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    bundle = open_bundle(build_toy(toy_gallery))
    mistakes = find_mistakes(bundle, evaluate(bundle).per_query, count=3, neighbors=2)
    assert [(mistake.query, mistake.label) for mistake in mistakes] == [
        ("toy/4", "b"),
        ("toy/3", "b"),
        ("toy/2", "a"),
    ]
    assert [mistake.average_precision for mistake in mistakes] == pytest.approx([1 / 5, 1 / 4, 7 / 12])
    worst = mistakes[0]
    np.testing.assert_array_equal(worst.pixels, toy_gallery.images[4])
    assert [(n.id, n.label, n.right) for n in worst.neighbors] == [(5, "c", False), (0, "a", False)]
    assert [n.score for n in worst.neighbors] == pytest.approx([0.6, 0])
    np.testing.assert_array_equal(worst.neighbors[0].pixels, toy_gallery.images[5])
    assert [(n.id, n.right) for n in mistakes[2].neighbors] == [(3, False), (0, True)]


def test_the_worst_queries_of_a_query_set_keep_all_their_neighbors(
    build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    bundle = open_bundle(build_toy(toy_gallery))
    queries = toy_gallery.take([3, 0])
    (mistake,) = find_mistakes(bundle, evaluate(bundle, queries).per_query, queries, count=1, neighbors=2)
    assert (mistake.query, [n.id for n in mistake.neighbors]) == ("toy/3", [3, 2])
    np.testing.assert_array_equal(mistake.pixels, toy_gallery.images[3])
