"""From torch to ONNX, refusing to write an encoder that does not agree with the network it came from."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from simsearch.errors import SimsearchError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import DIGIT
from simsearch.train.model import EMBEDDING_DIM

TOLERANCE = 1e-5
_BATCH_SIZES = (1, 7, 256)
_OPSET = 20


def export_onnx(network: nn.Module, input: ImageInput = DIGIT) -> bytes:
    """The encoder as one ONNX file: input `images` float32 (N, C, H, W), output `vectors` float32 (N, 128).

    :raises SimsearchError: If any coordinate differs from torch's by more than 1e-5.
    """
    network = network.eval()
    data = to_onnx(network, input.tensor_shape)
    difference = largest_difference(data, network, input)
    if not difference <= TOLERANCE:
        raise SimsearchError(
            f"the exported encoder differs from torch by {difference:.2g}, more than {TOLERANCE:g}",
            hint="nothing was written; other versions of torch, onnx or onnxruntime may agree",
        )
    return data


def largest_difference(onnx_model: bytes, network: nn.Module, input: ImageInput = DIGIT) -> float:
    """The largest absolute difference between both encoders' coordinates, on seeded images."""
    session = onnxruntime.InferenceSession(onnx_model, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    device = next(network.parameters()).device
    worst = 0.0
    for size in _BATCH_SIZES:
        images = torch.randn(size, *input.tensor_shape, generator=generator)
        with torch.inference_mode():
            expected = network(images.to(device)).cpu().numpy()  # (size, 128)
        found = session.run(None, {"images": images.numpy()})[0]  # (size, 128)
        if found.shape != (size, EMBEDDING_DIM):
            return float("inf")
        worst = float(np.maximum(worst, np.abs(found - expected).max()))
    return worst


def to_onnx(network: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """A network as one ONNX file, for batches of any size: input `images`, output `vectors`.

    :param shape: Of one image, (C, H, W).
    """
    device = next(network.parameters()).device
    example = torch.zeros(2, *shape, device=device)
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=_OPSET,
            external_data=False,
            input_names=["images"],
            output_names=["vectors"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )
    assert program is not None  # dynamo=True always returns a program
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _strip(model: onnx.ModelProto) -> None:
    """Remove notes that name source files of the exporting machine: equal weights give equal bytes."""
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress lines and its libraries' deprecation warnings off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
