"""`verify` finds what opening cannot: vectors that are not of their pictures, indexes that do not find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from toys import quadrant_image, toy_split

from simsearch.encode.model_folder import BEST_CHECKPOINT, ENCODER, MODEL_CARD, Model
from simsearch.index.bundle import (
    MANIFEST,
    bundle_lock,
    commit,
    open_bundle,
    read_manifest,
    write_array,
    write_data_file,
)
from simsearch.index.checks import Check
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.verify import SAMPLE, is_model, verify

GALLERY = toy_split(
    [((100, 0, 0, 0), 0), ((200, 0, 0, 0), 0), ((60, 80, 0, 0), 0), ((0, 100, 0, 0), 1), ((0, 0, 60, 80), 2)]
)
RANDOM = np.random.default_rng(5).integers(1, 200, (400, 4)).tolist()
DISTINCT = toy_split([(tuple(greys), 0) for greys in RANDOM])


def read_back(folder: Path) -> np.ndarray:
    return np.array(gather(open_bundle(folder).store).vectors)


def reseal(folder: Path, role: str, write: Callable[[Path], None]) -> None:
    """Replace a file and make the manifest's checksum right."""
    manifest = read_manifest(folder)
    with bundle_lock(folder):
        entry = write_data_file(folder, role, write)
        commit(folder, replace(manifest, files={**manifest.files, role: entry}))


def failure(folder: Path, **options: bool) -> Check:
    """The one check that fails."""
    (check,) = [check for check in verify(folder, **options) if check.passed is False]
    return check


def test_an_intact_index_passes_every_check(build_toy):
    checks = list(verify(build_toy(GALLERY)))
    files = ["encoder", "index", "ids", "sources", "source_ends", "thumbnails", "labels"]
    names = ["manifest", *files, "contents", "sources", "vectors", "search", "pictures"]
    assert [check.name for check in checks] == names
    assert all(check.passed for check in checks)
    assert [check.detail for check in checks[-4:]] == [
        "5 decode",
        "5 finite unit vectors of length 4",
        "5 of 5 stored vectors find themselves",
        "5 of 5 pictures give their vectors, to 0",
    ]


@pytest.mark.parametrize("factory", ["HNSW4", "IVF2,Flat", "SQ8", "PQ1x2"])
def test_an_approximate_index_passes(build_toy, factory):
    assert all(check.passed for check in verify(build_toy(GALLERY, factory=factory)))


def test_a_damaged_file_is_named_and_the_rest_is_not_opened(build_toy):
    folder = build_toy(GALLERY)
    (path,) = folder.glob("labels-*")
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    (other,) = folder.glob("ids-*")
    other.unlink()
    checks = list(verify(folder))
    assert [check.name for check in checks if check.passed is False] == ["ids", "labels"]
    assert checks[-1].name == "labels"
    details = {check.name: check.detail for check in checks}
    assert details["labels"].startswith(f"{path} is damaged: its size or checksum is wrong")
    assert details["ids"] == f"{other.name} is missing; build it again with `simsearch build-index`"


def test_a_damaged_manifest_ends_the_check(build_toy):
    folder = build_toy(GALLERY)
    (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes().replace(b"10.0", b"11.0"))
    (check,) = verify(folder)
    assert (check.name, check.passed) == ("manifest", False)
    assert "it is damaged: its checksum is wrong" in check.detail


def test_a_file_that_contradicts_the_manifest_is_found(build_toy):
    folder = build_toy(GALLERY)
    reseal(folder, "labels", write_array(np.array([0, 0, 0, 1, 9])))
    check = failure(folder)
    assert check.name == "contents"
    assert "a label is not the number of a class" in check.detail


def test_a_vector_that_is_not_of_its_picture_is_found(build_toy):
    folder = build_toy(GALLERY)
    pictures = GALLERY.images.copy()
    pictures[3] = quadrant_image(0, 0, 0, 7)
    reseal(folder, "thumbnails", write_array(pictures))
    assert failure(folder) == Check(
        "pictures", False, "the picture of item 3 gives another vector than the stored one (difference 1)"
    )


