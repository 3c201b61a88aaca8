"""What a process that decodes pictures sends to the one that asked, as bytes that hold no code.

Decoders work on what strangers made. If one of them is taken over, what it sends must not be able to do more
than be wrong, so it is not pickled: a message is a count of fields, their lengths, and the fields.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from simsearch.errors import BadImageError
from simsearch.prepare.inputs import Picture
from simsearch.prepare.pictures import Reading
from simsearch.prepare.prepare import PreparedImage

MAX_MESSAGE_BYTES = 64 * 2**20  # a picture of the largest input has 3 MB
_PICTURE, _READING, _REFUSAL, _FAULT = b"picture", b"reading", b"refusal", b"fault"
_MAX_TEXT = 10_000  # characters
_TEXT = ("utf-8", "surrogatepass")  # names of files may hold half a character


Result: TypeAlias = PreparedImage | Reading


def result_to_bytes(result: Result | Exception) -> bytes:
    """A message that says what became of a picture: pixels, why there are none, or what went wrong."""
    if isinstance(result, PreparedImage):
        return joined((_PICTURE, *picture_fields(result.pixels), *map(_text, result.notes)))
    if isinstance(result, Reading):
        steps = [field for name, pixels in result.steps for field in (_text(name), *picture_fields(pixels))]
        refused = [] if result.refused is None else [result.refused.message, result.refused.hint]
        counts = struct.pack("<2I", len(result.steps), len(refused))
        return joined((_READING, counts, *steps, *map(_text, (*refused, *result.notes))))
    if isinstance(result, BadImageError):
        return joined((_REFUSAL, _text(result.message), _text(result.hint)))
    return joined((_FAULT, _text(f"{type(result).__name__}: {result}")))


def result_from_bytes(message: bytes) -> Result | BadImageError | RuntimeError:
    """What a message says; an error that is no BadImageError comes as a RuntimeError that names it.

    :raises ValueError: If it is not one that `result_to_bytes` makes.
    """
    kind, *fields = parted(message)
    if kind == _PICTURE and len(fields) >= 2:
        packed, pixels, *notes = fields
        return PreparedImage(picture_of(packed, pixels), tuple(note.decode(*_TEXT) for note in notes))
    if kind == _READING and fields and len(fields[0]) == 8:
        steps, refused = struct.unpack("<2I", fields[0])
        return _reading(steps, refused, fields[1:])
    if kind == _REFUSAL and len(fields) == 2:
        return BadImageError(*(field.decode(*_TEXT) for field in fields))
    if kind == _FAULT and len(fields) == 1:
        return RuntimeError(fields[0].decode(*_TEXT))
    raise ValueError("a message of no known kind")


def _reading(steps: int, refused: int, fields: Sequence[bytes]) -> Reading:
    if 3 * steps + refused > len(fields) or refused not in (0, 2):
        raise ValueError(f"{steps} steps and {refused} words in {len(fields)} fields")
    seen = tuple(
        (fields[start].decode(*_TEXT), picture_of(*fields[start + 1 : start + 3]))
        for start in range(0, 3 * steps, 3)
    )
    words = [field.decode(*_TEXT) for field in fields[3 * steps :]]
    return Reading(seen, tuple(words[refused:]), BadImageError(*words[:2]) if refused else None)


def picture_fields(picture: Picture) -> tuple[bytes, bytes]:
    """A picture, uint8 (H, W) or (H, W, 3), as two fields: its shape and its numbers."""
    return struct.pack(f"<{picture.ndim}I", *picture.shape), picture.tobytes()


def picture_of(packed: bytes, pixels: bytes) -> Picture:
    """The picture that two fields stand for.

    :raises ValueError: If they stand for none.
    """
    if len(packed) not in (8, 12):
        raise ValueError("a picture has two or three dimensions")
    shape = struct.unpack(f"<{len(packed) // 4}I", packed)
    if math.prod(shape) != len(pixels):
        raise ValueError(f"{len(pixels):,} pixels are not {shape}")
    return np.frombuffer(bytearray(pixels), np.uint8).reshape(shape)  # of its own, so that it can be written


def _text(text: str) -> bytes:
    return text[:_MAX_TEXT].encode(*_TEXT)


def joined(fields: Sequence[bytes]) -> bytes:
    """A message of these fields."""
    return b"".join((struct.pack(f"<{len(fields) + 1}I", len(fields), *map(len, fields)), *fields))


def parted(message: bytes) -> list[bytes]:
    """The fields of a message, at least one.

    :raises ValueError: If it is none.
    """
    try:
        (count,) = struct.unpack_from("<I", message)
        if not 1 <= count <= len(message) // 4:
            raise ValueError(f"a message of {count} fields in {len(message)} bytes")
        lengths = struct.unpack_from(f"<{count}I", message, 4)
    except struct.error as error:
        raise ValueError(f"a message that is cut short: {error}") from error
    start = 4 * (count + 1)
    if start + sum(lengths) != len(message):
        raise ValueError("a message of another length than its fields have")
    fields = []
    for length in lengths:
        fields.append(message[start : start + length])
        start += length
    return fields
