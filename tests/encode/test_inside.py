"""The maps inside an encoder: those that torch computes, and a graph that is otherwise unchanged."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from toys import quadrant_image

from simsearch.encode.inside import MOST_LAYERS, Layers, add_outputs, convolutions
from simsearch.encode.model_folder import BEST_CHECKPOINT, PRETRAINED
from simsearch.encode.onnx import OnnxEncoder
from simsearch.encode.onnx_check import read_graph
from simsearch.search.searcher import Searcher

torch = pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
F = torch.nn.functional


def test_the_maps_are_those_that_torch_computes(shipped: Searcher) -> None:
    encoder = shipped.bundle.encoder
    picture = shipped.thumbnail(7)
    first, second = Layers(encoder).of(picture)
    from simsearch.train.checkpoints import load_model

    net = load_model(PRETRAINED / BEST_CHECKPOINT).eval().embedding
    with torch.inference_mode():
        x = torch.from_numpy(encoder.input.to_batch(picture[None]))
        expected = F.relu(F.max_pool2d(net.norm1(net.conv1(x)), 2))
        deeper = F.relu(F.max_pool2d(net.norm2(net.conv2(expected)), 2))
    assert first == pytest.approx(expected[0].numpy(), abs=1e-4)
    assert second == pytest.approx(deeper[0].numpy(), abs=1e-4)


def test_added_outputs_leave_the_rest_of_the_model_as_it_is(shipped: Searcher) -> None:
    model = shipped.bundle.encoder.model
    changed = onnx.load_from_string(add_outputs(model, ["relu", "relu_1"]))
    assert [output.name for output in changed.graph.output] == ["vectors", "relu", "relu_1"]
    del changed.graph.output[1:]
    assert changed == onnx.load_from_string(model)
    assert add_outputs(model, []) == model


def test_a_network_without_convolutions_has_no_maps(toy_onnx: bytes) -> None:
    assert Layers(OnnxEncoder(toy_onnx)).of(quadrant_image(1, 2, 3, 4)) == []


def deep(count: int) -> bytes:
    """So many convolutions of 1x1, then the quadrants of what is left."""
    floats = onnx.TensorProto.FLOAT
    weight = helper.make_tensor("weight", floats, [1, 1, 1, 1], [1.0])
    nodes = [
        helper.make_node("Conv", [f"c{n}" if n else "images", "weight"], [f"c{n + 1}"]) for n in range(count)
    ]
    nodes += [
        helper.make_node(
            "AveragePool", [f"c{count}"], ["quadrants"], kernel_shape=[14, 14], strides=[14, 14]
        ),
        helper.make_node("Flatten", ["quadrants"], ["vectors"]),
    ]
    given = helper.make_tensor_value_info("images", floats, ["batch", 1, 28, 28])
    made = helper.make_tensor_value_info("vectors", floats, ["batch", 4])
    graph = helper.make_graph(nodes, "deep", [given], [made], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def test_of_a_deep_network_some_layers_are_shown_the_first_and_the_last_among_them() -> None:
    names = convolutions(read_graph(deep(10)), (1, 1, 28, 28))
    assert names == ["c1", "c4", "c7", "quadrants"]
    assert len(names) == MOST_LAYERS
    assert convolutions(read_graph(deep(2)), (1, 1, 28, 28)) == ["c1", "quadrants"]


def test_values_pass_through_to_the_layer_that_shows_them() -> None:
    graph = deep(1)
    encoder = type("Encoder", (), {"model": graph, "input": OnnxEncoder(graph).input})
    picture = quadrant_image(0, 255, 0, 0)
    (maps,) = Layers(encoder).of(picture)  # type: ignore[arg-type]
    assert maps.shape == (1, 2, 2)
    assert np.argmax(maps) == 1
