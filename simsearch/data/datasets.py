"""Names -> loaders: a gallery is a dataset with a name, a folder of IDX files, or a folder of images.

Loading needs neither torch nor torchvision; fetching is left to `mnist.py`, preparation to `prepare/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from simsearch.data.arrays import fit_split
from simsearch.data.collection import comparable, summary, visible
from simsearch.data.corruptions import corrupt_images
from simsearch.data.folders import load_image_folder
from simsearch.data.idx import IDX_IMAGES, load_idx_folder, split_from_idx
from simsearch.data.labels import AUTO
from simsearch.data.mnist import Note, default_data_dir, fetch_mnist, silent
from simsearch.data.named.catalog import NAMED
from simsearch.data.named.load import fetch_named_dataset, load_named_dataset
from simsearch.data.split_folders import find_splits, split_word
from simsearch.data.splits import Split, hold_out
from simsearch.errors import BadDatasetError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import DIGIT
from simsearch.text import did_you_mean, listed, printable

MNIST = "mnist"
SPLITS = ("train", "test")
_SYNONYMS = {"validation": "held-out", "corrupted": "distorted"}
MNIST_SPLITS = (*SPLITS, "kept", "validation", "corrupted", "held-out", "distorted")
_FOLDER_SPLITS = ("train", "val", "test")


def load_split(
    dataset: str,
    split: str | None = None,
    *,
    input: ImageInput = DIGIT,
    labels: str = AUTO,
    data_dir: Path | None = None,
    processes: int = 0,
    note: Note = silent,
) -> Split:
    """Load a gallery by its name, or from a folder of IDX files or images.

    :param split: "train" or "test"; None is "test". Of MNIST's training split "validation" is the 5,000
        images on which every choice is made, "corrupted" these with corruptions (see
        `simsearch.data.corruptions`), and "kept" the others. They are called "held-out" and "distorted" too,
        which is what their splits are named. A folder of images has the splits that its sub-folders are named
        after, "val" among them; None is then "test" if it is there, or else the first. Without any, all is
        taken.
    :param input: What pictures are prepared for; those of its size already, as MNIST for digits, are not.
    :param labels: Where the classes of a folder of images come from; see `simsearch.data.labels`.
    :param data_dir: Where named galleries lie or are put; None is the platform's own folder.
    :param processes: How many decode a folder of images side by side; 0 uses every core.
    :param note: Receives what was chosen where the arguments leave a choice, and what was left out.
    :raises BadDatasetError: If the name is unknown, or the folder holds nothing usable.
    :raises DatasetUnavailableError: If a named gallery cannot be fetched.
    """
    arrays = load_arrays(dataset, split, labels=labels, data_dir=data_dir, note=note)
    if arrays is not None:
        return _fitted(arrays, input, note)
    name, folder = picture_folder(dataset, split, note=note)
    loaded = load_image_folder(folder, input, labels=labels, processes=processes)
    for line in summary(loaded.skipped):
        note(line)
    return replace(loaded, name=name)


def image_folder(dataset: str, split: str | None = None, *, note: Note = silent) -> tuple[str, Path] | None:
    """The name and the place of a gallery that is a folder of images; None for all others.

    :param split: As for `load_split`.
    :raises BadDatasetError: If there is no such gallery, or it has no such split.
    """
    if dataset in GALLERIES or _holds_idx(_existing_folder(dataset)):
        return None
    return picture_folder(dataset, split, note=note)


def load_arrays(
    dataset: str,
    split: str | None = None,
    *,
    labels: str = AUTO,
    data_dir: Path | None = None,
    note: Note = silent,
) -> Split | None:
    """Load a gallery with a name, or a folder of IDX files, as it is; None for a folder of images.

    :raises BadDatasetError: As `load_split`.
    :raises DatasetUnavailableError: If a named gallery cannot be fetched.
    """
    if dataset in GALLERIES:
        _check_split(split, MNIST_SPLITS if dataset == MNIST else SPLITS)
        _check_labels(labels, dataset)
        return GALLERIES[dataset](split or "test", data_dir or default_data_dir(), note)
    word, folder = _folder_word(split), _existing_folder(dataset)
    if not _holds_idx(folder):
        return None
    _check_split(word, SPLITS)
    _check_labels(labels, dataset)
    return load_idx_folder(folder, word or "test")


def picture_folder(dataset: str, split: str | None = None, *, note: Note = silent) -> tuple[str, Path]:
    """What a split of a folder of images is called, and where it lies.

    :raises BadDatasetError: If there is no such folder, or it has no such split.
    """
    return _place(_existing_folder(dataset), _folder_word(split), note)


def _holds_idx(folder: Path) -> bool:
    return any(IDX_IMAGES.fullmatch(path.name) for path in visible(folder))


def load_named(
    name: str,
    *,
    input: ImageInput = DIGIT,
    labels: str = AUTO,
    data_dir: Path | None = None,
    processes: int = 0,
    note: Note = silent,
) -> Split:
    """Load what one word names: `mnist:train`, or a folder with or without `:train`, `:val` or `:test`.

    :raises BadDatasetError: As `load_split`.
    """
    dataset, split = split_name(name)
    return load_split(
        dataset, split, input=input, labels=labels, data_dir=data_dir, processes=processes, note=note
    )


def split_name(name: str) -> tuple[str, str | None]:
    """The dataset and the split that one word names; a folder of the whole name comes first."""
    dataset, _, split = name.rpartition(":")
    if dataset and (split in MNIST_SPLITS or split_word(split)) and not _is_folder(name):
        return dataset, split
    return name, None


def fetch(dataset: str, data_dir: Path | None = None, *, note: Note = silent) -> Path:
    """Fetch and verify a named gallery; return the folder that holds its files.

    :raises BadDatasetError: If there is no gallery of that name.
    :raises DatasetUnavailableError: If no source delivers it.
    """
    where = data_dir or default_data_dir()
    if dataset in NAMED:
        return fetch_named_dataset(NAMED[dataset], where, note)
    if dataset != MNIST:
        raise BadDatasetError(
            f"there is no dataset {dataset!r} to fetch",
            hint=f"{did_you_mean(dataset, GALLERIES)}choose one of: {', '.join(GALLERIES)}",
        )
    return fetch_mnist(where, note=note)


def _fitted(split: Split, input: ImageInput, note: Note) -> Split:
    """A split of arrays, prepared; what is left out is said."""
    fitted = fit_split(split, input)
    for line in summary(fitted.skipped):
        note(line)
    return fitted


def _load_mnist(split: str, data_dir: Path, note: Note) -> Split:
    if split not in SPLITS:
        return _part_of_training(_load_mnist("train", data_dir, note), _SYNONYMS.get(split, split))
    raw = fetch_mnist(data_dir, split=split, note=note)
    prefix = {"train": "train", "test": "t10k"}[split]
    return split_from_idx(
        raw / f"{prefix}-images-idx3-ubyte", raw / f"{prefix}-labels-idx1-ubyte", "mnist", split
    )


def _part_of_training(train: Split, part: str) -> Split:
    """The images that training sees, those of validation, or the latter with corruptions."""
    rows = hold_out(len(train))
    split = replace(train.take(rows.train if part == "kept" else rows.validation), name=f"mnist-{part}")
    if part != "distorted":
        return split
    return replace(split, images=corrupt_images(split.images))


def _load_other(name: str, split: str, data_dir: Path, note: Note) -> Split:
    return load_named_dataset(NAMED[name], split, data_dir, note)


GALLERIES: Mapping[str, Callable[[str, Path, Note], Split]] = MappingProxyType(
    {MNIST: _load_mnist, **{name: partial(_load_other, name) for name in NAMED}}
)


def _check_split(split: str | None, splits: Sequence[str]) -> None:
    if split is not None and split not in splits:
        hint = f"{did_you_mean(split, splits)}choose one of: {', '.join(splits)}"
        raise BadDatasetError(f"there is no split {split!r}", hint)


def _folder_word(split: str | None) -> str | None:
    """The split that is meant by a word for one of a folder's."""
    word = None if split is None else split_word(split)
    if split is not None and word is None:
        _check_split(split, _FOLDER_SPLITS)
    return word