def test_a_picture_without_a_vector_is_found(build_toy):
    folder = build_toy(GALLERY)
    reseal(folder, "thumbnails", write_array(GALLERY.images * 0))
    assert failure(folder).name == "pictures"


def test_an_approximate_index_of_other_vectors_is_found(build_toy):
    folder = build_toy(DISTINCT, factory="SQ8")
    vectors = np.random.default_rng(6).permutation(read_back(folder))  # each row holds another's
    reseal(folder, "index", FaissStore.build(vectors, np.arange(400), factory="SQ8").write)
    assert failure(folder) == Check("search", False, "only 17 of 256 stored vectors find themselves")


def test_a_large_index_is_sampled_and_all_takes_everything(build_toy):
    entries = [((1 + row % 200, row // 200, 0, 9), 0) for row in range(SAMPLE + 4)]
    folder = build_toy(toy_split(entries))
    sampled, whole = list(verify(folder)), list(verify(folder, everything=True))
    assert sampled[-1].detail == "256 of 260 pictures give their vectors, to 0"
    assert whole[-1].detail == "260 of 260 pictures give their vectors, to 0"
    assert sampled[-2].detail == "256 of 256 stored vectors find themselves"


def test_the_sample_follows_from_the_seed(build_toy, toy_model, monkeypatch):
    folder = build_toy(toy_split([((1 + row, 9, 0, 0), 0) for row in range(200)] * 2))
    taken = []
    encode = type(toy_model.encoder).encode

    def watch(self, images, **options):
        taken.append(images.sum())
        return encode(self, images, **options)

    monkeypatch.setattr(type(toy_model.encoder), "encode", watch)
    for seed in (1, 1, 2):
        list(verify(folder, seed=seed))
    assert taken[0] == taken[1] != taken[2]


@pytest.fixture
def model_folder(tmp_path: Path, toy_model: Model) -> Path:
    (tmp_path / ENCODER).write_bytes(toy_model.encoder.model)
    (tmp_path / BEST_CHECKPOINT).write_bytes(b"none")
    (tmp_path / MODEL_CARD).write_bytes(toy_model.card.to_json())
    return tmp_path


def test_an_intact_model_passes(model_folder):
    assert is_model(model_folder)
    checks = list(verify(model_folder))
    assert [(check.name, check.passed) for check in checks] == [
        ("card", True),
        (BEST_CHECKPOINT, True),
        (ENCODER, True),
        ("vectors", True),
        ("weights", None),
    ]
    assert checks[3].detail == "256 random pictures give unit vectors of length 4"


@pytest.mark.parametrize("name", [ENCODER, BEST_CHECKPOINT])
def test_a_damaged_model_file_is_named(model_folder, name):
    path = model_folder / name
    path.write_bytes(b"\0" * path.stat().st_size)
    check = failure(model_folder)
    assert check.name == name
    assert check.detail.startswith(f"{path} is not the file that model.json describes")


def test_a_card_that_names_a_file_elsewhere_reads_nothing_there(model_folder, toy_model):
    (model_folder.parent / "secret").write_bytes(b"none")
    card = toy_model.card
    files = {**card.files, "../secret": card.files[BEST_CHECKPOINT]}
    (model_folder / MODEL_CARD).write_bytes(replace(card, files=files).to_json())
    check = failure(model_folder)
    assert (check.name, "names a file outside" in check.detail) == ("card", True)


def test_a_model_of_another_dimension_than_its_card_is_found(model_folder, toy_model):
    (model_folder / MODEL_CARD).write_bytes(replace(toy_model.card, dim=5).to_json())
    check = failure(model_folder)
    assert check == Check("vectors", False, "its vectors have length 4, not 5 as the card says")


def test_a_damaged_card_ends_the_check(model_folder):
    (model_folder / MODEL_CARD).write_bytes(b"{")
    (check,) = verify(model_folder)
    assert (check.name, check.passed) == ("card", False)
