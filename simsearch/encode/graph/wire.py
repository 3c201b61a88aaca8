"""ONNX files as plain records: a strict reader of Protocol Buffers, which takes one reading and refuses two.

Protocol Buffers merges a field that is written twice, skips what it does not know and takes the last of
several alternatives. So a checker and a runtime may see two different graphs in one file. Here such a file
is refused: every field must be known, of its own kind, and written once unless it is a list.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_FIELDS = 1_000_000  # in one file; a second's work
_NO_MODEL = "it is no ONNX model"

Message = dict[str, Any]  # name of a field -> its value, or a list; what is not written is not there


@dataclass
class Numbers:
    """A list of numbers as it was written: one by one, packed into blocks of bytes, or both."""

    wire: int  # 0 variable length, 1 eight bytes, 5 four bytes
    single: list[int | float] = field(default_factory=list)
    packed: list[memoryview] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.single) + sum(self._count(block) for block in self.packed)

    def values(self, most: int) -> list[int | float]:
        """The numbers themselves.

        :raises ValueError: If there are more than `most`, or they are written in two ways at once.
        """
        if self.count > most or (self.single and self.packed) or len(self.packed) > 1:
            raise ValueError("a list of numbers in it is too long, or in pieces")
        if self.single or not self.packed:
            return self.single
        block = self.packed[0]
        if self.wire:
            return list(struct.unpack(f"<{self.count}{'d' if self.wire == 1 else 'f'}", block))
        found: list[int | float] = []
        at = 0
        while at < len(block):
            number, at = _varint(block, at)
            found.append(_signed(number))
        return found

    def _count(self, block: memoryview) -> int:
        if self.wire:
            return len(block) // (8 if self.wire == 1 else 4)
        ends: NDArray[np.uint8] = np.frombuffer(block, np.uint8)
        return int(np.count_nonzero(ends < 0x80))


@dataclass(frozen=True)
class _Field:
    name: str
    kind: str  # int, float, bytes, ints, floats, doubles, or the name of a message
    many: bool = False


# onnx.proto of ONNX 1.23, every field: its number, its name and its kind, with * after the kind of a list.
_FIELDS = """
    Model: 1 ir_version int, 2 producer_name bytes, 3 producer_version bytes, 4 domain bytes,
        5 model_version int, 6 doc_string bytes, 7 graph Graph, 8 opset_import Opset*,
        14 metadata_props bytes*, 20 training_info bytes*, 25 functions bytes*, 26 configuration bytes*
    Opset: 1 domain bytes, 2 version int
    Graph: 1 node Node*, 2 name bytes, 5 initializer Tensor*, 10 doc_string bytes, 11 input ValueInfo*,
        12 output ValueInfo*, 13 value_info bytes*, 14 quantization_annotation bytes*,
        15 sparse_initializer bytes*, 16 metadata_props bytes*
    Node: 1 input bytes*, 2 output bytes*, 3 name bytes, 4 op_type bytes, 5 attribute Attribute*,
        6 doc_string bytes, 7 domain bytes, 8 overload bytes, 9 metadata_props bytes*,
        10 device_configurations bytes*
    Attribute: 1 name bytes, 2 f float, 3 i int, 4 s bytes, 5 t Tensor, 6 g bytes, 7 floats floats,
        8 ints ints, 9 strings bytes*, 10 tensors bytes*, 11 graphs bytes*, 13 doc_string bytes,
        14 tp bytes, 15 type_protos bytes*, 20 type int, 21 ref_attr_name bytes, 22 sparse_tensor bytes,
        23 sparse_tensors bytes*
    Tensor: 1 dims ints, 2 data_type int, 3 segment bytes, 4 float_data floats, 5 int32_data ints,
        6 string_data bytes*, 7 int64_data ints, 8 name bytes, 9 raw_data bytes, 10 double_data doubles,
        11 uint64_data ints, 12 doc_string bytes, 13 external_data bytes*, 14 data_location int,
        16 metadata_props bytes*
    ValueInfo: 1 name bytes, 2 type Type, 3 doc_string bytes, 4 metadata_props bytes*
    Type: 1 tensor_type TensorType, 4 sequence_type bytes, 5 map_type bytes, 6 denotation bytes,
        7 opaque_type bytes, 8 sparse_tensor_type bytes, 9 optional_type bytes
    TensorType: 1 elem_type int, 2 shape Shape
    Shape: 1 dim Dimension*
    Dimension: 1 dim_value int, 2 dim_param bytes, 3 denotation bytes
