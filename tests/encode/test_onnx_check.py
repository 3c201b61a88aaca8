"""An ONNX file that is more than a chain of plain operators never reaches onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
import onnx
from onnx import TensorProto, helper, numpy_helper

from simsearch.encode.encoder import OnnxEncoder
from simsearch.encode.model_folder import ENCODER, PRETRAINED
from simsearch.encode.onnx_check import check_graph
from simsearch.errors import BrokenModelError


def model(*nodes: object, constants: tuple[object, ...] = ()) -> bytes:
    """A model with these nodes, from `images` to `vectors`."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, 28, 28])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", 784])],
        list(constants),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return made.SerializeToString()


def whole_numbers(name: str, *numbers: int) -> object:
    return numpy_helper.from_array(np.array(numbers, np.int64), name)


def refusal(content: bytes) -> str:
    """Why the encoder refuses a model; the check itself says the same."""
    with pytest.raises(BrokenModelError) as caught:
        OnnxEncoder(content, threads=1)
    assert caught.value.exit_code == 3
    return caught.value.message.removeprefix("the encoder cannot be used: ")


FLATTEN = helper.make_node("Flatten", ["images"], ["vectors"])


def test_the_shipped_encoder_and_a_plain_one_pass(toy_onnx):
    check_graph((PRETRAINED / ENCODER).read_bytes())
    check_graph(toy_onnx)
    check_graph(model(FLATTEN))


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/passwd"])
def test_data_in_another_file_is_refused(location, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.ones(784, np.float32).tofile("weights.bin")  # onnxruntime would read it
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[784])
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    add = helper.make_node("Add", ["flat", "weights"], ["vectors"])
    flatten = helper.make_node("Flatten", ["images"], ["flat"])
    assert refusal(model(flatten, add, constants=(weights,))) == "it keeps data in another file"
    constant = helper.make_node("Constant", [], ["weights"], value=weights)
    assert refusal(model(flatten, constant, add)) == "it keeps data in another file"


def test_a_loop_is_refused():
    body = helper.make_graph([], "body", [], [])
    loop = helper.make_node("Loop", ["", "", "images"], ["vectors"], body=body)
    assert refusal(model(loop)) == "it uses the operator 'Loop'"
    disguised = helper.make_node("Flatten", ["images"], ["vectors"], body=body)
    assert refusal(model(disguised)) == "it holds a graph within the graph"


@pytest.mark.parametrize(
    "operator", ["ConstantOfShape", "Tile", "Range", "Resize", "RandomNormal", "If", "Scan", ""]
)
def test_an_operator_that_makes_data_out_of_numbers_is_refused(operator):
    node = helper.make_node(operator, ["images"], ["vectors"])
    assert refusal(model(node)) == f"it uses the operator {operator!r}"


def test_an_operator_of_another_domain_is_refused():
    node = helper.make_node("Flatten", ["images"], ["vectors"], domain="com.microsoft")
    assert refusal(model(node)) == "it uses the operator 'Flatten'"


def test_functions_and_sparse_tensors_are_refused():
    made = onnx.load_model_from_string(model(FLATTEN))
    made.functions.add().name = "own"
    assert refusal(made.SerializeToString()) == "it defines functions of its own"
    made = onnx.load_model_from_string(model(FLATTEN))
    made.graph.sparse_initializer.add()
    assert refusal(made.SerializeToString()) == "it holds sparse tensors"


@pytest.mark.parametrize("as_node", [False, True])
def test_a_constant_shape_that_would_fill_the_memory_is_refused(as_node):
    shape = whole_numbers("shape", 2**15, 2**15)
    expand = helper.make_node("Expand", ["images", "shape"], ["vectors"])
    constant = helper.make_node("Constant", [], ["shape"], value=shape)
    content = model(constant, expand) if as_node else model(expand, constants=(shape,))
    assert refusal(content) == "its Expand makes 1,073,741,824 elements out of one picture"


def test_absurd_paddings_are_refused():
    pool = helper.make_node("MaxPool", ["images"], ["vectors"], kernel_shape=[2, 2], pads=[0, 0, 2**30, 0])
    assert refusal(model(pool)) == "its pads are absurd"


def test_an_encoder_that_fails_when_it_runs_is_a_broken_model():
    reshape = helper.make_node("Reshape", ["images", "shape"], ["vectors"])
    content = model(reshape, constants=(whole_numbers("shape", 7, 784),))
    with pytest.raises(BrokenModelError, match=r"^onnxruntime cannot run the encoder \(Fail\)$"):
        OnnxEncoder(content, threads=1).encode(np.ones((3, 28, 28), np.uint8))


def test_an_encoder_that_gives_other_vectors_than_it_declares_is_a_broken_model():
    nothing = helper.make_node("Slice", ["flat", "zero", "one", "zero"], ["vectors"])
    content = model(
        helper.make_node("Flatten", ["images"], ["flat"]),
        nothing,
        constants=(whole_numbers("zero", 0), whole_numbers("one", 1)),
    )
    with pytest.raises(BrokenModelError, match=r"gave float32 \(1, 784\) for 3 images"):
        OnnxEncoder(content, threads=1).encode(np.ones((3, 28, 28), np.uint8))
