"""Which ONNX files are let near onnxruntime: self-contained graphs of plain operators at a known cost.

An ONNX file is a program. One with loops need not end, one with external data reads other files, and one
that makes large tensors out of small ones can take any amount of memory and time. So a file is read
strictly, only operators that encoders are made of are let in, and the shape of every value is worked out
before anything runs: what a batch takes must lie within a budget, and what cannot be told is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.encode.encoder import MAX_MODEL_BYTES
from simsearch.encode.graph.rules import OPERATORS, run
from simsearch.encode.graph.tensors import (
    DTYPES,
    FLOAT,
    INT64,
    MAX_CONSTANTS,
    SIZES,
    Node,
    Shape,
    Step,
    Tensor,
)
from simsearch.encode.graph.values import MOST
from simsearch.encode.graph.wire import Message, Numbers, read_model, text

_MOST_OUTPUTS = 64
MAX_NODES = 20_000  # a Swin-B from TorchScript has about 13,000
_OPSETS = range(9, 27)
_MOVED = 16  # multiplications that take as long as reading or writing one number

# What one picture may take: so much for each number of it, at least, and at most.
_BYTES = (2**14, 2**24, 2**30)  # beside the weights; a ViT-B/16 at 224 x 224 takes 2,500 for each, 0.4 GB
_WORK = (2**21, 2**30, 2**37)  # multiplications; a ViT-B/16 takes 120,000 for each, 1.8e10

_ATTRIBUTE_KINDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
_FOREIGN_PARTS = ("g", "graphs", "tensors", "tp", "type_protos", "sparse_tensor", "sparse_tensors")
_DATA = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "raw_data")


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: None stands for a side that is not fixed."""

    name: str
    dtype: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Cost:
    """What one run takes at most: memory for all it makes, and multiplications, or as much time as these."""

    bytes: int
    work: int


