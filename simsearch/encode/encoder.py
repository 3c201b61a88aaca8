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

from simsearch.encode.onnx_check import check_graph
from simsearch.errors import BadImageError, BrokenModelError
from simsearch.prepare.prepare import SIDE, Images, to_batch

Vectors: TypeAlias = NDArray[np.float32]  # (N, D), unit rows

_ANY_PICTURE = np.arange(SIDE * SIDE).reshape(1, SIDE, SIDE).astype(np.uint8)  # grey nearly everywhere
BATCH_SIZE = 64  # larger batches fall out of the processor's cache


class Encoder(Protocol):
    """Anything that embeds images, named by a fingerprint of what it computes."""

    @property
    def dim(self) -> int:
        """Length of each vector."""

    @property
    def fingerprint(self) -> str:
        """Equal for encoders that give equal vectors; stored with every index."""

    def encode(self, images: Images, *, on_progress: Callable[[int], None] = ...) -> Vectors:
        """Embed images.

        :param images: uint8 (N, 28, 28), as `simsearch.prepare.prepare.prepare_image` makes them.
        :param on_progress: Called with the number of images of each finished batch.
        :return: Unit rows, float32 (N, D).
        :raises BadImageError: If an image has no vector: it is not finite, or has no direction.
        :raises BrokenModelError: If no image has.
        """


class OnnxEncoder:
    """An exported EmbeddingNet, run by onnxruntime."""

    def __init__(self, model: bytes, *, threads: int = 0) -> None:
        """Load an encoder.

        :param model: The content of an `encoder.onnx`.
        :param threads: Threads that share one batch; 0 uses every core.
        :raises BrokenModelError: If onnxruntime cannot load it, or it is no image encoder.
        """
        try:
            check_graph(model)
        except ValueError as error:
            raise BrokenModelError(f"the encoder cannot be used: {error}") from error
        self._model, self._threads = model, threads
        self._session, self._process = _open_session(model, threads), os.getpid()
        self._inherited: list[onnxruntime.InferenceSession] = []
        self._input, self._output, self.dim = _check_signature(self._session)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the ONNX file."""
        return hashlib.sha256(self._model).hexdigest()

    @property
    def model(self) -> bytes:
        """The ONNX file this encoder was loaded from."""
        return self._model

    def encode(self, images: Images, *, on_progress: Callable[[int], None] = lambda _: None) -> Vectors:
        """Embed images; see `Encoder.encode`."""
        session = self._own_session()
        vectors = np.empty((len(images), self.dim), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            batch = to_batch(images[start : start + BATCH_SIZE])  # (B, 1, 28, 28)
            vectors[start : start + len(batch)] = self._run(session, batch)
            on_progress(len(batch))
        try:
            check_unit_rows(vectors)
        except BrokenModelError as error:
            check_unit_rows(self._run(session, to_batch(_ANY_PICTURE)))  # or the encoder is to blame
            raise BadImageError(error.message, hint="this picture shows nothing: leave it out") from None
        return vectors

    def _run(self, session: onnxruntime.InferenceSession, batch: NDArray[np.float32]) -> Vectors:
        try:
            vectors: Vectors = session.run([self._output], {self._input: batch})[0]
        except Exception as error:  # of onnxruntime's own classes
            raise BrokenModelError(f"onnxruntime cannot run the encoder ({type(error).__name__})") from error
        if vectors.shape != (len(batch), self.dim) or vectors.dtype != np.float32:
            found = f"{vectors.dtype} {vectors.shape}"
            raise BrokenModelError(f"the encoder gave {found} for {len(batch)} images")
        return vectors

    def _own_session(self) -> onnxruntime.InferenceSession:
        """This process's session: onnxruntime's threads do not come along into a forked child."""
        if self._process != os.getpid():
            self._inherited.append(self._session)  # closing it would wait for those threads
            self._session, self._process = _open_session(self._model, self._threads), os.getpid()
        return self._session


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


def _check_signature(session: onnxruntime.InferenceSession) -> tuple[str, str, int]:
    """Names of the input and the output, and the dimension of the vectors."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    try:
        [(node.name, node.shape) for node in (*inputs, *outputs)]
    except UnicodeDecodeError as error:  # onnxruntime decodes names only when it is asked for them
        raise BrokenModelError("the ONNX model has names that are not text") from error
    if (
        len(inputs) != 1
        or len(outputs) != 1
        or inputs[0].type != "tensor(float)"
        or outputs[0].type != "tensor(float)"
        or isinstance(inputs[0].shape[0], int)  # made for batches of one size only
        or list(inputs[0].shape[1:]) != [1, 28, 28]
        or len(outputs[0].shape) != 2
        or not isinstance(outputs[0].shape[1], int)
    ):
        raise BrokenModelError("the ONNX model is not an encoder of 1x28x28 images")
    return inputs[0].name, outputs[0].name, outputs[0].shape[1]