def _check_labels(labels: str, dataset: str) -> None:
    if labels != AUTO:
        raise BadDatasetError(
            f"{dataset} has its own labels", hint="choose labels for a folder of images, or none at all"
        )


def _place(folder: Path, word: str | None, note: Note) -> tuple[str, Path]:
    """What a split of a folder of images is called, and where it lies: all of the folder if it has none."""
    name, splits = comparable(folder.resolve().name), find_splits(folder)
    if splits:
        word = _chosen_split(folder, splits, word, note)
        return f"{name}-{word}", splits[word]
    if word:
        note(f"{folder} has no split folders: all of it is taken")
    return name, folder


def _chosen_split(folder: Path, splits: Mapping[str, Path], word: str | None, note: Note) -> str:
    """Which of a folder's splits is meant; a choice that nobody made is said.

    :raises BadDatasetError: If it has no such split.
    """
    there = ", ".join(f"{split} ({path.relative_to(folder).as_posix()})" for split, path in splits.items())
    if word is None:
        word = "test" if "test" in splits else next(iter(splits))
        others = "".join(f"; {folder}:{split} is another" for split in splits if split != word)
        note(f"{folder} has the splits {there}: {word} is taken{others}")
    if word not in splits:
        raise BadDatasetError(f"{folder} has no {word} split", hint=f"it has {there}")
    beside = [
        path.name for path in visible(splits[word].parent) if path.is_dir() and path not in splits.values()
    ]
    if beside:
        note(f"skipped beside the splits: {printable(listed(beside))}")
    return word


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _existing_folder(dataset: str) -> Path:
    """The folder of this name, or an error that guesses what was meant."""
    folder = Path(dataset)
    try:
        if dataset and folder.is_dir():
            return folder
        problem = "is not a folder" if dataset and folder.exists() else "is no known dataset and no folder"
    except OSError as error:
        problem = f"cannot be opened ({error.strerror})"
    guess = did_you_mean(dataset, GALLERIES)
    raise BadDatasetError(
        f"dataset {dataset!r} {problem}",
        hint=f"{guess}known datasets: {', '.join(GALLERIES)}; or give the path of a folder",
    )
