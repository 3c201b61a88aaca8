"""Operators that give the same numbers another shape, choose among them, or repeat them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from simsearch.encode.graph.tensors import (
    FLOAT,
    INT64,
    Result,
    Rule,
    Step,
    Tensor,
    axes_of,
    broadcast,
    for_all,
)
from simsearch.encode.graph.values import MOST


def _shape_of(step: Step) -> Result:
    sides = step.take(0).shape[slice(step.get("start", 0), step.get("end"))]
    return Result((Tensor(INT64, (len(sides),), np.array(sides, np.int64)),))


def _size_of(step: Step) -> Result:
    return Result((Tensor(INT64, (), np.array(step.take(0).count, np.int64)),))


def _reshaped(step: Step, shape: Sequence[int]) -> Result:
    first = step.take(0)
    value = None if first.value is None else first.value.reshape(shape)
    made = Tensor(first.dtype, tuple(shape), value)
    if made.count != first.count:
        raise ValueError(
            f"its {step.node.operator} makes {list(shape)} of a tensor of shape {list(first.shape)}"
        )
    return Result((made,))


def _reshape(step: Step) -> Result:
    first, asked = step.take(0), step.numbers(1, "shape") or []
    if not step.get("allowzero", 0):
        asked = [first.shape[axis] if side == 0 else side for axis, side in enumerate(asked)]
    if asked.count(-1) == 1:
        others = -math.prod(asked)
        if others <= 0 or first.count % others:
            raise ValueError(f"its Reshape makes {asked} of a tensor of shape {list(first.shape)}")
        asked = [first.count // others if side == -1 else side for side in asked]
    if any(side < 0 for side in asked):
        raise ValueError(f"its Reshape makes {asked} of a tensor of shape {list(first.shape)}")
    return _reshaped(step, asked)


def _flatten(step: Step) -> Result:
    first = step.take(0)
    rank = len(first.shape)
    axis = int(step.get("axis", 1))
    axis = axis + rank if axis < 0 else axis
    if not 0 <= axis <= rank:
        raise ValueError("its Flatten does not fit its input")
    return _reshaped(step, [math.prod(first.shape[:axis]), math.prod(first.shape[axis:])])


def _squeeze(step: Step) -> Result:
    first = step.take(0)
    axes = step.numbers(1, "axes")
    if axes is None:
        axes = [axis for axis, side in enumerate(first.shape) if side == 1]
    gone = axes_of(axes, len(first.shape))
    return _reshaped(step, [side for axis, side in enumerate(first.shape) if axis not in gone])


def _unsqueeze(step: Step) -> Result:
    first, axes = step.take(0), step.numbers(1, "axes") or []
    rank = len(first.shape) + len(axes)
    made, sides = axes_of(axes, rank), iter(first.shape)
    return _reshaped(step, [1 if axis in made else next(sides) for axis in range(rank)])


def _transpose(step: Step) -> Result:
    first = step.take(0)
    order = step.get("perm") or range(len(first.shape))[::-1]
    if sorted(order) != list(range(len(first.shape))):
        raise ValueError("its Transpose does not fit its input")
    return Result((Tensor(first.dtype, tuple(first.shape[axis] for axis in order)),))


def _concat(step: Step) -> Result:
    parts = [step.take(row) for row in range(len(step.inputs))]
    [axis] = axes_of([int(step.get("axis"))], len(parts[0].shape))
    rests = {(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}
    if len(rests) > 1 or len({len(part.shape) for part in parts}) > 1:
        raise ValueError("its Concat does not fit its inputs")
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return Result((Tensor(parts[0].dtype, tuple(shape)),))


def _split(step: Step) -> Result:
    first, parts = step.take(0), len(step.node.outputs)
    [axis] = axes_of([int(step.get("axis", 0))], len(first.shape))
    side = first.shape[axis]
    each = -(-side // parts)
    sizes = step.numbers(1, "split") or [max(0, min(each, side - each * row)) for row in range(parts)]
    if sum(sizes) != side or len(sizes) != parts:
        raise ValueError("its Split does not fit its input")
    ends = np.cumsum([0, *sizes]).tolist()
    made = []
    for start, end in itertools.pairwise(ends):
        cut = (*(slice(None),) * axis, slice(start, end))
        value = None if first.value is None else first.value[cut]
        made.append(Tensor(first.dtype, (*first.shape[:axis], end - start, *first.shape[axis + 1 :]), value))
    return Result(tuple(made))


def _slice(step: Step) -> Result:
    first = step.take(0)
    starts, ends = step.numbers(1, "starts") or [], step.numbers(2, "ends") or []
    axes = axes_of(step.numbers(3, "axes") or range(len(starts)), len(first.shape))
    steps = step.numbers(4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or not all(steps):
        raise ValueError("its Slice does not fit its input")
    shape, value = list(first.shape), first.value
    for axis, *bounds in zip(axes, starts, ends, steps, strict=True):
        rows = _cut(first.shape[axis], *bounds)
        shape[axis] = len(rows)
        value = None if value is None else np.take(value, rows, axis)
    return Result((Tensor(first.dtype, tuple(shape), value),))


def _cut(side: int, start: int, end: int, stride: int) -> range:
    """The rows of a slice; unlike Python's, one that starts before the front starts at it, even backwards."""
    start, end = (bound + side if bound < 0 else bound for bound in (start, end))
    if stride > 0:
        return range(min(max(start, 0), side), min(max(end, 0), side), stride)
    return range(min(max(start, 0), side - 1), min(max(end, -1), side - 1), stride)


