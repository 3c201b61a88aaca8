"""One rule an operator, after the ONNX specification: what it makes of its inputs, and what that costs.

What a rule cannot tell is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from simsearch.encode.graph import elementwise, forms, products
from simsearch.encode.graph.tensors import DTYPES, Result, Rule, Step, Tensor
from simsearch.encode.graph.values import fold

RULES: Mapping[str, Rule] = {**elementwise.RULES, **products.RULES, **forms.RULES}
OPERATORS = frozenset(RULES)


def run(step: Step) -> Result:
    """The outputs of a node and their cost.

    :raises ValueError: If they cannot be told, or do not fit together.
    """
    operator = step.node.operator
    try:
        result = RULES[operator](step)
    except (IndexError, TypeError, KeyError, OverflowError, AttributeError) as error:
        raise ValueError(f"its {operator} does not fit its inputs") from error
    if len(step.node.outputs) > len(result.outputs):
        raise ValueError(f"its {operator} has more outputs than ONNX knows")
    if len(result.outputs) == 1 and result.outputs[0].value is None:
        known = [None if one is None else one.value for one in step.inputs]
        result = _with_value(result, fold(operator, known, step.node.attributes))
    return result


def _with_value(result: Result, value: NDArray[Any] | None) -> Result:
    made = result.outputs[0]
    if value is None or value.shape != made.shape or DTYPES.get(made.dtype) != value.dtype:
        return result
    return Result((Tensor(made.dtype, made.shape, value),), result.scratch, result.work)
