"""A folder of images -> a split: its files found, labeled and decoded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simsearch.data.collection import Collection, Item, Skipped, comparable, natural, scan
from simsearch.data.decoding import decode_files
from simsearch.data.labels import AUTO, label_items
from simsearch.data.splits import Split
from simsearch.errors import BadDatasetError
from simsearch.prepare.inputs import ImageInput, Picture
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import DIGIT


def load_image_folder(
    folder: Path, input: ImageInput = DIGIT, *, labels: str = AUTO, processes: int = 0
) -> Split:
    """Load a folder of images, in natural order of their paths.

    Files that cannot be decoded or have no label are left out and listed in `skipped`.

    :param input: What the pictures are prepared for.
    :param labels: Where the classes come from; see `label_items`.
    :param processes: How many decode side by side; 0 uses every core.
    :raises BadDatasetError: If the folder holds no readable image with a label, or `labels` cannot be used.
    :raises MissingExtraError: If `labels` is a Parquet file, and pyarrow is not installed.
    """
    collection = scan(folder)
    labeled = label_items(collection, labels)
    decoded = _decode(collection, labeled.items, input, processes)
    skipped = (*labeled.skipped, *decoded.skipped)
    if not decoded.rows:
        raise nothing_readable(folder, decoded.skipped or skipped)
    names = [] if labeled.names is None else [labeled.names[row] for row in decoded.rows]
    classes = sorted(set(names), key=natural)
    numbers = {name: number for number, name in enumerate(classes)}
    return Split(
        images=np.stack(decoded.pixels),
        labels=None if labeled.names is None else np.array([numbers[name] for name in names], np.int64),
        sources=tuple(labeled.items[row].path for row in decoded.rows),
        name=comparable(folder.resolve().name),
        classes=tuple(classes),
        skipped=skipped,
        root=path_text(folder.resolve()),
    )


def path_text(path: Path) -> str | None:
    """A path that a document can hold; None if it is no text."""
    return str(path) if str(path).isprintable() else None  # halves of characters are not printable


class _Decoded(NamedTuple):
    rows: list[int]  # of the items that could be decoded
    pixels: list[Picture]
    skipped: list[Skipped]


def _decode(collection: Collection, items: Sequence[Item], input: ImageInput, processes: int) -> _Decoded:
    done = _Decoded([], [], [])
    files = [collection.file(item) for item in items]
    found = decode_files(files, partial(prepared_pixels, input), processes=processes)
    for row, pixels in enumerate(found):
        if isinstance(pixels, str):
            done.skipped.append(Skipped(items[row].path, pixels))
        else:
            done.rows.append(row)
            done.pixels.append(pixels)
    return done


def nothing_readable(folder: Path, skipped: Sequence[Skipped]) -> BadDatasetError:
    """What is said of a folder from which nothing could be taken."""
    why = f" ({skipped[0].path}: {skipped[0].reason})" if skipped else ""
    return BadDatasetError(
        f"{folder} holds no readable image{why}",
        hint="put pictures into it, or into one sub-folder a class",
    )


def prepared_pixels(input: ImageInput, file: Path) -> Picture:
    """The pixels of a picture file, as an input takes them."""
    return prepare_picture(file, input).pixels
