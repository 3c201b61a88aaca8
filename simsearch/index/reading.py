"""One file -> what an index takes of it; run in the processes that decode, so it imports little."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash

from simsearch.errors import BadImageError
from simsearch.index.packed import keeps_pixels, small_picture
from simsearch.prepare.decode import ANY_PICTURE, read_image_file
from simsearch.prepare.inputs import ImageInput, Picture
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.transfer import picture_fields, picture_of

# What a file was when it was read: bytes, time, and the XXH3-128 of its content as two numbers.
STAMP = np.dtype([("size", "<i8"), ("mtime_ns", "<i8"), ("xxh3_128", "<u8", (2,))])
UNKNOWN = (-1, 0, (0, 0))  # the stamp of an item that was not a file, or from before there were stamps

_STAMP = struct.Struct("<qqQQ")

Stamp = tuple[int, int, tuple[int, int]]


class Read(NamedTuple):
    """A picture that was read from a file."""

    pixels: Picture  # as the encoder takes them
    small: bytes | None  # the small picture that is kept; None where the pixels are
    stamp: Stamp


class ReadCodec:
    """How a picture that was read travels from the process that read it; see `simsearch.data.decoding`."""

    def pack(self, made: Read) -> Sequence[bytes]:
        """Shape and numbers of the pixels, the small picture or nothing, and the stamp."""
        size, mtime_ns, halves = made.stamp
        return *picture_fields(made.pixels), made.small or b"", _STAMP.pack(size, mtime_ns, *halves)

    def unpack(self, fields: Sequence[bytes]) -> Read:
        """What was read.

        :raises ValueError: If these are no such fields.
        """
        if len(fields) != 4 or len(fields[3]) != _STAMP.size:
            raise ValueError("no picture that was read")
        size, mtime_ns, high, low = _STAMP.unpack(fields[3])
        return Read(picture_of(*fields[:2]), fields[2] or None, (size, mtime_ns, (high, low)))


def read_picture(input: ImageInput, file: Path) -> Read:
    """Read a file once: hash it, decode it, prepare it.

    :raises BadImageError: If it is no usable picture, or changes meanwhile.
    :raises OSError: If it is not there.
    """
    before = file.stat()
    data = read_image_file(file)
    after = file.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(
        data
    ) != after.st_size:
        raise BadImageError("it changed while it was read")
    try:
        pixels = prepare_picture(data, input).pixels
    except BadImageError as error:
        raise BadImageError(error.message.replace(ANY_PICTURE, "it"), error.hint) from None
    small = None if keeps_pixels(pixels) else small_picture(pixels)
    return Read(pixels, small, (after.st_size, after.st_mtime_ns, hash_of(data)))


def stamp_text(stamp: Stamp) -> str:
    """A stamp as a server keeps it; nothing where it is unknown."""
    size, mtime_ns, (high, low) = stamp
    return "" if stamp == UNKNOWN else f"{size} {mtime_ns} {high:016x}{low:016x}"


def stamp_of(text: str) -> Stamp:
    """The stamp in such a text; `UNKNOWN` where it is none."""
    try:
        size, mtime_ns, digest = text.split()
        return int(size), int(mtime_ns), _halves(int(digest, 16))
    except ValueError:
        return UNKNOWN


def hash_of(data: bytes) -> tuple[int, int]:
    """The XXH3-128 of some bytes as two numbers."""
    return _halves(xxhash.xxh3_128(data).intdigest())


def file_hash(file: io.BufferedIOBase) -> tuple[int, int]:
    """The same of an open file's content."""
    state = xxhash.xxh3_128()
    while block := file.read(2**20):
        state.update(block)
    return _halves(state.intdigest())


def _halves(digest: int) -> tuple[int, int]:
    return digest >> 64, digest & (2**64 - 1)
