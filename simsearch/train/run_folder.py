"""The folder of a run: whether one may be written, what its card says of how it came to be, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simsearch.data.splits import HoldOut, Split, rows_sha256
from simsearch.documents import installed_versions
from simsearch.encode.checkpoint import MAX_CHECKPOINT_BYTES
from simsearch.encode.history import HISTORY, EpochRecord, history_csv
from simsearch.encode.model_folder import BEST_CHECKPOINT, ENCODER, LAST_CHECKPOINT, MODEL_CARD, FileRecord
from simsearch.encode.reference import EMBEDDING_NET
from simsearch.errors import BadInputError, MissingModelError
from simsearch.files import read_small_file, write_atomically
from simsearch.train.exposure import check_classes
from simsearch.train.loop import EpochCallback, StepCallback, Trainer
from simsearch.train.recipes import Recipe

_LIBRARIES = ("torch", "torchvision", "numpy", "onnx", "onnxruntime")
_CHANCE = 0.6  # of balanced pairs; half of them is right without looking
_MEMORISED, _LEFT_BEHIND = 0.99, 0.1


def check_seed(seed: int) -> None:
    """Refuse a seed that torch cannot take.

    :raises BadInputError: Naming the range.
    """
    if not 0 <= seed < 2**64:
        raise BadInputError(f"the seed must lie in 0 to 2**64 - 1, not {seed}")


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuse to write over another run, and to continue what is not there.

    :raises BadInputError: If the folder holds a run that is not to be continued.
    :raises MissingModelError: If there is no run to continue.
    """
    if resume and not (folder / LAST_CHECKPOINT).exists():
        raise MissingModelError(
            f"there is no run to continue in {folder} (no {LAST_CHECKPOINT})",
            hint="leave --resume out to start one",
        )
    found = (folder / LAST_CHECKPOINT).exists() or (folder / MODEL_CARD).exists()
    if found and not resume:
        raise BadInputError(
            f"{folder} already holds a training run",
            hint="add --resume to continue it, or choose another --out",
        )


def train_into(
    folder: Path, trainer: Trainer, *, resume: bool, on_step: StepCallback, on_epoch: EpochCallback
) -> None:
    """Train what is left of a run, writing its history after each epoch and at the end.

    :raises MissingModelError, BrokenModelError, BadInputError: As `Trainer.resume` and `Trainer.run`.
    """
    if resume:
        trainer.resume()

    def record_epoch(record: EpochRecord, improved: bool) -> None:
        write_atomically(folder / HISTORY, history_csv(trainer.history))
        on_epoch(record, improved)

    trainer.run(on_step=on_step, on_epoch=record_epoch)
    write_atomically(folder / HISTORY, history_csv(trainer.history))  # a kill may have cut it short


def seen_labels(recipe: Recipe, classes: Sequence[str]) -> tuple[int, ...] | None:
    """The labels of the classes that a recipe names; None if it names none.

    :raises BadInputError: If there is no such class, or the recipe is not for these.
    """
    check_classes(recipe, classes)
    names = [name.strip() for name in recipe.classes.split(",") if name.strip()]
    if unknown := [name for name in names if name not in classes]:
        raise BadInputError(
            f"there is no class {unknown[0]!r} to train on", hint=f"classes: {', '.join(classes)}"
        )
    return tuple(sorted({classes.index(name) for name in names})) or None


def run_name(recipe: Recipe, dataset: str, seed: int, network: str = EMBEDDING_NET) -> str:
    """What a run is called: by its data, unless they are MNIST's, recipe, network, unless usual, and seed."""
    data = dataset.removesuffix("-train")
    parts = ("" if data == "mnist" else data, recipe.name, "" if network == EMBEDDING_NET else network)
    return "-".join([*filter(None, parts), f"seed{seed}"])


def provenance(trainer: Trainer, split: Split, part: HoldOut) -> dict[str, Any]:
    """What a card says of a training run."""
    return {
        "recipe": asdict(trainer.recipe),
        "seed": trainer.seed,
        "device": trainer.device.type,
        "dataset": split.name,
        "data_sha256": dict(split.sha256),
        "held_out_rows_sha256": rows_sha256(part.validation),
        "best": trainer.best.figures(),
        "seconds": round(sum(record.seconds for record in trainer.history), 1),
        "versions": installed_versions(*_LIBRARIES),
        **({} if split.root is None else {"root": split.root}),
    }


def model_files(folder: Path, encoder: bytes) -> dict[str, FileRecord]:
    """The records of a model's two files."""
    checkpoint = read_small_file(folder / BEST_CHECKPOINT, MAX_CHECKPOINT_BYTES) or b""
    return {ENCODER: FileRecord.of(encoder), BEST_CHECKPOINT: FileRecord.of(checkpoint)}


def doubts(record: EpochRecord) -> tuple[str, ...]:
    """What is wrong with a run, by the epoch that it keeps: a sentence each."""
    if record.val_accuracy < _CHANCE:
        return (
            f"of the validation pairs {record.val_accuracy:.0%} are judged rightly, and half would be by"
            " chance: it has not learned what the classes have in common",
        )
    if record.train_accuracy >= _MEMORISED and record.train_accuracy - record.val_accuracy > _LEFT_BEHIND:
        return (
            f"the training images are known by heart: of their pairs {record.train_accuracy:.0%} are judged"
            f" rightly, of the validation pairs {record.val_accuracy:.0%}",
        )
    return ()
