"""Classes of files, by folders and by tables."""

import contextlib
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simsearch.data import label_tables
from simsearch.data.class_names import class_name, meant_class
from simsearch.data.collection import Collection, Item, Skipped
from simsearch.data.labels import label_items
from simsearch.errors import BadDatasetError, BadInputError

ROOT = Path("photos")


def collection(*paths: str, root: Path = ROOT, skipped: tuple[Skipped, ...] = ()) -> Collection:
    return Collection(root, tuple(Item(path, 1, 1) for path in paths), skipped)


def labels(found: Collection, way: str) -> dict[str, str] | None:
    labeled = label_items(found, way)
    if labeled.names is None:
        return None
    return dict(zip((item.path for item in labeled.items), labeled.names, strict=True))


DEEP = collection("cat/old/1.png", "cat/2.png", "dog/old/3.png")
MIXED = collection("0.png", "cat/1.png")
LOOSE = "in no folder, so of no class (`--labels none` takes all without classes)"


def test_the_class_is_the_first_folder_or_the_last() -> None:
    first = {"cat/old/1.png": "cat", "cat/2.png": "cat", "dog/old/3.png": "dog"}
    assert labels(DEEP, "folder") == labels(DEEP, "auto") == first
    assert labels(DEEP, "last") == {"cat/old/1.png": "old", "cat/2.png": "cat", "dog/old/3.png": "old"}
    assert labels(DEEP, "none") is None


def test_loose_files_have_no_class_and_are_left_out_only_beside_those_that_have_one() -> None:
    assert labels(collection("0.png", "1.png"), "auto") is None
    for way in ("auto", "folder", "last"):
        labeled = label_items(MIXED, way)
        assert (labels(MIXED, way), labeled.skipped) == ({"cat/1.png": "cat"}, (Skipped("0.png", LOOSE),))
    assert [item.path for item in label_items(MIXED, "none").items] == ["0.png", "cat/1.png"]


def test_folders_whose_names_look_alike_are_one_class() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    assert set((labels(collection(f"{composed}/1.png", f"{decomposed}/2.png"), "folder") or {}).values()) == {
        composed
    }


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_gives_each_path_its_label(tmp_path: Path, kind: str) -> None:
    table = tmp_path / f"labels.{kind}"
    absolute = str(tmp_path.resolve() / "b" / "3.png")
    rows = [("1.png", "x"), ("./a//2.png", " y "), (absolute, "7"), ("4.png", ""), ("gone.png", "x")]
    if kind == "csv":
        lines = "".join(f'"{label}",ignored,"{path}"\n' for path, label in rows)
        table.write_text("label,more,path\n" + lines, "utf-8-sig")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        columns = {"path": [path for path, _ in rows], "label": [label or None for _, label in rows]}
        parquet.write_table(pyarrow.table(columns), table)
    found = collection(
        "1.png", "a/2.png", "b/3.png", "4.png", "5.png",
        root=tmp_path,
        skipped=(Skipped(table.name, "not a picture"), Skipped("notes.txt", "not a picture")),
    )  # fmt: skip
    assert labels(found, str(table)) == {"1.png": "x", "a/2.png": "y", "b/3.png": "7"}
    assert label_items(found, str(table)).skipped == (
        Skipped("notes.txt", "not a picture"),
        Skipped("4.png", f"without a label in labels.{kind}"),
        Skipped("5.png", f"without a label in labels.{kind}"),
        Skipped("gone.png", f"in labels.{kind}, but no picture here"),
    )


