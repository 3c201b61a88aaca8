"""Reads a SimilarityModel's anatomy off the model: its operations are traced, then run on two real images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    FileRecord,
    ModelCard,
    read_model_card,
    read_model_file,
)
from simsearch.encode.reference import EMBEDDING_NET
from simsearch.errors import BadInputError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import DIGIT
from simsearch.train.anatomy import Anatomy, Step
from simsearch.train.checkpoints import load_model
from simsearch.train.model import SimilarityModel
from simsearch.train.networks import NETWORKS, network_of


def dissect(
    model: SimilarityModel,
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    input: ImageInput = DIGIT,
) -> Anatomy:
    """Run two images through a model and record every operation, its shapes and its values.

    Nothing is told of the model that its own `forward` did not do: `torch.fx` traces it, an interpreter
    runs the trace.

    :param first: uint8 of `input.picture_shape`; and `second`.
    :raises ValueError: If what was traced is not two towers that meet in one cosine.
    """
    model = model.eval()
    traced = fx.symbolic_trace(model)
    recorder = _Recorder(traced)
    device = next(model.parameters()).device
    images = [torch.from_numpy(input.to_batch(pixels[None])).to(device) for pixels in (first, second)]
    with torch.inference_mode():
        recorder.run(*images)
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    reach = _reach(traced.graph)
    both = set(inputs)
    left, right = ([n for n in recorder.steps if reach[n] == {node}] for node in inputs)
    head = [node for node in recorder.steps if reach[node] == both]
    if not left or not right or not head or "cosine" not in recorder.steps[head[0]].operation:
        raise ValueError("this is not two towers that meet in a cosine")
    return Anatomy(
        network=type(model.embedding).__name__,
        images=(first, second),
        towers=(
            tuple(recorder.steps[node] for node in left),
            tuple(recorder.steps[node] for node in right),
        ),
        head=tuple(recorder.steps[node] for node in head),
        shared=_layers(left) == _layers(right),
        parameters=sum(parameter.numel() for parameter in model.embedding.parameters()),
        weight=model.projection.weight.item(),
        bias=model.projection.bias.item(),
    )


def input_of_dissectable(folder: Path) -> ImageInput:
    """What the network of a model folder takes, refusing models that were not trained from scratch here.

    :raises MissingModelError: If the folder holds no model.
    :raises BadInputError: If its network is not known: an imported encoder, or one with a head.
    """
    card = read_model_card(folder)
    if BEST_CHECKPOINT not in card.files or card.training.get("network", EMBEDDING_NET) not in NETWORKS:
        raise BadInputError(
            f"{card.name} holds no network that was trained from scratch, which alone can be drawn",
            hint="`simsearch train --network residual` trains one",
        )
    return card.input


def dissect_folder(
    folder: Path, first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> tuple[ModelCard, Anatomy]:
    """Dissect the checkpoint of a model folder, and return its card with what was found.

    :raises MissingModelError: If the folder holds no model.
    :raises BrokenModelError: If the checkpoint is not the one its card describes.
    """
    card = read_model_card(folder)
    checkpoint = read_model_file(folder, BEST_CHECKPOINT, card)
    model = load_model(folder / BEST_CHECKPOINT, network_of(card), sha256=FileRecord.of(checkpoint).sha256)
    return card, dissect(model, first, second, card.input)


class _Recorder(fx.Interpreter):
    """Runs a traced model and keeps a step for each node that computes something."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.steps: dict[fx.Node, Step] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node, and note what it is and what came out."""
        value = super().run_node(n)
        if n.op in ("call_module", "call_function", "call_method"):
            layer = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
            parameters = 0 if layer is None else sum(p.numel() for p in layer.parameters())
            output = value[0] if isinstance(value, Tensor) and value.ndim else value
            self.steps[n] = Step(
                operation=_operation(n, layer),
                name=str(n.target).partition(".")[2] or str(n.target) if parameters else "",
                detail=_detail(n, layer),
                parameters=parameters,
                shape=tuple(output.shape),
                output=output.float().cpu().numpy(),
            )
        return value


def _reach(graph: fx.Graph) -> dict[fx.Node, set[fx.Node]]:
    """Which inputs each node depends on."""
    reach: dict[fx.Node, set[fx.Node]] = {}
    for node in graph.nodes:
        own = {node} if node.op == "placeholder" else set()
        reach[node] = own.union(*(reach[before] for before in node.all_input_nodes))
    return reach


def _layers(nodes: list[fx.Node]) -> list[str]:
    """The layers with weights that these nodes call, by their place in the model."""
    return [str(node.target) for node in nodes if node.op == "call_module"]


def _operation(node: fx.Node, layer: nn.Module | None) -> str:
    if layer is not None:
        return type(layer).__name__
    return node.target if isinstance(node.target, str) else node.target.__name__


def _detail(node: fx.Node, layer: nn.Module | None) -> str:
    """The size of a kernel or window, where the operation has one."""
    if isinstance(layer, nn.Conv2d):
        return "x".join(str(side) for side in layer.kernel_size)
    if _operation(node, layer) == "max_pool2d":
        size = node.args[1]
        return f"{size}x{size}" if isinstance(size, int) else "x".join(map(str, size))  # type: ignore[arg-type]
    return ""
