"""What a picture makes of a network's inside: the maps behind its convolutions, for whoever asks for them.

The encoder's own graph is run a second time with more outputs. Nothing is computed for those who search.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from simsearch.encode.graph.tensors import FLOAT, Shape
from simsearch.encode.onnx import OnnxEncoder
from simsearch.encode.onnx_check import Graph, read_graph
from simsearch.prepare.inputs import Picture

MOST_LAYERS = 4  # of a deeper network some are left out
Maps = NDArray[np.float32]  # (C, H, W)

_MODEL_GRAPH, _GRAPH_OUTPUT, _VALUE_NAME = 7, 12, 1  # field numbers of onnx.proto
_BYTES = 2  # the wire type of parts; a model itself has numbers beside them


class Layers:
    """An encoder's convolutions, to be looked into."""

    def __init__(self, encoder: OnnxEncoder) -> None:
        """Load the graph again, with the maps as outputs."""
        graph = read_graph(encoder.model)
        (given, *_), self._input = graph.inputs, encoder.input
        self._given = given.name
        takes_one = given.dtype == FLOAT and not (isinstance(given.shape[0], int) and given.shape[0] > 1)
        self.names = convolutions(graph, (1, *encoder.input.tensor_shape)) if takes_one else []
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        model = add_outputs(encoder.model, self.names)
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def of(self, picture: Picture) -> list[Maps]:
        """The maps of one prepared picture, from the input on; none where the network has none.

        :param picture: uint8, of the encoder's `input.picture_shape`.
        :return: float32 (C, H, W) for each of at most `MOST_LAYERS` convolutions.
        """
        if not self.names:
            return []
        found = self._session.run(self.names, {self._given: self._input.to_batch(picture[None])})
        return [maps[0] for maps in found]


def convolutions(graph: Graph, shape: Shape) -> list[str]:
    """The names of the values that go from each convolution into what follows it: pooled and rectified.

    :param shape: Of the input for one picture.
    """
    known = graph.values(shape)
    found: list[str] = []
    current = None
    for node in graph.nodes:
        (output, *_) = node.outputs
        follows = current is not None and current in node.inputs
        is_map = len(known[output].shape) == 4
        if node.operator == "Conv" or (follows and not is_map):
            found += [current] if current is not None else []
            current = output if node.operator == "Conv" else None
        elif follows:
            current = output
    found += [current] if current is not None else []
    chosen = np.linspace(0, len(found) - 1, min(MOST_LAYERS, len(found))).round().astype(int)
    return [found[place] for place in chosen]


def add_outputs(model: bytes, names: Sequence[str]) -> bytes:
    """An ONNX model that also puts out the values of these names.

    :param model: The content of a file that `read_graph` takes.
    """
    added = b"".join(_part(_GRAPH_OUTPUT, _part(_VALUE_NAME, name.encode())) for name in names)
    view, at, written = memoryview(model), 0, bytearray()
    while at < len(view):
        start = at
        key, at = _read_varint(view, at)
        number, at = _read_varint(view, at)  # a value, or the size of a part
        if key & 7 == _BYTES:
            at += number
        if key == _MODEL_GRAPH << 3 | _BYTES:
            written += _part(_MODEL_GRAPH, bytes(view[at - number : at]) + added)
        else:
            written += view[start:at]
    return bytes(written)


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = view[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
