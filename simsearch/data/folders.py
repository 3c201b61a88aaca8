"""Folders of images: the files in them in the order that people expect, sub-folders as classes."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from simsearch.data.splits import Split
from simsearch.errors import BadDatasetError, BadImageError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import DIGIT

_DECODERS = 4
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})


def visible(folder: Path) -> list[Path]:
    """The folder's entries without the hidden ones, "9" before "10"."""
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise BadDatasetError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted(entries, key=lambda path: natural(path.name))


def natural(name: str) -> tuple[list[int | str], str]:
    """The key that sorts "9" before "10"."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts], name


def load_image_folder(folder: Path, input: ImageInput = DIGIT) -> Split:
    """Load a folder of images: sub-folders are classes, images directly in the folder have no labels.

    Unreadable images are left out and listed in `skipped`. Links to folders are not followed.

    :param input: What the pictures are prepared for.

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
        decoded = list(pool.map(partial(_pixels_or_reason, input), files))
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


def image_files(folder: Path, base: Path, skipped: list[str], *, deep: bool = True) -> list[Path]:
    """The image files in a folder and below it, in natural order; what cannot be used goes to `skipped`."""
    found: list[Path] = []
    for path in visible(folder):
        if path.is_dir():
            if path.is_symlink():
                skipped.append(f"{name_below(path, base)}: a link to a folder, not followed")
            elif deep:
                found += image_files(path, base, skipped)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            if name_below(path, base) == path.relative_to(base).as_posix():
                found.append(path)
            else:
                skipped.append(f"{name_below(path, base)}: its name is not valid UTF-8")
    return found


def name_below(path: Path, base: Path) -> str:
    """The path below the given folder; bytes that are not UTF-8 are escaped."""
    return path.relative_to(base).as_posix().encode(errors="backslashreplace").decode()


def _pixels_or_reason(input: ImageInput, file: Path) -> NDArray[np.uint8] | str:
    try:
        return prepare_picture(file, input).pixels
    except (BadImageError, OSError) as error:
        return str(error).replace(str(file), "it")
