"""Items on their way into files: what was stopped goes on, and what does not fit begins again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys import quadrant_image

from simsearch.index import staging as module
from simsearch.index.change.merge import Shape
from simsearch.index.data_files import open_checked
from simsearch.index.segment import load_array
from simsearch.index.staging import Staging
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.writing import Described, write_segment

SHAPE = Shape(4, (28, 28))


def add(staging: Staging, *items: int) -> None:
    vectors = np.tile(np.array([[1, 0, 0, 0]], np.float32), (len(items), 1))
    store = FaissStore.build(vectors, np.array(items), np.zeros(len(items), np.int64))
    described = Described(
        np.stack([quadrant_image(item, 1, 2, 3) for item in items]), [f"{i}.png" for i in items]
    )
    staging.add(write_segment(staging.folder, store, described), items[-1])


def ids_in(staging: Staging) -> list[list[int]]:
    found = []
    for segment in staging.segments:
        with open_checked(staging.folder, segment.files["ids"]) as file:
            found.append(load_array(file, np.int64, (segment.count,)).tolist())
    return found


def test_what_was_kept_is_gone_on_with_and_the_rest_of_a_stop_is_swept(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "building", "a", SHAPE)
    assert (staging.last, staging.count) == (-1, 0)
    add(staging, 0, 2)
    add(staging, 5)
    store = FaissStore.build(np.eye(4, dtype=np.float32)[:1], np.array([9]))
    write_segment(
        staging.folder, store, Described(np.stack([quadrant_image(9, 9, 9, 9)]), ["9.png"])
    )  # killed
    again = Staging(tmp_path / "building", "a", SHAPE)
    assert (again.last, again.count, ids_in(again)) == (5, 3, [[0, 2], [5]])
    named = {entry.name for segment in again.segments for entry in segment.files.values()}
    assert {path.name for path in again.folder.iterdir()} == named | {"moving.json"}
    again.discard()
    assert not again.folder.exists()


@pytest.mark.parametrize("what", ["other content", "damaged file", "torn state"])
def test_what_does_not_fit_begins_again(tmp_path: Path, what: str) -> None:
    staging = Staging(tmp_path / "building", "a", SHAPE)
    add(staging, 0, 2)
    if what == "damaged file":
        file = staging.folder / staging.segments[0].files["ids"].name
        file.write_bytes(file.read_bytes()[:-1] + b"\7")
    elif what == "torn state":
        state = staging.folder / "moving.json"
        state.write_bytes(state.read_bytes()[:50])
    again = Staging(tmp_path / "building", "b" if what == "other content" else "a", SHAPE)
    assert (again.last, again.count) == (-1, 0)
    assert [path.name for path in again.folder.iterdir()] == ["moving.json"]


def test_many_small_segments_become_few_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIER", 3)
    staging = Staging(tmp_path / "building", "a", SHAPE)
    for item in range(14):
        add(staging, item)
    assert [item for part in ids_in(staging) for item in part] == list(range(14))
    assert [segment.count for segment in staging.segments] == [9, 3, 1, 1]
    assert Staging(tmp_path / "building", "a", SHAPE).count == 14
