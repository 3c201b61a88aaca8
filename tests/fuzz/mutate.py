"""Ways of spoiling bytes and JSON documents. Everything random comes from the generator passed in."""

from __future__ import annotations

import copy
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator

_INTEGERS = (0, 1, 2, 7, 127, 255, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**33, 2**40, 2**63 - 1)
_FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, 1e38, -1.0)


def choose(random: Random, options: Any) -> Any:
    """One of these, unlike `Generator.choice` without turning it into an array's element."""
    return options[int(random.integers(len(options)))]


def flip_bits(random: Random, data: bytes) -> bytes:
    spoilt = bytearray(data)
    for _ in range(int(random.integers(1, 9))):
        spoilt[_position(random, data)] ^= 1 << int(random.integers(8))
    return bytes(spoilt)


def truncate(random: Random, data: bytes) -> bytes:
    return data[: int(random.integers(len(data)))]


def extend(random: Random, data: bytes) -> bytes:
    return data + random.bytes(int(random.integers(1, 300)))


def overwrite_integer(random: Random, data: bytes) -> bytes:
    """A number as file formats write them, in either byte order, at any place."""
    size = choose(random, (1, 2, 4, 8))
    value = choose(random, _INTEGERS) * choose(random, (1, 1, 1, -1))
    number = (value % 256**size).to_bytes(size, choose(random, ("little", "little", "big")))
    return _overwrite(random, data, number)


def overwrite_float(random: Random, data: bytes) -> bytes:
    return _overwrite(random, data, struct.pack("<f", choose(random, _FLOATS)))


def blank_block(random: Random, data: bytes) -> bytes:
    return _overwrite(random, data, choose(random, (b"\0", b"\xff")) * int(random.integers(1, 64)))


def move_block(random: Random, data: bytes) -> bytes:
    start = int(random.integers(len(data)))
    return _overwrite(random, data, data[start : start + int(random.integers(1, 64))])


def remove_block(random: Random, data: bytes) -> bytes:
    start = _position(random, data)
    return data[:start] + data[start + int(random.integers(1, 64)) :]


MUTATORS: tuple[Callable[[Random, bytes], bytes], ...] = (
    flip_bits,
    truncate,
    extend,
    overwrite_integer,
    overwrite_integer,
    overwrite_float,
    blank_block,
    move_block,
    remove_block,
)


def mutate(random: Random, data: bytes) -> bytes:
    """One to three of the ways above; never the same bytes."""
    spoilt = data
    for _ in range(int(random.integers(1, 4))):
        spoilt = choose(random, MUTATORS)(random, spoilt) if spoilt else spoilt
    return spoilt if spoilt != data else data + b"\0"


def mend_png(data: bytes) -> bytes:
    """The same PNG with the checksum of each chunk made right, so that what they hold is believed."""
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        body = data[position + 4 : position + 8 + length]
        if len(body) < 4 + length:
            break
        parts += [data[position : position + 4], body, zlib.crc32(body).to_bytes(4, "big")]
        position += 12 + length
    return b"".join(parts) + data[position:]


STRANGE = (
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**40, 2**63, 10**30, 1.5, 1e308, float("nan"), float("inf")),
    *("", "x", "\0", "\ud800", "..", "../../../etc/passwd", "/etc/passwd", "C:\\x", "9" * 400, "x" * 5000),
    *([], [[]], {}, {"": 0}, [1, "a", None], ["x"] * 1000, {"weight": 1, "bias": 0}),
)


def mutate_document(random: Random, document: Any) -> Any:
    """Replace, remove or add one to three values anywhere in a JSON document."""
    document = copy.deepcopy(document)
    for _ in range(int(random.integers(1, 4))):
        holder = choose(random, _holders(document) or [{}])
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            continue
        key, value = choose(random, keys), copy.deepcopy(choose(random, STRANGE))
        match int(random.integers(5)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[choose(random, ("format", "count", "extra", "\ud800", ""))] = value
            case 2:
                holder[key] = copy.deepcopy(holder[choose(random, keys)])
            case _:
                holder[key] = value
    return document


def _holders(value: Any) -> list[Any]:
    """Every object and list in a document."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) else []
    return own + [holder for part in parts for holder in _holders(part)]


def _position(random: Random, data: bytes) -> int:
    """Any place, half of the time in the first 256 bytes: headers lie there."""
    return int(random.integers(len(data) if random.random() < 0.5 else min(len(data), 256)))


def _overwrite(random: Random, data: bytes, block: bytes) -> bytes:
    start = _position(random, data)
    return data[:start] + block[: len(data) - start] + data[start + len(block) :]
