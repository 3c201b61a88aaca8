"""What training sees: labeled pictures, and which of them are held out, before any file is decoded.

MNIST holds out its 5,000 images at random, as ever; every other set a share of each class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.data.collection import Skipped, content_hash, natural, scan, summary
from simsearch.data.datasets import MNIST, load_arrays, picture_folder
from simsearch.data.decoding import decode_files
from simsearch.data.folders import path_text, prepared_pixels
from simsearch.data.labels import AUTO, label_items
from simsearch.data.mnist import Note, silent
from simsearch.data.splits import (
    LEAST_OF_A_CLASS,
    VALIDATION_IMAGES,
    VALIDATION_SHARE,
    HoldOut,
    Split,
    hold_out,
    stratified_hold_out,
)
from simsearch.errors import BadDatasetError, BadImageError
from simsearch.prepare.inputs import ImageInput, Picture
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import DIGIT
from simsearch.text import listed, printable


class LoadedSet(NamedTuple):
    """A training set in memory: its pictures, and the rows of them that train and that are held out."""

    split: Split
    part: HoldOut


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Labeled pictures that lie in files or in memory, and which of them choose the checkpoint."""

    name: str
    labels: NDArray[np.int64]  # (N,)
    classes: tuple[str, ...]  # classes[label] is the class's name
    sources: tuple[str, ...]  # N
    part: HoldOut  # of the N rows
    digest: str  # SHA-256 of the pictures as they were found, and of their labels
    _pictures: Callable[[ImageInput, int], Iterable[Picture | str]] = field(repr=False)
    described: Split = field(repr=False)  # what a loaded split says, without its pictures
    _memory: Split | None = field(default=None, repr=False)  # the loaded split, where it never was in files

    def pictures(self, input: ImageInput, *, processes: int = 0) -> Iterator[Picture | str]:
        """Each picture as an input takes it, or why there is none, in order; N of them.

        :param processes: How many decode side by side; 0 uses every core.
        """
        yield from self._pictures(input, processes)

    def load(self, input: ImageInput = DIGIT, *, processes: int = 0) -> LoadedSet:
        """Decode all of it; what cannot be decoded is left out of both sides.

        :raises BadDatasetError: If nothing can be decoded.
        """
        if self._memory is not None and self._memory.images.shape[1:] == input.picture_shape:
            return LoadedSet(self._memory, self.part)
        rows, pixels, skipped = [], [], list(self.described.skipped)
        for row, found in enumerate(self.pictures(input, processes=processes)):
            if isinstance(found, str):
                skipped.append(Skipped(self.sources[row], found))
            else:
                rows.append(row)
                pixels.append(found)
        if not rows:
            raise BadDatasetError(f"{self.name} holds no readable image ({skipped[-1].reason})")
        images = np.stack(pixels)
        split = replace(
            self.described,
            images=images,
            labels=self.labels[rows],
            sources=tuple(self.sources[row] for row in rows),
            skipped=tuple(skipped),
        )
        return LoadedSet(split, remaining(self.part, np.array(rows, np.int64)))


def remaining(part: HoldOut, rows: NDArray[np.int64]) -> HoldOut:
    """The same hold-out where only some rows are left: numbers among these, which ascend."""
    return HoldOut(*(np.flatnonzero(np.isin(rows, side)) for side in part))


