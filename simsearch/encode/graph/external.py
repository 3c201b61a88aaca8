"""ONNX files that keep their weights in files beside them -> one file.

Exporters do that above 2 GB, and many at any size. Only files in the folder of the model are read, each
tensor at the place and of the size that the model says; whatever else it is made of stays as it is.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from simsearch.encode.graph.tensors import MAX_CONSTANTS, SIZES
from simsearch.encode.graph.wire import BLOCK, Numbers, block_head, encoded_field, fields, read_tensor, text
from simsearch.files import open_regular, size_of

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5  # fields of a model and of its graph
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14  # fields of a tensor
_KEYS = frozenset({"location", "offset", "length", "checksum"})
_LONGEST = 20  # digits of a number

Read = Callable[["Place"], bytes]


class Place(NamedTuple):
    """Where the data of a tensor lie: in a file beside the model, from a byte on, so many."""

    file: str
    offset: int
    size: int


def merge_external_data(model: bytes, folder: Path, most: int) -> bytes:
    """The model with all of its weights; itself, if it has them already.

    :param folder: Where it lies.
    :param most: Bytes that the result may have.
    :raises ValueError: If it names a file elsewhere, one that is not there, or data that it cannot hold; or
        if the result would be larger.
    """
    places = [place for _, place in _external(model)]
    if not places:
        return model
    if len(places) > MAX_CONSTANTS:
        raise ValueError(f"it has {len(places):,} tensors beside it, more than {MAX_CONSTANTS:,}")
    total = len(model) + sum(place.size for place in places)
    if total > most:
        raise ValueError(f"with its weights it has {total // 2**20:,} MB, more than {most // 2**20:,}")
    with contextlib.ExitStack() as opened:
        files = {}
        for name in dict.fromkeys(place.file for place in places):
            try:
                files[name] = opened.enter_context(open_regular(_beside(folder, name)))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise ValueError(
                    f"its weights are in {name[:50]!r} beside it, which cannot be read: {reason}"
                ) from None

        def read(place: Place) -> bytes:
            file = files[place.file]
            if place.offset + place.size > size_of(file):
                raise ValueError(
                    f"{place.file[:50]!r} beside it ends before the weights that it says are there"
                )
            file.seek(place.offset)
            return file.read(place.size)

        return _merged(model, read)


def _beside(folder: Path, name: str) -> Path:
    """A file in the folder.

    :raises ValueError: If it lies elsewhere, by its name or by a link.
    """
    path = folder / name
    foreign = {".", ".."} & {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or "\0" in name
    if not name or foreign or absolute or not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"it keeps data outside its folder, in {name[:50]!r}")
    return path


def _external(model: bytes) -> Iterator[tuple[memoryview, Place]]:
    """The tensors whose data are elsewhere, and where."""
    for number, wire, graph in fields(memoryview(model)):
        if (number, wire) != (_GRAPH, BLOCK):
            continue
        for inner, kind, value in fields(graph):
            place = _place(value) if (inner, kind) == (_INITIALIZER, BLOCK) else None
            if place is not None:
                yield value, place


def _merged(model: bytes, read: Read) -> bytes:
    """The model with what is read in the place of what says where it is; weights are copied once."""
    return b"".join(_replaced(memoryview(model), _GRAPH, lambda graph: _graph_pieces(graph, read)))


def _graph_pieces(graph: memoryview, read: Read) -> list[bytes | memoryview]:
    def tensor_pieces(tensor: memoryview) -> list[bytes | memoryview]:
        place = _place(tensor)
        return [tensor] if place is None else _tensor_pieces(tensor, read(place))

    return _replaced(graph, _INITIALIZER, tensor_pieces)


def _tensor_pieces(tensor: memoryview, data: bytes) -> list[bytes | memoryview]:
    kept: list[bytes | memoryview] = [
        encoded_field(number, wire, value)
        for number, wire, value in fields(tensor)
        if number not in (_EXTERNAL_DATA, _DATA_LOCATION)
    ]
    return [*kept, block_head(_RAW_DATA, len(data)), data]


def _replaced(
    message: memoryview, sought: int, pieces_of: Callable[[memoryview], list[bytes | memoryview]]
) -> list[bytes | memoryview]:
    """A message in pieces, those blocks replaced that are the field which is sought."""
    pieces: list[bytes | memoryview] = []
    for number, wire, value in fields(message):
        if (number, wire) == (sought, BLOCK) and isinstance(value, memoryview):
            inner = pieces_of(value)
            pieces += [block_head(number, sum(map(len, inner))), *inner]
        else:
            pieces.append(encoded_field(number, wire, value))
    return pieces


def _place(tensor: memoryview) -> Place | None:
    """Where a tensor's data lie; None if it holds them.

    :raises ValueError: If that is said in two ways, or is no place.
    """
    message = read_tensor(tensor)
    if message.get("data_location", 0) != 1:
        return None
    said: dict[str, str] = {}
    for entry in message.get("external_data", []):
        pair = {number: value for number, wire, value in fields(entry) if wire == BLOCK}
        key, value = text(pair.get(1)), text(pair.get(2))
        if key not in _KEYS or key in said:
            raise ValueError(f"it says where data are by {key[:50]!r}, which ONNX does not know or has twice")
        said[key] = value
    name, dims = text(message.get("name"))[:50], message.get("dims")
    shape = dims.values(8) if isinstance(dims, Numbers) else []
    if message.get("data_type", 0) not in SIZES or any(side < 0 for side in shape):
        raise ValueError(f"its tensor {name!r} is of no known type or shape")
    size = math.prod(int(side) for side in shape) * SIZES[message["data_type"]]
    if _number(said.get("length", str(size))) != size:
        raise ValueError(f"its tensor {name!r} has {size:,} bytes, and is said to have {said['length'][:20]}")
    return Place(said.get("location", ""), _number(said.get("offset", "0")), size)


def _number(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST):
        raise ValueError(f"it says that data are at {digits[:50]!r}, which is no number")
    return int(digits)
