"""An encoder in whole numbers: its kernels and matrices in int8, by onnxruntime's static quantization.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
(CVPR 2018). Activations are unsigned, weights signed and of a scale for each channel; the first convolution,
which has the fewest multiplications and loses most, stays in float32, as do the lengths of vectors.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from msgspec import structs
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from simsearch.encode.encoder import MAX_MODEL_BYTES
from simsearch.encode.model_folder import (
    ENCODER,
    MODEL_CARD,
    FileRecord,
    Model,
    ModelCard,
    write_model_card,
)
from simsearch.encode.onnx import PROBE, OnnxEncoder
from simsearch.encode.probe import PROBED, probe_of
from simsearch.errors import BadInputError, BrokenModelError
from simsearch.files import folder_lock, read_small_file, write_atomically
from simsearch.prepare.inputs import Pictures

CALIBRATED_ON = 500  # pictures: more change nothing
_AT_ONCE = 50
_KERNELS = ("Conv", "Gemm", "MatMul")
_BOUNDS = ("Relu", "Clip")  # after a kernel they bound its range, which is then resolved more finely


def quantize_model(model: Model, pictures: Pictures, *, threads: int = 0) -> Model:
    """A model whose encoder computes in int8; its file says what a few pictures must give.

    :param pictures: What the range of each activation is taken of, uint8 (N, ...): the more they are like
        those that will be encoded, the better.
    :raises BadInputError: If the encoder cannot be quantized, or pictures are missing.
    """
    encoder, card = model
    if not len(pictures):
        raise BadInputError("there is no picture to quantize the encoder by")
    try:
        quantized = _quantized(encoder, pictures)
        first = OnnxEncoder(quantized, input=encoder.input, output=encoder.output, threads=threads)
        probed = pictures[:: max(1, len(pictures) // PROBED)][:PROBED]
        content = _with_probe(quantized, probe_of(probed, first.encode(probed)))
        made = OnnxEncoder(content, input=encoder.input, output=encoder.output, threads=threads)
    except BrokenModelError as error:
        raise BadInputError(f"{card.name} cannot be quantized: {error.message}", error.hint) from error
    said = {"from": encoder.fingerprint, "precision": "int8", "pictures": len(pictures)}
    return Model(
        made,
        structs.replace(
            card,
            name=f"{card.name}-int8",
            parameters=made.parameters,
            files={ENCODER: FileRecord.of(content)},
            training={**card.training, "quantized": said},
        ),
    )


def write_quantized(model: Model, folder: Path) -> ModelCard:
    """Write a model that was quantized as a folder of its own, without a checkpoint.

    :raises BadInputError: If the folder holds a model already, or cannot be written.
    :raises BusyError: If another process is writing it.
    """
    card = structs.replace(
        model.card, name=folder.name, created=datetime.datetime.now(datetime.UTC).isoformat()
    )
    with folder_lock(folder, busy=f"another process is writing {folder}"):
        if (folder / MODEL_CARD).exists():
            raise BadInputError(f"{folder} holds a model already", hint="name another folder with --int8")
        write_atomically(folder / ENCODER, model.encoder.model)
        write_model_card(folder, card)
    return card


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Calibration pictures, a batch at a time."""

    def __init__(self, name: str, batches: Iterator[Any]) -> None:
        self._name, self._batches = name, batches

    def get_next(self) -> dict[str, Any] | None:
        """The next batch; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def _quantized(encoder: OnnxEncoder, pictures: Pictures) -> bytes:
    graph = onnx.load_model_from_string(encoder.model)
    if any(entry.key == PROBE for entry in graph.metadata_props):
        raise BrokenModelError("its encoder computes in int8 already", hint="use it as it is")
    _name_nodes(graph)
    reading = encoder.reading
    step = reading.fixed or _AT_ONCE
    full = len(pictures) // step * step if reading.fixed else len(pictures)
    batches = (
        encoder.input.to_batch(pictures[start : start + step]).astype(reading.dtype)
        for start in range(0, full, step)
    )
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "quantized.onnx"
        try:
            quantize_static(
                graph,
                str(path),
                _Batches(reading.takes, batches),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                op_types_to_quantize=[*_KERNELS, *_BOUNDS],
                nodes_to_exclude=[*_first_convolution(graph), *_lengths(graph)],
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
            )
        except Exception as error:  # of onnxruntime's own classes, and of all that it calls
            raise BrokenModelError(f"onnxruntime cannot quantize it ({type(error).__name__})") from error
        written = read_small_file(path, MAX_MODEL_BYTES)
    assert written is not None  # it is smaller than what it was made of
    return written


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime's advice off the terminal: it is given through the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _name_nodes(graph: onnx.ModelProto) -> None:
    """Give names to nodes without one, by which they are told apart."""
    for number, node in enumerate(graph.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"


def _first_convolution(graph: onnx.ModelProto) -> list[str]:
    return [node.name for node in graph.graph.node if node.op_type == "Conv"][:1]


def _lengths(graph: onnx.ModelProto) -> list[str]:
    """The products that sum squares, of which a root is taken: a vector's length, which must be exact."""
    rooted = {name for node in graph.graph.node if node.op_type == "Sqrt" for name in node.input}
    return [node.name for node in graph.graph.node if node.op_type == "MatMul" and rooted & {*node.output}]


def _with_probe(model: bytes, probe: str) -> bytes:
    graph = onnx.load_model_from_string(model)
    graph.ClearField("metadata_props")
    onnx.helper.set_model_props(graph, {PROBE: probe})
    data: bytes = graph.SerializeToString(deterministic=True)
    return data
