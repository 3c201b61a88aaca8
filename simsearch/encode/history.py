"""The history of a training run: one record an epoch, its CSV form, and the epoch that was kept."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import reduce
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
    val_map_at_r: float | None = None  # of validation images among training images, where it chooses

    def figures(self) -> dict[str, float]:
        """What was measured, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def is_better_than(self, other: EpochRecord) -> bool:
        """Whether its weights are kept instead: by MAP@R where that chooses, else by validation loss."""
        if self.val_map_at_r is not None and other.val_map_at_r is not None:
            return self.val_map_at_r > other.val_map_at_r
        return self.val_loss < other.val_loss


_NAMES = [field.name for field in fields(EpochRecord)]


def history_csv(history: Iterable[EpochRecord]) -> bytes:
    """The history as CSV: a header and one row an epoch."""
    text, rows = io.StringIO(), [record.figures() for record in history]
    writer = csv.DictWriter(text, rows[0] if rows else _NAMES[:-1], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def chosen_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The epoch whose weights a run keeps: the first that no other is better than.

    :raises ValueError: If the history is empty.
    """
    if not history:
        raise ValueError("a history without epochs")
    return reduce(lambda best, record: record if record.is_better_than(best) else best, history)


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
    rows = [line.split(",") for line in text.splitlines()]
    try:
        if rows[0] not in (_NAMES, _NAMES[:-1]) or not rows[1:]:
            raise ValueError("another header, or no epoch")
        if any(len(row) != len(rows[0]) for row in rows):
            raise ValueError("an epoch with more or fewer figures")
        history = tuple(EpochRecord(int(epoch), *map(float, values)) for epoch, *values in rows[1:])
        numbered = [record.epoch for record in history] == list(range(1, len(history) + 1))
        if not numbered or not all(math.isfinite(value) for r in history for value in r.figures().values()):
            raise ValueError("epochs out of order, or a figure that is not finite")
    except (ValueError, IndexError, TypeError) as error:
        raise BadInputError(f"{path} is not the history of a training run", hint=_HINT) from error
    return history


_HINT = "give the folder of a run, such as runs/batch-pairs-seed0"
