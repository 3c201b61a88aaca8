"""Names -> loaders: a gallery is MNIST, a folder of IDX files, or a folder of images.

Loading needs neither torch nor torchvision; fetching is left to `mnist.py`, preparation to `prepare/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from simsearch.data.corruptions import corrupt_images
from simsearch.data.folders import load_image_folder, visible
from simsearch.data.idx import IDX_IMAGES, load_idx_folder, split_from_idx
from simsearch.data.mnist import Note, default_data_dir, fetch_mnist, silent
from simsearch.data.splits import Split, hold_out
from simsearch.errors import BadDatasetError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import DIGIT
from simsearch.text import did_you_mean

SPLITS = ("train", "test")
_SYNONYMS = {"validation": "held-out", "corrupted": "distorted"}
MNIST_SPLITS = (*SPLITS, "kept", "validation", "corrupted", "held-out", "distorted")


def load_split(
    dataset: str,
    split: str = "test",
    *,
    input: ImageInput = DIGIT,
    data_dir: Path | None = None,
    note: Note = silent,
) -> Split:
    """Load a gallery by its name, or from a folder of IDX files or images.

    :param split: "train" or "test". A folder of images has no splits, unless its sub-folders are `train`
        and `test`. Of MNIST's training split "validation" is the 5,000 images on which every choice is made,
        "corrupted" these with corruptions (see `simsearch.data.corruptions`), and "kept" the others. They are
        called "held-out" and "distorted" too, which is what their splits are named.
    :param input: What pictures in folders are prepared for; MNIST and IDX files are digits already.
    :param data_dir: Where named galleries lie or are put; None is the platform's own folder.
    :raises BadDatasetError: If the name is unknown, or the folder holds nothing usable.
    :raises DatasetUnavailableError: If a named gallery cannot be fetched.
    """
    splits = MNIST_SPLITS if dataset in GALLERIES else SPLITS
    if split not in splits:
        hint = f"{did_you_mean(split, splits)}choose one of: {', '.join(splits)}"
        raise BadDatasetError(f"there is no split {split!r}", hint)
    if dataset in GALLERIES:
        return GALLERIES[dataset](split, data_dir or default_data_dir(), note)
    folder = _existing_folder(dataset)
    if any(IDX_IMAGES.fullmatch(path.name) for path in visible(folder)):
        return load_idx_folder(folder, split)
    if {"train", "test"} <= {path.name for path in visible(folder) if path.is_dir()}:
        return replace(load_image_folder(folder / split, input), name=f"{folder.resolve().name}-{split}")
    return load_image_folder(folder, input)


def load_named(
    name: str, *, input: ImageInput = DIGIT, data_dir: Path | None = None, note: Note = silent
) -> Split:
    """Load what one word names: `mnist:train`, or a folder with or without `:train` or `:test`.

    :raises BadDatasetError: As `load_split`.
    """
    dataset, _, split = name.rpartition(":")
    if dataset and split in MNIST_SPLITS:
        return load_split(dataset, split, input=input, data_dir=data_dir, note=note)
    return load_split(name, input=input, data_dir=data_dir, note=note)


def fetch(dataset: str, data_dir: Path | None = None, *, note: Note = silent) -> Path:
    """Fetch and verify a named gallery; return the folder that holds its files.

    :raises BadDatasetError: If there is no gallery of that name.
    :raises DatasetUnavailableError: If no source delivers it.
    """
    if dataset != "mnist":
        raise BadDatasetError(f"there is no dataset {dataset!r} to fetch", hint="choose mnist")
    return fetch_mnist(data_dir or default_data_dir(), note=note)


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


GALLERIES: Mapping[str, Callable[[str, Path, Note], Split]] = MappingProxyType({"mnist": _load_mnist})


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
