"""What the rules say of a graph is what onnxruntime then makes: every shape, every type, every small number.

The graphs are exports of other people's networks, and single operators with settings at random.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from simsearch.encode.graph.rules import RULES, run
from simsearch.encode.graph.tensors import DTYPES, Node, Step, Tensor
from simsearch.encode.onnx_check import read_graph

CODES = {dtype: code for code, dtype in DTYPES.items()}


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def assert_fits(tensor: Tensor, made: np.ndarray[Any, Any], name: str) -> None:
    assert (tensor.shape, tensor.dtype) == (made.shape, CODES[made.dtype]), name
    if tensor.value is not None:
        assert np.array_equal(tensor.value, made), name


# --- whole networks


def networks() -> dict[str, tuple[Callable[[], Any], int]]:
    """Small networks of the kinds that encoders are, and the side of their pictures."""
    from torchvision import models
    from torchvision.models.convnext import CNBlockConfig
    from torchvision.models.resnet import BasicBlock

    return {
        "resnet": (lambda: models.ResNet(BasicBlock, [1, 1, 1, 1]), 64),
        "mobilenet-v3": (models.mobilenet_v3_small, 64),
        "efficientnet": (models.efficientnet_b0, 64),
        "shufflenet": (models.shufflenet_v2_x0_5, 64),
        "densenet": (lambda: models.DenseNet(8, (2, 2), 16), 64),
        "convnext": (lambda: models.ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)]), 64),
        "vit": (lambda: models.VisionTransformer(32, 8, 2, 2, 16, 32), 32),
        "swin": (lambda: models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [7, 7]), 64),
        "maxvit": (lambda: models.MaxVit((64, 64), 8, 4, [16, 32], [1, 1], 8, 0.0), 64),
    }


NETWORKS = (
    "resnet",
    "mobilenet-v3",
    "efficientnet",
    "shufflenet",
    "densenet",
    "convnext",
    "vit",
    "swin",
    "maxvit",
)
SLOW = pytest.mark.skipif("SIMSEARCH_SLOW" not in os.environ, reason="slow")
WAYS = [
    *(pytest.param(name, "script", True) for name in NETWORKS),
    *(pytest.param(name, "script", False) for name in ("vit", "swin")),
    *(
        pytest.param(
            name,
            "dynamo",
            any_batch,
            marks=pytest.mark.skipif("SIMSEARCH_SLOW" not in os.environ, reason="slow"),
        )
        for name in NETWORKS
        for any_batch in (True, False)
    ),
]


def exported(name: str, way: str, any_batch: bool) -> onnx.ModelProto:
    torch = pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    make, side = networks()[name]
    file, pictures = io.BytesIO(), torch.zeros(2, 3, side, side)
    names = {"input_names": ["images"], "output_names": ["vectors"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if way == "script":
            axes = {"images": {0: "batch"}, "vectors": {0: "batch"}} if any_batch else None
            torch.onnx.export(make().eval(), (pictures,), file, dynamo=False, dynamic_axes=axes, **names)
            return onnx.load_model_from_string(file.getvalue())
        shapes = ({0: torch.export.Dim("batch")},) if any_batch else None
        program = torch.onnx.export(
            make().eval(), (pictures,), dynamo=True, dynamic_shapes=shapes, verbose=False, **names
        )
        return program.model_proto


@pytest.mark.parametrize(("name", "way", "any_batch"), WAYS)
def test_every_value_of_an_ordinary_encoder_is_known_before_it_runs(name, way, any_batch) -> None:
    model = exported(name, way, any_batch)
    graph = read_graph(model.SerializeToString())
    batch, *picture = graph.inputs[0].shape
    assert (batch is None) == any_batch
    shape = (batch or 3, *picture)
    graph.check_cost(shape)
    if any_batch:
        assert graph.largest_batch(tuple(picture), 8) == 8
    known = graph.values(shape)
    for step in model.graph.node:
        model.graph.output.extend(map(helper.make_empty_tensor_value_info, step.output))
    del model.graph.output[0]
    runtime = session(model)
    names = [port.name for port in runtime.get_outputs()]
    made = runtime.run(names, {"images": np.zeros(shape, np.float32)})
    assert len(made) > 20
    for value, found in zip(names, made, strict=True):
        assert_fits(known[value], found, value)


@SLOW
def test_the_largest_encoder_that_is_meant_to_fit_does() -> None:
    """ViT-B/16 has 86 million weights: 343 MB."""
    torch = pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    from torchvision import models

    file = io.BytesIO()
    axes = {"images": {0: "batch"}, "vectors": {0: "batch"}}
    names = {"input_names": ["images"], "output_names": ["vectors"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = models.vit_b_16().eval()
        torch.onnx.export(
            network, (torch.zeros(1, 3, 224, 224),), file, dynamo=False, dynamic_axes=axes, **names
        )
    graph = read_graph(file.getvalue())
    graph.check_cost((1, 3, 224, 224))
    assert graph.largest_batch((3, 224, 224), 64) >= 2
    assert graph.weights > 340_000_000


# --- single operators

Case = tuple[dict[str, Any], list[np.ndarray[Any, Any] | None], int]  # attributes, inputs, outputs
Random = np.random.Generator


def floats(random: Random, *shape: int) -> np.ndarray[Any, Any]:
    return random.standard_normal(shape).astype(np.float32)


def sides(random: Random, rank: int | None = None, least: int = 1) -> tuple[int, ...]:
    count = int(random.integers(1, 5)) if rank is None else rank
    return tuple(int(side) for side in random.integers(least, 6, count))


def whole(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.int64)


def some_axes(random: Random, rank: int) -> list[int]:
    chosen = random.choice(rank, int(random.integers(1, rank + 1)), replace=False)
    return [int(axis) - rank * int(random.integers(2)) for axis in chosen]


def conv(random: Random) -> Case:
    group, rank = int(random.integers(1, 3)), int(random.integers(1, 3))
    kernel = [int(side) for side in random.integers(1, 4, rank)]
    images = floats(random, 2, group * 2, *random.integers(4, 12, rank))
    settings: dict[str, Any] = {"group": group, "strides": random.integers(1, 4, rank).tolist()}
    match int(random.integers(3)):
        case 0:
            settings["pads"] = random.integers(0, 3, 2 * rank).tolist()
            settings["dilations"] = random.integers(1, 3, rank).tolist()
        case 1:
            settings["auto_pad"] = ("SAME_UPPER", "SAME_LOWER", "VALID")[int(random.integers(3))]
    return settings, [images, floats(random, group * 3, 2, *kernel)], 1


def pool(random: Random) -> Case:
    kernel = random.integers(1, 4, 2)
    pads = [int(random.integers(0, side)) for side in (*kernel, *kernel)]
    settings = {"kernel_shape": kernel.tolist(), "strides": random.integers(1, 4, 2).tolist(), "pads": pads}
    settings["ceil_mode"] = int(random.integers(2))
    return settings, [floats(random, 2, 3, *random.integers(5, 13, 2))], 1


def global_pool(random: Random) -> Case:
    return {}, [floats(random, *sides(random, int(random.integers(3, 6))))], 1


def gemm(random: Random) -> Case:
    rows, depth, columns = sides(random, 3)
    first, second = (int(random.integers(2)) for _ in range(2))
    left = floats(random, *((depth, rows) if first else (rows, depth)))
    right = floats(random, *((columns, depth) if second else (depth, columns)))
    return {"transA": first, "transB": second}, [left, right, floats(random, columns)], 1


def matmul(random: Random) -> Case:
    rows, depth, columns = sides(random, 3)
    left, right = [rows, depth], [depth, columns]
    if random.integers(2):
        left = [2, *left]
    if random.integers(2):
        right = [3, 1, *right]
    if not random.integers(4):
        left = [depth]
    elif not random.integers(4):
        right = [depth]
    return {}, [floats(random, *left), floats(random, *right)], 1


def einsum(random: Random) -> Case:
    equation = ("bhid,bhjd->bhij", "bij,bjk->bik", "ij,kj", "bij->bji", "bij->b")[int(random.integers(5))]
    size = dict.fromkeys("bhijkd", 0) | {letter: int(random.integers(1, 5)) for letter in "bhijkd"}
    terms = equation.split("->")[0].split(",")
    return {"equation": equation}, [floats(random, *map(size.__getitem__, term)) for term in terms], 1


def joined(random: Random) -> Case:
    shape = sides(random)
    other = [1 if random.integers(2) else side for side in shape][int(random.integers(len(shape))) :]
    return {}, [floats(random, *shape), floats(random, *other)], 1


def unary(random: Random) -> Case:
    return {}, [floats(random, *sides(random))], 1


def reduced(random: Random) -> Case:
    shape = sides(random)
    axes = whole(*some_axes(random, len(shape))) if random.integers(4) else None
    settings = {"keepdims": int(random.integers(2)), "noop_with_empty_axes": int(random.integers(2))}
    return settings, [floats(random, *shape), axes], 1


def arg(random: Random) -> Case:
    shape = sides(random)
    axis = int(random.integers(-len(shape), len(shape)))
    return {"axis": axis, "keepdims": int(random.integers(2))}, [floats(random, *shape)], 1


def concat(random: Random) -> Case:
    shape = list(sides(random))
    axis = int(random.integers(-len(shape), len(shape)))
    parts = []
    for _ in range(int(random.integers(1, 4))):
        shape[axis] = int(random.integers(1, 5))
        parts.append(floats(random, *shape))
    return {"axis": axis}, list(parts), 1


def split(random: Random) -> Case:
    shape = list(sides(random))
    axis = int(random.integers(-len(shape), len(shape)))
    sizes = random.integers(1, 4, int(random.integers(1, 4))).tolist()
    shape[axis] = sum(sizes)
    return {"axis": axis}, [floats(random, *shape), whole(*sizes)], len(sizes)


def split_evenly(random: Random) -> Case:
    parts = int(random.integers(1, 4))
    return {"axis": 0, "num_outputs": parts}, [floats(random, int(random.integers(3, 9)), 2)], parts


def sliced(random: Random) -> Case:
    shape = sides(random)
    axes = some_axes(random, len(shape))
    bounds = [whole(*random.integers(-8, 9, len(axes)).tolist()) for _ in range(2)]
    steps = whole(*random.choice([-3, -2, -1, 1, 2, 3], len(axes)).tolist())
    if not random.integers(3):
        bounds[1] = np.where(steps > 0, 2**63 - 1, -(2**63)).astype(np.int64)
    return {}, [floats(random, *shape), *bounds, whole(*axes), steps], 1


def padded(random: Random) -> Case:
    shape = sides(random, least=3)
    mode = ("constant", "reflect", "edge")[int(random.integers(3))]
    pads = random.integers(-1 if mode == "constant" else 0, 3, 2 * len(shape)).tolist()
    return {"mode": mode}, [floats(random, *shape), whole(*pads)], 1


def reshaped(random: Random) -> Case:
    shape = sides(random)
    asked = [0 if random.integers(3) == 0 else side for side in shape]
    if random.integers(2):
        asked[int(random.integers(len(asked)))] = -1
    return {}, [floats(random, *shape), whole(*asked)], 1


def flattened(random: Random) -> Case:
    shape = sides(random)
    return {"axis": int(random.integers(-len(shape), len(shape) + 1))}, [floats(random, *shape)], 1


def squeezed(random: Random) -> Case:
    shape = (*sides(random), 1, 2)
    axes = whole(len(shape) - 2) if random.integers(2) else None
    return {}, [floats(random, *shape), axes], 1


def unsqueezed(random: Random) -> Case:
    shape = sides(random)
    return {}, [floats(random, *shape), whole(*some_axes(random, len(shape) + 1)[:1])], 1


def transposed(random: Random) -> Case:
    shape = sides(random)
    order = {"perm": random.permutation(len(shape)).tolist()} if random.integers(2) else {}
    return order, [floats(random, *shape)], 1


def gathered(random: Random) -> Case:
    shape = sides(random)
    axis = int(random.integers(-len(shape), len(shape)))
    rows = random.integers(-shape[axis], shape[axis], sides(random, int(random.integers(0, 3))))
    return {"axis": axis}, [floats(random, *shape), np.asarray(rows, np.int64)], 1


def gathered_elements(random: Random) -> Case:
    shape = sides(random)
    rows = random.integers(0, shape[0], (int(random.integers(1, 5)), *shape[1:]))
    return {"axis": 0}, [floats(random, *shape), rows.astype(np.int64)], 1


def scattered(random: Random) -> Case:
    shape = sides(random, 3)
    depth, count = int(random.integers(1, 4)), int(random.integers(1, 5))
    rows = np.stack([random.integers(0, shape[axis], count) for axis in range(depth)], axis=-1)
    return {}, [floats(random, *shape), rows.astype(np.int64), floats(random, count, *shape[depth:])], 1


def expanded(random: Random) -> Case:
    shape = sides(random)
    asked = [int(random.integers(1, 4)) if side == 1 else int(random.choice([1, side])) for side in shape]
    more = random.integers(1, 4, int(random.integers(0, 2))).tolist()
    return {}, [floats(random, *shape), whole(*more, *asked)], 1


def tiled(random: Random) -> Case:
    shape = sides(random)
    return {}, [floats(random, *shape), whole(*random.integers(0, 3, len(shape)).tolist())], 1


def filled(random: Random) -> Case:
    value = [np.array([3], np.int64), np.array([0.5], np.float32), np.array([True])][int(random.integers(3))]
    settings = {"value": numpy_helper.from_array(value)} if random.integers(3) else {}
    return settings, [whole(*sides(random))], 1


def ranged(random: Random) -> Case:
    start, limit = (int(bound) for bound in random.integers(-20, 20, 2))
    delta = int(random.choice([-3, -2, -1, 1, 2, 3]))
    dtype = np.int64 if random.integers(2) else np.float32
    return {}, [np.array(number, dtype) for number in (start, limit, delta)], 1


def normalized(random: Random) -> Case:
    shape = sides(random, 3)
    return {}, [floats(random, *shape), *(floats(random, shape[-1]) for _ in range(2))], 1


def batch_normalized(random: Random) -> Case:
    shape = sides(random, 4)
    statistics = [np.abs(floats(random, shape[1])) + 1 for _ in range(4)]
    return {}, [floats(random, *shape), *statistics], 1


def where(random: Random) -> Case:
    shape = sides(random)
    return {}, [random.integers(0, 2, shape) > 0, floats(random, *shape[-1:]), floats(random, 1)], 1


def quantized(random: Random) -> Case:
    zero = np.array(3, (np.int8, np.uint8)[int(random.integers(2))])
    return {}, [floats(random, *sides(random)), np.array(0.1, np.float32), zero], 1


def numbers(random: Random) -> Case:
    """Small whole numbers, whose results are worked out too."""
    shape = sides(random, int(random.integers(0, 2)))
    values = [random.integers(-9, 10, shape), random.integers(1, 10, shape)]
    return {}, [np.asarray(value, np.int64) for value in values], 1


def truths(random: Random) -> Case:
    shape = sides(random, 1)
    return {}, [random.integers(0, 2, shape) > 0, random.integers(0, 2, shape) > 0], 1


def blocks(random: Random) -> Case:
    height, width = (2 * int(side) for side in random.integers(1, 4, 2))
    return {"blocksize": 2}, [floats(random, 1, 8, height, width)], 1


def shape_of(random: Random) -> Case:
    bounds = {"start": int(random.integers(-3, 3)), "end": int(random.integers(-3, 5))}
    return bounds if random.integers(2) else {}, [floats(random, *sides(random))], 1


MADE: dict[str, Callable[[Random], Case]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Sum", "Mean", "PRelu"), joined),
    **dict.fromkeys(("Greater", "LessOrEqual", "Equal"), joined),
    **dict.fromkeys(("Relu", "Gelu", "Softmax", "HardSwish", "Clip", "Erf", "LpNormalization", "Sin"), unary),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceL2", "ReduceMax"), reduced),
    **dict.fromkeys(("ArgMax", "ArgMin"), arg),
    **dict.fromkeys(("AveragePool", "MaxPool", "LpPool"), pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), global_pool),
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
    "Concat": concat,
    "Slice": sliced,
    "Pad": padded,
    "Reshape": reshaped,
    "Flatten": flattened,
    "Squeeze": squeezed,
    "Where": where,
    "Unsqueeze": unsqueezed,
    "Transpose": transposed,
    "Gather": gathered,
    "ScatterND": scattered,
    "GatherElements": gathered_elements,
    "Expand": expanded,
    "Tile": tiled,
    "ConstantOfShape": filled,
    "Range": ranged,
    "LayerNormalization": normalized,
    "BatchNormalization": batch_normalized,
    "QuantizeLinear": quantized,
    "Shape": shape_of,
    "Size": unary,
    "SpaceToDepth": blocks,
    "DepthToSpace": blocks,
}
CASES = [
    *MADE.items(),
    ("Split", split),
    ("Split", split_evenly),
    *((name, numbers) for name in ("Add", "Sub", "Mul", "Div", "Mod", "Equal", "Less", "Max", "Min")),
    *((name, truths) for name in ("And", "Or", "Xor")),
]


@pytest.mark.parametrize(("operator", "make"), CASES, ids=lambda one: getattr(one, "__name__", one))
def test_a_rule_says_what_onnxruntime_makes(operator: str, make: Callable[[Random], Case]) -> None:
    random = np.random.default_rng(5)
    compared = 0
    for _ in range(60):
        settings, given, count = make(random)
        names = ["" if one is None else f"in{row}" for row, one in enumerate(given)]
        outputs = [f"out{row}" for row in range(count)]
        ports = [
            helper.make_tensor_value_info(name, CODES[one.dtype], one.shape)
            for name, one in zip(names, given, strict=True)
            if one is not None
        ]
        proto = helper.make_node(operator, names, outputs, **settings)
        made = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph([proto], "one", ports, made)
        try:
            runtime = session(
                helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
            )
            fed = {name: one for name, one in zip(names, given, strict=True) if one is not None}
            found = runtime.run(outputs, fed)
        except Exception:  # onnxruntime refuses it: then nothing is made
            continue
        settings = {name: told(value) for name, value in settings.items()}
        tensors = tuple(None if one is None else Tensor(CODES[one.dtype], one.shape, one) for one in given)
        result = run(Step(Node(operator, tuple(names), tuple(outputs), settings), tensors, 20))
        for tensor, one in zip(result.outputs, found, strict=True):
            assert_fits(tensor, one, f"{settings} {[None if one is None else one.shape for one in given]}")
        compared += 1
    assert compared > 15


def told(value: Any) -> Any:
    """An attribute as the check reads it."""
    if not isinstance(value, onnx.TensorProto):
        return value
    array = numpy_helper.to_array(value)
    return Tensor(CODES[array.dtype], array.shape, array)


def test_every_kind_of_rule_is_compared() -> None:
    compared = {RULES[name].__name__ for name, _ in CASES}
    simple = {"_cast", "_lrn", "_quantized_dynamically", "_constant", "_trilu"}
    assert {rule.__name__ for rule in RULES.values()} - compared == simple
