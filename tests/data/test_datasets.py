"""Galleries from files written by hand, so that every pixel, label and name is known."""

import gzip
import hashlib
import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simsearch.data import datasets
from simsearch.data.collection import Skipped
from simsearch.data.datasets import load_split
from simsearch.data.idx import read_idx
from simsearch.data.splits import Split
from simsearch.errors import BadDatasetError, DatasetUnavailableError

PIXELS = np.arange(3 * 28 * 28).reshape(3, 28, 28).astype(np.uint8)
SKIPPED = Skipped("s", "not a picture")
LABELS = np.array([2, 0, 1], np.uint8)


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_idx(folder: Path, prefix: str, *, images=PIXELS, labels=LABELS) -> None:
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
    if labels is not None:
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))


def refusal(dataset: str | Path, split: str = "test") -> BadDatasetError:
    with pytest.raises(BadDatasetError) as caught:
        load_split(str(dataset), split)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return caught.value


# --- MNIST


def test_the_mnist_test_split_has_its_known_labels_names_and_hashes(mnist_test):
    assert mnist_test.images.shape == (10_000, 28, 28)
    assert mnist_test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(mnist_test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist_test.images.sum(dtype=np.int64) == 264_923_200
    assert mnist_test.sources[17] == "mnist/test/17"
    assert mnist_test.name == "mnist-test"
    assert mnist_test.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert mnist_test.sha256 == {
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
    assert mnist_test.skipped == ()


def test_the_train_split_is_the_other_one(mnist_dir):
    train = load_split("mnist", "train", data_dir=mnist_dir)
    assert (len(train), train.name, train.sources[-1]) == (60_000, "mnist-train", "mnist/train/59999")
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_a_name_that_cannot_be_fetched_says_so_through_the_same_call(tmp_path):
    (tmp_path / "MNIST").write_text("not a folder")
    with pytest.raises(DatasetUnavailableError):
        load_split("mnist", data_dir=tmp_path)


def test_loading_imports_neither_torch_nor_torchvision(mnist_dir):
    code = (
        "import sys; from pathlib import Path; from simsearch.data.datasets import load_split; "
        "load_split('mnist', data_dir=Path(sys.argv[1])); "
        "print([name for name in ('torch', 'torchvision', 'pooch', 'requests') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(mnist_dir)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(datasets.__file__).parents[1]
    )
    assert done.stdout == "[]\n"


# --- names


KNOWN = (
    "known datasets: mnist, fashion-mnist, kmnist, qmnist, emnist-letters, emnist-digits, emnist-balanced, "
    "usps, svhn, cifar10; or give the path of a folder"
)


def test_a_misspelt_name_is_guessed():
    error = refusal("mnits")
    assert error.message == "dataset 'mnits' is no known dataset and no folder"
    assert error.hint == f"did you mean 'mnist'? {KNOWN}"


def test_an_unlike_name_only_lists_the_known_ones():
    assert refusal("zzz").hint == KNOWN


def test_a_file_is_no_dataset(tmp_path):
    (tmp_path / "picture.png").touch()
    assert refusal(tmp_path / "picture.png").message.endswith("picture.png' is not a folder")


@pytest.mark.parametrize("dataset", ["", "x" * 5000, "a\0b"], ids=["empty", "too long", "a null byte"])
def test_an_impossible_name_is_refused(dataset):
    assert "known datasets: mnist" in refusal(dataset).hint


def test_an_unknown_split_is_refused_with_the_known_ones():
    error = refusal("mnist", "dev")
    assert (error.message, error.hint) == (
        "there is no split 'dev'",
        "choose one of: train, test, kept, validation, corrupted, held-out, distorted",
    )
    assert refusal("mnist", "Trian").hint.startswith("did you mean 'train'? choose one of: ")


# --- IDX folders


@pytest.mark.parametrize("prefix", ["t10k", "test", "letters-test"])
def test_an_idx_folder_gives_exactly_its_images_and_labels(tmp_path, prefix):
    write_idx(tmp_path, prefix)
    write_idx(tmp_path, "train", images=255 - PIXELS, labels=LABELS[::-1])
    split = load_split(str(tmp_path))
    np.testing.assert_array_equal(split.images, PIXELS)
    np.testing.assert_array_equal(split.labels, [2, 0, 1])
    assert split.labels.dtype == np.int64
    assert split.classes == ("0", "1", "2")
    assert split.name == f"{tmp_path.name}-test"
    assert split.sources == tuple(f"{tmp_path.name}/test/{row}" for row in range(3))
    np.testing.assert_array_equal(load_split(str(tmp_path), "train").images, 255 - PIXELS)
    np.testing.assert_array_equal(load_split(str(tmp_path), "train").labels, [1, 0, 2])


def test_the_recorded_hashes_are_those_of_the_files_that_were_read(tmp_path):
    write_idx(tmp_path, "t10k")
    assert load_split(str(tmp_path)).sha256 == {
        "t10k-images-idx3-ubyte": hashlib.sha256(idx(PIXELS)).hexdigest(),
        "t10k-labels-idx1-ubyte": hashlib.sha256(idx(LABELS)).hexdigest(),
    }


def test_packed_files_give_the_same_and_the_plain_one_wins(tmp_path):
    packed = gzip.compress(idx(PIXELS), mtime=0)
    (tmp_path / "train-images.idx3-ubyte.gz").write_bytes(packed)
    (tmp_path / "train-labels.idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    split = load_split(str(tmp_path), "train")
    np.testing.assert_array_equal(split.images, PIXELS)
    np.testing.assert_array_equal(split.labels, [2, 0, 1])
    assert split.sha256["train-images.idx3-ubyte.gz"] == hashlib.sha256(packed).hexdigest()
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx(255 - PIXELS))
    np.testing.assert_array_equal(load_split(str(tmp_path), "train").images, 255 - PIXELS)


def test_without_a_label_file_the_split_is_unlabeled(tmp_path):
    write_idx(tmp_path, "test", labels=None)
    split = load_split(str(tmp_path))
    assert split.labels is None
    assert split.classes == ()


def test_loaded_images_can_be_changed_in_memory(tmp_path):
    write_idx(tmp_path, "test")
    load_split(str(tmp_path)).images[0] = 0  # torch warns about arrays that cannot


def test_an_idx_folder_without_the_asked_split_names_the_file_it_looked_for(tmp_path):
    write_idx(tmp_path, "train")
    error = refusal(tmp_path)
    assert error.message == f"{tmp_path} must hold one file of test images, and holds none"
    assert error.hint.startswith("name it t10k-images-idx3-ubyte or test-images-idx3-ubyte")


def test_two_files_for_one_split_are_not_guessed_between(tmp_path):
    write_idx(tmp_path, "letters-test")
    write_idx(tmp_path, "digits-test")
    assert refusal(tmp_path).message.endswith(
        "holds several: digits-test-images-idx3-ubyte, letters-test-images-idx3-ubyte"
    )


@pytest.mark.parametrize(
    ("images", "labels", "problem"),
    [
        (np.zeros((2, 32, 32), np.uint8), None, "28x28 pixels; its shape is (2, 32, 32)"),
        (np.zeros(28 * 28, np.uint8), None, "28x28 pixels; its shape is (784,)"),
        (np.zeros((0, 28, 28), np.uint8), None, "28x28 pixels; its shape is (0, 28, 28)"),
        (PIXELS, LABELS[:2], "has labels of shape (2,) for 3 images"),
        (PIXELS, LABELS[:, None], "has labels of shape (3, 1) for 3 images"),
    ],
    ids=["32x32", "one row", "no image", "a label short", "labels in two dimensions"],
)
def test_an_idx_folder_whose_parts_do_not_fit_is_refused(tmp_path, images, labels, problem):
    write_idx(tmp_path, "test", images=images, labels=labels)
    assert problem in refusal(tmp_path).message


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4)])
def test_read_idx_gives_back_what_was_written(tmp_path, shape, packed):
    values = np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path / ("values.gz" if packed else "values")
    path.write_bytes(gzip.compress(idx(values)) if packed else idx(values))
    np.testing.assert_array_equal(read_idx(path), values, strict=True)


