"""Encoders that other programs made: an ONNX file, checked by running it, becomes a model folder."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np

from simsearch.documents import installed_versions
from simsearch.encode.encoder import MAX_MODEL_BYTES, VectorOutput, Vectors
from simsearch.encode.graph.external import merge_external_data
from simsearch.encode.model_folder import ENCODER, MODEL_CARD, FileRecord, ModelCard, write_model_card
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import BadImageError, BadInputError, BrokenModelError
from simsearch.files import folder_lock, read_small_file, write_atomically
from simsearch.prepare.inputs import ImageInput, Pictures

_PICTURES = 7
_SAME = 1e-4  # between a picture alone and in a batch
_CONSTANT = 1e-5  # vectors that differ by less say nothing of their pictures
_LEAST_DIM = 2
_LIBRARIES = ("numpy", "onnxruntime")
_OTHER_OUTPUT = "is --output the one that holds the features?"


def read_encoder(path: Path) -> bytes:
    """The content of an ONNX file, with the weights that lie in other files beside it.

    :raises BadInputError: If it cannot be read, or its weights are not where it says, or elsewhere.
    """
    data = read_model_bytes(path)
    try:
        return merge_external_data(data, path.parent, MAX_MODEL_BYTES)
    except ValueError as error:
        raise BadInputError(f"{path} cannot be imported: {error}") from error


def read_model_bytes(path: Path) -> bytes:
    """The content of a file of weights.

    :raises BadInputError: If it cannot be read.
    """
    try:
        data = read_small_file(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise BadInputError(
            f"cannot read {path}: {str(error.strerror).lower()}",
            hint="name an ONNX file, efficientnet-lite0, or torchvision:NAME",
        ) from error
    if data is None:
        raise BadInputError(f"{path} is larger than {MAX_MODEL_BYTES // 2**20:,} MB")
    return data


def import_encoder(
    model: bytes,
    folder: Path,
    *,
    input: ImageInput,
    output: VectorOutput,
    source: str,
    threads: int = 0,
) -> ModelCard:
    """Check an ONNX encoder by running it, and write it as a model folder.

    :param model: The content of the file.
    :param folder: The new model; its last part is its name.
    :param source: Where the encoder is from, for the card.
    :raises BadInputError: If it is no encoder of such pictures, naming the check that failed; or if the
        folder holds a model already. Nothing is written then.
    :raises BusyError: If another process is writing the folder.
    """
    try:
        encoder = OnnxEncoder(model, input=input, output=output, threads=threads)
        check_encoder(encoder)
    except BrokenModelError as error:
        raise BadInputError(f"{source} cannot be imported: {error.message}", error.hint) from error
    with folder_lock(folder, busy=f"another process is writing {folder}"):
        if (folder / MODEL_CARD).exists():
            raise BadInputError(f"{folder} holds a model already", hint="name another folder with --out")
        card = ModelCard(
            name=folder.name,
            created=datetime.datetime.now(datetime.UTC).isoformat(),
            dim=encoder.dim,
            parameters=encoder.parameters,
            preprocessing=input.version,
            projection=None,
            files={ENCODER: FileRecord.of(model)},
            training={"imported": source, "versions": installed_versions(*_LIBRARIES)},
            input=input,
            output=output,
        )
        write_atomically(folder / ENCODER, model)
        write_model_card(folder, card)
    return card


def check_encoder(encoder: OnnxEncoder, seed: int = 0) -> None:
    """Run an encoder on random pictures, alone and in a batch.

    :raises BrokenModelError: If vectors have one number, or one cannot be brought to length 1, if all are the
        same, or if one depends on its batch.
    """
    if encoder.dim < _LEAST_DIM:
        raise BrokenModelError(
            "its vectors have one number, which is nothing but its sign at length 1", hint=_OTHER_OUTPUT
        )
    shape = (_PICTURES, *encoder.input.picture_shape)
    pictures = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    pictures[0], pictures[1] = 20, 235  # and two flat ones
    vectors = _encoded(encoder, pictures, "in a batch")
    if float(np.abs(vectors - vectors[:1]).max()) < _CONSTANT:
        raise BrokenModelError("its vectors are the same for all pictures", hint=_OTHER_OUTPUT)
    alone = np.concatenate([_encoded(encoder, picture[None], "alone") for picture in pictures])
    difference = float(np.abs(alone - vectors).max())
    if not difference <= _SAME:
        raise BrokenModelError(
            f"a picture alone has another vector than in a batch (difference {difference:.2g})",
            hint="export it in evaluation mode: batch normalization must not look at the batch",
        )


def _encoded(encoder: OnnxEncoder, pictures: Pictures, how: str) -> Vectors:
    """Their vectors; what is said of a picture that has none is said to one who imports the encoder."""
    try:
        return encoder.encode(pictures)
    except (BadImageError, BrokenModelError) as error:
        raise BrokenModelError(f"run on pictures {how}: {error.message}", hint=_OTHER_OUTPUT) from error
