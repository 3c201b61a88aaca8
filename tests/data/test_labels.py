"""Classes of files, by folders and by tables."""

import unicodedata
from pathlib import Path

import pytest

from simsearch.data.collection import Collection, Item, Skipped
from simsearch.data.labels import label_items
from simsearch.errors import BadDatasetError

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
    ],
    ids=["no heading", "empty", "not UTF-8", "two labels", "no match", "a long field"],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BadDatasetError) as caught:
        label_items(collection("1.png"), str(tmp_path / "t.csv"))
    assert message in caught.value.message


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(BadDatasetError, match="cannot be read"):
        label_items(collection("1.png"), str(tmp_path / "t.parquet"))


def test_a_misspelled_way_is_guessed() -> None:
    with pytest.raises(BadDatasetError, match="labels 'foldr' cannot be read") as caught:
        label_items(collection("1.png"), "foldr")
    assert caught.value.hint.startswith("did you mean 'folder'? choose folder, last, none, or a CSV")
