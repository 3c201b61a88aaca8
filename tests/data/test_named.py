"""Named datasets from tiny files in each one's own layout, so that every pixel and label is known."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.data import datasets
from simsearch.data.datasets import load_split
from simsearch.data.named import load as loading
from simsearch.data.named.catalog import NAMED, NamedDataset, NamedFile
from simsearch.data.named.load import fetch_named_dataset, load_named_dataset
from simsearch.errors import DatasetUnavailableError
from simsearch.prepare.inputs import ImageInput

GRAYS = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).astype(np.uint8)
COLORS = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
LABELS = np.array([2, 0, 1], np.uint8)
PHOTO = ImageInput("photo", 1, 40, 32, 3, (0.5,) * 3, (0.5,) * 3)


def idx(values: np.ndarray) -> bytes:
    kind = {"u": 8, "i": 12}[values.dtype.kind]
    sides = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    return sides + values.astype(values.dtype.newbyteorder(">")).tobytes()


def usps(grays: np.ndarray, labels: np.ndarray) -> bytes:
    """libsvm's lines of values from -1 to 1."""
    lines = [
        f"{label + 1} "
        + " ".join(f"{at + 1}:{value / 127.5 - 1:.5f}" for at, value in enumerate(picture.flat))
        for picture, label in zip(grays.tolist() and grays, labels.tolist(), strict=True)
    ]
    return bz2.compress("\n".join(lines).encode())


def cifar(images: np.ndarray, labels: np.ndarray) -> bytes:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return pickle.dumps({"batch_label": "1 of 1", "data": planes, "labels": labels.tolist()}, protocol=2)


def tiny(name: str, md5s: dict[str, bytes] | None = None) -> NamedDataset:
    """A named dataset of three images a split, its checksums those of these files, or unknown."""
    known = NAMED[name]

    def renewed(file: NamedFile) -> NamedFile:
        content = (md5s or {}).get(file.name)
        return NamedFile(file.name, "" if content is None else hashlib.md5(content).hexdigest())

    splits = {split: tuple(map(renewed, files)) for split, files in known.splits.items()}
    return replace(known, splits=splits, counts={"train": 3, "test": 3}, installed=None)


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def fashion(labels: np.ndarray = LABELS) -> dict[str, bytes]:
    return {"t10k-images-idx3-ubyte": idx(GRAYS), "t10k-labels-idx1-ubyte": idx(labels)}


def packed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would be fetched ends at once, as where there is no way to the internet."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


# --- Layouts


@pytest.mark.parametrize("pack", [dict, packed], ids=["plain", "packed"])
@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "fashion-mnist"])
def test_idx_files_are_read_from_torchvisions_layout_and_from_a_folder_of_the_name(
    tmp_path: Path, pack, folder: str
) -> None:
    put(tmp_path / folder, pack(fashion()))
    split = load_named_dataset(tiny("fashion-mnist"), "test", tmp_path)
    np.testing.assert_array_equal(split.images, GRAYS)
    assert split.labels.tolist() == [2, 0, 1]
    assert [split.classes[label] for label in split.labels] == ["Pullover", "T-shirt/top", "Trouser"]
    assert (split.name, split.sources[1]) == ("fashion-mnist-test", "fashion-mnist/test/1")
    assert split.sha256 == {name: hashlib.sha256(data).hexdigest() for name, data in pack(fashion()).items()}


def test_qmnist_has_its_class_first_among_eight_numbers(tmp_path: Path) -> None:
    labels = np.array([[2, 70_000, 3, 4, 5, 6, 7, 8], [0, 1, 0, 0, 0, 0, 0, 0], [1] * 8], np.int32)
    files = {"qmnist-test-images-idx3-ubyte": idx(GRAYS), "qmnist-test-labels-idx2-int": idx(labels)}
    put(tmp_path / "QMNIST" / "raw", files)
    split = load_named_dataset(tiny("qmnist"), "test", tmp_path)
    np.testing.assert_array_equal(split.images, GRAYS)
    assert split.labels.tolist() == [2, 0, 1]


def test_emnist_is_turned_upright_and_its_letters_begin_at_one(tmp_path: Path) -> None:
    names = [f"emnist-letters-test-{what}-ubyte" for what in ("images-idx3", "labels-idx1")]
    put(tmp_path / "EMNIST" / "raw", dict(zip(names, (idx(GRAYS), idx(LABELS + 1)), strict=True)))
    split = load_named_dataset(tiny("emnist-letters"), "test", tmp_path)
    np.testing.assert_array_equal(split.images, GRAYS.transpose(0, 2, 1))
    assert [split.classes[label] for label in split.labels] == ["c", "a", "b"]


def test_usps_is_read_from_its_lines(tmp_path: Path) -> None:
    grays = np.random.default_rng(2).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    put(tmp_path, {"usps.t.bz2": usps(grays, LABELS)})
    split = load_named_dataset(tiny("usps"), "test", tmp_path)
    assert np.abs(split.images.astype(int) - grays).max() <= 1  # as torchvision has it, rounded down
    assert split.labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize("compressed", [True, False])
