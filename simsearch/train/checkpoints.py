"""Checkpoints: torch state on disk, written atomically and never trusted when read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simsearch.encode.checkpoint import MAX_CHECKPOINT_BYTES, open_archive
from simsearch.errors import BrokenModelError, MissingModelError
from simsearch.files import read_small_file, write_atomically
from simsearch.train.model import SimilarityModel
from simsearch.train.networks import DIGIT_NETWORK, Network


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values; the file is the old one or the new one, never half of each.

    :raises BadInputError: If it cannot be written.
    """
    write_atomically(path, checkpoint_bytes(state))


def checkpoint_bytes(state: Mapping[str, Any]) -> bytes:
    """The content of a checkpoint; the same for equal states."""
    buffer = io.BytesIO()
    torch.save(_contiguous(state), buffer)
    return buffer.getvalue()


def read_checkpoint(path: Path, *, sha256: str | None = None) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, without ever running code from the file.

    :param sha256: The expected hash, where it is known. torch itself does not notice flipped bits.
    :raises MissingModelError: If there is no such file.
    :raises BrokenModelError: If it is not an intact checkpoint.
    """
    try:
        data = read_small_file(path, MAX_CHECKPOINT_BYTES)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise MissingModelError(f"there is no checkpoint at {path}") from None
    except OSError as error:
        raise BrokenModelError(f"{path} cannot be read: {error.strerror}") from error
    if data is None:
        raise BrokenModelError(f"{path} is larger than {MAX_CHECKPOINT_BYTES:,} bytes: not a checkpoint")
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise BrokenModelError(f"{path} is damaged: its SHA-256 is not the recorded one")
    try:
        _check_archive(data)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # corrupt files raise nine different classes
        raise BrokenModelError(f"{path} is not a readable checkpoint ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise BrokenModelError(f"{path} does not hold a state dictionary")
    return state


def load_model(path: Path, network: Network = DIGIT_NETWORK, *, sha256: str | None = None) -> SimilarityModel:
    """A SimilarityModel with the weights of `best_model.pt`, in evaluation mode.

    :param network: What both of its towers are.
    :raises MissingModelError: If there is no such file.
    :raises BrokenModelError: If it is damaged or holds other weights.
    """
    state = read_checkpoint(path, sha256=sha256)
    model = SimilarityModel(embedding=network.build())
    check_weights(state, model, path)
    model.load_state_dict(state)
    return model.eval()


def check_weights(state: Mapping[str, Any], model: nn.Module, path: Path) -> None:
    """Check that a state dictionary fits a model, touching no tensor's data before its form is known.

    :raises BrokenModelError: At the first wrong name, dtype, shape, layout or value, in that order.
    """
    expected = model.state_dict()
    if state.keys() != expected.keys():
        odd = sorted(state.keys() ^ expected.keys(), key=str)
        raise BrokenModelError(f"{path} holds other weights than a SimilarityModel's: {_named(odd[0])}")
    for name, reference in expected.items():
        reason = _mismatch(state[name], reference)
        if reason:
            raise BrokenModelError(f"{path}: {name} {reason}")


def check_form(value: object, reference: object, where: str) -> None:
    """Check that a stored value has the types, keys, lengths, dtypes and shapes of a reference.

    :raises BrokenModelError: At the first difference; `where` is how it begins.
    """
    if isinstance(reference, Tensor):
        if reason := _mismatch(value, reference):
            raise BrokenModelError(f"{where} {reason}")
    elif type(value) is not type(reference):
        raise BrokenModelError(f"{where} is {type(value).__name__}, not {type(reference).__name__}")
    elif isinstance(reference, dict) and isinstance(value, dict):
        if odd := sorted(value.keys() ^ reference.keys(), key=str):
            raise BrokenModelError(f"{where} has too much or too little: {_named(odd[0])}")
        for key in reference:
            check_form(value[key], reference[key], f"{where}, {key}")
    elif isinstance(reference, list) and isinstance(value, list):
        if len(value) != len(reference):
            raise BrokenModelError(f"{where} has {len(value)} parts, not {len(reference)}")
        for row, part in enumerate(reference):
            check_form(value[row], part, f"{where}, {row}")


def _check_archive(data: bytes) -> None:
    """Check the zip's own checksums, which torch ignores, and that nothing in it unpacks to more than it is.

    :raises ValueError: If a part is compressed or damaged.
    """
    with open_archive(data) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")


def _contiguous(state: Mapping[str, Any]) -> dict[str, Any]:
    """The same state in the standard memory layout, whatever layout training used."""
    return {key: value.contiguous() if isinstance(value, Tensor) else value for key, value in state.items()}


def _named(key: object) -> str:
    """A key out of a file, fit for one line."""
    text = str(key)[:100]
    return text if text.isprintable() else ascii(text)


def _mismatch(value: object, reference: Tensor) -> str:
    """Why a stored value cannot stand for a tensor of the model; empty if it can."""
    if not isinstance(value, Tensor):
        return "is not a tensor"
    if value.dtype != reference.dtype:
        return f"is {value.dtype}, not {reference.dtype}"
    if value.shape != reference.shape:
        return f"has shape {tuple(value.shape)}, not {tuple(reference.shape)}"
    if value.layout != torch.strided or not _is_dense(value):
        return "is not contiguous"
    if not torch.isfinite(value).all():
        return "has values that are not finite"
    return ""


def _is_dense(value: Tensor) -> bool:
    """Whether each value lies in its own place, in the standard layout or in the one training uses."""
    return value.is_contiguous() or value.is_contiguous(memory_format=torch.channels_last)
