"""Operators that keep a shape, join two by broadcasting, or sum over axes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from simsearch.encode.graph.tensors import (
    BOOL,
    DTYPES,
    FLOAT,
    INT64,
    UINT8,
    Result,
    Rule,
    Step,
    Tensor,
    axes_of,
    broadcast,
    for_all,
)
from simsearch.encode.graph.values import cast


def _same(step: Step) -> Result:
    first = step.take(0)
    return Result((Tensor(first.dtype, first.shape),))


def _joined(step: Step) -> Result:
    given = [one for one in step.inputs if one is not None]
    return Result((Tensor(given[0].dtype, broadcast(*(one.shape for one in given))),))


def _compared(step: Step) -> Result:
    return Result((Tensor(BOOL, broadcast(step.take(0).shape, step.take(1).shape)),))


def _where(step: Step) -> Result:
    shapes = (step.take(row).shape for row in range(3))
    return Result((Tensor(step.take(1).dtype, broadcast(*shapes)),))


def _cast(step: Step) -> Result:
    first = step.take(0)
    dtype = step.take(1).dtype if step.node.operator == "CastLike" else step.get("to")
    return Result((Tensor(dtype, first.shape, cast(first.value, DTYPES.get(dtype))),))


def _normalized(step: Step) -> Result:
    """The input's shape; the further outputs of training are refused."""
    if step.get("training_mode", 0) or sum(map(bool, step.node.outputs)) > 1:
        raise ValueError(f"its {step.node.operator} is one for training")
    first = step.take(0)
    return Result((Tensor(first.dtype, first.shape),), scratch=2 * first.bytes)


# --- sums over axes


def _reduce(step: Step) -> Result:
    first = step.take(0)
    axes = step.numbers(1, "axes")
    if not axes and step.get("noop_with_empty_axes", 0):
        return Result((Tensor(first.dtype, first.shape),))
    gone = axes_of(axes or range(len(first.shape)), len(first.shape))
    kept = bool(step.get("keepdims", 1))
    shape = [1 if axis in gone else side for axis, side in enumerate(first.shape)]
    if not kept:
        shape = [side for axis, side in enumerate(first.shape) if axis not in gone]
    made = Tensor(first.dtype, tuple(shape))
    if step.node.operator == "ReduceProd" and first.value is not None and first.dtype == INT64:
        product = math.prod(int(number) for number in first.value.reshape(-1))
        if made.count == 1 and abs(product) < 2**31:
            made = Tensor(INT64, made.shape, np.full(made.shape, product, np.int64))
    return Result((made,), scratch=first.bytes)


def _arg(step: Step) -> Result:
    first = step.take(0)
    [axis] = axes_of([int(step.get("axis", 0))], len(first.shape))
    middle = (1,) if step.get("keepdims", 1) else ()
    return Result((Tensor(INT64, (*first.shape[:axis], *middle, *first.shape[axis + 1 :])),))


def _quantized(step: Step) -> Result:
    zero = step.maybe(2)
    dtype = {"QuantizeLinear": zero.dtype if zero else step.get("output_dtype", UINT8) or UINT8}
    return Result((Tensor(dtype.get(step.node.operator, step.take(1).dtype), step.take(0).shape),))


def _quantized_dynamically(step: Step) -> Result:
    return Result((Tensor(UINT8, step.take(0).shape), Tensor(FLOAT, ()), Tensor(UINT8, ())))


RULES: Mapping[str, Rule] = {
    **for_all(
        _same,
        """Abs Ceil Celu Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log
        LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg Not Reciprocal Relu Round Selu Sigmoid
        Sign Sin Softmax Softplus Softsign Sqrt Swish Tanh ThresholdedRelu""",
    ),
    **for_all(_joined, "Add And Div Max Mean Min Mod Mul Or PRelu Pow Sub Sum Xor"),
    **for_all(_compared, "Equal Greater GreaterOrEqual Less LessOrEqual"),
    **for_all(
        _normalized,
        """BatchNormalization Dropout GroupNormalization InstanceNormalization LayerNormalization
        RMSNormalization""",
    ),
    **for_all(
        _reduce,
        """ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
        ReduceSumSquare""",
    ),
    **for_all(_cast, "Cast CastLike"),
    **for_all(_arg, "ArgMax ArgMin"),
    **for_all(_quantized, "QuantizeLinear DequantizeLinear"),
    "DynamicQuantizeLinear": _quantized_dynamically,
    "Where": _where,
}
