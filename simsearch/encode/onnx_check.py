"""Which ONNX files are let near onnxruntime: self-contained chains of plain operators.

An ONNX file is a program. One with loops need not end, one with external data reads other files, and one that
makes tensors out of numbers can take any amount of memory. The exported encoders have none of this, so a
file that does is refused. Only what is needed of Protocol Buffers is read here: numbers, and nested messages.
"""

from __future__ import annotations

from collections.abc import Iterator

_OPERATORS = """
    Abs Add ArgMax ArgMin AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant
    Conv ConvInteger DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand
    Flatten Floor Gather GatherElements Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization LRN
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul
    MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min Mish Mul Neg PRelu Pad Pow QLinearConv
    QLinearMatMul QuantizeLinear RMSNormalization Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean
    ReduceMin ReduceSum ReduceSumSquare Relu Reshape Round Selu Shape Sigmoid Sign Slice Softmax Softplus
    Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tanh ThresholdedRelu Transpose Unsqueeze Where
"""
OPERATORS = frozenset(_OPERATORS.split())
_LARGEST_STEP = 2**12  # of a kernel, a stride, a padding
_LARGEST_SHAPE = 2**22  # elements that a constant shape may ask for
_INT64 = 7

# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_INPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN, _NODE_OUTPUT = 1, 4, 5, 7, 2
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_INTS = 1, 5, 8
_ATTRIBUTE_GRAPHS = (6, 11)
_TENSOR_TYPE, _TENSOR_INT64S, _TENSOR_NAME, _TENSOR_RAW = 2, 7, 8, 9
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_STEPS = (b"dilations", b"kernel_shape", b"output_padding", b"output_shape", b"pads", b"strides")
_SHAPED = {b"Expand": 1, b"Reshape": 1, b"Pad": 1}  # which input says how large the output is

Value = int | memoryview


def check_graph(model: bytes) -> None:
    """Refuse an ONNX file that is more than a self-contained chain of plain operators.

    :raises ValueError: Naming what is in it; or if it is no Protocol Buffers message.
    """
    for field, value in _fields(model):
        if field == _MODEL_FUNCTIONS:
            raise ValueError("it defines functions of its own")
        if field == _MODEL_GRAPH:
            _check_graph(_message(value))


def _check_graph(graph: memoryview) -> None:
    constants: dict[bytes, list[int]] = {}
    nodes = []
    for field, value in _fields(graph):
        if field == _GRAPH_SPARSE:
            raise ValueError("it holds sparse tensors")
        if field == _GRAPH_INITIALIZER:
            name, numbers = _check_tensor(_message(value))
            constants[name] = numbers
        if field == _GRAPH_NODE:
            nodes.append(list(_fields(_message(value))))
    for node in nodes:
        _check_node(node, constants)


def _check_node(node: list[tuple[int, Value]], constants: dict[bytes, list[int]]) -> None:
    operator = b"".join(_message(value) for field, value in node if field == _NODE_OPERATOR)
    domain = b"".join(_message(value) for field, value in node if field == _NODE_DOMAIN)
    if operator.decode("utf-8", "replace") not in OPERATORS or domain not in (b"", b"ai.onnx"):
        raise ValueError(f"it uses the operator {operator.decode('utf-8', 'replace')[:50]!r}")
    for field, value in node:
        if field == _NODE_ATTRIBUTE:
            numbers = _check_attribute(_message(value))
            if operator == b"Constant":
                outputs = [bytes(_message(value)) for field, value in node if field == _NODE_OUTPUT]
                constants.update((output, numbers) for output in outputs)
    inputs = [bytes(_message(value)) for field, value in node if field == _NODE_INPUT]
    row = _SHAPED.get(operator)
    if row is not None and len(inputs) > row:
        elements = 1
        for number in constants.get(inputs[row], []):
            elements *= max(1, abs(number))
        if elements > _LARGEST_SHAPE:
            raise ValueError(f"its {operator.decode()} makes {elements:,} elements out of one picture")


def _check_attribute(attribute: memoryview) -> list[int]:
    """Check an attribute; return the whole numbers in it or in its tensor."""
    fields = list(_fields(attribute))
    name = b"".join(_message(value) for field, value in fields if field == _ATTRIBUTE_NAME)
    numbers: list[int] = []
    for field, value in fields:
        if field in _ATTRIBUTE_GRAPHS:
            raise ValueError("it holds a graph within the graph")
        if field == _ATTRIBUTE_TENSOR:
            numbers += _check_tensor(_message(value))[1]
        if field == _ATTRIBUTE_INTS:
            numbers += [_signed(value)] if isinstance(value, int) else _packed(value)
    if name in _STEPS and any(abs(number) > _LARGEST_STEP for number in numbers):
        raise ValueError(f"its {name.decode()} are absurd")
    return numbers


def _check_tensor(tensor: memoryview) -> tuple[bytes, list[int]]:
    """Check a tensor; return its name and, if it is a few whole numbers, these."""
    kind, name = 0, b""
    numbers: list[int] = []
    raw = memoryview(b"")
    for field, value in _fields(tensor):
        if field == _TENSOR_EXTERNAL or (field == _TENSOR_LOCATION and value):
            raise ValueError("it keeps data in another file")
        if field == _TENSOR_TYPE and isinstance(value, int):
            kind = value
        if field == _TENSOR_NAME:
            name = bytes(_message(value))
        if field == _TENSOR_RAW:
            raw = _message(value)
        if field == _TENSOR_INT64S:
            numbers += [_signed(value)] if isinstance(value, int) else _packed(value)
    if kind == _INT64 and len(raw) <= 512:
        whole = len(raw) // 8 * 8
        numbers += [int.from_bytes(raw[at : at + 8], "little", signed=True) for at in range(0, whole, 8)]
    return name, numbers


def _fields(message: bytes | memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a Protocol Buffers message: their numbers with an integer or the bytes of a part."""
    view, at = memoryview(message), 0
    while at < len(view):
        key, at = _varint(view, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            number, at = _varint(view, at)
            yield field, number
            continue
        size, at = _varint(view, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, len(view)), at)
        if at + size > len(view):
            raise ValueError("it is no ONNX model")
        yield field, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            break
        byte = view[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (2**64 - 1), at
    raise ValueError("it is no ONNX model")


def _packed(view: memoryview) -> list[int]:
    at, numbers = 0, list[int]()
    while at < len(view) and len(numbers) < 64:
        number, at = _varint(view, at)
        numbers.append(_signed(number))
    return numbers


def _signed(number: Value) -> int:
    number = number if isinstance(number, int) else 0
    return number - 2**64 if number >= 2**63 else number


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("it is no ONNX model")
    return value
