"""Encoders in ONNX files, run by onnxruntime without torch: this project's networks, and others'."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cached_property

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from simsearch.encode.encoder import AS_IS, VectorOutput, Vectors, any_picture, check_unit_rows
from simsearch.encode.graph.tensors import FLOAT, FLOAT16, Shape
from simsearch.encode.onnx_check import Graph, Port, read_graph
from simsearch.errors import BadImageError, BrokenModelError
from simsearch.prepare.inputs import ImageInput, Pictures
from simsearch.prepare.prepare import DIGIT

BATCH_SIZE = 64  # larger batches fall out of the processor's cache
_FLOATS = {FLOAT: np.float32, FLOAT16: np.float16}
_UNIT = 1e-3


class OnnxEncoder:
    """An encoder in an ONNX file."""

    def __init__(
        self, model: bytes, *, input: ImageInput = DIGIT, output: VectorOutput = AS_IS, threads: int = 0
    ) -> None:
        """Load an encoder.

        :param model: The content of an `encoder.onnx`.
        :param input: What pictures it takes.
        :param output: How its vectors are read.
        :param threads: Threads that share one batch; 0 uses every core.
        :raises BrokenModelError: If onnxruntime cannot load it, or it is no image encoder.
        """
        self.input, self.output = input, output
        try:
            self._graph = read_graph(model)
            self._given, self._made = _ports(self._graph, output.name)
            fixed = _check_input(self._given, input.tensor_shape)
            self.dim = _dimension(self._graph, self._made, (fixed or 1, *input.tensor_shape), output)
            self._batch = fixed or self._graph.largest_batch(input.tensor_shape, BATCH_SIZE)
        except ValueError as error:
            raise _unusable(error) from error
        self._model, self._threads, self._fixed, self._checked = model, threads, fixed, {fixed or 1}
        self._session, self._process = _open_session(model, threads), os.getpid()
        self._inherited: list[onnxruntime.InferenceSession] = []

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the ONNX file; where vectors are read otherwise than as they are, of that too."""
        digest = hashlib.sha256(self._model)
        if self.output != AS_IS:
            digest.update(repr(self.output).encode())
        return digest.hexdigest()

    @property
    def parameters(self) -> int:
        """How many numbers the graph holds."""
        return sum(tensor.count for tensor in self._graph.constants.values())

    @property
    def model(self) -> bytes:
        """The ONNX file this encoder was loaded from."""
        return self._model

    def encode(self, images: Pictures, *, on_progress: Callable[[int], None] = lambda _: None) -> Vectors:
        """Embed images; see `Encoder.encode`."""
        session = self._own_session()
        vectors = np.empty((len(images), self.dim), np.float32)
        for start in range(0, len(images), self._batch):
            batch = self.input.to_batch(images[start : start + self._batch])  # (B, C, H, W)
            vectors[start : start + len(batch)] = self._run(session, batch)
            on_progress(len(batch))
        try:
            check_unit_rows(vectors)
        except BrokenModelError as error:
            grey = self.input.to_batch(any_picture(self.input))
            check_unit_rows(self._run(session, grey))  # or the encoder is to blame
            raise BadImageError(error.message, hint="this picture shows nothing: leave it out") from None
        return vectors

    def _run(self, session: onnxruntime.InferenceSession, batch: NDArray[np.float32]) -> Vectors:
        """The vectors of one batch, float32 (B, D); they need not be of length 1."""
        count = len(batch)
        if self._fixed:  # an export for batches of one size: the rest is filled up, and dropped
            batch = np.concatenate([batch, np.repeat(batch[-1:], self._fixed - count, axis=0)])
        self._check_batch(len(batch))
        try:
            given = batch.astype(_FLOATS[self._given.dtype], copy=False)
            raw = session.run([self._made.name], {self._given.name: given})[0]
        except Exception as error:  # of onnxruntime's own classes
            raise BrokenModelError(f"onnxruntime cannot run the encoder ({type(error).__name__})") from error
        vectors = _read_vectors(raw, self.output)[:count]
        if vectors.shape != (count, self.dim):
            raise BrokenModelError(f"the encoder gave {raw.dtype} {raw.shape} for {len(batch)} images")
        return vectors

    def _check_batch(self, size: int) -> None:
        """Check what a batch of a new size takes: a graph may make anything of the number of its pictures."""
        if size not in self._checked:
            try:
                self._graph.check_cost((size, *self.input.tensor_shape))
            except ValueError as error:
                raise _unusable(error) from error
            self._checked.add(size)

    def _own_session(self) -> onnxruntime.InferenceSession:
        """This process's session: onnxruntime's threads do not come along into a forked child."""
        if self._process != os.getpid():
            self._inherited.append(self._session)  # closing it would wait for those threads
            self._session, self._process = _open_session(self._model, self._threads), os.getpid()
        return self._session


def _open_session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # others want the cores meanwhile
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes of its own
        raise BrokenModelError(f"onnxruntime cannot load the encoder ({type(error).__name__})") from error


def _unusable(error: ValueError) -> BrokenModelError:
    return BrokenModelError(f"the encoder cannot be used: {error}")


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


def _read_vectors(raw: NDArray[np.generic], output: VectorOutput) -> Vectors:
    """One vector a picture, float32 (B, D), of length 1 if that is done here."""
    values = np.asarray(raw, np.float32)
    if values.ndim == 3:
        values = values[:, 0] if output.pool == "cls" else values.mean(axis=1)
    elif values.ndim == 4:
        values = values.mean(axis=(2, 3))
    if output.normalize:
        with np.errstate(invalid="ignore", divide="ignore"):
            values = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return np.ascontiguousarray(values, np.float32)


def _named(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if side is None else str(side) for side in shape) + "]"
