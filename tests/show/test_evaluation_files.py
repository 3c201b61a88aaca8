import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from simsearch.data.splits import Split
from simsearch.errors import BadInputError
from simsearch.evaluate.evaluation import evaluate
from simsearch.evaluate.query_table import write_query_table
from simsearch.evaluate.report import Report
from simsearch.index.bundle import Bundle, open_bundle
from simsearch.show.evaluation_files import Outputs, check, write


@pytest.fixture
def bundle(build_toy: Callable[..., Path], toy_gallery: Split) -> Bundle:
    return open_bundle(build_toy(toy_gallery))


@pytest.fixture
def report(bundle: Bundle) -> Report:
    return evaluate(bundle, k=2)


def test_every_wanted_file_is_written_and_no_other(bundle: Bundle, report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    wanted = Outputs(
        report=folder / "r.html", per_query=folder / "q.csv", run=folder / "run", qrels=folder / "qrels"
    )
    check(wanted)
    assert list(write(wanted, bundle, None, report)) == list(wanted.paths())
    assert sorted(path.name for path in folder.iterdir()) == ["q.csv", "qrels", "r.html", "run"]
    assert list(write(Outputs(), bundle, None, report)) == []


def test_the_csv_holds_a_row_a_query(report: Report, tmp_path: Path) -> None:
    write_query_table(tmp_path / "q.csv", report.per_query)
    with (tmp_path / "q.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["query"], row["row"], row["label"], row["nearest"]) for row in rows] == [
        ("toy/0", "0", "a", "1"),
        ("toy/1", "1", "a", "0"),
        ("toy/2", "2", "a", "3"),
        ("toy/3", "3", "b", "2"),
        ("toy/4", "4", "b", "5"),
    ]
    for name, values in report.per_query.values.items():
        assert [float(row[name]) for row in rows] == values.tolist()


def test_the_parquet_file_holds_the_same_table(report: Report, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_query_table(tmp_path / "q.parquet", report.per_query)
    table = parquet.read_table(tmp_path / "q.parquet").to_pydict()
    assert table["query"] == list(report.per_query.query)
    assert table["nearest"] == [1, 0, 3, 2, 5]
    for name, values in report.per_query.values.items():
        assert table[name] == values.tolist()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Outputs(report=Path("none/r.html")), "cannot write none/r.html: none is no folder"),
        (Outputs(run=Path()), "cannot write .: it is a folder"),
        (Outputs(per_query=Path("q.xlsx")), "cannot write q.xlsx: the name must end in .csv or .parquet"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    wanted: Outputs, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError) as refused:
        check(wanted)
    assert refused.value.message == message


def test_a_full_disk_leaves_the_old_file(
    bundle: Bundle, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "q.csv"
    path.write_text("old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simsearch.files.os.fsync", refuse)
    with pytest.raises(BadInputError, match="no space left on device"):
        list(write(Outputs(per_query=path), bundle, None, report))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".tmp")] == []
