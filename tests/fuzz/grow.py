"""Ways of asking for more: parts said again, sizes that grow, depth, chains and broadcasts.

Random bytes seldom reach what costs time or memory, because it lies behind formats that have to be right.
These mutators know the formats' parts and make them right again.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from fuzz.mutate import Random, _holders, choose, mend_png

MOST_BYTES = 9 * 2**20  # of a grown picture or file; larger ones are refused by their size
_REPEATS = (2, 9, 60, 400, 3_000, 20_000, 200_000)
_GROWN = (64, 255, 1_000, 4_096, 16_383, 32_768, 65_535, 2**20, 2**24, 2**31 - 1, 2**32 - 1)


def grow_bytes(random: Random, data: bytes) -> bytes:
    """One step: a part said again, a block said again, or a number that grows; the container fits again."""
    step = choose(random, (repeat_part, repeat_part, repeat_block, grow_number))
    return contained(step(random, data))


def repeat_part(random: Random, data: bytes) -> bytes:
    """A chunk, box, segment or directory entry many times, if the format has any."""
    parts = parts_of(data)
    if not parts:
        return repeat_block(random, data)
    start, end = choose(random, parts)
    return _repeated(random, data, start, end)


def repeat_block(random: Random, data: bytes) -> bytes:
    """Any few bytes many times."""
    start = int(random.integers(len(data)))
    return _repeated(random, data, start, min(len(data), start + int(random.integers(1, 200))))


def grow_number(random: Random, data: bytes) -> bytes:
    """A number in either byte order becomes a large one; most lie in heads."""
    size = choose(random, (2, 4))
    at = int(random.integers(max(1, min(len(data), choose(random, (64, 512, len(data)))) - size)))
    value = choose(random, _GROWN) % 256**size
    return data[:at] + value.to_bytes(size, choose(random, ("little", "big"))) + data[at + size :]


def contained(data: bytes) -> bytes:
    """The same bytes with the checksums and lengths of their container made right."""
    if data.startswith(b"\x89PNG"):
        return mend_png(data)
    if data.startswith(b"RIFF"):
        return data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
    return data


def parts_of(data: bytes) -> list[tuple[int, int]]:
    """Where the parts of a file begin and end, by the rules of its format."""
    if data.startswith(b"\x89PNG"):
        return _chained(data, 8, lambda at: 12 + int.from_bytes(data[at : at + 4], "big"))
    if data.startswith(b"RIFF"):
        return _chained(
            data, 12, lambda at: 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2
        )
    if data.startswith(b"\xff\xd8"):
        marks = [at for at in range(2, len(data) - 1) if data[at] == 0xFF and 0xC0 <= data[at + 1] < 0xFF]
        return list(zip(marks, [*marks[1:], len(data)], strict=True))
    if data.startswith(b"GIF8"):
        marks = [at for at in range(13, len(data)) if data[at : at + 1] in (b"\x21", b"\x2c")]
        return list(zip(marks, [*marks[1:], len(data) - 1], strict=True))
    if data[4:8] == b"ftyp":
        return _boxes(data, 0, len(data))
    if data[:4] in (b"II*\0", b"MM\0*"):
        at = int.from_bytes(data[4:8], "little" if data[0] == 0x49 else "big")
        return [(row, row + 12) for row in range(at + 2, min(at + 2 + 12 * 30, len(data) - 12), 12)]
    return []


def _chained(data: bytes, at: int, size: Callable[[int], int]) -> list[tuple[int, int]]:
    found = []
    while at + 8 <= len(data) and len(found) < 1_000:
        found.append((at, min(len(data), at + size(at))))
        at += size(at)
    return found


def _boxes(data: bytes, at: int, end: int) -> list[tuple[int, int]]:
    found = []
    for start, stop in _chained(data[:end], at, lambda at: max(8, int.from_bytes(data[at : at + 4], "big"))):
        found.append((start, stop))
        inside = {
            b"meta": 12,
            b"iprp": 8,
            b"ipco": 8,
            b"moov": 8,
            b"trak": 8,
            b"mdia": 8,
            b"minf": 8,
            b"stbl": 8,
        }
        if skip := inside.get(data[start + 4 : start + 8]):
            found += _boxes(data, start + skip, stop)
    return found


def _repeated(random: Random, data: bytes, start: int, end: int) -> bytes:
    block = data[start:end]
    count = min(choose(random, _REPEATS), (MOST_BYTES - len(data)) // max(1, len(block)))
    return data[:end] + block * max(0, count) + data[end:]


# Documents


def deepen(random: Random, document: Any) -> bytes:
    """A JSON document in which one value lies deep inside others, or is very long."""
    holder = choose(random, [holder for holder in _holders(document) if holder])
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    holder[choose(random, keys)] = "@grown@"
    grown = choose(random, _GROWN_VALUES)(choose(random, (40, 100, 984, 5_000, 100_000)))
    return json.dumps(document).replace('"@grown@"', grown, 1).encode()


_GROWN_VALUES: tuple[Callable[[int], str], ...] = (
    lambda count: "[" * count + "]" * count,
    lambda count: '{"a":' * count + "1" + "}" * count,
    lambda count: "[" + "1," * count + "1]",
    lambda count: "9" * count,
    lambda count: '"' + "\\ud800" * count + '"',
    lambda count: "{" + ",".join(f'"{row}":0' for row in range(count)) + "}",
    lambda count: "1e" + "9" * count,
    lambda count: "-0." + "3" * count,
)


# Networks


def grow_network(random: Random, content: bytes) -> bytes:
    """An ONNX file with one more thing to compute before the rest, or a larger number in it."""
    import onnx

    model = onnx.load_from_string(content)
    graph = model.graph
    name = graph.input[0].name
    helper, make = onnx.helper, onnx.numpy_helper.from_array
    grown = f"grown{int(random.integers(10**9))}"
    size = int(choose(random, (2, 50, 3_000, 100_000, 2**31 - 1)))
    count = int(choose(random, (2, 12, 60, 1_000)))

    def constant(value: Any) -> str:
        label = f"{grown}c{len(graph.initializer)}"
        graph.initializer.append(make(value, label))
        return label

    def chain(operator: str, doubled: bool, **attributes: Any) -> list[Any]:
        names = [name, *(f"{grown}.{row}" for row in range(count))]
        return [
            helper.make_node(operator, [one, one] if doubled else [one], [other], **attributes)
            for one, other in itertools.pairwise(names)
        ]

    one = np.float32(1)
    match int(random.integers(10)):
        case 0:
            nodes = chain("Mul", True)
        case 1:
            nodes = chain("Concat", True, axis=int(random.integers(4)))
        case 2:
            shape = constant(np.array([1, 1, size, size], np.int64))
            nodes = [helper.make_node("Expand", [constant(one), shape], [grown])]
        case 3:
            pads = constant(np.array([0, 0, size, size, 0, 0, size, size], np.int64))
            nodes = [helper.make_node("Pad", [name, pads], [grown])]
        case 4:
            side = min(size, 100_000)
            column = helper.make_node("ConstantOfShape", [constant(np.array([side, 1]))], [f"{grown}a"])
            row = helper.make_node("ConstantOfShape", [constant(np.array([1, side]))], [f"{grown}b"])
            nodes = [column, row, helper.make_node("Add", [f"{grown}a", f"{grown}b"], [grown])]
        case 5:
            nodes = [helper.make_node("Tile", [name, constant(np.array([1, 1, size, 1]))], [grown])]
        case 6:
            side = min(size, 3_000)
            a = helper.make_node("ConstantOfShape", [constant(np.array([side, side]))], [f"{grown}.0"])
            names = [f"{grown}.{row}" for row in range(count)]
            nodes = [a] + [
                helper.make_node("MatMul", [one, one], [other]) for one, other in itertools.pairwise(names)
            ]
        case 7:
            nodes = [
                helper.make_node(
                    "Resize", [name, "", constant(np.array([1, 1, size, 1], np.float32))], [grown]
                )
            ]
        case 8:
            kernel = constant(np.ones((1, 1, 5, 5), np.float32))
            nodes = chain("Conv", False)
            for node in nodes:
                node.input.append(kernel)
                node.attribute.append(helper.make_attribute("pads", [min(size, 3_000)] * 4))
        case _:
            for tensor in graph.initializer:
                if tensor.dims and random.random() < 0.5:
                    tensor.dims[int(random.integers(len(tensor.dims)))] = size
            nodes = []
    result = nodes[-1].output[0] if nodes else name
    if nodes and random.random() < 0.7:  # and the rest is computed from it
        for node in graph.node:
            node.input[:] = [result if given == name else given for given in node.input]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    grown_content: bytes = model.SerializeToString()
    return grown_content
