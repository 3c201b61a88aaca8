"""What the rules for shapes speak of: tensors without their numbers, steps, and what a step makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FLOAT, UINT8, INT8, INT32, INT64, BOOL, FLOAT16 = 1, 2, 3, 6, 7, 9, 10
SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}  # bytes a number
DTYPES: Mapping[int, np.dtype[Any]] = {
    code: np.dtype(name)
    for code, name in zip(
        (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13),
        ("<f4", "<u1", "<i1", "<u2", "<i2", "<i4", "<i8", "?", "<f2", "<f8", "<u4", "<u8"),
        strict=True,
    )
}
MAX_RANK = 8
MAX_CONSTANTS = 20_000  # of a graph, weights among them; onnxruntime takes their square in time

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """One value: its type, its shape and, if it is small and made of constants and shapes, its numbers."""

    dtype: int
    shape: Shape
    value: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.dtype not in SIZES or len(self.shape) > MAX_RANK:
            raise ValueError(f"it computes with tensors of type {self.dtype} and rank {len(self.shape)}")
        if any(side < 0 or side >= 2**40 for side in self.shape):
            raise ValueError(f"it makes a tensor of shape {list(self.shape)}")

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return self.count * SIZES[self.dtype]


@dataclass(frozen=True)
class Node:
    """One step of a graph. Absent optional inputs have the empty name."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A node with what goes into it; what the rules read."""

    node: Node
    inputs: tuple[Tensor | None, ...]
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.node.attributes.get(name, default)

    def take(self, row: int) -> Tensor:
        """An input that must be there.

        :raises ValueError: If it is not.
        """
        found = self.maybe(row)
        if found is None:
            raise ValueError(f"its {self.node.operator} lacks an input")
        return found

    def maybe(self, row: int) -> Tensor | None:
        """An input that may be left out."""
        return self.inputs[row] if row < len(self.inputs) else None

    def numbers(self, row: int, name: str = "") -> list[int] | None:
        """The whole numbers of an input, or of the attribute that older opsets have in its place.

        :raises ValueError: If they are computed from the picture.
        """
        if name and name in self.node.attributes:
            return [int(number) for number in self.get(name)]
        found = self.maybe(row)
        if found is None:
            return None
        if found.value is None or found.value.ndim > 1 or found.value.dtype.kind not in "iu":
            raise ValueError(f"its {self.node.operator} makes a shape that cannot be told beforehand")
        return [int(number) for number in found.value.reshape(-1)]


@dataclass(frozen=True)
class Result:
    """What a node makes, the memory it needs beside that, and its multiplications."""

    outputs: tuple[Tensor, ...]
    scratch: int = 0  # bytes
    work: int = 0


def broadcast(*shapes: Shape) -> Shape:
    """The common shape, by NumPy's rules.

    :raises ValueError: If there is none.
    """
    rank = max(map(len, shapes))
    sides = []
    for column in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        large = {side for side in column if side != 1}
        if len(large) > 1:
            raise ValueError(f"it joins the shapes {' and '.join(str(list(shape)) for shape in shapes)}")
        sides.append(large.pop() if large else 1)
    return tuple(sides)


def axes_of(axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front.

    :raises ValueError: If there is none such, or one is named twice.
    """
    found = [axis + rank if axis < 0 else axis for axis in axes]
    if any(not 0 <= axis < rank for axis in found) or len(set(found)) < len(found):
        raise ValueError(f"it names axes {list(axes)} of a tensor of rank {rank}")
    return found


Rule: TypeAlias = Callable[[Step], Result]


def for_all(rule: Rule, names: str) -> dict[str, Rule]:
    """One rule for several operators."""
    return dict.fromkeys(names.split(), rule)