def _gather(step: Step) -> Result:
    first, rows = step.take(0), step.take(1)
    [axis] = axes_of([int(step.get("axis", 0))], len(first.shape))
    return Result((Tensor(first.dtype, (*first.shape[:axis], *rows.shape, *first.shape[axis + 1 :])),))


def _gather_elements(step: Step) -> Result:
    return Result((Tensor(step.take(0).dtype, step.take(1).shape),))


def _scatter(step: Step) -> Result:
    first, rows, values = step.take(0), step.take(1), step.take(2)
    depth = rows.shape[-1]
    if values.shape != (*rows.shape[:-1], *first.shape[depth:]):
        raise ValueError("its ScatterND does not fit its inputs")
    return Result((Tensor(first.dtype, first.shape),), work=values.count)


def _trilu(step: Step) -> Result:
    first = step.take(0)
    return Result((Tensor(first.dtype, first.shape),))


# --- more numbers than before


def _expand(step: Step) -> Result:
    first, asked = step.take(0), step.numbers(1) or []
    if any(side < 0 for side in asked):
        raise ValueError("its Expand makes a shape that cannot be told beforehand")
    made = Tensor(first.dtype, broadcast(first.shape, tuple(asked)))
    if first.value is not None and made.count <= MOST:
        made = Tensor(first.dtype, made.shape, np.broadcast_to(first.value, made.shape))
    return Result((made,))


def _tile(step: Step) -> Result:
    first, repeats = step.take(0), step.numbers(1) or []
    if len(repeats) != len(first.shape) or any(number < 0 for number in repeats):
        raise ValueError("its Tile does not fit its input")
    shape = tuple(side * number for side, number in zip(first.shape, repeats, strict=True))
    return Result((Tensor(first.dtype, shape),))


def _pad(step: Step) -> Result:
    first, rank = step.take(0), len(step.take(0).shape)
    pads = step.numbers(1, "pads") or []
    axes = axes_of(step.numbers(3) or range(rank), rank)
    if len(pads) != 2 * len(axes):
        raise ValueError("its Pad does not fit its input")
    shape = list(first.shape)
    for row, axis in enumerate(axes):
        before, after = pads[row], pads[row + len(axes)]
        if step.get("mode", "constant") != "constant" and max(before, after) >= first.shape[axis]:
            raise ValueError("its Pad repeats more than there is")
        if min(before, after) < -first.shape[axis]:
            raise ValueError("its Pad does not fit its input")
        shape[axis] += before + after
    return Result((Tensor(first.dtype, tuple(shape)),))


def _constant_of_shape(step: Step) -> Result:
    shape = tuple(step.numbers(0) or [])
    given = step.get("value") or Tensor(FLOAT, (1,), np.zeros(1, np.float32))
    made = Tensor(given.dtype, shape)
    if given.value is not None and made.count <= MOST:
        made = Tensor(given.dtype, shape, np.broadcast_to(given.value.reshape(()), shape))
    return Result((made,))


def _range(step: Step) -> Result:
    values = [step.take(row).value for row in range(3)]
    if any(value is None or value.size != 1 for value in values):
        raise ValueError("its Range makes a shape that cannot be told beforehand")
    start, limit, delta = (float(value.reshape(-1)[0]) for value in values if value is not None)
    if not delta or not all(math.isfinite(number) for number in (start, limit, delta)):
        raise ValueError("its Range has no end")
    count = max(0, math.ceil((limit - start) / delta))
    dtype = step.take(0).dtype
    value = None
    if count <= MOST and dtype == INT64:
        value = np.arange(int(start), int(limit), int(delta)).astype(np.int64)
    return Result((Tensor(dtype, (count,), value),))


def _constant(step: Step) -> Result:
    kinds = {"value_int": "<i8", "value_ints": "<i8", "value_float": "<f4", "value_floats": "<f4"}
    for name, dtype in kinds.items():
        if (given := step.get(name)) is not None:
            value = np.array(given, np.dtype(dtype))
            return Result((Tensor(INT64 if dtype == "<i8" else FLOAT, value.shape, value),))
    given = step.get("value")
    if not isinstance(given, Tensor):
        raise ValueError("it has a Constant that is no number")
    return Result((given,))


def _block(step: Step) -> Result:
    """`SpaceToDepth` and `DepthToSpace`."""
    first, side = step.take(0), int(step.get("blocksize"))
    if side < 1:
        raise ValueError(f"its {step.node.operator} does not fit its input")
    count, channels, height, width = first.shape
    if step.node.operator == "SpaceToDepth":
        if height % side or width % side:
            raise ValueError("its SpaceToDepth does not fit its input")
        return Result((Tensor(first.dtype, (count, channels * side**2, height // side, width // side)),))
    if channels % side**2:
        raise ValueError("its DepthToSpace does not fit its input")
    return Result((Tensor(first.dtype, (count, channels // side**2, height * side, width * side)),))


RULES: Mapping[str, Rule] = {
    **for_all(_block, "SpaceToDepth DepthToSpace"),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "ScatterND": _scatter,
    "Shape": _shape_of,
    "Size": _size_of,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