@dataclass(frozen=True)
class Graph:
    """A graph that holds nothing but plain operators and its own weights."""

    opset: int
    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]
    inputs: tuple[Port, ...]  # those that no constant stands for
    outputs: tuple[Port, ...]

    @cached_property
    def weights(self) -> int:
        """Bytes of the constants."""
        held = [node.attributes.get("value") for node in self.nodes if node.operator == "Constant"]
        tensors = [*self.constants.values(), *(one for one in held if isinstance(one, Tensor))]
        return sum(tensor.bytes for tensor in tensors)

    def cost(self, shape: Shape) -> Cost:
        """What a run on an input of this shape takes.

        :raises ValueError: If it cannot be told, naming the operator.
        """
        return self._run(shape)[1]

    def values(self, shape: Shape) -> dict[str, Tensor]:
        """Every value of a run on an input of this shape, by name.

        :raises ValueError: If one cannot be told.
        """
        return self._run(shape)[0]

    def output_shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """The shapes of the outputs for an input of this shape.

        :raises ValueError: If they cannot be told.
        """
        known = self.values(shape)
        return tuple(known[port.name].shape for port in self.outputs)

    def check_cost(self, shape: Shape) -> None:
        """Refuse a run that takes more than its budget.

        :param shape: Of the input, the number of pictures first.
        :raises ValueError: If it does, or it cannot be told.
        """
        budget, cost = self._budget(shape), self.cost(shape)
        if cost.bytes > budget.bytes:
            raise ValueError(
                f"{_pictures(shape[0])} would take {cost.bytes:,} bytes of memory, more than {budget.bytes:,}"
            )
        if cost.work > budget.work:
            raise ValueError(
                f"{_pictures(shape[0])} would take {cost.work:,} multiplications, more than {budget.work:,}"
            )

    def largest_batch(self, picture: Shape, most: int) -> int:
        """How many pictures, at most `most`, can be given at once within the memory of the budget for one.

        :param picture: The shape of one, without the batch.
        :raises ValueError: If even one takes too much.
        """
        self.check_cost((1, *picture))
        one, two = self.cost((1, *picture)).bytes, self.cost((2, *picture)).bytes
        room = _BYTES[2] - one
        return max(1, min(most, 1 + room // max(1, two - one)))

    def _budget(self, shape: Shape) -> Cost:
        pictures, numbers = shape[0], math.prod(shape[1:])
        taken = (min(max(each * numbers, least), most) for each, least, most in (_BYTES, _WORK))
        one_bytes, one_work = taken
        return Cost(min(one_bytes * pictures, _BYTES[2]) + 2 * self.weights, one_work * pictures)

    def _run(self, shape: Shape) -> tuple[dict[str, Tensor], Cost]:
        """Every value of the graph, and what making all of them takes."""
        known = {**self.constants, self.inputs[0].name: Tensor(self.inputs[0].dtype, shape)}
        made, scratch, work = 0, 0, 0
        for node in self.nodes:
            given = tuple(_known(known, node, name) for name in node.inputs)
            result = run(Step(node, given, self.opset))
            moved = sum(one.count for one in (*given, *result.outputs) if one)
            work += result.work + _MOVED * moved
            scratch = max(scratch, result.scratch)
            if node.operator != "Constant":
                made += sum(tensor.bytes for tensor in result.outputs)
            for name, tensor in zip(node.outputs, result.outputs, strict=False):
                if name:
                    known[name] = tensor
        return known, Cost(made + scratch, work)


def read_graph(model: bytes) -> Graph:
    """Read an ONNX file that is a self-contained graph of plain operators.

    :raises ValueError: Naming what else is in it; or if it is no ONNX model.
    """
    if len(model) > MAX_MODEL_BYTES:
        raise ValueError(f"it has {len(model):,} bytes, more than {MAX_MODEL_BYTES:,}")
    message = read_model(model)
    for field, what in (("functions", "functions of its own"), ("training_info", "training steps")):
        if field in message:
            raise ValueError(f"it defines {what}")
    if not {"graph", "opset_import"} <= message.keys():
        raise ValueError("it is no ONNX model")
    opset, graph = _opset(message["opset_import"]), message["graph"]
    if "sparse_initializer" in graph:
        raise ValueError("it holds sparse tensors")
    if len(graph.get("initializer", [])) > MAX_CONSTANTS:
        raise ValueError(f"it has {len(graph['initializer']):,} constants, more than {MAX_CONSTANTS:,}")
    constants = dict(_unique((_constant(one) for one in graph.get("initializer", [])), "constant"))
    ports = [_port(one) for one in graph.get("input", [])]
    inputs = tuple(port for port in ports if port.name not in constants)
    outputs = tuple(_port(one) for one in graph.get("output", []))
    if len(inputs) != 1 or not 1 <= len(outputs) <= _MOST_OUTPUTS:
        raise ValueError(
            f"it has {len(inputs)} inputs and {len(outputs)} outputs; an encoder takes one picture"
        )
    nodes = tuple(_node(one) for one in graph.get("node", []))
    if len(nodes) > MAX_NODES:
        raise ValueError(f"it has {len(nodes):,} nodes, more than {MAX_NODES:,}")
    made = [inputs[0].name, *constants, *(name for node in nodes for name in node.outputs if name)]
    _unique(((name, None) for name in made), "value")
    if any(port.name not in made for port in outputs):
        raise ValueError("nothing in it makes its output")
    return Graph(opset, nodes, constants, inputs, outputs)


def _pictures(count: int) -> str:
    return "one picture" if count == 1 else f"{count} pictures"


def _known(known: Mapping[str, Tensor], node: Node, name: str) -> Tensor | None:
    if not name:
        return None
    if name not in known:
        raise ValueError(f"its {node.operator} comes before what it needs")
    return known[name]


def _unique(pairs: Iterable[tuple[str, Any]], what: str) -> list[tuple[str, Any]]:
    found, seen = [], set()
    for name, value in pairs:
        if name in seen:
            raise ValueError(f"it has the {what} {name[:50]!r} twice")
        seen.add(name)
        found.append((name, value))
    return found


def _opset(imports: Sequence[Message]) -> int:
    """The version of ONNX's own operators; other domains may be named, but not used."""
    domains = dict(_unique(((text(one.get("domain")), one.get("version", 0)) for one in imports), "domain"))
    if {"", "ai.onnx"} <= domains.keys():
        raise ValueError("it has two versions of ONNX's operators")
    version = int(domains.get("", domains.get("ai.onnx", 0)))
    if version not in _OPSETS:
        raise ValueError(f"its operators are of version {version}, not of {_OPSETS[0]} to {_OPSETS[-1]}")
    return version


def _port(message: Message) -> Port:
    kind = message.get("type", {})
    name, tensor = text(message.get("name")), kind.get("tensor_type")
    if tensor is None or len(kind.keys() - {"denotation"}) != 1 or "shape" not in tensor:
        raise ValueError(f"its input or output {name[:50]!r} is no tensor of a known rank")
    sides = []
    for side in tensor["shape"].get("dim", []):
        if {"dim_value", "dim_param"} <= side.keys():
            raise ValueError(f"a side of {name[:50]!r} is given in two ways")
        text(side.get("dim_param"))
        sides.append(side.get("dim_value"))
    return Port(name, int(tensor.get("elem_type", 0)), tuple(sides))


def _node(message: Message) -> Node:
    operator, domain = text(message.get("op_type")), text(message.get("domain"))
    if operator not in OPERATORS or domain not in ("", "ai.onnx") or message.get("overload"):
        raise ValueError(f"it uses the operator {operator[:50]!r}")
    given = _unique((_attribute(one) for one in message.get("attribute", [])), "attribute")
    inputs, outputs = (tuple(map(text, message.get(field, []))) for field in ("input", "output"))
    return Node(operator, inputs, outputs, dict(given))


def _attribute(message: Message) -> tuple[str, Any]:
    name, kind = text(message.get("name")), message.get("type", 0)
    if "g" in message or "graphs" in message:
        raise ValueError("it holds a graph within the graph")
    if any(part in message for part in _FOREIGN_PARTS) or message.get("ref_attr_name"):
        raise ValueError(f"its attribute {name[:50]!r} is none of a plain operator")
    field = _ATTRIBUTE_KINDS.get(kind)
    present = message.keys() & set(_ATTRIBUTE_KINDS.values())
    if field is None or present - {field}:
        raise ValueError(f"its attribute {name[:50]!r} is of no kind, or of two")
    value = message.get(field)
    if field == "s":
        return name, text(value)
    if field == "t":
        if value is None:
            raise ValueError(f"its attribute {name[:50]!r} holds nothing")
        return name, _tensor(value)
    if field in ("ints", "floats"):
        return name, value.values(MOST) if isinstance(value, Numbers) else []
    return name, (value or 0) if field in ("i", "f") else value


def _constant(message: Message) -> tuple[str, Tensor]:
    return text(message.get("name")), _tensor(message)


def _tensor(message: Message) -> Tensor:
    """A tensor in the file; its data must be there, and as much as its shape says."""
    if "external_data" in message or message.get("data_location", 0):
        raise ValueError("it keeps data in another file")
    if "segment" in message or "string_data" in message:
        raise ValueError("it holds a tensor in pieces, or of texts")
    dims = message.get("dims")
    shape = tuple(int(side) for side in dims.values(8)) if isinstance(dims, Numbers) else ()
    tensor = Tensor(int(message.get("data_type", 0)), shape)
    given = [field for field in _DATA if field in message]
    if len(given) > 1 or (not given and tensor.count):
        raise ValueError("it holds a tensor without data, or with two kinds of it")
    if tensor.count <= MOST:
        return Tensor(tensor.dtype, shape, _values(message, tensor))
    data = message[given[0]]
    size = len(data) if given == ["raw_data"] else data.count * SIZES[tensor.dtype]
    if size != tensor.bytes:
        raise ValueError(f"it holds a tensor of {tensor.count:,} numbers with data for another count")
    return tensor


def _values(message: Message, tensor: Tensor) -> NDArray[Any] | None:
    """The numbers of a small tensor; None if it is of a type whose numbers are not followed."""
    dtype = DTYPES.get(tensor.dtype)
    if "raw_data" in message:
        raw = message["raw_data"]
        if len(raw) != tensor.bytes:
            raise ValueError(f"it holds a tensor of {tensor.count:,} numbers with data for another count")
        return None if dtype is None else np.frombuffer(raw, dtype).reshape(tensor.shape)
    lists = [message[field] for field in _DATA if field in message]
    numbers = lists[0].values(MOST) if lists else []
    if len(numbers) != tensor.count:
        raise ValueError(f"it holds a tensor of {tensor.count:,} numbers with data for another count")
    field = {FLOAT: "float_data", INT64: "int64_data"}.get(tensor.dtype)
    if dtype is None or field not in message:
        return None
    return (
        np.array(numbers, np.float64 if tensor.dtype == FLOAT else np.int64)
        .astype(dtype)
        .reshape(tensor.shape)
    )
