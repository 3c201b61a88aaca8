"""What pictures a graph takes and what vectors it gives, checked against what the encoder says it is."""

from __future__ import annotations

from simsearch.encode.encoder import VectorOutput
from simsearch.encode.graph.tensors import FLOAT, FLOAT16, Shape
from simsearch.encode.known import Reading
from simsearch.encode.onnx_check import Graph, Port
from simsearch.prepare.inputs import ImageInput

BATCH_SIZE = 64  # larger batches fall out of the processor's cache
_FLOATS = {FLOAT: "float32", FLOAT16: "float16"}


def read_ports(graph: Graph, input: ImageInput, output: VectorOutput) -> Reading:
    """What a graph takes and gives.

    :raises ValueError: If no pictures of that input go in, no vectors come out, or it takes too much.
    """
    given, made = _ports(graph, output.name)
    fixed = _check_input(given, input.tensor_shape)
    return Reading(
        takes=given.name,
        dtype=_FLOATS[given.dtype],
        gives=made.name,
        dim=_dimension(graph, made, (fixed or 1, *input.tensor_shape), output),
        parameters=sum(tensor.count for tensor in graph.constants.values()),
        batch=fixed or graph.largest_batch(input.tensor_shape, BATCH_SIZE),
        fixed=fixed,
        checked=range(fixed or 1, (fixed or 1) + 1),
    )


def check_batch(graph: Graph, size: int, input: ImageInput) -> None:
    """Check what a batch of so many pictures takes.

    :raises ValueError: If that is too much, or cannot be told.
    """
    graph.check_cost((size, *input.tensor_shape))


def _ports(graph: Graph, output: str) -> tuple[Port, Port]:
    """The input, and the output of this name.

    :raises ValueError: If there is no such output, or several and no name.
    """
    names = ", ".join(repr(port.name[:50]) for port in graph.outputs)
    chosen = [port for port in graph.outputs if port.name == output or not output]
    if len(chosen) > 1:
        raise ValueError(f"it has several outputs: {names}; choose one with --output")
    if not chosen:
        raise ValueError(f"it has no output {output[:50]!r}; it has {names}")
    return graph.inputs[0], chosen[0]


def _check_input(given: Port, picture: Shape) -> int | None:
    """Check that pictures of this shape go in; how many at once, if only that many.

    :raises ValueError: Naming what does not fit.
    """
    if given.dtype not in _FLOATS:
        raise ValueError("its input is not float32 or float16")
    sides = given.shape[1:]
    if len(given.shape) != 4 or any(s not in (None, p) for s, p in zip(sides, picture, strict=True)):
        wanted = "x".join(map(str, picture))
        raise ValueError(f"its input has shape {_named(given.shape)}, and pictures are {wanted}")
    fixed = given.shape[0]
    if fixed is not None and not 1 <= fixed <= BATCH_SIZE:
        raise ValueError(f"it was exported for batches of {fixed} only")
    return fixed


def _dimension(graph: Graph, made: Port, shape: Shape, output: VectorOutput) -> int:
    """The length of the vectors that come out.

    :raises ValueError: If what comes out are no vectors.
    """
    if made.dtype not in _FLOATS:
        raise ValueError("its output is not float32 or float16")
    graph.check_cost(shape)
    found = graph.output_shapes(shape)[graph.outputs.index(made)]
    pooled = {2: "none", 3: output.pool, 4: "mean"}.get(len(found))
    if pooled == "none" and len(found) == 3:
        raise ValueError(f"its output {list(found)} is a row of tokens a picture: choose --pool cls or mean")
    declared = len(made.shape) == len(found) and all(
        said in (None, side) for said, side in zip(made.shape, found, strict=True)
    )
    if pooled is None or found[0] != shape[0] or min(found) < 1 or not declared:
        raise ValueError(f"its output has shape {list(found)}, declared as {_named(made.shape)}: no vectors")
    return found[1] if len(found) != 3 else found[2]


def _named(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if side is None else str(side) for side in shape) + "]"
