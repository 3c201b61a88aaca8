"""An ONNX file that is more than a chain of plain operators never reaches onnxruntime."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("onnx")
import onnx
from onnx import TensorProto, helper, numpy_helper

from simsearch.encode.model_folder import ENCODER, PRETRAINED
from simsearch.encode.onnx import OnnxEncoder
from simsearch.encode.onnx_check import read_graph
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
    for content, length in (((PRETRAINED / ENCODER).read_bytes(), 128), (toy_onnx, 4), (model(FLATTEN), 784)):
        graph = read_graph(content)
        graph.check_cost((64, 1, 28, 28))
        assert graph.output_shapes((7, 1, 28, 28)) == ((7, length),)
        assert graph.largest_batch((1, 28, 28), 64) == 64


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


@pytest.mark.parametrize("operator", ["Resize", "RandomNormal", "NonZero", "If", "Scan", "Loop", ""])
def test_an_operator_that_no_encoder_needs_is_refused(operator):
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


# --- what it costs


def joined(*nodes: object, **constants: tuple[int, ...]) -> bytes:
    """A model that ends in `vectors` as it should, beside which it does something else with `images`.

    What that makes is called `made`: its mean is added to the vectors.
    """
    end = [
        helper.make_node("ReduceMean", ["made"], ["mean"], keepdims=0),
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Add", ["flat", "mean"], ["vectors"]),
    ]
    return model(*nodes, *end, constants=tuple(whole_numbers(*pair) for pair in named(constants)))


def named(constants: dict[str, tuple[int, ...]]) -> list[tuple[object, ...]]:
    return [(name, *numbers) for name, numbers in constants.items()]


node = helper.make_node
COUNT = node("Size", ["images"], ["count"])  # 784 for one picture
SQUARE = (COUNT, node("Mul", ["count", "count"], ["square"]))  # 614,656
ONE = node("Reshape", ["square", "one"], ["shape"])
HUGE = {
    "an Expand to a constant shape": joined(
        node("Expand", ["images", "shape"], ["made"]), shape=(2**15, 1, 28, 28)
    ),
    "an Expand to a computed shape": joined(
        *SQUARE,
        ONE,
        node("Concat", ["shape", "rest"], ["sides"], axis=0),
        node("Expand", ["images", "sides"], ["made"]),
        one=(1,),
        rest=(1, 28, 28),
    ),
    "a Pad": joined(node("Pad", ["images", "pads"], ["made"]), pads=(0, 0, 0, 0, 0, 0, 2**12, 2**12)),
    "a broadcast sum": joined(
        node("Reshape", ["images", "tall"], ["column"]),
        node("Reshape", ["images", "wide"], ["row"]),
        node("Add", ["column", "row"], ["square"]),
        node("Reshape", ["square", "long"], ["long_row"]),
        node("Add", ["long_row", "column"], ["made"]),
        tall=(784, 1),
        wide=(1, 784),
        long=(1, 784 * 784),
    ),
    "a Tile": joined(node("Tile", ["images", "repeats"], ["made"]), repeats=(1, 1, 2**8, 2**8)),
    "a ConstantOfShape": joined(node("ConstantOfShape", ["shape"], ["made"]), shape=(2**15, 2**15)),
    "a Range": joined(
        node("Range", ["start", "limit", "delta"], ["numbers"]),
        node("Cast", ["numbers"], ["made"], to=TensorProto.FLOAT),
        start=(0,),
        limit=(2**30,),
        delta=(1,),
    ),
    "a Gather of one row again and again": joined(
        node("Expand", ["zero", "many"], ["rows"]),
        node("Gather", ["images", "rows"], ["made"], axis=3),
        zero=(0,),
        many=(2**20,),
    ),
    "many of middling size": joined(
        *[
            step
            for row in range(40)
            for step in (
                node("Expand", ["images", "shape"], [f"large{row}"]),
                node("ReduceMean", [f"large{row}"], [f"small{row}"], keepdims=0),
            )
        ],
        node("Sum", [f"small{row}" for row in range(40)], ["made"]),
        shape=(256, 1, 28, 28),
    ),
}


@pytest.mark.parametrize("content", HUGE.values(), ids=HUGE.keys())
def test_what_takes_all_memory_is_refused_before_onnxruntime_sees_it(content, monkeypatch):
    monkeypatch.setattr("simsearch.encode.onnx._open_session", None)
    assert re.fullmatch(
        r"one picture would take [0-9,]+ bytes of memory, more than [0-9,]+", refusal(content)
    )


def chained(count: int) -> bytes:
    """The numbers of the first picture, multiplied with each other again and again."""
    square = [
        node("Slice", ["images", "zero", "one", "zero"], ["first"]),
        node("Reshape", ["first", "tall"], ["column"]),
        node("Reshape", ["first", "wide"], ["row"]),
        node("MatMul", ["column", "row"], ["product0"]),
    ]
    steps = [node("MatMul", [f"product{row}", "product0"], [f"product{row + 1}"]) for row in range(count)]
    end = node("ReduceMean", [f"product{count}"], ["made"], keepdims=0)
    return joined(*square, *steps, end, tall=(784, 1), wide=(1, 784), zero=(0,), one=(1,))


def many_sums(count: int) -> bytes:
    """Each reads much and makes one number."""
    large = node("Expand", ["images", "shape"], ["large"])
    sums = [node("ReduceMean", ["large"], [f"mean{row}"], keepdims=0) for row in range(count)]
    end = node("Sum", [f"mean{row}" for row in range(count)], ["made"])
    return joined(large, *sums, end, shape=(64, 28, 28))


@pytest.mark.parametrize("build", [chained, many_sums])
def test_many_steps_that_take_all_time_are_refused(build, monkeypatch):
    assert OnnxEncoder(build(2), threads=1).dim == 784
    monkeypatch.setattr("simsearch.encode.onnx._open_session", None)
    assert re.fullmatch(
        r"one picture would take [0-9,]+ (multiplications|bytes of memory), more than [0-9,]+",
        refusal(build(5_000)),
    )


def test_a_shape_that_comes_out_of_the_picture_is_refused():
    """It could be anything: the pixels say how large."""
    content = joined(
        node("ReduceMean", ["images"], ["gray"], keepdims=0),
        node("Cast", ["gray"], ["side"], to=TensorProto.INT64),
        node("Reshape", ["side", "one"], ["shape"]),
        node("Expand", ["images", "shape"], ["made"]),
        one=(1,),
    )
    assert refusal(content) == "its Expand makes a shape that cannot be told beforehand"


def test_what_only_a_larger_batch_makes_large_is_refused_at_that_batch():
    """1024 ** (pictures - 1): harmless for one picture and for two."""
    content = joined(
        node("Shape", ["images"], ["batch"], start=0, end=1),
        node("Sub", ["batch", "one"], ["power"]),
        node("Pow", ["base", "power"], ["many"]),
        node("Concat", ["many", "rest"], ["sides"], axis=0),
        node("Slice", ["images", "zero", "one", "zero"], ["single"]),
        node("Expand", ["single", "sides"], ["made"]),
        base=(2**10,),
        rest=(1, 28, 28),
        zero=(0,),
        one=(1,),
    )
    graph = read_graph(content)
    graph.check_cost((2, 1, 28, 28))
    encoder = OnnxEncoder(content, threads=1)
    with pytest.raises(BrokenModelError, match=r"3 pictures would take [0-9,]+ bytes of memory"):
        encoder.encode(np.ones((3, 28, 28), np.uint8))


# --- one file, two readings


def field(number: int, content: bytes) -> bytes:
    """A field of Protocol Buffers that holds bytes."""
    size, length = bytearray(), len(content)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    key = [number << 3 | 2] if number < 16 else [(number << 3 | 2) & 127 | 128, number >> 4]
    return bytes([*key, *size, length]) + content


def test_a_graph_in_two_fields_is_refused():
    """Protocol Buffers joins them: the nodes of one with the constants of the other."""
    made = onnx.load_model_from_string(model(FLATTEN))
    second = onnx.GraphProto()
    second.node.append(node("Expand", ["images", "shape"], ["other"]))
    content = made.SerializeToString() + field(7, second.SerializeToString())
    assert len(onnx.load_model_from_string(content).graph.node) == 2
    assert refusal(content) == "its Model has graph twice"


def test_an_operator_named_twice_is_refused():
    """The last one counts, for whoever reads it as Protocol Buffers do."""
    step = FLATTEN.SerializeToString() + field(4, b"Loop")
    made = onnx.load_model_from_string(model(FLATTEN))
    made.graph.ClearField("node")
    graph = made.graph.SerializeToString() + field(1, step)
    made.ClearField("graph")
    assert refusal(made.SerializeToString() + field(7, graph)) == "its Node has op_type twice"


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (field(30, b"x"), "its Model has a field 30, which ONNX does not know"),
        (b"\x38\x01", "its Model has a graph of another kind"),
        (field(2, b"x") * 2, "its Model has producer_name twice"),
        (field(8, b"\x12\x01x"), "its Opset has a version of another kind"),
        (field(8, b"\x10\x14"), "it has the domain '' twice"),
        (field(8, b"\x0a\x07ai.onnx\x10\x14"), "it has two versions of ONNX's operators"),
        (b"\x3b", "it is no ONNX model"),
        (b"\xff" * 11, "it is no ONNX model"),
    ],
)
def test_a_field_that_may_be_read_in_two_ways_is_refused(tail, reason):
    plain = onnx.load_model_from_string(model(FLATTEN))
    plain.ClearField("producer_name")
    assert refusal(plain.SerializeToString() + tail) == reason


def test_a_constant_without_its_data_is_refused():
    for tensor in (
        TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[2**30]),
        TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[2**30], raw_data=b"1234"),
        TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[784], float_data=[1.0] * 783),
        TensorProto(name="huge", data_type=TensorProto.INT64, dims=[1], int64_data=[1], raw_data=b"12345678"),
    ):
        reason = refusal(model(FLATTEN, constants=(tensor,)))
        assert reason.startswith("it holds a tensor"), reason


def test_names_that_stand_for_two_things_are_refused():
    again = node("Relu", ["images"], ["vectors"])
    assert refusal(model(FLATTEN, again)) == "it has the value 'vectors' twice"
    one = whole_numbers("one", 1)
    assert refusal(model(FLATTEN, constants=(one, one))) == "it has the constant 'one' twice"
    assert (
        refusal(model(node("Flatten", ["nothing"], ["vectors"]))) == "its Flatten comes before what it needs"
    )


def test_an_encoder_of_other_pictures_is_refused_by_the_check_that_failed():
    def shaped(given: list[object], made: list[object]) -> str:
        content = onnx.load_model_from_string(model(FLATTEN))
        for port, sides in ((content.graph.input[0], given), (content.graph.output[0], made)):
            port.CopyFrom(helper.make_tensor_value_info(port.name, TensorProto.FLOAT, sides))
        return refusal(content.SerializeToString())

    assert shaped(["n", 3, 32, 32], ["n", 3072]) == (
        "its input has shape [any, 3, 32, 32], and pictures are 1x28x28"
    )
    assert shaped([80, 1, 28, 28], [80, 784]) == "it was exported for batches of 80 only"
    assert shaped(["n", 1, 28, 28], ["n", 128]) == (
        "its output has shape [1, 784], declared as [any, 128]: no vectors"
    )


# --- what else is absurd


def test_absurd_paddings_are_refused():
    pool = helper.make_node("MaxPool", ["images"], ["vectors"], kernel_shape=[2, 2], pads=[0, 0, 2**30, 0])
    assert refusal(model(pool)) == "its pads are absurd"


def test_an_encoder_that_would_fail_when_it_runs_is_a_broken_model():
    reshape = helper.make_node("Reshape", ["images", "shape"], ["vectors"])
    content = model(reshape, constants=(whole_numbers("shape", 7, 784),))
    assert refusal(content) == "its Reshape makes [7, 784] of a tensor of shape [1, 1, 28, 28]"


def test_an_encoder_that_gives_other_vectors_than_it_declares_is_a_broken_model():
    nothing = helper.make_node("Slice", ["flat", "zero", "one", "zero"], ["vectors"])
    content = model(
        helper.make_node("Flatten", ["images"], ["flat"]),
        nothing,
        constants=(whole_numbers("zero", 0), whole_numbers("one", 1)),
    )
    with pytest.raises(BrokenModelError, match=r"gave float32 \(1, 784\) for 3 images"):
        OnnxEncoder(content, threads=1).encode(np.ones((3, 28, 28), np.uint8))
