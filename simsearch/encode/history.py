"""The history of a training run: one record an epoch, its CSV form, and the epoch that was kept."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from simsearch.errors import BadInputError
from simsearch.files import open_regular

HISTORY = "history.csv"
_MAX_BYTES = 2**24  # of the file: 100,000 epochs


@dataclass(frozen=True)
class EpochRecord:
    """Mean loss and accuracy on the epoch's training pairs and on the fixed validation pairs."""

    epoch: int  # from 1
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


def history_csv(history: Iterable[EpochRecord]) -> bytes:
    """The history as CSV: a header and one row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(EpochRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in history)
    return text.getvalue().encode()


def chosen_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The epoch whose weights a run keeps: the first of least loss on the validation pairs.

    :raises ValueError: If the history is empty.
    """
    if not history:
        raise ValueError("a history without epochs")
    return min(history, key=lambda record: record.val_loss)


def read_history(folder: Path) -> tuple[EpochRecord, ...]:
    """Read the `history.csv` of a run's folder.

    :raises BadInputError: If there is none, or it is not the history of a run.
    """
    path = folder / HISTORY
    try:
        with open_regular(path, _MAX_BYTES) as file:
            text = file.read(_MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadInputError(f"cannot read {path}: {str(reason).lower()}", hint=_HINT) from error
    names = [field.name for field in fields(EpochRecord)]
    rows = [line.split(",") for line in text.splitlines()]
    try:
        if rows[0] != names or not rows[1:]:
            raise ValueError("another header, or no epoch")
        history = tuple(EpochRecord(int(epoch), *map(float, values)) for epoch, *values in rows[1:])
        numbered = [record.epoch for record in history] == list(range(1, len(history) + 1))
        if not numbered or not all(math.isfinite(value) for r in history for value in asdict(r).values()):
            raise ValueError("epochs out of order, or a figure that is not finite")
    except (ValueError, IndexError, TypeError) as error:
        raise BadInputError(f"{path} is not the history of a training run", hint=_HINT) from error
    return history


_HINT = "give the folder of a run, such as runs/batch-pairs-seed0"
