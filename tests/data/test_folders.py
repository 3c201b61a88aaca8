"""Folders of images as splits: every pixel, label and name is known."""

from pathlib import Path

import numpy as np
import pytest
from strokes import draw

from simsearch.data.collection import Skipped
from simsearch.data.datasets import load_named, load_split
from simsearch.errors import BadDatasetError


def refusal(dataset: Path) -> BadDatasetError:
    with pytest.raises(BadDatasetError) as caught:
        load_split(str(dataset))
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return caught.value


def test_sub_folders_are_classes_in_natural_order(tmp_path):
    expected = [
        draw(tmp_path / "9" / "a.png", 18),
        draw(tmp_path / "10" / "img2.png", 19),
        draw(tmp_path / "10" / "img10.PNG", 20),
        draw(tmp_path / "cat" / "deep" / "er.bmp", 17),
    ]
    (tmp_path / "empty").mkdir()
    split = load_split(str(tmp_path))
    assert split.classes == ("9", "10", "cat")
    assert split.sources == ("9/a.png", "10/img2.png", "10/img10.PNG", "cat/deep/er.bmp")
    np.testing.assert_array_equal(split.labels, [0, 1, 1, 2])
    assert split.labels.dtype == np.int64
    np.testing.assert_array_equal(split.images, expected)
    assert (split.name, split.skipped, split.sha256) == (tmp_path.name, (), {})
    assert split.root == str(tmp_path.resolve())


def test_images_directly_in_the_folder_are_unlabeled(tmp_path):
    expected = [draw(tmp_path / "b.png", 18), draw(tmp_path / "c.gif", 19)]
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "readme.txt").write_text("no image")
    split = load_split(str(tmp_path))
    assert split.labels is None
    assert (split.classes, split.sources) == ((), ("b.png", "c.gif"))
    np.testing.assert_array_equal(split.images, expected)


def test_labels_stay_aligned_when_an_image_is_skipped(tmp_path):
    first, last = draw(tmp_path / "a" / "1.png", 18), draw(tmp_path / "b" / "2.png", 19)
    (tmp_path / "a" / "2.png").write_bytes(b"not a picture")
    (tmp_path / "b" / "1.jpg").write_bytes(b"")
    split = load_split(str(tmp_path))
    assert split.sources == ("a/1.png", "b/2.png")
    np.testing.assert_array_equal(split.labels, [0, 1])
    np.testing.assert_array_equal(split.images, [first, last])
    assert split.skipped == (
        Skipped("a/2.png", "cannot decode it: not a picture, or damaged"),
        Skipped("b/1.jpg", "it is empty"),
    )


def test_pictures_beside_the_class_folders_are_left_out_unless_classes_are_not_wanted(tmp_path):
    draw(tmp_path / "loose.png", 18)
    draw(tmp_path / "cat" / "a.png", 17)
    split = load_split(str(tmp_path))
    assert (split.sources, split.classes) == (("cat/a.png",), ("cat",))
    assert [entry.path for entry in split.skipped] == ["loose.png"]
    every = load_split(str(tmp_path), labels="none")
    assert (every.sources, every.labels, every.classes) == (("cat/a.png", "loose.png"), None, ())


def test_what_is_left_out_is_said_whoever_loads(tmp_path):
    draw(tmp_path / "1.png", 18)
    (tmp_path / "notes.txt").write_text("no picture")
    said: list[str] = []
    load_named(str(tmp_path), note=said.append)
    assert said == ["skipped notes.txt: not a picture"]


def test_classes_without_a_readable_picture_are_none(tmp_path):
    draw(tmp_path / "b" / "1.png", 18)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"not a picture")
    split = load_split(str(tmp_path))
    assert (split.classes, split.labels.tolist()) == (("b",), [0])


def test_labels_come_from_a_table_and_keep_their_natural_order(tmp_path):
    for name in ("1.png", "2.png", "3.png"):
        draw(tmp_path / "photos" / name, 15)
    (tmp_path / "labels.csv").write_text("path,label\n1.png,10\n2.png,9\n3.png,10\n")
    split = load_split(str(tmp_path / "photos"), labels=str(tmp_path / "labels.csv"))
    assert (split.classes, split.labels.tolist()) == (("9", "10"), [1, 0, 1])


def test_labels_are_for_folders_of_images_alone(mnist_dir):
    with pytest.raises(BadDatasetError, match="mnist has its own labels"):
        load_split("mnist", labels="folder", data_dir=mnist_dir)


def test_a_folder_without_images_is_refused(tmp_path):
    assert refusal(tmp_path).message == f"{tmp_path} holds no readable image"


def test_a_folder_of_unreadable_images_is_refused_with_a_reason(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    assert refusal(tmp_path).message.startswith(f"{tmp_path} holds no readable image (a.png: ")
