"""A torch checkpoint read without torch, and without running anything: for the check of a model.

The pickle in it is not loaded but followed, opcode by opcode, and only those that a state dictionary is made
of are known: nothing is imported, nothing is called. What is left of a tensor is where its numbers lie.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Weights: TypeAlias = Mapping[str, NDArray[np.float32]]

MAX_CHECKPOINT_BYTES = 64 * 2**20

_CENTRAL_ENTRY = b"PK\1\2"
_MAX_PARTS = 10_000  # of a zip; each takes half a kilobyte before it can be looked at
_MAX_PICKLE_BYTES = 2**18
_FLOATS = "torch FloatStorage"
_REBUILD, _ORDERED = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
_NOTED = ("BINPUT", "LONG_BINPUT")
_RECALLED = ("BINGET", "LONG_BINGET")
_PLAIN = ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Global(NamedTuple):
    """A name that a pickle mentions, in place of what it names."""

    name: str


class StoredTensor(NamedTuple):
    """Where the numbers of a tensor lie; none of it is checked yet."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


def open_archive(data: bytes) -> zipfile.ZipFile:
    """The zip that a checkpoint is; torch itself ignores its checksums.

    :raises ValueError: If a part is compressed, or there are far too many.
    :raises zipfile.BadZipFile: If it is no zip.
    """
    if data.count(_CENTRAL_ENTRY) > _MAX_PARTS:
        raise ValueError("it has too many parts")
    archive = zipfile.ZipFile(io.BytesIO(data))
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise ValueError("a part is compressed")
    return archive


def read_state(archive: zipfile.ZipFile) -> dict[Any, Any]:
    """The dictionary in a checkpoint: plain values, and a `StoredTensor` for each tensor.

    :raises ValueError: If it is anything else, or made of anything else.
    """
    (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if archive.getinfo(name).file_size > _MAX_PICKLE_BYTES:
        raise ValueError("its description is too large")
    try:
        state = _followed(archive.read(name))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"its description makes no sense ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise ValueError("it holds no dictionary")
    return state


def read_weights(data: bytes, shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    """Tensors of a checkpoint whose names and shapes are known.

    :return: float32 arrays of these shapes.
    :raises ValueError: If it has not exactly these, in float32 and in the standard layout, or is damaged.
    """
    try:
        with open_archive(data) as archive:
            state = read_state(archive)
            return {name: _tensor(archive, name, state.get(name), shape) for name, shape in shapes.items()}
    except (zipfile.BadZipFile, EOFError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"it cannot be read ({type(error).__name__})") from error


def _tensor(
    archive: zipfile.ZipFile, name: str, stored: object, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    if not isinstance(stored, StoredTensor) or stored.shape != shape:
        raise ValueError(f"{name} is no tensor of shape {shape}")
    kind, storage, key, *_ = stored.storage
    if (kind, storage, stored.offset) != ("storage", _Global(_FLOATS), 0) or not _is_standard(stored):
        raise ValueError(f"{name} is not stored as float32 in the standard layout")
    (root,) = {part.split("/")[0] for part in archive.namelist()}
    entry = archive.getinfo(f"{root}/data/{key}")
    if entry.file_size != 4 * math.prod(shape):
        raise ValueError(f"{name} has {entry.file_size:,} bytes")
    return np.frombuffer(archive.read(entry), "<f4").reshape(shape)


def _is_standard(stored: StoredTensor) -> bool:
    """Whether numbers lie one after the other; along an axis of one they may be said to lie anyhow."""
    expected = [math.prod(stored.shape[axis + 1 :]) for axis in range(len(stored.shape))]
    given = zip(stored.shape, stored.strides, expected, strict=True)
    return all(stride == wanted for size, stride, wanted in given if size > 1)


def _followed(pickled: bytes) -> Any:
    """What a pickle says, by the few opcodes that state dictionaries consist of."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in _NOTED:
            memo[argument] = stack[-1]
        elif name in _RECALLED:
            stack.append(memo[argument])
        elif name in _PLAIN:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "GLOBAL":
            stack.append(_Global(str(argument)))
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "STOP":
            return stack.pop()
        elif name != "PROTO":
            _build(name, stack, marks)
    raise ValueError("it does not end")


def _build(name: str, stack: list[Any], marks: list[int]) -> None:
    """One opcode that makes a container of what lies on the stack, or fills one."""
    if name in ("EMPTY_DICT", "EMPTY_LIST"):
        stack.append({} if name == "EMPTY_DICT" else [])
    elif name in _TUPLES:
        stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
    elif name in ("TUPLE", "SETITEMS", "APPENDS"):
        parts = _since(marks.pop(), stack)
        if name == "TUPLE":
            stack.append(tuple(parts))
        elif name == "APPENDS":
            stack[-1].extend(parts)
        else:
            stack[-1].update(zip(parts[::2], parts[1::2], strict=True))
    elif name in ("SETITEM", "APPEND", "BUILD"):
        value = stack.pop()
        if name == "SETITEM":
            key = stack.pop()
            stack[-1][key] = value
        elif name == "APPEND":
            stack[-1].append(value)  # what BUILD adds to a dictionary is torch's own notes
    elif name == "REDUCE":
        arguments, called = stack.pop(), stack.pop()
        stack.append(_called(called, arguments))
    elif name != "BINPERSID":  # the storage that it names stays as it is
        raise ValueError(f"it is made with {name}")


def _since(mark: int, stack: list[Any]) -> list[Any]:
    parts = stack[mark:]
    del stack[mark:]
    return parts


def _called(called: object, arguments: Any) -> Any:
    if called == _Global(_ORDERED) and arguments == ():
        return {}
    if called == _Global(_REBUILD):
        return StoredTensor(*arguments[:4])
    raise ValueError("it calls something else than what makes tensors")
