"""Operators that multiply: kernels that move over a picture, and matrices; with what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from simsearch.encode.graph.tensors import (
    FLOAT,
    INT8,
    INT32,
    INT64,
    SIZES,
    UINT8,
    Result,
    Rule,
    Step,
    Tensor,
    broadcast,
    for_all,
)

_LARGEST_STEP = 2**12  # of a kernel, a stride, a dilation, a padding
_SLOW = 64  # times as long as in float32, where there are no fast kernels


def _steps(numbers: Sequence[int], what: str) -> list[int]:
    if any(not 0 <= number <= _LARGEST_STEP for number in numbers):
        raise ValueError(f"its {what} are absurd")
    return [int(number) for number in numbers]


def _window(step: Step, sides: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """The sides of what a kernel makes of these."""
    rank = len(sides)
    kernel = _steps(kernel, "kernel_shape")
    strides = _steps(step.get("strides", [1] * rank), "strides")
    dilations = _steps(step.get("dilations", [1] * rank), "dilations")
    pads = _steps(step.get("pads", [0] * 2 * rank), "pads")
    auto = step.get("auto_pad", "NOTSET")
    if {len(kernel), len(strides), len(dilations), len(pads) // 2} != {rank} or not all(strides + kernel):
        raise ValueError(f"its {step.node.operator} does not fit its input")
    made = []
    for axis in range(rank):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            made.append(-(-sides[axis] // strides[axis]))
            continue
        room = sides[axis] - reach + (0 if auto == "VALID" else pads[axis] + pads[axis + rank])
        if room < 0 or auto not in ("NOTSET", "VALID"):
            raise ValueError(f"its {step.node.operator} does not fit its input")
        made.append(_places(step, room, strides[axis], sides[axis] + pads[axis]))
    return made


def _places(step: Step, room: int, stride: int, end: int) -> int:
    """How often a kernel is put down; rounded up, it still begins within the picture or its first padding."""
    if not step.get("ceil_mode", 0):
        return room // stride + 1
    places = -(-room // stride) + 1
    return places - 1 if (places - 1) * stride >= end else places


def _conv(step: Step) -> Result:
    """Of `Conv`, `ConvInteger` and `QLinearConv`."""
    weights = step.take(3 if step.node.operator == "QLinearConv" else 1)
    dtype = {"ConvInteger": INT32, "QLinearConv": (step.maybe(7) or weights).dtype}
    first = step.take(0)
    count, channels, *sides = first.shape
    made, depth, *kernel = weights.shape
    group = int(step.get("group", 1))
    if group < 1 or depth * group != channels or made % group or not sides:
        raise ValueError(f"its {step.node.operator} does not fit its input")
    if list(step.get("kernel_shape", kernel)) != kernel:
        raise ValueError(f"its {step.node.operator} has a kernel_shape other than its weights'")
    output = Tensor(dtype.get(step.node.operator, first.dtype), (count, made, *_window(step, sides, kernel)))
    columns = channels * math.prod(kernel) * math.prod(output.shape[2:]) * SIZES[first.dtype]
    return Result((output,), columns, _slowed(first, output.count * depth * math.prod(kernel)))


def _pool(step: Step) -> Result:
    first, kernel = step.take(0), list(step.get("kernel_shape"))
    shape = (*first.shape[:2], *_window(step, first.shape[2:], kernel))
    outputs = (Tensor(first.dtype, shape), Tensor(INT64, shape))
    work = outputs[0].count * math.prod(kernel)
    return Result(outputs[: max(1, len(step.node.outputs))], work=_slowed(first, work))


def _global_pool(step: Step) -> Result:
    first = step.take(0)
    return Result((Tensor(first.dtype, (*first.shape[:2], *[1] * (len(first.shape) - 2))),))


# --- products


def _slowed(first: Tensor, work: int) -> int:
    return work if first.dtype in (FLOAT, UINT8, INT8) else work * _SLOW


def _matmul(step: Step) -> Result:
    """Of `MatMul`, `MatMulInteger` and `QLinearMatMul`."""
    first, second = step.take(0), step.take(3 if step.node.operator == "QLinearMatMul" else 1)
    dtype = {"MatMulInteger": INT32, "QLinearMatMul": (step.maybe(7) or first).dtype}
    left = first.shape if len(first.shape) > 1 else (1, *first.shape)
    right = second.shape if len(second.shape) > 1 else (*second.shape, 1)
    if left[-1] != right[-2]:
        raise ValueError(f"its {step.node.operator} joins {list(first.shape)} and {list(second.shape)}")
    shape = (
        *broadcast(left[:-2], right[:-2]),
        *(left[-2:-1] if len(first.shape) > 1 else ()),
        *(right[-1:] if len(second.shape) > 1 else ()),
    )
    output = Tensor(dtype.get(step.node.operator, first.dtype), shape)
    return Result((output,), first.bytes + second.bytes, _slowed(first, output.count * left[-1]))


def _gemm(step: Step) -> Result:
    first, second = step.take(0), step.take(1)
    (rows, depth), (below, columns) = first.shape, second.shape
    if step.get("transA", 0):
        rows, depth = depth, rows
    if step.get("transB", 0):
        below, columns = columns, below
    added = step.maybe(2)
    if depth != below or (added and broadcast(added.shape, (rows, columns)) != (rows, columns)):
        raise ValueError("its Gemm does not fit its inputs")
    output = Tensor(first.dtype, (rows, columns))
    return Result((output,), first.bytes + second.bytes, _slowed(first, output.count * depth))


def _einsum(step: Step) -> Result:
    equation = str(step.get("equation")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(step.inputs) or len(terms) > 2 or not left.replace(",", "").isalpha():
        raise ValueError("its Einsum is one of more than two inputs, or abbreviated")
    sides: dict[str, int] = {}
    for term, given in zip(terms, step.inputs, strict=True):
        if given is None or len(term) != len(given.shape) or len(set(term)) != len(term):
            raise ValueError("its Einsum does not fit its inputs")
        for letter, side in zip(term, given.shape, strict=True):
            if sides.setdefault(letter, side) != side:
                raise ValueError("its Einsum does not fit its inputs")
    if not arrow:
        right = "".join(sorted(letter for letter in sides if left.count(letter) == 1))
    if len(set(right)) != len(right) or not set(right) <= sides.keys():
        raise ValueError("its Einsum does not fit its inputs")
    first = step.take(0)
    output = Tensor(first.dtype, tuple(sides[letter] for letter in right))
    scratch = 2 * (output.bytes + sum(given.bytes for given in step.inputs if given))
    return Result((output,), scratch, _slowed(first, math.prod(sides.values())))


def _lrn(step: Step) -> Result:
    size = _steps([int(step.get("size", 1))], "size")[0]
    return Result((Tensor(step.take(0).dtype, step.take(0).shape),), work=step.take(0).count * size)


RULES: Mapping[str, Rule] = {
    **for_all(_conv, "Conv ConvInteger QLinearConv"),
    **for_all(_pool, "AveragePool LpPool MaxPool"),
    **for_all(_global_pool, "GlobalAveragePool GlobalLpPool GlobalMaxPool"),
    **for_all(_matmul, "MatMul MatMulInteger QLinearMatMul"),
    "Einsum": _einsum,
    "Gemm": _gemm,
    "LRN": _lrn,
}
