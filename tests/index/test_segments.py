"""An index of several segments, some items removed, is read as one gallery; what does not fit is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from toys import quadrant_image, toy_split

from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.errors import BrokenBundleError
from simsearch.index.bundle import MANIFEST, commit, open_bundle, read_items, read_manifest
from simsearch.index.catalog import class_counts
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.rows import JoinedRows
from simsearch.index.segment import STAMP
from simsearch.index.stores.base import gather
from simsearch.index.stores.comparison import compare
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.flat import FlatStore
from simsearch.index.verify import verify
from simsearch.index.writing import Described, write_segment

FIRST = toy_split([((100, 0, 0, 0), 0), ((60, 80, 0, 0), 0), ((0, 100, 0, 0), 1)], classes=("a", "b"))
LATER = toy_split([((0, 0, 60, 80), 2), ((0, 0, 0, 9), 1)], classes=("a", "b", "c"))
STAMPS = np.array([(5, 7, (1, 2)), (6, 8, (3, 4))], STAMP)


def changed_index(
    folder: Path, model: Model, build: Callable[..., Path], removed: tuple[int, ...] = (1,), **changes: object
) -> Path:
    """The first gallery as items 0 to 2, the later one as 5 and 6 in a segment of its own."""
    build(FIRST)
    manifest = read_manifest(folder)
    store = FaissStore.build(model.encoder.encode(LATER.images), np.array([5, 6]), LATER.labels)
    sources = ("later/0", "later/1")
    segment = write_segment(folder, store, Described.of(LATER.images, sources, STAMPS))
    files = dict(manifest.files)
    if removed:
        files["removed"] = write_data_file(folder, "removed", write_array(np.array(removed, np.int64)))
    manifest = structs.replace(
        manifest,
        count=5 - len(removed),
        rows=3,
        files=files,
        segments=(segment,),
        classes=("a", "b", "c"),
        next_id=7,
    )
    commit(folder, structs.replace(manifest, **changes))
    return folder


@pytest.fixture
def index(tmp_path: Path, toy_model: Model, build_toy: Callable[..., Path]) -> Path:
    return changed_index(tmp_path / "toy", toy_model, build_toy)


def test_segments_are_read_as_one_gallery_without_what_was_removed(index: Path, toy_model: Model) -> None:
    bundle = open_bundle(index, threads=1)
    images = np.concatenate([FIRST.images[[0, 2]], LATER.images])
    assert_array_equal(bundle.ids, [0, 2, 5, 6], strict=True)
    assert_array_equal(bundle.labels, [0, 1, 2, 1], strict=True)
    assert_array_equal(bundle.thumbnails, images, strict=True)
    assert_array_equal(bundle.pictures(np.array([6, 0])), images[[3, 0]], strict=True)
    assert list(bundle.sources) == ["toy/0", "toy/2", "later/0", "later/1"]
    assert bundle.sources[-1] == "later/1"
    assert bundle.keeps_digits
    everything = gather(bundle.store)
    assert_array_equal(everything.ids, bundle.ids)
    assert_array_equal(everything.vectors, toy_model.encoder.encode(images), strict=True)
    hits = bundle.store.search(toy_model.encoder.encode(quadrant_image(60, 80, 0, 0)[None]), 9)
    assert hits.ids.tolist() == [[2, 0, 5, 6]]
    assert hits.scores[0].tolist() == pytest.approx([0.8, 0.6, 0, 0])
    assert class_counts(index, bundle.manifest) == {"a": 1, "b": 2, "c": 1}
    with pytest.raises(ValueError, match="an id is not stored"):
        bundle.rows(np.array([1]))


def test_it_passes_the_whole_check(index: Path) -> None:
    checks = list(verify(index, threads=1))
    assert all(check.passed for check in checks), checks
    assert sum(check.name == "ids" for check in checks) == 2


def test_flat_segments_are_one_array_and_an_approximate_one_keeps_ranking_classes_by_candidates(
    index: Path, build_toy: Callable[..., Path], toy_model: Model, tmp_path: Path
) -> None:
    """What was added to it is looked at whole, and `exact` looks at everything."""
    assert type(open_bundle(index, threads=1).store) is FlatStore
    folder = changed_index(tmp_path / "toy", toy_model, partial(build_toy, factory="SQ8"))
    store = open_bundle(folder, threads=1).store
    query = toy_model.encoder.encode(quadrant_image(60, 80, 0, 0)[None])
    for exact in (False, True):
        compared = compare(store, query, exact=exact)
        assert compared.is_exact is exact
        assert compared.nearest(9).ids.tolist() == [[2, 0, 5, 6]]
        assert compared.in_each(2, store.classes).ids.tolist() == [[[0, -1], [2, 6], [5, -1]]]
        assert compared.in_own(2, np.array([1]), left_out=np.array([2])).ids.tolist() == [[6, -1]]


def test_classes_may_have_other_numbers_in_the_files(
    tmp_path: Path, toy_model: Model, build_toy: Callable[..., Path]
) -> None:
    """Class b is empty but for a removed item, so its number means nothing any more."""
    folder = changed_index(
        tmp_path / "toy", toy_model, build_toy, (2, 6), classes=("A", "c"), class_numbers=(0, 2)
    )
    bundle = open_bundle(folder, threads=1)
    assert_array_equal(bundle.labels, [0, 0, 1], strict=True)
    assert class_counts(folder, bundle.manifest) == {"A": 2, "c": 1}
    assert bundle.store.classes == (0, 1)


def test_what_is_said_of_items_is_read_without_vectors(index: Path) -> None:
    (index / read_manifest(index).files["index"].name).unlink()
    first, later = read_items(index, read_manifest(index), "sources", "source_ends", "stamps")
    assert (first.ids.tolist(), first.rows.tolist(), first.stamps) == ([0, 1, 2], [0, 2], None)
    assert (later.ids.tolist(), later.rows.tolist(), later.labels) == ([5, 6], [0, 1], None)
    assert later.sources is not None
    assert list(later.sources) == ["later/0", "later/1"]
    assert_array_equal(later.stamps, STAMPS)


@pytest.mark.parametrize(
    ("removed", "changes", "reason"),
    [
        ((2, 1), {}, "its removed ids do not ascend"),
        ((4,), {}, "a removed id is not stored"),
        ((1,), {"class_numbers": (0, 1, 3)}, "a label is not the number of a class"),
        ((1,), {"classes": ("a", "b")}, "a label is not the number of a class"),
        ((1,), {"count": 3}, "removed-.* holds int64 \\(1,\\), not int64 \\(2,\\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path,
    toy_model: Model,
    build_toy: Callable[..., Path],
    removed: tuple[int, ...],
    changes: dict[str, object],
    reason: str,
) -> None:
    folder = changed_index(tmp_path / "toy", toy_model, build_toy, removed, **changes)
    with pytest.raises(BrokenBundleError, match=f"is inconsistent: {reason}"):
        open_bundle(folder, threads=1)


def test_segments_whose_ids_do_not_ascend_are_refused(index: Path, toy_model: Model) -> None:
    manifest = read_manifest(index)
    store = FaissStore.build(toy_model.encoder.encode(LATER.images), np.array([2, 9]), LATER.labels)
    again = write_segment(index, store, Described.of(LATER.images, ("x", "y"), STAMPS))
    commit(index, structs.replace(manifest, segments=(again,)))
    with pytest.raises(BrokenBundleError, match="the ids of the segments do not ascend"):
        open_bundle(index, threads=1)


def test_small_pictures_of_segments_are_joined() -> None:
    large: Split = replace(FIRST, images=np.repeat(FIRST.images, 4, axis=1).repeat(4, axis=2))
    shown = Described.of(large.images, large.sources).shown
    joined = JoinedRows([shown, shown], [None, np.array([1])])
    assert (len(joined), joined[3].shape, len(joined[np.array([3, 0])])) == (4, (112, 112, 3), 2)
    assert_array_equal(joined[3], shown[1])


def test_rows_are_taken_as_from_one_array() -> None:
    first, second = np.arange(12).reshape(4, 3), np.arange(100, 106).reshape(2, 3)
    joined = JoinedRows([first, second], [np.array([0, 3]), None])
    whole = np.concatenate([first[[0, 3]], second])
    assert_array_equal(joined, whole, strict=True)
    for rows in (
        slice(1, 3),
        slice(None, None, -2),
        np.array([3, 0, 3]),
        np.array([True, False, True, False]),
        [2],
    ):
        assert_array_equal(joined[rows], whole[rows], strict=True)
    for row in (0, 1, 2, 3, -1, -4, np.int64(2)):
        assert_array_equal(joined[row], whole[row], strict=True)
    with pytest.raises(IndexError):
        joined[4]


KEPT = Path(__file__).parents[1] / "fixtures" / "format-3" / "flat"
HOSTILE: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "negative": lambda numbers: np.concatenate([[-1], numbers[1:]]),
    "least": lambda numbers: np.concatenate([numbers[:-1], [-(2**63)]]),
    "large": lambda numbers: np.concatenate([numbers[:-1], [2**63 - 1]]),
    "descending": lambda numbers: numbers[::-1],
    "the same": lambda numbers: np.full_like(numbers, numbers[0]),
    "elsewhere": lambda numbers: np.arange(len(numbers)) + 10**6,
    "shifted": lambda numbers: numbers + 1,
    "none": lambda numbers: numbers[:0],
    "one more": lambda numbers: np.append(numbers, numbers[-1] + 1),
}


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("role", ["ids", "labels", "source_ends", "removed"])
def test_whatever_numbers_a_segment_holds_no_item_is_doubled_or_missing(
    role: str, part: int, tmp_path: Path
) -> None:
    """Checksums are right: someone made it so. What is answered is whole, or the index is refused."""
    manifest, [segment] = read_manifest(KEPT), read_manifest(KEPT).segments
    if part and role == "removed":
        pytest.skip("what was removed is of the whole index")
    files = segment.files if part else manifest.files
    for name, change in HOSTILE.items():
        folder = shutil.copytree(KEPT, tmp_path / name)
        numbers = change(np.load(KEPT / files[role].name)).astype(np.int64)
        changed = {**files, role: write_data_file(folder, role, write_array(numbers))}
        segments = (structs.replace(segment, files=changed),)
        commit(
            folder,
            structs.replace(manifest, segments=segments)
            if part
            else structs.replace(manifest, files=changed),
        )
        try:
            bundle = open_bundle(folder, threads=1)
        except BrokenBundleError:
            continue
        assert len(bundle.ids) == len(set(bundle.ids.tolist())) == manifest.count, name
        hits = bundle.store.search(bundle.store.vectors(bundle.ids[:1]), manifest.count + 1)
        assert sorted(hits.ids[0].tolist()) == bundle.ids.tolist(), name
        assert len(list(bundle.sources)) == manifest.count


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 6},
        {"count": 2**60},
        {"rows": 0},
        {"rows": 10**9},
        {"next_id": 0},
        {"next_id": -1},
        {"segments": ()},
        {"segments": read_manifest(KEPT).segments * 100},
        {"class_numbers": (0, 0, 0)},
    ],
    ids=str,
)
def test_a_manifest_of_segments_that_lies_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    folder = shutil.copytree(KEPT, tmp_path / "kept")
    (folder / MANIFEST).write_bytes(structs.replace(read_manifest(KEPT), **changes).to_json())
    with pytest.raises(BrokenBundleError):
        open_bundle(folder, threads=1)
