"""The files of named datasets -> pixels and labels; their content is checked before it comes here.

IDX is read by `data/idx.py`. None of the formats is trusted with code: CIFAR-10's pickles may name nothing
but NumPy's arrays.
"""

from __future__ import annotations

import bz2
import io
import pickle
import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.inputs import Pictures

_USPS_SIDE, _CIFAR_SIDE = 16, 32
_MOST_BYTES = 2**30  # that a file may unpack to
_MATRIX, _COMPRESSED, _UINT8 = 14, 15, 2  # MATLAB's types of elements
_MAT_HEADER = 128


class Labeled(NamedTuple):
    """Images with their labels as the files have them."""

    images: Pictures  # (N, H, W) or (N, H, W, 3)
    labels: NDArray[np.int64]  # (N,)


def read_usps(files: Sequence[bytes]) -> Labeled:
    """Lines of `label index:value ...`, labels from 1, values from -1 to 1, in libsvm's format; bzip2.

    :raises ValueError: If a line is none.
    """
    unpacker = bz2.BZ2Decompressor()
    text = unpacker.decompress(files[0], _MOST_BYTES).decode("ascii")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    values = np.array([[part.rpartition(":")[2] for part in row[1:]] for row in rows], np.float32)
    grays = ((values.reshape(-1, _USPS_SIDE, _USPS_SIDE) + 1) / 2 * 255).astype(np.uint8)
    return Labeled(grays, np.array([int(float(row[0])) for row in rows], np.int64) - 1)


def read_cifar(files: Sequence[bytes]) -> Labeled:
    """Pickled tables of `data`, uint8 (N, 3072), and `labels`.

    :raises ValueError, pickle.UnpicklingError: If one is something else.
    """
    tables = [_Arrays(io.BytesIO(content), encoding="latin1").load() for content in files]
    planes = np.concatenate([np.asarray(table["data"], np.uint8) for table in tables])
    images = planes.reshape(-1, 3, _CIFAR_SIDE, _CIFAR_SIDE).transpose(0, 2, 3, 1)
    labels = np.concatenate([np.asarray(table["labels"], np.int64) for table in tables])
    return Labeled(np.ascontiguousarray(images), labels)


class _Arrays(pickle.Unpickler):
    """Unpickles containers, numbers, texts and NumPy's arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names.

        :raises pickle.UnpicklingError: If it is none of the parts of an array.
        """
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # how bytes are written by newer protocols
            return str.encode
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def read_svhn(files: Sequence[bytes]) -> Labeled:
    """A MATLAB file of version 5 with `X`, uint8 (32, 32, 3, N), and `y`, (N, 1), in which 10 stands for 0.

    :raises ValueError, zlib.error, struct.error: If it is something else.
    """
    matrices = dict(_matrices(files[0]))
    labels = matrices["y"].reshape(-1).astype(np.int64) % 10
    return Labeled(np.ascontiguousarray(matrices["X"].transpose(3, 0, 1, 2)), labels)


def _matrices(data: bytes) -> list[tuple[str, NDArray[np.uint8]]]:
    """The names and numbers of a MATLAB file's matrices of bytes."""
    found, at = [], _MAT_HEADER
    while at + 8 <= len(data):
        kind, content, at = _element(data, at)
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(content, _MOST_BYTES)
            kind, content, _ = _element(unpacked, 0)
        if kind != _MATRIX:
            raise ValueError("it holds something else than matrices")
        found.append(_matrix(content))
    return found


def _element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Kind and content of the element at a place, and the place of the next."""
    kind, size = struct.unpack_from("<II", data, at)
    if kind >> 16:  # a small one: four bytes within the tag
        return kind & 0xFFFF, data[at + 4 : at + 4 + (kind >> 16)], at + 8
    end = at + 8 + size
    return kind, data[at + 8 : end], end if kind == _COMPRESSED else end + -size % 8


def _matrix(content: bytes) -> tuple[str, NDArray[np.uint8]]:
    """The name and numbers of a matrix: flags, sides, name, numbers column by column."""
    at, parts = 0, []
    while at + 8 <= len(content):
        kind, part, at = _element(content, at)
        parts.append((kind, part))
    sides, name, (kind, numbers) = parts[1][1], parts[2][1], parts[3]
    shape = struct.unpack(f"<{len(sides) // 4}i", sides)
    if kind != _UINT8:
        raise ValueError("it holds other numbers than bytes")
    return name.decode("ascii"), np.frombuffer(numbers, np.uint8).reshape(shape, order="F")
