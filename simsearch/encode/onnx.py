"""Encoders in ONNX files, run by onnxruntime without torch: this project's networks, and others'."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from simsearch.encode.encoder import AS_IS, VectorOutput, Vectors, any_picture, check_unit_rows
from simsearch.encode.known import KNOWN, Reading
from simsearch.errors import BadImageError, BrokenModelError
from simsearch.prepare.inputs import ImageInput, Pictures
from simsearch.prepare.prepare import DIGIT

if TYPE_CHECKING:
    from simsearch.encode.onnx_check import Graph

PROBE = "simsearch.probe"  # in a file's metadata: pictures and their vectors; see `probe.py`


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
        self.input, self.output, self._model, self._threads = input, output, model, threads
        known = KNOWN.get(self.fingerprint) if (input, output) == (DIGIT, AS_IS) else None
        self._reading = known or self._read()
        self.dim, self._checked = self._reading.dim, set(self._reading.checked)
        self._session, self._process = _open_session(model, threads), os.getpid()
        self._inherited: list[onnxruntime.InferenceSession] = []
        if known is None:
            self._check_processor()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the ONNX file; where vectors are read otherwise than as they are, of that too."""
        digest = hashlib.sha256(self._model)
        if self.output != AS_IS:
            digest.update(repr(self.output).encode())
        return digest.hexdigest()

    def sharing(self, cores: int) -> OnnxEncoder:
        """The same encoder beside other processes that take as many cores: where it would use all, by half.

        Threads that share a batch wait for each other, and so for whoever has their core.
        """
        if self._threads:
            return self
        return OnnxEncoder(self._model, input=self.input, output=self.output, threads=max(1, cores // 2))

    @property
    def parameters(self) -> int:
        """How many numbers the graph holds."""
        return self._reading.parameters

    @property
    def reading(self) -> Reading:
        """What the graph takes and gives."""
        return self._reading

    @property
    def model(self) -> bytes:
        """The ONNX file this encoder was loaded from."""
        return self._model

    def encode(self, images: Pictures, *, on_progress: Callable[[int], None] = lambda _: None) -> Vectors:
        """Embed images; see `Encoder.encode`."""
        session = self._own_session()
        vectors = np.empty((len(images), self.dim), np.float32)
        step = self._reading.batch
        for start in range(0, len(images), step):
            batch = self.input.to_batch(images[start : start + step])  # (B, C, H, W)
            vectors[start : start + len(batch)] = self._run(session, batch)
            on_progress(len(batch))
        try:
            check_unit_rows(vectors)
        except BrokenModelError as error:
            gray = self.input.to_batch(any_picture(self.input))
            check_unit_rows(self._run(session, gray))  # or the encoder is to blame
            raise BadImageError(error.message, hint="this picture shows nothing: leave it out") from None
        return vectors

    def _run(self, session: onnxruntime.InferenceSession, batch: NDArray[np.float32]) -> Vectors:
        """The vectors of one batch, float32 (B, D); they need not be of length 1."""
        count, reading = len(batch), self._reading
        if reading.fixed:  # an export for batches of one size: the rest is filled up, and dropped
            batch = np.concatenate([batch, np.repeat(batch[-1:], reading.fixed - count, axis=0)])
        self._check_batch(len(batch))
        try:
            given = batch.astype(reading.dtype, copy=False)
            raw = session.run([reading.gives], {reading.takes: given})[0]
        except Exception as error:  # of onnxruntime's own classes
            raise BrokenModelError(f"onnxruntime cannot run the encoder ({type(error).__name__})") from error
        vectors = _read_vectors(raw, self.output)[:count]
        if vectors.shape != (count, self.dim):
            raise BrokenModelError(f"the encoder gave {raw.dtype} {raw.shape} for {len(batch)} images")
        return vectors

    def _check_processor(self) -> None:
        """Check that an encoder of whole numbers gives the vectors here that it gave where it was made.

        :raises BrokenModelError: If it does not.
        """
        probe = self._session.get_modelmeta().custom_metadata_map.get(PROBE)
        if probe is not None:
            from simsearch.encode.probe import check_probe

            check_probe(probe, self)

    def _check_batch(self, size: int) -> None:
        """Check what a batch of a new size takes: a graph may make anything of the number of its pictures."""
        if size not in self._checked:
            from simsearch.encode.reading import check_batch

            try:
                check_batch(self._graph, size, self.input)
            except ValueError as error:
                raise _unusable(error) from error
            self._checked.add(size)

    def _read(self) -> Reading:
        """What the graph takes and gives, every part of it checked.

        :raises BrokenModelError: If it is no image encoder, or takes too much.
        """
        from simsearch.encode.reading import read_ports  # with the rules for every operator

        try:
            return read_ports(self._graph, self.input, self.output)
        except ValueError as error:
            raise _unusable(error) from error

    @cached_property
    def _graph(self) -> Graph:
        from simsearch.encode.onnx_check import read_graph

        return read_graph(self._model)

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
