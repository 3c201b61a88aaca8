"""Sub-folders that are splits, and those that only sound like it."""

from pathlib import Path

import pytest
from strokes import draw

from simsearch.data.datasets import load_named, load_split, split_name
from simsearch.data.split_folders import find_splits, split_word
from simsearch.errors import BadDatasetError


def make(root: Path, *folders: str) -> dict[str, str]:
    """The splits of a folder with these sub-folders, each as its path."""
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return {split: path.relative_to(root).as_posix() for split, path in find_splits(root).items()}


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "test"), {"train": "train", "test": "test"}),
        (("TESTING", "Training"), {"train": "Training", "test": "TESTING"}),
        (("train", "valid", "test"), {"train": "train", "val": "valid", "test": "test"}),
        (("Validation", "train", "extra"), {"train": "train", "val": "Validation"}),
        (("data/train", "data/val"), {"train": "data/train", "val": "data/val"}),
        (("test",), {"test": "test"}),
        (("train", "bus", "car"), {}),
        (("cat", "dog"), {}),
        (("a/b/train", "a/b/test"), {}),
        (("a/train", "a/test", "b"), {}),
        ((), {}),
    ],
)
def test_sub_folders_are_splits_if_they_can_be_nothing_else(
    tmp_path: Path, folders: tuple[str, ...], splits: dict[str, str]
) -> None:
    assert make(tmp_path, *folders) == splits
    assert list(find_splits(tmp_path)) == list(splits)


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="may both be the val split"):
        make(tmp_path, "val", "valid", "train")


@pytest.mark.parametrize("name", ["train", "Training", "VAL", "valid", "validation", "test", "testing"])
def test_words_for_splits_are_known_in_any_case(name: str) -> None:
    assert split_word(name) == name.lower()[:3].replace("tra", "train").replace("tes", "test")
    assert split_name(f"a:b:{name}") == ("a:b", name)


def test_a_folder_of_the_whole_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shots:test").mkdir()
    assert split_name("shots:test") == ("shots:test", None)
    assert split_name("other:test") == ("other", "test")
    assert split_name("mnist:kept") == ("mnist", "kept")
    assert split_name("C:\\photos") == ("C:\\photos", None)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Three pictures in each of two splits, and one in neither."""
    for split, first in (("Training", 10), ("testing", 13)):
        for number, place in enumerate(("7/a.png", "1/a.png", "7/b.png")):
            draw(tmp_path / "digits" / "wrapped" / split / place, first + number)
    draw(tmp_path / "digits" / "wrapped" / "extra" / "c.png")
    return tmp_path / "digits"


def test_a_choice_that_nobody_made_is_said(digits: Path) -> None:
    said: list[str] = []
    test = load_split(str(digits), note=said.append)
    assert (test.name, test.classes, test.labels.tolist()) == ("digits-test", ("1", "7"), [0, 1, 1])
    assert test.sources == ("1/a.png", "7/a.png", "7/b.png")
    assert test.root == str((digits / "wrapped" / "testing").resolve())
    assert said == [
        f"{digits} has the splits train (wrapped/Training), test (wrapped/testing): test is taken; "
        f"{digits}:train is another",
        "skipped beside the splits: extra",
    ]


@pytest.mark.parametrize("word", ["train", "TRAINING"])
def test_a_split_is_chosen_by_a_word(digits: Path, word: str) -> None:
    said: list[str] = []
    train = load_split(str(digits), word, note=said.append)
    assert (train.name, said) == ("digits-train", ["skipped beside the splits: extra"])
    named = load_named(f"{digits}:{word}")
    assert (named.name, named.images.tolist()) == (train.name, train.images.tolist())
    assert train.images.tolist() != load_split(str(digits), "test").images.tolist()


def test_a_split_that_is_not_there_is_refused_with_those_that_are(digits: Path) -> None:
    with pytest.raises(BadDatasetError, match="has no val split") as caught:
        load_named(f"{digits}:val")
    assert caught.value.hint == "it has train (wrapped/Training), test (wrapped/testing)"


def test_a_folder_without_splits_is_taken_whole_and_that_is_said(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    said: list[str] = []
    assert len(load_split(str(tmp_path), "train", note=said.append)) == 1
    assert said == [f"{tmp_path} has no split folders: all of it is taken"]
    assert load_split(str(tmp_path), note=said.append).name == tmp_path.name
    assert len(said) == 1