GOOD = idx(PIXELS)
HOSTILE = {
    "empty": (b"", "it starts with nothing"),
    "three bytes": (b"\0\0\x08", "it starts with 000008"),
    "a wrong magic": (b"\1" + GOOD[1:], "it starts with 01000803"),
    "floats": (b"\0\0\x0d" + GOOD[3:], "it starts with 00000d03"),
    "no dimension": (b"\0\0\x08\0", "it starts with 00000800"),
    "200 dimensions": (b"\0\0\x08\xc8" + GOOD[4:], "it starts with 000008c8"),
    "half a header": (GOOD[:10], "ends inside its header"),
    "4 billion images": (GOOD[:4] + b"\xff" * 4 + GOOD[8:], "declares 3,367,254,359,280 bytes"),
    "2^96 bytes": (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "more than it can hold"),
    "one byte short": (GOOD[:-1], "2,352 bytes"),
    "one byte long": (GOOD + b"x", "is longer than the 2,352 bytes"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(("data", "problem"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_idx_file_is_refused_before_anything_is_allocated(tmp_path, data, problem, packed):
    path = tmp_path / ("values.gz" if packed else "values")
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(BadDatasetError) as caught:
        read_idx(path)
    assert caught.value.message.startswith(f"{path} ")
    assert problem in caught.value.message


@pytest.mark.parametrize(
    "data",
    [b"no gzip", gzip.compress(GOOD)[:-20], gzip.compress(GOOD)[:-8] + bytes(8)],
    ids=["not gzip", "cut", "a wrong checksum"],
)
def test_a_broken_gzip_file_is_refused(tmp_path, data):
    (tmp_path / "values.gz").write_bytes(data)
    with pytest.raises(BadDatasetError, match="cannot be read"):
        read_idx(tmp_path / "values.gz")


# --- the record


def example() -> Split:
    return Split(
        PIXELS, LABELS.astype(np.int64), ("x/0", "x/1", "x/2"), "x", ("a", "b", "c"), {"f": "h"}, (SKIPPED,)
    )


def test_take_keeps_rows_together_in_the_given_order():
    taken = example().take([2, 0])
    np.testing.assert_array_equal(taken.images, PIXELS[[2, 0]])
    np.testing.assert_array_equal(taken.labels, [1, 2])
    assert taken.sources == ("x/2", "x/0")
    assert (taken.name, taken.classes, taken.sha256, taken.skipped) == (
        "x",
        ("a", "b", "c"),
        {"f": "h"},
        (SKIPPED,),
    )


def test_take_accepts_a_mask_and_nothing():
    assert example().take(np.array([False, True, True])).sources == ("x/1", "x/2")
    assert len(example().take([])) == 0
    with pytest.raises(IndexError):
        example().take([3])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"images": PIXELS.astype(np.float32)}, "images must be uint8"),
        ({"images": PIXELS[..., None]}, "images must be uint8"),
        ({"images": PIXELS[0]}, "images must be uint8"),
        ({"sources": ("x/0",)}, "3 images but 1 sources"),
        ({"labels": LABELS}, "labels must be int64"),
        ({"labels": LABELS[:2].astype(np.int64)}, "labels must be int64"),
        ({"labels": np.array([0, 1, 3])}, "labels must lie in 0..2"),
        ({"labels": np.array([0, 1, -1])}, "labels must lie in 0..2"),
    ],
)
def test_a_split_whose_parts_do_not_fit_is_a_value_error(change, problem):
    parts = {field: getattr(example(), field) for field in ("images", "labels", "sources", "name", "classes")}
    with pytest.raises(ValueError, match=problem):
        Split(**(parts | change))
