"""An encoder and the head that was learned on its features -> one ONNX file, checked against both parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from simsearch.encode.encoder import VectorOutput
from simsearch.encode.graph.tensors import FLOAT
from simsearch.encode.onnx import OnnxEncoder
from simsearch.encode.onnx_check import read_graph
from simsearch.errors import SimsearchError
from simsearch.train.export import TOLERANCE
from simsearch.train.head import JoinedHead

_BATCH_SIZES = (1, 7, 64)
_SMALLEST = 1e-12  # length that is divided by, as torch's
_AXES_ARE_INPUTS = 18  # of ReduceMean, from this version of ONNX's operators on
_INITIALIZERS_ALONE = 4  # the first version of the format in which they need not be inputs too


def export_head(encoder: OnnxEncoder, head: JoinedHead) -> bytes:
    """Encoder and head as one ONNX file: the encoder's input, output `vectors` float32 (N, 128 + D).

    :raises SimsearchError: If any coordinate differs from what both parts give by more than 1e-5.
    :raises BrokenModelError: If the whole is not let near onnxruntime.
    """
    data = merge(encoder, head)
    difference = largest_difference(data, encoder, head)
    if not difference <= TOLERANCE:
        raise SimsearchError(
            f"the exported encoder differs from its parts by {difference:.2g}, more than {TOLERANCE:g}",
            hint="nothing was written; other versions of torch, onnx or onnxruntime may agree",
        )
    return data


def largest_difference(data: bytes, encoder: OnnxEncoder, head: JoinedHead) -> float:
    """The largest difference between a coordinate of the whole and of its parts, on seeded pictures."""
    whole = OnnxEncoder(data, input=encoder.input)
    rng, worst = np.random.default_rng(0), 0.0
    for size in _BATCH_SIZES:
        pictures = rng.integers(0, 256, (size, *encoder.input.picture_shape)).astype(np.uint8)
        with torch.inference_mode():
            expected = head(torch.from_numpy(encoder.encode(pictures))).numpy()  # (size, 128 + D)
        found = whole.encode(pictures)
        if found.shape != expected.shape:
            return float("inf")
        worst = float(np.maximum(worst, np.abs(found - expected).max()))
    return worst


def merge(encoder: OnnxEncoder, head: JoinedHead) -> bytes:
    """One graph of both, with the operators that every version of ONNX has; nothing is checked here."""
    model = onnx.load_model_from_string(encoder.model)
    graph, read = model.graph, read_graph(encoder.model)
    names = [port.name for port in read.outputs]
    chosen = names.index(encoder.output.name) if encoder.output.name else 0
    batch = read.inputs[0].shape[0] or 1
    rank = len(read.output_shapes((batch, *encoder.input.tensor_shape))[chosen])
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    tail = _Tail(opset, _unused_prefix(graph))
    x = tail.pooled(names[chosen], rank, encoder.output)
    if read.outputs[chosen].dtype != FLOAT:
        x = tail.add("Cast", [x], to=TensorProto.FLOAT)
    if encoder.output.normalize:
        x = tail.unit(x, len(head.head.center))
    vectors = tail.joined(x, head)
    first = graph.output[chosen].type.tensor_type.shape.dim[0]
    graph.node.extend(tail.nodes)
    graph.initializer.extend(tail.constants)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(vectors, TensorProto.FLOAT, ["batch", head.dim]))
    graph.output[0].type.tensor_type.shape.dim[0].CopyFrom(first)
    _prune(graph, vectors)
    model.ir_version = max(model.ir_version, _INITIALIZERS_ALONE)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


class _Tail:
    """Nodes that follow an encoder's output, under names of their own."""

    def __init__(self, opset: int, prefix: str) -> None:
        self._opset, self._prefix = opset, prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node; return the name of what it makes."""
        made = f"{self._prefix}{len(self.nodes)}_{operator}"
        self.nodes.append(helper.make_node(operator, inputs, [made], name=made, **attributes))
        return made

    def hold(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """Add a constant; return its name."""
        name = f"{self._prefix}constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def pooled(self, x: str, rank: int, output: VectorOutput) -> str:
        """A row for each picture, (N, D), as `OnnxEncoder` reads it."""
        if rank == 4:
            return self.add("Flatten", [self.add("GlobalAveragePool", [x])], axis=1)
        if rank == 3 and output.pool == "cls":
            return self.add("Gather", [x, self.hold(np.array(0, np.int64))], axis=1)
        if rank == 3 and self._opset < _AXES_ARE_INPUTS:
            return self.add("ReduceMean", [x], axes=[1], keepdims=0)
        if rank == 3:
            return self.add("ReduceMean", [x, self.hold(np.array([1], np.int64))], keepdims=0)
        return x

    def unit(self, x: str, dim: int) -> str:
        """Rows of D numbers, brought to length 1."""
        squares = self.add("MatMul", [self.add("Mul", [x, x]), self.hold(np.ones((dim, 1), np.float32))])
        length = self.add("Max", [self.add("Sqrt", [squares]), self.hold(np.array([_SMALLEST], np.float32))])
        return self.add("Div", [x, length])

    def joined(self, x: str, joined: JoinedHead) -> str:
        """What `JoinedHead` makes of features (N, D)."""
        head = joined.head
        centered = self.add("Sub", [x, self.hold(head.center.numpy())])
        weights, bias = _folded(joined)
        logits = self.add("Gemm", [centered, self.hold(weights), self.hold(bias)])
        learned = self.unit(self.add("Relu", [logits]), len(bias))
        given = self.unit(centered, len(head.center))
        shares = (math.sqrt(joined.weight), math.sqrt(1 - joined.weight))
        parts = [
            self.add("Mul", [part, self.hold(np.array([share], np.float32))])
            for part, share in zip((learned, given), shares, strict=True)
        ]
        return self.unit(self.add("Concat", parts, axis=1), joined.dim)


def _folded(joined: JoinedHead) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale, linear layer and batch normalization as one: weights (D, 128) and bias (128,)."""
    head, norm = joined.head, joined.head.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # (128,)
        weights = head.linear.weight.double() * head.scale.double() * factor[:, None]  # (128, D)
        bias = (head.linear.bias.double() - norm.running_mean.double()) * factor + norm.bias.double()
    return weights.T.float().numpy(), bias.float().numpy()


def _unused_prefix(graph: onnx.GraphProto) -> str:
    """A beginning of names that none in the graph has."""
    taken = [name for node in graph.node for name in (*node.input, *node.output, node.name)]
    taken += [part.name for part in (*graph.initializer, *graph.input, *graph.output)]
    prefix = "head_"
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    return prefix


def _prune(graph: onnx.GraphProto, output: str) -> None:
    """Leave out the nodes and constants that the output does not need, such as a classifier's."""
    needed, nodes = {output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            nodes.append(node)
    constants = [constant for constant in graph.initializer if constant.name in needed]
    held = {constant.name for constant in graph.initializer}
    inputs = [port for port in graph.input if port.name in needed or port.name not in held]
    for field, kept in (("node", reversed(nodes)), ("initializer", constants), ("input", inputs)):
        kept = [type(part).FromString(part.SerializeToString()) for part in kept]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)
    graph.ClearField("value_info")