def find_training_set(
    dataset: str,
    *,
    labels: str = AUTO,
    share: float | None = VALIDATION_SHARE,
    most: int = VALIDATION_IMAGES,
    data_dir: Path | None = None,
    note: Note = silent,
) -> TrainingSet:
    """Find what can be trained on, and choose what is held out; files are hashed and not decoded.

    :param dataset: As for `load_split`; its training split is taken.
    :param labels: Where the classes of a folder of images come from.
    :param share: Of each class that is held out; None, of arrays, for as many at random as `most` says.
    :param most: How many pictures are held out at most; of MNIST so many are.
    :param note: Receives what was left out.
    :raises BadDatasetError: If there are no pictures of two classes, four different ones in each.
    """
    split = load_arrays(dataset, "train", labels=labels, data_dir=data_dir, note=note)
    if split is not None:
        if dataset == MNIST or share is None:
            return in_memory(split, hold_out(len(split), most))
        contents = [hashlib.sha256(image.tobytes()).hexdigest() for image in split.images]
        divided = _divided(split, contents, share, most, _of_split(split), note)
        return replace(divided, _memory=split.take(np.isin(split.sources, divided.sources)))
    name, folder = picture_folder(dataset, "train", note=note)
    collection = scan(folder)
    labeled = label_items(collection, labels)
    for line in summary(labeled.skipped):
        note(line)
    if labeled.names is None or not labeled.items:
        raise BadDatasetError(
            f"{folder} has no labels to train on",
            hint="put pictures into one sub-folder a class, or --labels",
        )
    classes = sorted(set(labeled.names), key=natural)
    numbers = {name: number for number, name in enumerate(classes)}
    files = [collection.file(item) for item in labeled.items]
    split = Split(
        images=np.empty((len(files), 1, 1), np.uint8),  # a place for each
        labels=np.array([numbers[name] for name in labeled.names], np.int64),
        sources=tuple(item.path for item in labeled.items),
        name=name,
        classes=tuple(classes),
        skipped=labeled.skipped,
        root=path_text(folder.resolve()),
    )
    share = VALIDATION_SHARE if share is None else share
    return _divided(split, [_hash_of(file) for file in files], share, most, _of_files(files), note)


def in_memory(split: Split, part: HoldOut) -> TrainingSet:
    """A labeled split whose rows are divided already."""
    assert split.labels is not None
    digest = hashlib.sha256(split.images.tobytes() + split.labels.tobytes()).hexdigest()
    rows = np.arange(len(split))
    return TrainingSet(
        split.name,
        split.labels,
        split.classes,
        tuple(split.sources),
        part,
        digest,
        partial(_of_split(split), rows),
        replace(split, images=split.images[:0], labels=None, sources=()),
        split,
    )


_Opener = Callable[[NDArray[np.int64], ImageInput, int], Iterable[Picture | str]]  # of some rows


def _divided(
    split: Split, contents: Sequence[str], share: float, most: int, pictures: _Opener, note: Note
) -> TrainingSet:
    """Hold out a share of each class, and leave out the classes that are too small for that."""
    if split.labels is None:
        raise BadDatasetError(f"{split.name} has no labels to train on")
    found = stratified_hold_out(split.labels, contents, min(share, most / max(1, len(split))))
    small = [split.classes[label] for label in found.too_small]
    rows = np.sort(np.concatenate(found.part))
    labels = split.labels[rows]
    if len(np.unique(labels)) < 2:
        raise BadDatasetError(
            f"{split.name} cannot be trained on: fewer than two classes have {LEAST_OF_A_CLASS} different"
            " images",
            hint="give every class more images; half of four are held out",
        )
    if small:
        note(
            f"kept out of training, because they have fewer than {LEAST_OF_A_CLASS} different images: "
            f"{printable(listed(small))}"
        )
    digest = hashlib.sha256("".join(contents[row] for row in rows).encode() + labels.tobytes()).hexdigest()
    return TrainingSet(
        split.name,
        labels,
        split.classes,
        tuple(split.sources[row] for row in rows),
        remaining(found.part, rows),
        digest,
        partial(pictures, rows),
        replace(split, images=split.images[:0], labels=None, sources=()),
    )


def _of_split(split: Split) -> _Opener:
    def pictures(rows: NDArray[np.int64], input: ImageInput, _: int) -> Iterator[Picture | str]:
        for image in split.images[rows]:
            try:
                fits = image.shape == input.picture_shape
                yield image if fits else prepare_picture(image, input).pixels
            except BadImageError as error:
                yield error.message

    return pictures


def _of_files(files: Sequence[Path]) -> _Opener:
    def pictures(rows: NDArray[np.int64], input: ImageInput, processes: int) -> Iterator[Picture | str]:
        return decode_files(
            [files[row] for row in rows], partial(prepared_pixels, input), processes=processes
        )

    return pictures


def _hash_of(file: Path) -> str:
    """What a file holds; one that cannot be read is like no other, and left out when it is decoded."""
    try:
        return content_hash(file)
    except OSError:
        return str(file)
