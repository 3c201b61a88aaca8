"""A training run from start to end: its folder holds the model, its history and how it came to be."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from simsearch.data.splits import Split, hold_out, rows_sha256
from simsearch.documents import installed_versions
from simsearch.encode.checkpoint import MAX_CHECKPOINT_BYTES
from simsearch.encode.history import HISTORY, EpochRecord, history_csv
from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    ENCODER,
    LAST_CHECKPOINT,
    MODEL_CARD,
    FileRecord,
    ModelCard,
    open_model,
    read_model_card,
    read_model_file,
    write_model_card,
)
from simsearch.errors import BadInputError, MissingModelError
from simsearch.files import folder_lock, read_small_file, sweep_temporaries, write_atomically
from simsearch.index.calibrate import fit_calibration, is_enough, validation_split
from simsearch.prepare.prepare import PREPROCESSING_VERSION
from simsearch.stats.calibration import Calibration, PlattScaling
from simsearch.train.checkpoints import load_model
from simsearch.train.export import export_onnx
from simsearch.train.loop import (
    EpochCallback,
    StepCallback,
    Trainer,
    configure_torch,
)
from simsearch.train.model import EMBEDDING_DIM, SimilarityModel
from simsearch.train.recipes import Recipe

_LIBRARIES = ("torch", "torchvision", "numpy", "onnx", "onnxruntime")


def train(
    recipe: Recipe,
    split: Split,
    folder: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    deterministic: bool = False,
    workers: int = 0,
    threads: int = 0,
    on_step: StepCallback = lambda *_: None,
    on_epoch: EpochCallback = lambda *_: None,
) -> ModelCard:
    """Train a model into a folder: `best_model.pt`, `encoder.onnx`, `history.csv`, `model.json`.

    :param split: The training split; 5,000 of its images are held out to choose the checkpoint.
    :param resume: Continue the run whose `last.pt` is in the folder.
    :param threads: Threads of a training step on the CPU; 0 lets torch choose.
    :raises BadInputError: If the split has no labels or too few images, or lacks a class that the recipe
        names, training diverges, the folder holds a run and `resume` is not set, or it cannot be written;
        the run can then be resumed.
    :raises MissingModelError: If `resume` is set and there is no run to continue.
    :raises BrokenModelError: If the run to continue is damaged.
    :raises BusyError: If another process is training into the folder.
    """
    if split.labels is None:
        raise BadInputError(f"{split.name} has no labels to train on")
    _check_seed(seed)
    seen = _seen_labels(recipe, split.classes)
    with folder_lock(folder, busy=f"another process is training into {folder}") as signals:
        _check_folder(folder, resume=resume)
        sweep_temporaries(folder)
        configure_torch(deterministic=deterministic, threads=threads)
        with signals.released():
            trainer = Trainer(
                recipe, split.images, split.labels, folder, seed=seed, workers=workers, seen=seen
            )
            if resume:
                trainer.resume()

        def record_epoch(record: EpochRecord, improved: bool) -> None:
            write_atomically(folder / HISTORY, history_csv(trainer.history))
            on_epoch(record, improved)

        with signals.released():  # each file is written whole, or not at all
            trainer.run(on_step=on_step, on_epoch=record_epoch)
            return _finish(folder, trainer, split)


def export(folder: Path) -> ModelCard:
    """Export a finished run's `best_model.pt` again, and write its `encoder.onnx` and card anew.

    :raises MissingModelError: If the folder holds no model.
    :raises BrokenModelError: If the checkpoint is not the one its card describes.
    :raises BadInputError: If the folder cannot be written.
    """
    card = read_model_card(folder)
    checkpoint = read_model_file(folder, BEST_CHECKPOINT, card)
    model = load_model(folder / BEST_CHECKPOINT, sha256=FileRecord.of(checkpoint).sha256)
    return _write_model(folder, model, name=card.name, training=card.training, calibration=card.calibration)


def _seen_labels(recipe: Recipe, classes: Sequence[str]) -> tuple[int, ...] | None:
    """The labels of the classes that a recipe names; None if it names none."""
    names = [name.strip() for name in recipe.classes.split(",") if name.strip()]
    if unknown := [name for name in names if name not in classes]:
        raise BadInputError(
            f"there is no class {unknown[0]!r} to train on", hint=f"classes: {', '.join(classes)}"
        )
    return tuple(sorted({classes.index(name) for name in names})) or None


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**64:
        raise BadInputError(f"the seed must lie in 0 to 2**64 - 1, not {seed}")


def _check_folder(folder: Path, *, resume: bool) -> None:
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


def _finish(folder: Path, trainer: Trainer, split: Split) -> ModelCard:
    """Export the best weights, write the card and the history, which a kill may have cut short; calibrate.

    Too few validation images leave the model without a calibration.
    """
    write_atomically(folder / HISTORY, history_csv(trainer.history))
    model = load_model(folder / BEST_CHECKPOINT, sha256=trainer.best_sha256 or None)
    card = _write_model(
        folder, model, name=f"{trainer.recipe.name}-seed{trainer.seed}", training=_provenance(trainer, split)
    )
    validation = validation_split(card, split)
    if is_enough(validation.labels):
        card = replace(card, calibration=fit_calibration(open_model(folder).encoder, validation))
        write_model_card(folder, card)
    return card


def _write_model(
    folder: Path,
    model: SimilarityModel,
    *,
    name: str,
    training: Mapping[str, Any],
    calibration: Calibration | None = None,
) -> ModelCard:
    encoder = export_onnx(model.embedding)
    write_atomically(folder / ENCODER, encoder)
    card = ModelCard(
        name=name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        dim=EMBEDDING_DIM,
        parameters=sum(parameter.numel() for parameter in model.embedding.parameters()),
        preprocessing=PREPROCESSING_VERSION,
        projection=PlattScaling(model.projection.weight.item(), model.projection.bias.item()),
        files={
            ENCODER: FileRecord.of(encoder),
            BEST_CHECKPOINT: FileRecord.of(
                read_small_file(folder / BEST_CHECKPOINT, MAX_CHECKPOINT_BYTES) or b""
            ),
        },
        training=training,
        calibration=calibration,
    )
    write_model_card(folder, card)
    return card


def _provenance(trainer: Trainer, split: Split) -> dict[str, Any]:
    validation = hold_out(len(split), trainer.recipe.held_out_images).validation
    return {
        "recipe": asdict(trainer.recipe),
        "seed": trainer.seed,
        "device": trainer.device.type,
        "dataset": split.name,
        "data_sha256": dict(split.sha256),
        "held_out_rows_sha256": rows_sha256(validation),
        "best": asdict(trainer.best),
        "seconds": round(sum(record.seconds for record in trainer.history), 1),
        "versions": installed_versions(*_LIBRARIES),
    }