def test_svhn_is_read_from_its_matlab_file_and_ten_is_zero(tmp_path: Path, compressed: bool) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    labels = np.array([[2], [10], [1]], np.uint8)
    matrices = {"X": COLORS.transpose(1, 2, 3, 0), "y": labels}
    scipy_io.savemat(tmp_path / "test_32x32.mat", matrices, do_compression=compressed)
    split = load_named_dataset(tiny("svhn"), "test", tmp_path)
    np.testing.assert_array_equal(split.images, COLORS)
    assert split.labels.tolist() == [2, 0, 1]


def test_cifar_is_read_from_its_pickles_in_their_order(tmp_path: Path) -> None:
    files = {f"data_batch_{row + 1}": cifar(COLORS[row : row + 1], LABELS[row : row + 1]) for row in range(3)}
    dataset = tiny("cifar10")
    dataset = replace(dataset, splits={**dataset.splits, "train": dataset.splits["train"][:3]})
    put(tmp_path / "cifar-10-batches-py", files)
    split = load_named_dataset(dataset, "train", tmp_path)
    np.testing.assert_array_equal(split.images, COLORS)
    assert [split.classes[label] for label in split.labels] == ["bird", "airplane", "automobile"]


def test_a_pickle_that_names_a_function_is_refused_unrun(tmp_path: Path) -> None:
    trap = b"cos\nmkdir\n(V" + str(tmp_path / "made").encode() + b"\ntR."
    put(tmp_path / "cifar-10-batches-py", {"test_batch": trap})
    with pytest.raises(DatasetUnavailableError, match=r"test_batch cannot be used: it names os\.mkdir"):
        load_named_dataset(tiny("cifar10"), "test", tmp_path)
    assert not (tmp_path / "made").exists()


# --- Checks


def test_what_has_the_known_checksum_is_taken_in_silence_and_the_rest_left_aside(tmp_path: Path) -> None:
    good, bad = packed(fashion()), packed(fashion(LABELS[::-1]))
    known = {name.removesuffix(".gz"): content for name, content in good.items()}
    put(tmp_path / "FashionMNIST" / "raw", bad)
    put(tmp_path / "fashion-mnist", good)
    notes: list[str] = []
    split = load_named_dataset(tiny("fashion-mnist", known), "test", tmp_path, notes.append)
    assert split.labels.tolist() == [2, 0, 1]
    damaged = tmp_path / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    assert notes == [f"{damaged} is left aside: it has another MD5"]


def test_an_unpacked_file_is_known_by_its_sha256_however_it_is_packed(tmp_path: Path, monkeypatch) -> None:
    dataset = tiny("fashion-mnist")
    files = tuple(
        NamedFile(name, "0" * 32, hashlib.sha256(content).hexdigest()) for name, content in fashion().items()
    )
    dataset = replace(dataset, splits={"test": files})
    put(tmp_path / "fashion-mnist", packed(fashion()))
    notes: list[str] = []
    load_named_dataset(dataset, "test", tmp_path, notes.append)
    assert notes == []
    put(tmp_path / "fashion-mnist", packed(fashion(LABELS[::-1])))
    monkeypatch.setattr("simsearch.data.named.fetch.find_spec", lambda _: None)
    with pytest.raises(DatasetUnavailableError):
        load_named_dataset(dataset, "test", tmp_path, notes.append)
    assert notes[0].endswith("t10k-labels-idx1-ubyte.gz is left aside: it has another SHA-256")


def test_a_file_without_a_checksum_is_taken_and_that_is_said(tmp_path: Path) -> None:
    put(tmp_path / "fashion-mnist", fashion())
    notes: list[str] = []
    load_named_dataset(tiny("fashion-mnist"), "test", tmp_path, notes.append)
    images = tmp_path / "fashion-mnist" / "t10k-images-idx3-ubyte"
    assert notes == [f"{images} was not checked: torchvision has no checksum of it alone"]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.array([0, 1], np.uint8), "it holds 3 images and 2 labels, not 3"),
        (np.array([0, 1, 10], np.uint8), "its labels are not those of 10 classes"),
    ],
)
def test_content_of_another_size_is_refused(tmp_path: Path, labels: np.ndarray, problem: str) -> None:
    put(tmp_path / "fashion-mnist", fashion(labels))
    with pytest.raises(DatasetUnavailableError) as caught:
        load_named_dataset(tiny("fashion-mnist"), "test", tmp_path)
    assert caught.value.message.endswith(f"t10k-images-idx3-ubyte cannot be used: {problem}")


def test_debians_fashion_mnist_is_the_one_that_is_known() -> None:
    if not NAMED["fashion-mnist"].installed.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    notes: list[str] = []
    split = load_named_dataset(NAMED["fashion-mnist"], "test", Path("nowhere"), notes.append)
    assert np.bincount(split.labels).tolist() == [1_000] * 10
    assert notes == []


# --- Fetching

FAKE = """
import pathlib

class datasets:
    class KMNIST:
        def __init__(self, root, download, train):
            raw = pathlib.Path(root, "KMNIST", "raw")
            raw.mkdir(parents=True)
            for file in pathlib.Path({source!r}).iterdir():
                (raw / file.name).write_bytes(file.read_bytes())
            if {fails}:
                raise RuntimeError("Error downloading:\\nthe mirror is gone")
"""


def stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], *, fails: bool
) -> None:
    """A torchvision that brings these files: the real one needs the internet."""
    put(tmp_path / "source", files)
    module = tmp_path / "modules" / "torchvision.py"
    put(module.parent, {module.name: FAKE.format(source=str(tmp_path / "source"), fails=fails).encode()})
    monkeypatch.syspath_prepend(str(module.parent))


def test_what_torchvision_fetches_is_verified_and_takes_its_place(tmp_path: Path, monkeypatch) -> None:
    files = packed(fashion())
    known = {name.removesuffix(".gz"): content for name, content in files.items()}
    stand_in(tmp_path, monkeypatch, files, fails=False)
    notes: list[str] = []
    dataset = tiny("kmnist", known)
    split = load_named_dataset(dataset, "test", tmp_path / "data", notes.append)
    assert split.labels.tolist() == [2, 0, 1]
    assert notes == ["fetching KMNIST through torchvision, up to 21 MB"]
    raw = tmp_path / "data" / "KMNIST" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == [".lock", *sorted(files)]
    monkeypatch.setattr(loading, "fetch_by_torchvision", lambda *_: pytest.fail("it was fetched again"))
    assert (
        fetch_named_dataset(replace(dataset, splits={"test": dataset.splits["test"]}), tmp_path / "data")
        == raw
    )


def test_a_fetch_that_fails_says_where_was_looked_and_the_manual_way(tmp_path: Path, monkeypatch) -> None:
    stand_in(tmp_path, monkeypatch, {}, fails=True)
    with pytest.raises(DatasetUnavailableError) as caught:
        load_named_dataset(tiny("kmnist"), "train", tmp_path / "data")
    raw, own = tmp_path / "data" / "KMNIST" / "raw", tmp_path / "data" / "kmnist"
    assert caught.value.message == (
        f"KMNIST (train) is not in {raw}, {own}, and torchvision could not fetch it: "
        "Error downloading: the mirror is gone"
    )
    assert caught.value.hint == (
        "download train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz elsewhere "
        f"(http://codh.rois.ac.jp/kmnist/) and put them into {raw}"
    )
    assert caught.value.exit_code == 3
    assert not raw.exists()


def test_without_torchvision_the_files_are_read_all_the_same(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("simsearch.data.named.fetch.find_spec", lambda _: None)
    with pytest.raises(
        DatasetUnavailableError, match=r"it is not installed \(pip install 'simsearch\[train\]'\)"
    ):
        load_named_dataset(tiny("kmnist"), "test", tmp_path)
    put(tmp_path / "kmnist", fashion())
    assert len(load_named_dataset(tiny("kmnist"), "test", tmp_path)) == 3


def test_the_real_torchvision_without_internet_gives_its_reason(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(DatasetUnavailableError, match=r"could not fetch it: Error downloading .*refused"):
        load_named_dataset(tiny("kmnist"), "test", tmp_path)


# --- As a gallery


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST is of three images a split."""
    everything = MappingProxyType({**NAMED, "fashion-mnist": tiny("fashion-mnist")})
    monkeypatch.setattr(datasets, "NAMED", everything)


@pytest.mark.usefixtures("known")
def test_images_are_prepared_for_the_model_and_those_of_its_size_left_as_they_are(tmp_path: Path) -> None:
    put(tmp_path / "fashion-mnist", fashion())
    np.testing.assert_array_equal(load_split("fashion-mnist", data_dir=tmp_path).images, GRAYS)
    large = load_split("fashion-mnist", input=PHOTO, data_dir=tmp_path)
    assert large.images.shape == (3, 32, 40, 3)
    assert large.images[0, 0, 0].tolist() == [255] * 3  # beside the picture
    assert abs(large.images[:, :, 4:36].mean() - GRAYS.mean()) < 2
    with pytest.raises(datasets.BadDatasetError, match="there is no split 'kept'"):
        load_split("fashion-mnist", "kept", data_dir=tmp_path)


@pytest.mark.usefixtures("known")
def test_a_gallery_is_built_and_evaluated_by_name(tmp_path: Path) -> None:
    put(tmp_path / "fashion-mnist", fashion())
    where = ["--data-dir", str(tmp_path), "--index-dir", str(tmp_path / "indexes")]
    made = CliRunner().invoke(app, ["build-index", "--dataset", "fashion-mnist", "--split", "test", *where])
    assert made.exit_code == 0, made.output
    assert "fashion-mnist-test: 3 images, 10 classes" in made.output
    asked = ["evaluate", "--index", "fashion-mnist-test", "--queries", "fashion-mnist:test", "--json", *where]
    assert CliRunner().invoke(app, asked).exit_code == 0


def test_an_unknown_name_to_fetch_is_guessed() -> None:
    found = CliRunner().invoke(app, ["data", "fetch", "kmnits"])
    assert found.exit_code == 2
    assert "did you mean 'kmnist'? choose one of: mnist, fashion-mnist, " in found.output
