"""`verify` finds what opening cannot: vectors that are not of their pictures, indexes that do not find."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from toys import quadrant_image, toy_split

from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    ENCODER,
    LAST_CHECKPOINT,
    MODEL_CARD,
    PRETRAINED,
    FileRecord,
    Model,
    read_model_card,
    write_model_card,
)
from simsearch.index.bundle import MANIFEST, bundle_lock, commit, open_bundle, read_manifest
from simsearch.index.checks import Check
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.verify import SAMPLE, is_model, verify
from simsearch.stats.calibration import PlattScaling

GALLERY = toy_split(
    [((100, 0, 0, 0), 0), ((200, 0, 0, 0), 0), ((60, 80, 0, 0), 0), ((0, 100, 0, 0), 1), ((0, 0, 60, 80), 2)]
)
RANDOM = np.random.default_rng(5).integers(1, 200, (400, 4)).tolist()
DISTINCT = toy_split([(tuple(grays), 0) for grays in RANDOM])


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
    """The toy model, which has no checkpoint."""
    card = replace(toy_model.card, files={ENCODER: toy_model.card.files[ENCODER]})
    (tmp_path / ENCODER).write_bytes(toy_model.encoder.model)
    (tmp_path / MODEL_CARD).write_bytes(card.to_json())
    return tmp_path


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A copy of the shipped model, which has one."""
    for name in (ENCODER, BEST_CHECKPOINT, MODEL_CARD):
        (tmp_path / name).write_bytes((PRETRAINED / name).read_bytes())
    return tmp_path


def test_an_intact_model_passes(model_folder):
    assert is_model(model_folder)
    checks = list(verify(model_folder))
    assert [(check.name, check.passed) for check in checks] == [
        ("card", True),
        (ENCODER, True),
        ("vectors", True),
    ]
    assert checks[2].detail == "256 random pictures give unit vectors of length 4"


@pytest.mark.parametrize("name", [ENCODER, BEST_CHECKPOINT])
def test_a_damaged_model_file_is_named(trained, name):
    path = trained / name
    path.write_bytes(b"\0" * path.stat().st_size)
    check = failure(trained)
    assert check.name == name
    assert check.detail.startswith(f"{path} is not the file that model.json describes")


def test_a_card_that_names_a_file_elsewhere_reads_nothing_there(model_folder, toy_model):
    (model_folder.parent / "secret").write_bytes(b"none")
    card = toy_model.card
    files = {**card.files, "../secret": FileRecord.of(b"none")}
    (model_folder / MODEL_CARD).write_bytes(replace(card, files=files).to_json())
    check = failure(model_folder)
    assert (check.name, "names a file outside" in check.detail) == ("card", True)


def test_a_model_of_another_dimension_than_its_card_is_found(model_folder):
    write_model_card(model_folder, replace(read_model_card(model_folder), dim=5))
    check = failure(model_folder)
    assert check == Check("vectors", False, "its vectors have length 4, not 5 as the card says")


def test_a_damaged_card_ends_the_check(model_folder):
    (model_folder / MODEL_CARD).write_bytes(b"{")
    (check,) = verify(model_folder)
    assert (check.name, check.passed) == ("card", False)


def swap(folder: Path, name: str, content: bytes) -> None:
    """Put another file in the place of a model's, with a card that vouches for it."""
    card = read_model_card(folder)
    (folder / name).write_bytes(content)
    write_model_card(folder, replace(card, files={**card.files, name: FileRecord.of(content)}))


def other_weights() -> bytes:
    """The shipped checkpoint with another bias of the last layer."""
    packed = io.BytesIO()
    with zipfile.ZipFile(PRETRAINED / BEST_CHECKPOINT) as source, zipfile.ZipFile(packed, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            changed = entry.filename.endswith("data/15")
            target.writestr(entry.filename, content[4:] + content[:4] if changed else content)
    return packed.getvalue()


def test_a_trained_model_has_the_weights_of_its_checkpoint(trained):
    found = list(verify(trained))
    assert [check.passed for check in found] == [True, True, True, True, True, None]
    assert found[4].detail.startswith("encoder.onnx has those of best_model.pt: vectors differ by ")
    assert found[5] == Check("run", None, "no last.pt, which would say which weights the run kept")


def test_a_foreign_checkpoint_is_found_whatever_the_card_says(trained):
    swap(trained, BEST_CHECKPOINT, other_weights())
    check = failure(trained)
    assert check.name == "weights"
    assert check.detail.startswith("encoder.onnx has other weights than best_model.pt: vectors differ by 0.")
    assert check.detail.endswith("`simsearch export` makes the encoder of the checkpoint")


def test_a_foreign_encoder_is_found_whatever_the_card_says(trained):
    content = (trained / ENCODER).read_bytes()
    swap(trained, ENCODER, content[:1_000_000] + bytes(4_000) + content[1_004_000:])
    assert failure(trained).detail.startswith("encoder.onnx has other weights than best_model.pt")


def test_an_encoder_of_another_kind_is_found(trained, toy_onnx):
    swap(trained, ENCODER, toy_onnx)
    found = {check.name: check.detail for check in verify(trained) if check.passed is False}
    assert found["vectors"] == "its vectors have length 4, not 128 as the card says"
    assert "vectors differ by inf" in found["weights"]


def test_a_projection_that_is_not_the_checkpoints_is_found(trained):
    card = read_model_card(trained)
    write_model_card(trained, replace(card, projection=PlattScaling(1.0, 0.0)))
    assert failure(trained).detail == "the projection in model.json is not that of best_model.pt"


def last_checkpoint(state: object) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        target.writestr("archive/data.pkl", pickle.dumps(state, protocol=2))
    return packed.getvalue()


def test_a_checkpoint_that_the_run_did_not_keep_is_found(trained):
    kept = read_model_card(trained).files[BEST_CHECKPOINT].sha256
    expected = {
        kept: (True, "best_model.pt is what the run kept"),
        "0" * 64: (False, "best_model.pt is not what the run kept, as last.pt says"),
        "": (None, "last.pt does not say which weights the run kept"),
    }
    for sha256, (passed, detail) in expected.items():
        (trained / LAST_CHECKPOINT).write_bytes(last_checkpoint({"seed": 1, "best_sha256": sha256}))
        assert list(verify(trained))[-1] == Check("run", passed, detail)
    (trained / LAST_CHECKPOINT).write_bytes(b"none")
    assert failure(trained).detail == f"{trained / LAST_CHECKPOINT} is not a readable checkpoint (BadZipFile)"


def test_a_checkpoint_of_another_network_is_no_embedding_net(trained):
    swap(trained, BEST_CHECKPOINT, last_checkpoint({"embedding.conv1.weight": 1.0}))
    assert failure(trained).detail == (
        "best_model.pt holds no weights of EmbeddingNet: "
        "embedding.conv1.weight is no tensor of shape (32, 1, 5, 5)"
    )
