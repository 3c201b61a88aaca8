"""Small whole numbers that an ONNX graph computes with: the shapes that a graph makes of shapes.

`Reshape`, `Expand` and their kin take the shape of their result from a tensor. Where that tensor is made of
constants and of shapes, it is computed here, as onnxruntime will; where not, it is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

MOST = 4096  # numbers that are followed in one tensor
_SAFE = 2**31  # beyond it a product could overflow, and what then comes out is nobody's contract

Value: TypeAlias = NDArray[Any]
Attributes: TypeAlias = Mapping[str, Any]


def fold(operator: str, inputs: list[Value | None], attributes: Attributes) -> Value | None:
    """The result of an operator on known small tensors; None if it is not one of those followed here.

    Operators that only move numbers take any; those that compute refuse what could overflow.
    """
    if operator in _MOVES:
        return _MOVES[operator](inputs, attributes)
    known = [one for one in inputs if one is not None and _is_safe(one)]
    if operator not in _COMPUTES or attributes.get("fmod", 0) or len(known) < len(inputs):
        return None
    with np.errstate(all="ignore"):
        found: Value | None = _COMPUTES[operator](*known)
    return None if found is None or found.size > MOST or not _is_safe(found) else found


def cast(value: Value | None, dtype: np.dtype[Any] | None) -> Value | None:
    """A known tensor in another type; None if a number does not fit into it."""
    if value is None or dtype is None or not _is_safe(value):
        return None
    with np.errstate(all="ignore"):
        found = value.astype(dtype)
    whole = dtype.kind in "iu" and not np.array_equal(found, np.trunc(value.astype(np.float64)))
    return None if whole else found


def _is_safe(value: Value) -> bool:
    if value.dtype.kind == "b" or not value.size:
        return True
    return bool(np.isfinite(value).all() and np.abs(value.astype(np.float64)).max() < _SAFE)


def _divide(first: Value, second: Value) -> Value | None:
    if first.dtype.kind == "f":
        return first / second
    if (second == 0).any():
        return None
    return np.asarray(np.trunc(first.astype(np.float64) / second)).astype(first.dtype)


def _power(first: Value, second: Value) -> Value:
    return np.asarray(np.power(first.astype(np.float64), second)).astype(first.dtype)


def _modulo(first: Value, second: Value) -> Value | None:
    """As for `fmod=0`, which is for whole numbers."""
    return None if first.dtype.kind not in "iu" or (second == 0).any() else np.mod(first, second)


def _concat(inputs: list[Value | None], attributes: Attributes) -> Value | None:
    known = [one for one in inputs if one is not None]
    if len(known) < len(inputs) or sum(one.size for one in known) > MOST:
        return None
    return np.concatenate(known, axis=attributes.get("axis", 0))


def _gather(inputs: list[Value | None], attributes: Attributes) -> Value | None:
    data, rows = inputs
    if data is None or rows is None or rows.size * data.size > MOST:
        return None
    side = data.shape[attributes.get("axis", 0)]
    if rows.size and not -side <= rows.min() <= rows.max() < side:
        raise ValueError("its Gather takes a row that does not exist")
    return np.take(data, rows, axis=attributes.get("axis", 0))


def _transpose(inputs: list[Value | None], attributes: Attributes) -> Value | None:
    return None if inputs[0] is None else inputs[0].transpose(attributes.get("perm"))


_MOVES: dict[str, Callable[[list[Value | None], Attributes], Value | None]] = {
    "Concat": _concat,
    "Gather": _gather,
    "Identity": lambda inputs, _: inputs[0],
    "Transpose": _transpose,
}
_COMPUTES: dict[str, Callable[..., Value | None]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Div": _divide,
    "Equal": np.equal,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Max": lambda *values: np.max(np.stack(np.broadcast_arrays(*values)), axis=0),
    "Min": lambda *values: np.min(np.stack(np.broadcast_arrays(*values)), axis=0),
    "Mod": _modulo,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": _power,
    "Sqrt": lambda value: np.sqrt(value) if value.dtype.kind == "f" else None,
    "Sub": np.subtract,
    "Where": np.where,
}
