"""Tables of vectors of other programs: what is read from them, and what is refused in words."""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simsearch.data import vector_tables
from simsearch.data.vector_tables import read_vector_table, unit_rows
from simsearch.errors import BadInputError


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "table.npz", **arrays)
    return folder / "table.npz"


def test_vectors_are_brought_to_length_1_and_rows_to_the_order_of_ids(tmp_path: Path) -> None:
    path = npz(
        tmp_path,
        embeddings=np.array([[3, 4], [0, 2], [1, 0]]),
        ids=np.array([7, 2, 5]),
        labels=np.array(["10", "9", "10"]),
        paths=np.array(["a", "b", "c"]),
    )
    table = read_vector_table(path)
    assert table.vectors.dtype == np.float32
    assert table.vectors == pytest.approx(np.array([[0, 1], [1, 0], [0.6, 0.8]]))
    assert (table.ids.tolist(), table.sources) == ([2, 5, 7], ("b", "c", "a"))
    assert table.classes == ("9", "10")
    assert table.labels is not None
    assert table.labels.tolist() == [0, 1, 1]
    assert (table.scaled, table.model, table.encoder) == (2, None, None)


def test_numbers_of_classes_are_their_names_and_all_else_is_made_up(tmp_path: Path) -> None:
    path = npz(tmp_path, v=np.eye(2), label=np.array([1, 0]), classes=np.array(["cat", "dog"]))
    table = read_vector_table(path, "v")
    assert table.labels is not None
    assert [table.classes[label] for label in table.labels] == ["dog", "cat"]
    assert (table.ids.tolist(), table.sources) == ([0, 1], ("table/0", "table/1"))
    assert read_vector_table(npz(tmp_path, vectors=np.eye(2))).labels is None


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"vector": [[3.0, 4.0], [0.0, 1.0]], "label": ["b", "a"], "path": ["x", "y"], "more": [1, 2]}
    parquet.write_table(pa.table(columns), tmp_path / "table.parquet")
    table = read_vector_table(tmp_path / "table.parquet")
    assert table.vectors == pytest.approx(np.array([[0.6, 0.8], [0, 1]]))
    assert (table.classes, table.sources) == (("a", "b"), ("x", "y"))
    parquet.write_table(pa.table({"vector": [[1.0], [1.0, 2.0], [1.0]]}), tmp_path / "ragged.parquet")
    with pytest.raises(BadInputError, match="not rows of numbers of one length"):
        read_vector_table(tmp_path / "ragged.parquet")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.eye(2)}, "it has no vectors or vector or embeddings or embedding; it has x"),
        ({"vectors": np.zeros((2, 2))}, "the vector of row 0 is not finite, or 0"),
        ({"vectors": np.array([[1, 0], [np.nan, 1]])}, "the vector of row 1 is not finite"),
        ({"vectors": np.ones(3)}, "not rows of numbers of one length"),
        ({"vectors": np.empty((0, 3))}, "not rows of numbers of one length"),
        ({"vectors": np.array([["a", "b"]])}, "not rows of numbers of one length"),
        ({"vectors": np.eye(2), "labels": np.array(["a"])}, r"labels of shape \(1,\) for 2 vectors"),
        ({"vectors": np.eye(2), "labels": np.array(["a", ""])}, "row 1 has no label"),
        ({"vectors": np.eye(2), "labels": np.array([0.0, np.nan])}, "row 1 has no label"),
        (
            {"vectors": np.eye(2), "labels": np.array([0, 2]), "classes": np.array(["a", "b"])},
            "a label is not the number of one of its classes",
        ),
        ({"vectors": np.eye(2), "ids": np.array([1, 1])}, "not 2 different numbers"),
        ({"vectors": np.eye(2), "ids": np.array([-1, 1])}, "not 2 different numbers"),
        ({"vectors": np.eye(2), "ids": np.array(["a", "b"])}, "no whole numbers"),
        ({"vectors": np.eye(2), "sources": np.array(["a"])}, r"sources of shape \(1,\)"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        read_vector_table(npz(tmp_path, **arrays))


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    pickled = npz(tmp_path, vectors=np.array([{"a": 1}], object))
    with pytest.raises(BadInputError, match="cannot read vectors"):
        read_vector_table(pickled)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vectors.npy", bytes(300 * 2**20))
    with pytest.raises(BadInputError, match="unpacks to far more than it holds"):
        read_vector_table(tmp_path / "bomb.npz")
    for name, content in (("a.npz", b"no zip"), ("a.parquet", b"no table"), ("a.txt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInputError):
            read_vector_table(tmp_path / name)
    with pytest.raises(BadInputError, match="cannot read vectors"):
        read_vector_table(tmp_path / "none.npz")


def npy(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    """The content of a `.npy` file that says so much and holds 64 bytes."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\0" + (len(header) + 1).to_bytes(2, "little") + header.encode() + b"\n" + bytes(64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy((10**12, 8)), "an array of float32 .* in it is cut short"),
        (npy((1_000,), "<U500000000"), "in it is cut short"),
        (npy((2,), "[" * 3_000), "cannot read vectors"),
    ],
    ids=["shape", "dtype", "brackets"],
)
def test_an_array_that_says_more_than_it_holds_takes_no_memory(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("vectors.npy", content)
    with pytest.raises(BadInputError, match=message):
        read_vector_table(tmp_path / "a.npz")


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Each is small enough for what it claims to be packed in; all claim the same bytes."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vectors.npy", np.random.default_rng(0).bytes(2**20) + bytes(2**25))
    packed = content.getvalue()
    start, end = packed.rindex(b"PK\x01\x02"), packed.rindex(b"PK\x05\x06")
    entries = b"".join(
        packed[start:end].replace(b"vectors.npy", b"v%06d.npy" % number) for number in range(300)
    )
    tail = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 300, 300, len(entries), start, 0)
    (tmp_path / "a.npz").write_bytes(packed[:start] + entries + tail)
    with pytest.raises(BadInputError, match="unpacks to far more than it holds"):
        read_vector_table(tmp_path / "a.npz")


def test_a_small_parquet_file_cannot_unpack_to_far_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once 5 kB took 1.4 GB and 1 kB, in a column that nobody reads, 5.8 GB."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(vector_tables, "_MOST_INFLATED", 2)

    def table(**columns: object) -> Path:
        path = tmp_path / "a.parquet"
        parquet.write_table(pyarrow.table(columns), path, compression="zstd", store_schema=False)
        return path

    same = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(np.ones(4_000_000, np.float32)), 1_000)
    long = pyarrow.DictionaryArray.from_arrays(np.zeros(4_000, np.int32), ["x" * 2**12])
    pairs = pyarrow.array([[1.0, 0.0]] * 4_000)
    for path in (table(vectors=same), table(vectors=pairs, sources=long)):
        assert path.stat().st_size < 2**20
        with pytest.raises(BadInputError, match="unpacks to far more than it holds"):
            read_vector_table(path)
    unread = read_vector_table(table(vectors=pairs, other=long))
    assert len(unread.ids) == 4_000
    with pytest.raises(BadInputError, match=r"it has no vectors or .*; it has sources"):
        read_vector_table(table(sources=pyarrow.array(["a"])))


def test_a_label_may_be_a_number_of_any_length(tmp_path: Path) -> None:
    found = read_vector_table(npz(tmp_path, vectors=np.eye(3), labels=np.array(["9" * 5_000, "10", "9"])))
    assert found.classes == ("9", "10", "9" * 5_000)


def test_names_of_classes_that_look_alike_are_one_class(tmp_path: Path) -> None:
    written = np.array(["cafe\u0301", "café", " café ", "b"])
    found = read_vector_table(npz(tmp_path, vectors=np.eye(4), labels=written))
    assert found.classes == ("b", "café")
    assert found.labels is not None
    assert found.labels.tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("label", ["a\ud800", "  "])
def test_a_label_that_cannot_name_a_class_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(BadInputError, match="cannot name a class"):
        read_vector_table(npz(tmp_path, vectors=np.eye(2), labels=np.array(["a", label])))


@pytest.mark.filterwarnings("error")
def test_vectors_of_any_finite_length_have_a_direction(tmp_path: Path) -> None:
    rows = np.array([[3e300, 4e300], [3e-300, 4e-300], [3, 4], [0.6, 0.8]])
    found = read_vector_table(npz(tmp_path, vectors=rows))
    assert found.vectors == pytest.approx(np.tile([0.6, 0.8], (4, 1)))
    assert found.scaled == 3
    units, lengths = unit_rows(np.array([[0.0, 0], [np.inf, 1], [np.nan, 1], [5e-324, 0], [0, -2]]))
    assert np.isnan(lengths[:3]).all()
    assert units[3:].tolist() == [[1, 0], [0, -1]]
    assert lengths[4] == 2


def test_an_id_beyond_the_largest_is_named(tmp_path: Path) -> None:
    ids = np.array([0, 2**62], np.int64)
    with pytest.raises(BadInputError, match=r"ids go up to 4,611,686,018,427,387,904, and 4,6.*903 is the"):
        read_vector_table(npz(tmp_path, vectors=np.eye(2), ids=ids))
