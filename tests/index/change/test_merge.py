"""Segments merged block by block hold, bit for bit, what they would if they had been written at once."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from simsearch.errors import BrokenBundleError
from simsearch.index.change import merge
from simsearch.index.change.merge import Shape, merge_segments
from simsearch.index.manifest import Segment
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import write_index
from simsearch.index.stores.opening import write_flat
from simsearch.index.writing import Described, write_segment

VECTORS = np.eye(7, dtype=np.float32)
PICTURES = np.arange(7 * 4, dtype=np.uint8).reshape(7, 2, 2)
SOURCES = ["", "b/1", "ß", "d" * 50, "", "f", "g"]
LABELS = np.array([0, 5, 0, 5, 5, 9, 0])
SHAPE = Shape(7, (2, 2))


def segment(folder: Path, *rows: int, factory: str = "Flat", labels: np.ndarray = LABELS) -> Segment:
    chosen = np.array(rows)
    store = FaissStore.build(VECTORS[chosen], chosen * 10, labels[chosen], factory=factory)
    described = Described.of(PICTURES[chosen], [SOURCES[row] for row in rows])
    return write_segment(folder, store, described, factory=factory)


def test_a_flat_index_is_written_as_faiss_writes_it(tmp_path: Path) -> None:
    index = faiss.IndexFlatIP(7)
    index.add(VECTORS)
    write_index(index, tmp_path / "expected")
    write_flat(tmp_path / "found", 7, 7, iter([VECTORS[:3], VECTORS[3:]]))
    assert (tmp_path / "found").read_bytes() == (tmp_path / "expected").read_bytes()


@pytest.mark.parametrize("block", [1, 2**22])
@pytest.mark.parametrize("first", ["Flat", "SQ8"])
def test_a_merged_segment_has_the_files_of_one_that_was_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, first: str
) -> None:
    monkeypatch.setattr(merge, "_BLOCK_BYTES", block)
    parts = [segment(tmp_path, 0, 1, 2, factory=first), segment(tmp_path, 3, 4), segment(tmp_path, 5, 6)]
    removed = np.array([10, 30, 40])  # all of the second among them
    found = merge_segments(tmp_path, tmp_path, parts, SHAPE, removed=removed)
    assert found == segment(tmp_path, 0, 2, 5, 6)
    renumbered = merge_segments(
        tmp_path, tmp_path, parts, SHAPE, removed=removed, factory="SQ8", renumber={0: 1, 9: 0}
    )
    expected = segment(tmp_path, 0, 2, 5, 6, factory="SQ8", labels=np.array([1, 7, 1, 7, 7, 0, 1]))
    assert renumbered == expected
    assert_array_equal(np.load(tmp_path / found.files["ids"].name), [0, 20, 50, 60])


def test_many_segments_are_merged_with_few_files_open(tmp_path: Path) -> None:
    """A build of ten million files has a thousand segments, and a process may open 1,024 files."""
    resource = pytest.importorskip("resource")
    parts = [segment(tmp_path, row) for row in range(7)]
    with (tmp_path / "ids").open("wb") as file:
        used = file.fileno()  # the lowest that is free
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 6, before[1]))
    try:
        found = merge_segments(tmp_path, tmp_path, parts, SHAPE, removed=np.empty(0, np.int64))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert found == segment(tmp_path, *range(7))


def test_a_damaged_segment_is_not_merged(tmp_path: Path) -> None:
    part = segment(tmp_path, 0, 1)
    (tmp_path / part.files["ids"].name).write_bytes(b"junk")
    with pytest.raises(BrokenBundleError, match="is damaged"):
        merge_segments(tmp_path, tmp_path, [part], SHAPE, removed=np.empty(0, np.int64))
