"""Folders of IDX files, the format of MNIST's own, read within the size that their header may declare."""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.data.collection import visible
from simsearch.data.splits import Split
from simsearch.errors import BadDatasetError
from simsearch.files import decompressed, open_regular, reason_of, sha256_of, size_of
from simsearch.prepare.prepare import DIGIT

_SIZE = "x".join(map(str, DIGIT.picture_shape))
IDX_IMAGES = re.compile(r"(?P<stem>.*?)[-_.]?images[-.]idx3-ubyte(\.gz)?")
_SPLIT_WORDS = {"train": ("train",), "test": ("t10k", "test")}
_GZIP_MAX_RATIO = 1032  # deflate cannot pack tighter: a header that declares more lies
_MAX_BYTES = 1 << 31  # of a file, and of what it unpacks to
_BYTES = {0x08: "u1"}  # the format's numbers of types
_NUMBERS = {0x0C: ">i4"}


def load_idx_folder(folder: Path, split: str) -> Split:
    """Load the split's `*images-idx3-ubyte` with its `*labels-idx1-ubyte`, if there; either may be `.gz`."""
    found: dict[str, Path] = {}  # file name without .gz -> the file, the plain one where both exist
    for path in visible(folder):
        match = IDX_IMAGES.fullmatch(path.name)
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
    return split_from_idx(images, next(filter(Path.exists, candidates), None), folder.resolve().name, split)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or `.gz`, with the shape that its header declares.

    :raises BadDatasetError: If the header is not IDX, or declares another size than the file has.
    """
    return _read_hashed(path)[0]


def read_idx_bytes(content: bytes, path: Path) -> NDArray[Any]:
    """Read the content of an IDX file of unsigned bytes or of 32-bit numbers.

    :param path: Where it is from; packed, if that ends in `.gz`.
    :raises BadDatasetError: As `read_idx`.
    """
    stream = io.BytesIO(content)
    packed = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else stream
    try:
        return _parse(packed, len(content), path, _BYTES | _NUMBERS)
    except (OSError, EOFError, zlib.error) as error:
        raise _bad_idx(path, f"cannot be read: {reason_of(error)}") from error


def _read_hashed(path: Path) -> tuple[NDArray[np.uint8], str]:
    """What is in an IDX file, and the SHA-256 of the same file."""
    try:
        with open_regular(path, _MAX_BYTES) as file:
            size, sha256 = size_of(file), sha256_of(file)
            return _parse(decompressed(file, path.name), size, path, _BYTES), sha256
    except (OSError, EOFError, zlib.error) as error:
        raise _bad_idx(path, f"cannot be read: {reason_of(error)}") from error


def _parse(stream: io.BufferedIOBase, size: int, path: Path, types: Mapping[int, str]) -> NDArray[Any]:
    """The numbers of an IDX file of these types, in a file of this size."""
    dtype, shape = _read_idx_header(stream, path, types)
    declared = math.prod(shape) * dtype.itemsize
    available = size - 4 - 4 * len(shape)
    if path.suffix == ".gz":
        available = min(size * _GZIP_MAX_RATIO, _MAX_BYTES)
    if declared > available:
        raise _bad_idx(path, f"declares {declared:,} bytes, more than it can hold")
    values = np.empty(declared, np.uint8)
    if stream.readinto(values.data) != declared:
        raise _bad_idx(path, f"ends before the {declared:,} bytes that it declares")
    if stream.read(1):
        raise _bad_idx(path, f"is longer than the {declared:,} bytes that it declares")
    return values.view(dtype).reshape(shape)


def _read_idx_header(
    stream: io.BufferedIOBase, path: Path, types: Mapping[int, str]
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in types or not 1 <= magic[3] <= 3:
        raise _bad_idx(
            path, f"does not start like an IDX file of bytes (it starts with {magic.hex() or 'nothing'})"
        )
    sides = stream.read(4 * magic[3])
    if len(sides) < 4 * magic[3]:
        raise _bad_idx(path, "ends inside its header")
    shape = tuple(int.from_bytes(sides[at : at + 4], "big") for at in range(0, len(sides), 4))
    return np.dtype(types[magic[2]]), shape


def split_from_idx(images_file: Path, labels_file: Path | None, name: str, split: str) -> Split:
    """Read images and, where there is a file of them, their labels.

    :raises BadDatasetError: If they are not images of the size of digits, or not one label each.
    """
    sha256: dict[str, str] = {}
    images, sha256[images_file.name] = _read_hashed(images_file)
    if images.ndim != 3 or images.shape[1:] != DIGIT.picture_shape or not len(images):
        raise _bad_idx(images_file, f"must hold images of {_SIZE} pixels; its shape is {images.shape}")
    labels = None
    if labels_file:
        found, sha256[labels_file.name] = _read_hashed(labels_file)
        labels = found.astype(np.int64)
        if labels.shape != (len(images),):
            raise _bad_idx(labels_file, f"has labels of shape {labels.shape} for {len(images):,} images")
    return Split(
        images=images,
        labels=labels,
        sources=tuple(f"{name}/{split}/{row}" for row in range(len(images))),
        name=f"{name}-{split}",
        classes=() if labels is None else tuple(str(label) for label in range(labels.max() + 1)),
        sha256=sha256,
    )


def _bad_idx(path: Path, problem: str) -> BadDatasetError:
    return BadDatasetError(f"{path} {problem}", hint=f"replace it by an undamaged copy of {_SIZE} images")
