"""Named galleries and the user's own folders, as one record.

A gallery is MNIST, a folder of IDX files, or a folder of images whose sub-folders are the classes. Loading
needs neither torch nor torchvision; fetching is left to `mnist.py`, preprocessing to `images.py`.
"""

from __future__ import annotations

import io
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from simsearch.data.corruptions import distort_images
from simsearch.data.folders import image_files, name_below, visible
from simsearch.data.mnist import Note, default_data_dir, fetch_mnist, silent
from simsearch.data.mnist_files import open_decompressed, sha256_of
from simsearch.data.splits import hold_out
from simsearch.errors import BadDatasetError, BadImageError
from simsearch.prepare.prepare import prepare_image
from simsearch.text import did_you_mean

SPLITS = ("train", "test")
MNIST_SPLITS = (*SPLITS, "kept", "held-out", "distorted")
_SPLIT_WORDS = {"train": ("train",), "test": ("t10k", "test")}
_IDX_IMAGES = re.compile(r"(?P<stem>.*?)[-_.]?images[-.]idx3-ubyte(\.gz)?")
_DECODERS = 4
_GZIP_MAX_RATIO = 1032  # deflate cannot pack tighter: a header that declares more lies
_GZIP_MAX_BYTES = 1 << 31


@dataclass(frozen=True, eq=False)
class Split:
    """Images with what is known about them, row by row."""

    images: NDArray[np.uint8]  # (N, 28, 28), light ink on dark
    labels: NDArray[np.int64] | None  # (N,), None when unlabelled
    sources: Sequence[str]  # N strings: "mnist/test/17", or a path relative to the given folder
    name: str  # "mnist-test"
    classes: tuple[str, ...] = ()  # classes[label] is the class's name
    sha256: Mapping[str, str] = field(default_factory=dict)  # data file -> hash; empty for image folders
    skipped: tuple[str, ...] = ()  # "path: reason" of images that could not be read

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.shape[1:] != (28, 28):
            raise ValueError(f"images must be uint8 (N, 28, 28), not {self.images.dtype} {self.images.shape}")
        if len(self.sources) != len(self):
            raise ValueError(f"{len(self)} images but {len(self.sources)} sources")
        if self.labels is None:
            return
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self),):
            raise ValueError(
                f"labels must be int64 ({len(self)},), not {self.labels.dtype} {self.labels.shape}"
            )
        if len(self) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"labels must lie in 0..{len(self.classes) - 1}, one class name each")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Sequence[int] | NDArray[Any]) -> Split:
        """The split of these rows (indices or a mask), in this order."""
        chosen = np.arange(len(self))[rows]
        return replace(
            self,
            images=self.images[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            sources=tuple(self.sources[row] for row in chosen),
        )


def load_split(
    dataset: str, split: str = "test", *, data_dir: Path | None = None, note: Note = silent
) -> Split:
    """Load a gallery by its name, or from a folder of IDX files or images.

    :param split: "train" or "test". A folder of images has no splits, unless its sub-folders are `train`
        and `test`. MNIST's training split also comes as "kept" and "held-out", the 5,000 images on which
        every choice is made, and these once more as "distorted" (see `simsearch.data.corruptions`).
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
    if any(_IDX_IMAGES.fullmatch(path.name) for path in visible(folder)):
        return load_idx_folder(folder, split)
    if {"train", "test"} <= {path.name for path in visible(folder) if path.is_dir()}:
        return replace(load_image_folder(folder / split), name=f"{folder.resolve().name}-{split}")
    return load_image_folder(folder)


def load_named(name: str, *, data_dir: Path | None = None, note: Note = silent) -> Split:
    """Load what one word names: `mnist:train`, or a folder with or without `:train` or `:test`.

    :raises BadDatasetError: As `load_split`.
    """
    dataset, _, split = name.rpartition(":")
    if dataset and split in MNIST_SPLITS:
        return load_split(dataset, split, data_dir=data_dir, note=note)
    return load_split(name, data_dir=data_dir, note=note)


def fetch(dataset: str, data_dir: Path | None = None, *, note: Note = silent) -> Path:
    """Fetch and verify a named gallery; return the folder that holds its files.

    :raises BadDatasetError: If there is no gallery of that name.
    :raises DatasetUnavailableError: If no source delivers it.
    """
    if dataset != "mnist":
        raise BadDatasetError(f"there is no dataset {dataset!r} to fetch", hint="choose mnist")
    return fetch_mnist(data_dir or default_data_dir(), note=note)


def load_idx_folder(folder: Path, split: str) -> Split:
    """Load the split's `*images-idx3-ubyte` with its `*labels-idx1-ubyte`, if there; either may be `.gz`."""
    found: dict[str, Path] = {}  # file name without .gz -> the file, the plain one where both exist
    for path in visible(folder):
        match = _IDX_IMAGES.fullmatch(path.name)
        if match and set(re.split(r"[-_.]", match["stem"])) & set(_SPLIT_WORDS[split]):
            found.setdefault(path.name.removesuffix(".gz"), path)
    if len(found) != 1:
        what = f"several: {', '.join(sorted(found))}" if found else "none"
        expected = " or ".join(f"{word}-images-idx3-ubyte" for word in _SPLIT_WORDS[split])
        raise BadDatasetError(
            f"{folder} must hold one file of {split} images, and holds {what}",
            hint=f"name it {expected} (.gz is fine), or choose the other split",
        )
    [(name, images)] = found.items()
    labels_name = re.sub(r"images([-.])idx3-ubyte$", r"labels\1idx1-ubyte", name)
    candidates = (folder / labels_name, folder / f"{labels_name}.gz")
    return _split_from_idx(images, next(filter(Path.exists, candidates), None), folder.resolve().name, split)


def load_image_folder(folder: Path) -> Split:
    """Load a folder of images: sub-folders are classes, images directly in the folder have no labels.

    Unreadable images are left out and listed in `skipped`. Links to folders are not followed.

    :raises BadDatasetError: If the folder mixes both kinds, or holds no readable image.
    """
    skipped: list[str] = []
    loose = image_files(folder, folder, skipped, deep=False)
    by_class = {
        path.name: files
        for path in visible(folder)
        if path.is_dir() and not path.is_symlink() and (files := image_files(path, folder, skipped))
    }
    if loose and by_class:
        raise BadDatasetError(
            f"{folder} mixes loose images ({loose[0].name}) and class folders ({next(iter(by_class))})",
            hint="put every image into a class folder, or none",
        )
    files = loose or [file for members in by_class.values() for file in members]
    labels = np.repeat(np.arange(len(by_class)), [len(members) for members in by_class.values()])
    with ThreadPoolExecutor(_DECODERS) as pool:
        decoded = list(pool.map(_pixels_or_reason, files))
    skipped += [
        f"{name_below(file, folder)}: {d}"
        for file, d in zip(files, decoded, strict=True)
        if isinstance(d, str)
    ]
    rows = [row for row, d in enumerate(decoded) if not isinstance(d, str)]
    if not rows:
        raise BadDatasetError(
            f"{folder} holds no readable image" + (f" ({skipped[0]})" if skipped else ""),
            hint="put png, jpg, webp, bmp or gif files into it, or into one sub-folder a class",
        )
    return Split(
        images=np.stack([cast("NDArray[np.uint8]", decoded[row]) for row in rows]),
        labels=None if loose else labels[rows].astype(np.int64),
        sources=tuple(name_below(files[row], folder) for row in rows),
        name=folder.resolve().name,
        classes=tuple(by_class),
        skipped=tuple(skipped),
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or `.gz`, with the shape that its header declares.

    :raises BadDatasetError: If the header is not IDX, or declares another size than the file has.
    """
    try:
        size = path.stat().st_size
        with open_decompressed(path) as stream:
            shape = _read_idx_header(stream, path)
            declared = math.prod(shape)
            available = size - 4 - 4 * len(shape)
            if path.suffix == ".gz":
                available = min(size * _GZIP_MAX_RATIO, _GZIP_MAX_BYTES)
            if declared > available:
                raise _bad_idx(path, f"declares {declared:,} bytes, more than it can hold")
            values = np.empty(declared, np.uint8)
            if stream.readinto(values.data) != declared:
                raise _bad_idx(path, f"ends before the {declared:,} bytes that it declares")
            if stream.read(1):
                raise _bad_idx(path, f"is longer than the {declared:,} bytes that it declares")
    except (OSError, EOFError, zlib.error) as error:
        raise _bad_idx(path, f"cannot be read: {error}") from error
    return values.reshape(shape)


def _read_idx_header(stream: io.BufferedIOBase, path: Path) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 3:
        raise _bad_idx(
            path, f"does not start like an IDX file of bytes (it starts with {magic.hex() or 'nothing'})"
        )
    sides = stream.read(4 * magic[3])
    if len(sides) < 4 * magic[3]:
        raise _bad_idx(path, "ends inside its header")
    return tuple(int.from_bytes(sides[at : at + 4], "big") for at in range(0, len(sides), 4))


def _split_from_idx(images_file: Path, labels_file: Path | None, name: str, split: str) -> Split:
    images = read_idx(images_file)
    if images.ndim != 3 or images.shape[1:] != (28, 28) or not len(images):
        raise _bad_idx(images_file, f"must hold images of 28x28 pixels; its shape is {images.shape}")
    labels = None
    if labels_file:
        labels = read_idx(labels_file).astype(np.int64)
        if labels.shape != (len(images),):
            raise _bad_idx(labels_file, f"has labels of shape {labels.shape} for {len(images):,} images")
    return Split(
        images=images,
        labels=labels,
        sources=tuple(f"{name}/{split}/{row}" for row in range(len(images))),
        name=f"{name}-{split}",
        classes=() if labels is None else tuple(str(label) for label in range(labels.max() + 1)),
        sha256={file.name: sha256_of(file) for file in (images_file, labels_file) if file},
    )


def _load_mnist(split: str, data_dir: Path, note: Note) -> Split:
    if split not in SPLITS:
        return _part_of_training(_load_mnist("train", data_dir, note), split)
    raw = fetch_mnist(data_dir, split=split, note=note)
    prefix = {"train": "train", "test": "t10k"}[split]
    return _split_from_idx(
        raw / f"{prefix}-images-idx3-ubyte", raw / f"{prefix}-labels-idx1-ubyte", "mnist", split
    )


def _part_of_training(train: Split, part: str) -> Split:
    """The images that training keeps, those held out from it, or the latter distorted."""
    rows = hold_out(len(train))
    split = replace(train.take(rows.train if part == "kept" else rows.held_out), name=f"mnist-{part}")
    if part != "distorted":
        return split
    return replace(split, images=distort_images(split.images))


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


def _pixels_or_reason(file: Path) -> NDArray[np.uint8] | str:
    try:
        return prepare_image(file).pixels
    except (BadImageError, OSError) as error:
        return str(error).replace(str(file), "it")


def _bad_idx(path: Path, problem: str) -> BadDatasetError:
    return BadDatasetError(f"{path} {problem}", hint="replace the file by an undamaged copy of 28x28 images")