"""


def _schema() -> dict[str, dict[int, _Field]]:
    found: dict[str, dict[int, _Field]] = {}
    for part in re.split(r"\n    (?=\w)", _FIELDS.strip()):
        message, _, fields = part.partition(":")
        entries = [entry.split() for entry in fields.split(",")]
        found[message.strip()] = {
            int(number): _Field(name, kind.rstrip("*"), kind.endswith("*")) for number, name, kind in entries
        }
    return found


_SCHEMA = _schema()
_WIRE = {"int": 0, "ints": 0, "float": 5, "floats": 5, "doubles": 1}  # all else is a block of bytes
BLOCK = 2  # the wire type of texts, messages and packed lists


def read_model(data: bytes) -> Message:
    """The whole of an ONNX file as nested tables; lists of numbers as `Numbers`, texts as bytes.

    :raises ValueError: If it is no ONNX model, or one that can be read in two ways.
    """
    return _Reader().message(memoryview(data), "Model")


class _Reader:
    """Reads messages, and counts their fields."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def message(self, view: memoryview, kind: str) -> Message:
        schema, found = _SCHEMA[kind], Message()
        for number, wire, value in self._entries(view):
            known = schema.get(number)
            if known is None:
                raise ValueError(f"its {kind} has a field {number}, which ONNX does not know")
            expected = _WIRE.get(known.kind, BLOCK)
            if known.kind in ("ints", "floats", "doubles"):
                numbers = found.setdefault(known.name, Numbers(expected))
                if wire not in (expected, BLOCK):
                    raise ValueError(f"its {kind} has a {known.name} of another kind")
                (numbers.packed if wire == BLOCK else numbers.single).append(_single(value, wire))
                continue
            if wire != expected:
                raise ValueError(f"its {kind} has a {known.name} of another kind")
            read = self.message(value, known.kind) if known.kind in _SCHEMA else _single(value, wire)
            if known.many:
                found.setdefault(known.name, []).append(read)
            elif known.name in found:
                raise ValueError(f"its {kind} has {known.name} twice")
            else:
                found[known.name] = read
        return found

    def _entries(self, view: memoryview) -> Iterator[tuple[int, int, Any]]:
        for entry in fields(view):
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {MAX_FIELDS:,} fields")
            yield entry


def read_tensor(view: memoryview) -> Message:
    """A tensor as a table, as in `read_model`."""
    return _Reader().message(view, "Tensor")


def fields(view: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of each field of a message: a number if it is 0, otherwise bytes.

    :raises ValueError: If it is no message.
    """
    at, end = 0, len(view)
    while at < end:
        key, at = _varint(view, at)
        number, wire = key >> 3, key & 7
        if not number:
            raise ValueError(_NO_MODEL)
        if wire == 0:
            value, at = _varint(view, at)
            yield number, wire, value
            continue
        size, at = _varint(view, at) if wire == BLOCK else ({1: 8, 5: 4}.get(wire, end + 1), at)
        if size > end - at:
            raise ValueError(_NO_MODEL)
        yield number, wire, view[at : at + size]
        at += size


def encoded_field(number: int, wire: int, value: int | bytes | memoryview) -> bytes:
    """A field of a message as bytes; the opposite of `fields`."""
    if isinstance(value, int) or wire != BLOCK:
        content = _as_varint(value) if isinstance(value, int) else value
        return b"".join((_as_varint(number << 3 | wire), content))
    return b"".join((block_head(number, len(value)), value))


def block_head(number: int, size: int) -> bytes:
    """What stands before a block of so many bytes."""
    return _as_varint(number << 3 | BLOCK) + _as_varint(size)


def text(value: bytes | memoryview | None) -> str:
    """A text in a message; an absent one is empty.

    :raises ValueError: If it is not UTF-8.
    """
    try:
        return "" if value is None else bytes(value).decode()
    except UnicodeDecodeError:
        raise ValueError("a name in it is not text") from None


def _single(value: Any, wire: int) -> Any:
    if wire == 0:
        return _signed(value)
    if wire == BLOCK:
        return value
    return struct.unpack("<d" if wire == 1 else "<f", value)[0]


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            break
        byte = view[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (2**64 - 1), at
    raise ValueError(_NO_MODEL)


def _as_varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number
