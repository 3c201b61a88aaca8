"""What training sees of a folder: what is held out, before a file is decoded, and what is kept out."""

import shutil

import numpy as np
import pytest
from shapes import write_shapes

from simsearch.data.splits import HoldOut, Split, stratified_hold_out
from simsearch.data.training_set import find_training_set
from simsearch.errors import BadDatasetError
from simsearch.prepare.inputs import ImageInput

PHOTO = ImageInput("photo", 1, 16, 16, 3, (0.5,) * 3, (0.5,) * 3)
COLORS = ("red-disc", "blue-disc", "green-disc")


def test_a_share_of_each_class_is_held_out_and_at_least_two_pictures():
    labels = np.repeat([0, 1, 2], [100, 20, 4])
    part, too_small = stratified_hold_out(labels, [str(row) for row in range(124)])

    assert too_small == ()
    assert np.bincount(labels[part.validation]).tolist() == [15, 3, 2]
    assert np.bincount(labels[part.train]).tolist() == [85, 17, 2]
    assert sorted((*part.train, *part.validation)) == list(range(124))


def test_classes_of_fewer_than_four_different_pictures_are_on_neither_side():
    labels = np.array([0] * 4 + [1] * 3 + [2] * 6 + [3] * 8)
    contents = [str(row) for row in range(21)]
    contents[7:13] = "abcabc"  # six files, three pictures
    part, too_small = stratified_hold_out(labels, contents)

    assert too_small == (1, 2)
    assert set(labels[np.concatenate(part)]) == {0, 3}


def test_copies_are_never_on_both_sides_whatever_their_classes():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 5, 200)
    contents = [str(number) for number in rng.integers(0, 120, 200)]  # many twice, in two classes
    part, _ = stratified_hold_out(labels, contents)

    sides = [{contents[row] for row in side} for side in part]
    assert sides[0] & sides[1] == set()
    assert min(len(side) for side in part) > 10


def test_the_same_rows_are_held_out_every_time():
    labels, contents = np.repeat([0, 1], 50), [str(row) for row in range(100)]
    first, second = (stratified_hold_out(labels, contents).part for _ in range(2))
    assert [side.tolist() for side in first] == [side.tolist() for side in second]


def test_what_is_held_out_is_chosen_before_anything_is_decoded_and_damaged_files_are_left_out(tmp_path):
    folder = write_shapes(tmp_path / "shapes", 10, COLORS)
    whole = find_training_set(str(folder))
    for number in (3, 5):
        (folder / "red-disc" / f"{number}.png").write_bytes(b"no picture")
    notes = []
    data = find_training_set(str(folder), note=notes.append)
    loaded = data.load(PHOTO, processes=1)

    assert (data.name, data.classes, len(data.labels)) == ("shapes", tuple(sorted(COLORS)), 30)
    assert data.sources == whole.sources
    assert data.digest != whole.digest
    assert len(loaded.split) == 28
    assert [entry.path for entry in loaded.split.skipped] == ["red-disc/3.png", "red-disc/5.png"]
    assert loaded.split.images.shape == (28, 16, 16, 3)
    held_out = {data.sources[row] for row in data.part.validation} - {"red-disc/3.png", "red-disc/5.png"}
    assert {loaded.split.sources[row] for row in loaded.part.validation} == held_out
    assert sorted(np.concatenate(loaded.part)) == list(range(28))


def test_small_classes_are_named(tmp_path):
    folder = write_shapes(tmp_path / "shapes", 8, COLORS)
    write_shapes(folder, 3, ("gray-disc",))
    for number in range(4):
        shutil.copy(folder / "red-disc" / "1.png", folder / "red-disc" / f"copy{number}.png")
    notes = []
    data = find_training_set(str(folder), note=notes.append)

    assert notes[-1] == ("kept out of training, because they have fewer than 4 different images: gray-disc")
    assert not any(source.startswith("gray") for source in data.sources)
    copies = {
        row for row, source in enumerate(data.sources) if "copy" in source or source == "red-disc/1.png"
    }
    assert len(copies) == 5
    assert copies <= set(data.part.train) or copies <= set(data.part.validation)


@pytest.mark.parametrize("each", [1, 3])
def test_a_folder_of_small_classes_is_refused_in_one_line(tmp_path, each):
    folder = write_shapes(tmp_path / "few", each, COLORS)
    with pytest.raises(BadDatasetError) as caught:
        find_training_set(str(folder))
    assert caught.value.message == (
        "few cannot be trained on: fewer than two classes have 4 different images"
    )


def test_a_folder_without_classes_is_refused(tmp_path):
    folder = write_shapes(tmp_path, 5, ("red-disc",)) / "red-disc"
    with pytest.raises(BadDatasetError, match="has no labels to train on"):
        find_training_set(str(folder))


def test_mnist_holds_out_its_images_as_ever(mnist_dir, mnist_train):
    from simsearch.data.splits import hold_out

    data = find_training_set("mnist", data_dir=mnist_dir)
    expected = hold_out(60_000)
    np.testing.assert_array_equal(data.part.validation, expected.validation)
    loaded = data.load()
    np.testing.assert_array_equal(loaded.split.images[::997], mnist_train.images[::997])
    assert (loaded.split.name, dict(loaded.split.sha256)) == (mnist_train.name, dict(mnist_train.sha256))


def test_pictures_in_memory_are_prepared_for_another_input():
    from simsearch.data.training_set import in_memory

    images = np.arange(4 * 28 * 28, dtype=np.uint32).reshape(4, 28, 28).astype(np.uint8)
    split = Split(images, np.array([0, 0, 1, 1]), ("a", "b", "c", "d"), "few", ("x", "y"))
    part = HoldOut(np.array([0, 2]), np.array([1, 3]))
    assert in_memory(split, part).load(PHOTO).split.images.shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(in_memory(split, part).load().split.images, images)
