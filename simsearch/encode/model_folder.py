"""A trained model on disk: a folder with `encoder.onnx`, `best_model.pt` and the `model.json` about them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from simsearch.documents import check_checksum, parse_document, record_of, records_of, with_checksum
from simsearch.encode.encoder import AS_IS, MAX_MODEL_BYTES, VectorOutput
from simsearch.encode.onnx import OnnxEncoder
from simsearch.encode.stored_calibration import PairScaled, restore_calibration, store_calibration
from simsearch.errors import BrokenModelError, MissingModelError
from simsearch.files import open_regular, read_small_file, size_of, write_atomically
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import DIGIT, is_readable
from simsearch.stats.calibration import Calibration, PlattScaling

MODEL_CARD = "model.json"
ENCODER = "encoder.onnx"
BEST_CHECKPOINT = "best_model.pt"
LAST_CHECKPOINT = "last.pt"  # where a run goes on from; no part of the model
FORMAT_VERSION = 2  # the first that says what pictures an encoder takes
_DIGITS_FORMAT = 1  # still written for digits, so that earlier versions read them
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_CARD_BYTES = 2**20
PRETRAINED = Path(__file__).parents[1] / "pretrained"


class FileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size in bytes and SHA-256 of one file of the folder."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """The record of a file with this content."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


class ModelCard(msgspec.Struct, PairScaled, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `model.json` says: how the model came to be, and how its files can be recognized.

    `training` (recipe, seed, validation rows, data hashes, versions, per-epoch choice) is for people;
    nothing in simsearch depends on it.
    """

    name: str
    created: str
    dim: int
    parameters: int
    preprocessing: int
    projection: PlattScaling | None  # None where the network was not trained on pairs
    files: Mapping[str, FileRecord]
    training: Mapping[str, Any]
    calibration: Calibration | None = None  # absent in models that were never calibrated
    input: ImageInput = DIGIT
    output: VectorOutput = AS_IS

    def to_json(self) -> bytes:
        """The content of `model.json`."""
        calibration = self.calibration and store_calibration(self.calibration)
        fields = msgspec.to_builtins({**msgspec.structs.asdict(self), "calibration": calibration})
        return with_checksum({"format": version_of(fields, self.input, self.output), **fields})

    @classmethod
    def from_json(cls, data: bytes) -> ModelCard:
        """Parse `model.json`.

        :raises ValueError: Naming what is wrong with it.
        """
        fields = parse_document(data)
        version = fields.get("format")
        if version not in (_DIGITS_FORMAT, FORMAT_VERSION):
            raise ValueError(f"not a model card of format {_DIGITS_FORMAT} or {FORMAT_VERSION}")
        check_checksum(fields)
        del fields["format"]
        restore_calibration(fields, optional=version == FORMAT_VERSION)
        if "files" in fields:
            fields["files"] = records_of(FileRecord, fields["files"], "files")
        card = record_of(cls, fields)
        for name in card.files:
            if not _FILE_NAME.fullmatch(name):
                raise ValueError(f"it names a file outside its folder: {name!r}")
        if not is_readable(card.preprocessing, card.input):
            raise ValueError(
                f"made for preprocessing version {card.preprocessing}, this is {card.input.version}"
            )
        return card


def version_of(fields: dict[str, Any], input: ImageInput, output: VectorOutput) -> int:
    """The format in which a card or a manifest is written.

    The first has no other inputs than digits, and always a projection.

    :param fields: What is written; fields that the format does not have are taken out.
    """
    if (input, output) != (DIGIT, AS_IS) or fields["projection"] is None:
        return FORMAT_VERSION
    del fields["input"], fields["output"]
    return _DIGITS_FORMAT


class Model(NamedTuple):
    """A model ready to encode."""

    encoder: OnnxEncoder
    card: ModelCard


def open_model(folder: Path = PRETRAINED, *, threads: int = 0) -> Model:
    """Open a model folder, by default the model that ships with simsearch.

    :raises MissingModelError: If there is no model in the folder.
    :raises BrokenModelError: If its files are not the ones its card describes.
    """
    card = read_model_card(folder)
    content = read_model_file(folder, ENCODER, card)
    return Model(OnnxEncoder(content, input=card.input, output=card.output, threads=threads), card)


def read_model_card(folder: Path) -> ModelCard:
    """Read `model.json`.

    :raises MissingModelError: If the folder has none.
    :raises BrokenModelError: If it cannot be understood.
    """
    path = folder / MODEL_CARD
    try:
        data = read_small_file(path, MAX_CARD_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        if folder.suffix == ".onnx" and folder.is_file():
            raise MissingModelError(
                f"{folder} is a file, and a model is a folder",
                hint=f"`simsearch import-model {folder}` makes one of it",
            ) from None
        raise MissingModelError(
            f"there is no model in {folder} (no {MODEL_CARD})",
            hint="train one with `simsearch train`"
            + (_INCOMPLETE if folder.is_relative_to(PRETRAINED) else _OR_SHIPPED),
        ) from None
    except OSError as error:
        raise BrokenModelError(f"{path} cannot be read: {error.strerror}") from error
    if data is None:
        raise BrokenModelError(f"{path} is too large to be a model card", hint=_RETRAIN)
    try:
        return ModelCard.from_json(data)
    except ValueError as error:
        raise BrokenModelError(f"{path} cannot be used: {error}", hint=_RETRAIN) from error


def read_model_file(folder: Path, name: str, card: ModelCard) -> bytes:
    """One file of a model folder, its size and SHA-256 checked against the card.

    :raises BrokenModelError: If it is missing, or not the file that the card describes.
    """
    path = folder / name
    record = card.files.get(name)
    if record is None or not 0 < record.size <= MAX_MODEL_BYTES:
        raise BrokenModelError(f"{folder / MODEL_CARD} does not describe {name}", hint=_RETRAIN)
    try:
        with open_regular(path) as file:
            data = file.read(record.size + 1) if size_of(file) == record.size else b""
    except OSError as error:
        raise BrokenModelError(f"{path} cannot be read: {error.strerror}", hint=_RETRAIN) from error
    if FileRecord.of(data) != record:
        raise BrokenModelError(f"{path} is not the file that {MODEL_CARD} describes", hint=_RETRAIN)
    return data


def write_model_card(folder: Path, card: ModelCard) -> None:
    """Write `model.json`; last, because it vouches for the other files."""
    write_atomically(folder / MODEL_CARD, card.to_json())


_INCOMPLETE = "; the installation lacks its own: install it again"
_OR_SHIPPED = "; without --model, commands that have it use the shipped one, with --model residual the second"
_RETRAIN = "copy the model folder again, or train a new one with `simsearch train`"
