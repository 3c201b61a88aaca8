"""The history of a training run: one record an epoch, and its CSV form."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class EpochRecord:
    """Mean loss and accuracy on the epoch's training pairs and on the fixed held-out pairs."""

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