def test_numbers_of_a_parquet_file_are_class_names(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"path": ["1.png"], "label": [3]}), tmp_path / "t.parquet")
    assert labels(collection("1.png"), str(tmp_path / "t.parquet")) == {"1.png": "3"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1.png,x\n", "it has the columns 1.png, x, not path and label"),
        (b"", "it has the columns of nothing, not path and label"),
        (b"path,label\n\xff,x\n", "'utf-8' codec can't decode"),
        (b"path,label\n1.png,x\n./1.png,y\n", "gives ./1.png two labels, x and y"),
        (b"path,label\nother.png,x\n", "is that of a picture in photos"),
        (b'path,label\n"' + b"x" * 200_000 + b'",y\n', "field larger than field limit"),
        (b"path,label\n1.png," + b"x" * 1_001, "it has a label of 1,001 characters, more than 1,000"),
        (b"path,label,label\n1.png,x,y\n", "it has the column label more than once"),
        (
            b"path,label\n1.png,x\n2.png,Smith, John\n",
            "line 3 has 3 values for 2 columns: quote those with commas",
        ),
        (b'path,label\n1.png,"b\n2.png,c\n', "unexpected end of data"),
        (
            b",".join(b"c%d" % n for n in range(100_000)),
            "columns c0, c1, c2, c3, c4, c5, c6, c7, ..., not path",
        ),
        (b"x" * 3 * 2**20, "it has a line of more than 1,048,576 characters"),
    ],
    ids=[
        *("no heading", "empty", "not UTF-8", "two labels", "no match", "a long field"),
        *("a long label", "a column twice", "a comma", "an open quote", "many columns", "a long line"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BadDatasetError) as caught:
        label_items(collection("1.png"), str(tmp_path / "t.csv"))
    assert message in caught.value.message


def test_commas_at_the_end_of_a_row_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\n1.png,x,,\n2.png,y,\n")
    assert labels(collection("1.png", "2.png"), str(tmp_path / "t.csv")) == {"1.png": "x", "2.png": "y"}


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(BadDatasetError, match="cannot be read"):
        label_items(collection("1.png"), str(tmp_path / "t.parquet"))


def test_a_misspelled_way_is_guessed() -> None:
    with pytest.raises(BadDatasetError, match="labels 'foldr' cannot be read") as caught:
        label_items(collection("1.png"), "foldr")
    assert caught.value.hint.startswith("did you mean 'folder'? choose folder, last, none, or a CSV")


def packed(path: Path, columns: Sequence[object], names: Sequence[str] = ("path", "label")) -> str:
    """A Parquet file that is small whatever it unpacks to."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns, names=names), path, compression="zstd")
    return str(path)


HOSTILE: dict[str, tuple[Callable[[Any], Sequence[object]], str]] = {
    "a list": (lambda _: (["1.png"], [["x"]]), "its column label is neither text nor whole numbers"),
    "a record": (lambda _: ([{"a": 1}], ["x"]), "its column path is neither text nor whole numbers"),
    "bytes": (lambda _: ([b"1.png"], ["x"]), "its column path is neither text nor whole numbers"),
    "nothing": (lambda pa: (pa.nulls(1), ["x"]), "its column path is neither text nor whole numbers"),
    "too many rows": (lambda pa: [pa.repeat("x", 10_000_001)] * 2, "it has more than 10,000,000 rows"),
    "text said again": (
        lambda pa: (pa.repeat("x" * 4_200, 65_536), pa.repeat("y", 65_536)),
        "columns path and label have more than 256 MB",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, name: str) -> None:
    make, message = HOSTILE[name]
    table = packed(tmp_path / "t.parquet", make(pytest.importorskip("pyarrow")))
    assert Path(table).stat().st_size < 2**20
    with pytest.raises(BadDatasetError) as caught:
        label_items(collection("1.png"), table)
    assert message in caught.value.message


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    table = packed(tmp_path / "t.parquet", (["1.png"], ["x"], ["y"]), ("path", "label", "label"))
    with pytest.raises(BadDatasetError, match="it has the column label more than once"):
        label_items(collection("1.png"), table)


def test_labels_may_be_coded_by_a_dictionary(tmp_path: Path) -> None:
    coded = pytest.importorskip("pyarrow").array(["x", "y"]).dictionary_encode()
    table = packed(tmp_path / "t.parquet", (["1.png", "2.png"], coded))
    assert labels(collection("1.png", "2.png"), table) == {"1.png": "x", "2.png": "y"}


def test_what_a_parquet_file_says_it_unpacks_to_is_believed(tmp_path: Path) -> None:
    table = packed(tmp_path / "t.parquet", (["1.png"], ["x" * 10**6]))
    from pyarrow import parquet

    label_tables._check_size(parquet.ParquetFile(table).metadata, 2 * 10**6)
    with pytest.raises(ValueError, match="columns path and label have more than 1 MB"):
        label_tables._check_size(parquet.ParquetFile(table).metadata, 10**6)


def begins_with(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that each Python process runs first which is started from now on."""
    (folder / "sitecustomize.py").write_text(f"import atexit, os, signal\n{code}\n")
    monkeypatch.syspath_prepend(folder)


def test_a_crash_when_all_has_been_read_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = packed(tmp_path / "t.parquet", (["1.png", "2.png"], ["x", "y"]))
    begins_with("atexit.register(os.kill, os.getpid(), signal.SIGSEGV)", tmp_path, monkeypatch)
    assert labels(collection("1.png", "2.png"), table) == {"1.png": "x", "2.png": "y"}


@pytest.mark.parametrize(
    ("code", "how"), [("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"), ("os._exit(7)", "exit code 7")]
)
def test_a_table_whose_reading_ends_the_process_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, how: str
) -> None:
    table = packed(tmp_path / "t.parquet", (["1.png"], ["x"]))
    begins_with(code, tmp_path, monkeypatch)
    with pytest.raises(BadDatasetError) as caught:
        labels(collection("1.png"), table)
    assert f"it is damaged: reading it ended the process ({how})" in caught.value.message


def test_a_damaged_parquet_file_is_refused_or_read(tmp_path: Path) -> None:
    table = Path(packed(tmp_path / "t.parquet", ([f"{row}.png" for row in range(9)], list("abcabcabc"))))
    intact, random = table.read_bytes(), np.random.default_rng(0)
    for _ in range(8):
        spoilt = bytearray(intact)
        for place in random.integers(0, len(intact), 3):
            spoilt[place] ^= 1 << int(random.integers(8))
        table.write_bytes(spoilt)
        with contextlib.suppress(BadDatasetError):  # and nothing else
            label_items(collection("1.png"), str(table))


@pytest.mark.parametrize(
    ("written", "name"), [(" c0 ", "c0"), ("cafe\u0301", "café"), ("a b", "a b"), ("7", "7")]
)
def test_a_class_name_has_one_form(written: str, name: str) -> None:
    assert class_name(written) == name
    assert meant_class(written, ("x", name), "toy") == name


def test_a_class_that_an_older_index_called_otherwise_is_meant_by_its_very_name() -> None:
    assert meant_class("cafe\u0301", ("café", "cafe\u0301"), "toy") == "cafe\u0301"
    assert meant_class(" x", (" x", "x"), "toy") == " x"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "'' cannot name a class"),
        (" \t", "' \\t' cannot name a class"),
        ("a\ud800", "'a\\ud800' cannot name a class: it is no text"),
        ("\udcff", "'\\udcff' cannot name a class: it is no text"),
    ],
)
def test_what_cannot_name_a_class_is_refused(written: str, message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        class_name(written)
    assert caught.value.message == message
