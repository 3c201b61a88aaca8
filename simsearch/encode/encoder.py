"""Encoders turn images into unit vectors. OnnxEncoder runs the exported network without torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from simsearch.encode.graph.tensors import FLOAT, Shape
from simsearch.encode.onnx_check import Graph, read_graph
from simsearch.errors import BadImageError, BrokenModelError
from simsearch.prepare.inputs import ImageInput, Pictures
from simsearch.prepare.prepare import DIGIT

Vectors: TypeAlias = NDArray[np.float32]  # (N, D), unit rows

BATCH_SIZE = 64  # larger batches fall out of the processor's cache


class Encoder(Protocol):
    """Anything that embeds images, named by a fingerprint of what it computes."""

    @property
    def input(self) -> ImageInput:
        """What pictures it takes, and how they are prepared."""

    @property
    def dim(self) -> int:
        """Length of each vector."""

    @property
    def fingerprint(self) -> str:
        """Equal for encoders that give equal vectors; stored with every index."""

    def encode(self, images: Pictures, *, on_progress: Callable[[int], None] = ...) -> Vectors:
        """Embed images.

        :param images: uint8 (N, *input.picture_shape), as `simsearch.prepare` makes them.
        :param on_progress: Called with the number of images of each finished batch.
        :return: Unit rows, float32 (N, D).
        :raises BadImageError: If an image has no vector: it is not finite, or has no direction.
        :raises BrokenModelError: If no image has.
        """


class OnnxEncoder:
    """An encoder in an ONNX file, run by onnxruntime."""

    def __init__(self, model: bytes, *, input: ImageInput = DIGIT, threads: int = 0) -> None:
        """Load an encoder.

        :param model: The content of an `encoder.onnx`.
        :param input: What pictures it takes.
        :param threads: Threads that share one batch; 0 uses every core.
        :raises BrokenModelError: If onnxruntime cannot load it, or it is no image encoder.
        """
        try:
            self._graph = read_graph(model)
            self.dim = _check_signature(self._graph, input.tensor_shape)
            self._batch = self._graph.largest_batch(input.tensor_shape, BATCH_SIZE)
        except ValueError as error:
            raise _unusable(error) from error
        self.input = input
        self._model, self._threads, self._checked = model, threads, {1}
        self._session, self._process = _open_session(model, threads), os.getpid()
        self._inherited: list[onnxruntime.InferenceSession] = []
        self._names = self._graph.inputs[0].name, self._graph.outputs[0].name

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the ONNX file."""
        return hashlib.sha256(self._model).hexdigest()

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
            check_unit_rows(
                self._run(session, self.input.to_batch(any_picture(self.input)))
            )  # or it is to blame
            raise BadImageError(error.message, hint="this picture shows nothing: leave it out") from None
        return vectors

    def _run(self, session: onnxruntime.InferenceSession, batch: NDArray[np.float32]) -> Vectors:
        self._check_batch(len(batch))
        try:
            given, made = self._names
            vectors: Vectors = session.run([made], {given: batch})[0]
        except Exception as error:  # of onnxruntime's own classes
            raise BrokenModelError(f"onnxruntime cannot run the encoder ({type(error).__name__})") from error
        if vectors.shape != (len(batch), self.dim) or vectors.dtype != np.float32:
            found = f"{vectors.dtype} {vectors.shape}"
            raise BrokenModelError(f"the encoder gave {found} for {len(batch)} images")
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


def any_picture(input: ImageInput) -> Pictures:
    """A picture that is grey nearly everywhere, which every encoder gives a vector: uint8 (1, ...)."""
    shape = (1, *input.picture_shape)
    return np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)


def check_unit_rows(vectors: Vectors) -> None:
    """Check that every row is finite and of length 1, to the precision of float32 arithmetic.

    :raises BrokenModelError: Naming the first row that is not.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))  # also catches NaN
    if len(wrong):
        raise BrokenModelError(
            f"the encoder gave no unit vector for image {wrong[0]} (length {lengths[wrong[0]]:.3g})",
            hint="the model is damaged or the image is empty; `simsearch doctor` checks the installation",
        )


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


def _check_signature(graph: Graph, picture: Shape) -> int:
    """Check that pictures of this shape go in and vectors come out; the length of these.

    :raises ValueError: Naming what does not fit.
    """
    given, made = graph.inputs[0], graph.outputs[0]
    if (given.dtype, made.dtype) != (FLOAT, FLOAT):
        raise ValueError("its input or its output is not float32")
    if len(given.shape) != 4 or given.shape[1:] != picture:
        wanted = "x".join(map(str, picture))
        raise ValueError(f"its input has shape {_named(given.shape)}, and pictures are {wanted}")
    if given.shape[0] is not None:
        raise ValueError(f"it was exported for batches of {given.shape[0]} only, not of any size")
    [shape] = graph.output_shapes((1, *picture))
    if len(shape) != 2 or len(made.shape) != 2 or made.shape[1] != shape[1] or shape[1] < 1:
        raise ValueError(f"its output has shape {list(shape)}, declared as {_named(made.shape)}: no vectors")
    return shape[1]


def _named(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if side is None else str(side) for side in shape) + "]"
