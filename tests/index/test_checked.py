"""Large files are checked block by block when they are used: damage is refused, and found by `verify`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from numpy.testing import assert_array_equal
from toys import calibrate_index, toy_split

from simsearch.encode.model_folder import Model
from simsearch.errors import BrokenBundleError
from simsearch.index import checked
from simsearch.index.build import build_index
from simsearch.index.bundle import commit, open_bundle, read_manifest
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.manifest import SEGMENTS_FORMAT
from simsearch.index.stores.base import gather
from simsearch.index.verify import verify
from simsearch.search.searcher import Searcher

GALLERY = toy_split(
    [((100, row, 0, 0), 0) for row in range(40)] + [((0, row, 100, 0), 1) for row in range(40)],
    classes=("a", "b"),
)
MAPPED = {"Flat": ("index", "thumbnails"), "IVF2,SQ8": ("vectors", "thumbnails")}


@pytest.fixture(params=MAPPED)
def factory(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def index(tmp_path: Path, toy_model: Model, monkeypatch: pytest.MonkeyPatch, factory: str) -> Path:
    """An index whose files are taken for large ones, in blocks of 256 bytes."""
    monkeypatch.setattr(checked, "LARGE", 1)
    monkeypatch.setattr(checked, "_BLOCK", 256)
    monkeypatch.setattr(checked, "_MAPPED", 2_000)
    build_index(GALLERY, toy_model, tmp_path / "toy", factory=factory)
    return calibrate_index(tmp_path / "toy")


def damage(folder: Path, role: str, at: int) -> Path:
    """Change one byte of a file; its size stays."""
    path = folder / read_manifest(folder).files[role].name
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    return path


def test_what_is_read_when_it_is_used_answers_as_what_is_read_when_it_is_opened(index: Path) -> None:
    lazily, whole = (Searcher.open(index, threads=1, private=private) for private in (0, 2**20))
    assert isinstance(lazily.bundle.thumbnails, checked.CheckedArray)
    assert isinstance(whole.bundle.thumbnails, np.ndarray)
    one, other = (searcher.query_item(47, k=12) for searcher in (lazily, whole))
    assert (one.hits, one.classes, one.verdict) == (other.hits, other.classes, other.verdict)
    assert {hit.id for hit in one.hits[:2]} == {46, 48}
    for read in (lazily, whole):
        assert_array_equal(gather(read.bundle.store).vectors, gather(whole.bundle.store).vectors, strict=True)
        assert_array_equal(read.bundle.thumbnails[3:9], GALLERY.images[3:9], strict=True)
        assert_array_equal(read.bundle.thumbnails[np.array([70, -1, 2])], GALLERY.images[[70, 79, 2]])
        many = np.random.default_rng(0).integers(-80, 80, 200)
        assert_array_equal(read.bundle.thumbnails[many], GALLERY.images[many])
        assert len(read.bundle.thumbnails[many[:0]]) == 0
        assert_array_equal(read.bundle.thumbnails[-2], GALLERY.images[78], strict=True)
        assert_array_equal(np.asarray(read.bundle.thumbnails), GALLERY.images, strict=True)
    with pytest.raises(IndexError):
        lazily.bundle.thumbnails[np.array([80])]


def test_such_an_index_is_of_the_third_format_and_passes_the_whole_check(index: Path) -> None:
    assert f'"format": {SEGMENTS_FORMAT}' in (index / "manifest.json").read_text()
    checks = list(verify(index, threads=1))
    assert all(check.passed for check in checks), checks
    assert "blocks" in [check.name for check in checks]


def test_damage_never_becomes_an_answer(index: Path, factory: str) -> None:
    for role in MAPPED[factory]:
        path = damage(index, role, -1 if role == "thumbnails" else 128 + 47 * 16)
        opened = Searcher.open(index, threads=1, private=0)
        with pytest.raises(BrokenBundleError, match=r"is damaged: its size or checksum is wrong$") as caught:
            opened.query_item(79)
        assert str(path) in caught.value.message
        with pytest.raises(BrokenBundleError, match="is damaged"):
            open_bundle(index, threads=1)
        assert [check.name for check in verify(index) if not check.passed] == [role]
        damage(index, role, -1 if role == "thumbnails" else 128 + 47 * 16)  # as it was


def test_what_is_not_read_is_not_checked(index: Path) -> None:
    damage(index, "thumbnails", 128)  # of item 0
    bundle = open_bundle(index, threads=1, private=0)
    assert_array_equal(bundle.thumbnails[40], GALLERY.images[40], strict=True)
    with pytest.raises(BrokenBundleError, match="is damaged"):
        bundle.thumbnails[0]


def test_a_shorter_file_is_refused_when_the_index_is_opened(index: Path) -> None:
    path = index / read_manifest(index).files["thumbnails"].name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BrokenBundleError, match="is damaged"):
        open_bundle(index, threads=1, private=0)


def test_checksums_of_another_number_of_blocks_are_refused(index: Path) -> None:
    manifest = read_manifest(index)
    few = write_data_file(index, "blocks", write_array(np.zeros(3, np.uint64)))
    commit(index, structs.replace(manifest, files={**manifest.files, "blocks": few}))
    with pytest.raises(BrokenBundleError, match=r"is inconsistent: blocks-.* holds uint64 \(3,\)"):
        open_bundle(index, threads=1, private=0)


@pytest.mark.parametrize("factory", ["IVF2,SQ8"], indirect=True)
def test_a_vector_that_is_no_unit_vector_is_refused_when_it_is_read(index: Path) -> None:
    vectors = gather(open_bundle(index, threads=1).store).vectors.copy()
    vectors[5] *= 2
    manifest = read_manifest(index)
    files = {role: entry for role, entry in manifest.files.items() if role != "blocks"}
    files["vectors"] = write_data_file(index, "vectors", write_array(vectors))
    sums = checked.block_sums(index, files)
    assert sums is not None
    files["blocks"] = write_data_file(index, "blocks", write_array(sums))
    commit(index, structs.replace(manifest, files=files))
    store = open_bundle(index, threads=1, private=0).store
    assert_array_equal(store.vectors(np.array([4])), vectors[4:5])
    for _ in range(2):
        with pytest.raises(BrokenBundleError, match="is not finite and of length 1"):
            store.vectors(np.array([4, 5]))


@pytest.mark.parametrize(
    "factory",
    ["HNSW8", "SQ8", "IVF2,PQ2x4fs", "PCA2,IVF2,Flat", "IVF2,PQ2x4,RFlat", "HNSW8_SQ8", "PQ2x4"],
    indirect=True,
)
def test_a_mapped_faiss_index_answers_as_one_that_was_read(index: Path) -> None:
    mapped, read = (open_bundle(index, threads=1, private=private).store for private in (0, 2**20))
    queries = gather(read).vectors
    for found, expected in zip(mapped.search(queries, 5), read.search(queries, 5), strict=True):
        assert_array_equal(found, expected, strict=True)
