"""A flat index file is read without FAISS, as FAISS reads it; every other file is left to FAISS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from conftest import ROOT
from numpy.testing import assert_array_equal

from simsearch.index.stores import opening
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.flat import FlatStore
from simsearch.index.stores.opening import join_flat, open_store, read_flat

COUNT, DIM = 50, 3
ROWS = np.random.default_rng(0).standard_normal((COUNT, DIM))
VECTORS = (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)).astype(np.float32)
IDS = np.arange(COUNT) * 2


def written(path: Path, factory: str) -> Path:
    FaissStore.build(VECTORS, IDS, factory=factory).write(path)
    return path


def test_the_vectors_of_a_flat_index_are_those_that_faiss_reads(tmp_path: Path) -> None:
    path = written(tmp_path / "index", "Flat")
    with path.open("rb") as file:
        vectors = read_flat(file, dim=DIM, count=COUNT)
    index = faiss.read_index(str(path))
    assert_array_equal(vectors, index.reconstruct_n(0, COUNT), strict=True)
    assert_array_equal(vectors, VECTORS, strict=True)


@pytest.mark.parametrize("factory", ["HNSW4", "IVF2,Flat", "SQ8"])
def test_other_indexes_are_read_by_faiss(tmp_path: Path, factory: str) -> None:
    path = written(tmp_path / "index", factory)
    with path.open("rb") as file:
        assert read_flat(file, dim=DIM, count=COUNT) is None
        store = open_store(file, IDS, None, VECTORS, dim=DIM)
    assert isinstance(store, FaissStore)
    assert_array_equal(store.search(VECTORS[:5], 1).ids[:, 0], IDS[:5])


@pytest.mark.parametrize("place", [*range(16), *range(33, 45)], ids=lambda place: f"byte {place}")
def test_a_flat_index_whose_head_is_damaged_is_refused_as_faiss_refuses_it(tmp_path, place: int) -> None:
    """Bytes 16 to 31 stand for nothing, and byte 32 for "trained" whatever it is but 0."""
    path = written(tmp_path / "index", "Flat")
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)
    with (
        path.open("rb") as file,
        pytest.raises(ValueError, match=r"^(FAISS cannot read it|it does not compare by inner|it holds)"),
    ):
        open_store(file, IDS, None, None, dim=DIM)


@pytest.mark.parametrize(("count", "dim"), [(COUNT - 1, DIM), (COUNT, DIM + 1), (30, 5)])
def test_a_flat_index_of_other_vectors_is_refused(tmp_path: Path, count: int, dim: int) -> None:
    path = written(tmp_path / "index", "Flat")
    with path.open("rb") as file, pytest.raises(ValueError, match=f"not {count} of {dim}"):
        open_store(file, IDS[:count], None, None, dim=dim)


@pytest.mark.parametrize("size", [0, 3, 44, 45, 45 + 4 * COUNT * DIM - 1])
def test_a_flat_index_that_is_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    path = written(tmp_path / "index", "Flat")
    path.write_bytes(path.read_bytes()[:size])
    with path.open("rb") as file, pytest.raises(ValueError, match="FAISS cannot read it"):
        open_store(file, IDS, None, None, dim=DIM)


def test_a_flat_index_is_opened_and_searched_without_loading_faiss(tmp_path: Path) -> None:
    path = written(tmp_path / "index", "Flat")
    code = (
        "import sys, numpy as np\n"
        "from simsearch.index.stores.opening import open_store\n"
        f"store = open_store(open({str(path)!r}, 'rb'), np.arange({COUNT}), None, None, dim={DIM})\n"
        "print(store.search(store.vectors(np.array([7])), 1).ids[0, 0], 'faiss' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["7", "False"]


def test_an_opened_flat_index_is_the_exact_store(tmp_path: Path) -> None:
    with written(tmp_path / "index", "Flat").open("rb") as file:
        store = open_store(file, IDS, None, None, dim=DIM)
    assert isinstance(store, FlatStore)
    assert store.is_exact


@pytest.mark.parametrize(
    "gone", [[], [0], [49], [7, 8, 9, 10, 11, 12], list(range(0, 50, 3)), list(range(50))]
)
@pytest.mark.parametrize("bytes_at_once", [12, 100, 2**22])
def test_rows_that_were_removed_are_left_out_while_files_are_read_into_one_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: list[int], bytes_at_once: int
) -> None:
    monkeypatch.setattr(opening, "_BLOCK_BYTES", bytes_at_once)
    path, kept = written(tmp_path / "index", "Flat"), np.delete(np.arange(COUNT), gone)
    with path.open("rb") as first, path.open("rb") as second:
        store = join_flat([first, second], [IDS, IDS + 1_000], [IDS % 2, IDS % 2 + 1], [kept, None], dim=DIM)
    assert store is not None
    assert_array_equal(store.ids, np.concatenate([IDS[kept], IDS + 1_000]), strict=True)
    assert_array_equal(store.labels, np.concatenate([IDS[kept] % 2, IDS % 2 + 1]), strict=True)
    assert_array_equal(store.matrix, np.concatenate([VECTORS[kept], VECTORS]), strict=True)


def test_files_of_which_one_is_not_flat_are_not_joined_and_can_be_read_again(tmp_path: Path) -> None:
    paths = [written(tmp_path / "flat", "Flat"), written(tmp_path / "other", "SQ8")]
    with paths[0].open("rb") as flat, paths[1].open("rb") as other:
        assert join_flat([flat, other], [IDS, IDS + 1_000], None, [None, None], dim=DIM) is None
        assert (flat.tell(), other.tell()) == (0, 0)
