"""A training run from start to end: its folder holds the model, its history and how it came to be."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from simsearch.data.splits import HoldOut, Split, hold_out
from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    ENCODER,
    FileRecord,
    ModelCard,
    open_model,
    read_model_card,
    read_model_file,
    write_model_card,
)
from simsearch.errors import BadInputError
from simsearch.files import folder_lock, sweep_temporaries, write_atomically
from simsearch.index.calibrate import fit_calibration
from simsearch.index.held_out import validation_split
from simsearch.index.leave_one_out import is_enough
from simsearch.stats.calibration import Calibration, PlattScaling
from simsearch.train.checkpoints import load_model
from simsearch.train.export import export_onnx
from simsearch.train.head_run import export_head_run
from simsearch.train.loop import EpochCallback, StepCallback, Trainer, configure_torch
from simsearch.train.model import EMBEDDING_DIM, SimilarityModel
from simsearch.train.networks import DIGIT_NETWORK, ImageNetwork, network_of
from simsearch.train.recipes import Recipe
from simsearch.train.run_folder import (
    check_folder,
    check_seed,
    model_files,
    provenance,
    run_name,
    seen_labels,
    train_into,
)


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
    network: ImageNetwork = DIGIT_NETWORK,
    part: HoldOut | None = None,
    on_step: StepCallback = lambda *_: None,
    on_epoch: EpochCallback = lambda *_: None,
) -> ModelCard:
    """Train a model into a folder: `best_model.pt`, `encoder.onnx`, `history.csv`, `model.json`.

    :param split: The training split, its images as the network's input says.
    :param network: Which network is trained, and what it takes.
    :param part: Which of its images train, and which choose the checkpoint; None holds out as many as the
        recipe says, at random.
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
    check_seed(seed)
    seen = seen_labels(recipe, split.classes)
    with folder_lock(folder, busy=f"another process is training into {folder}") as signals:
        check_folder(folder, resume=resume)
        sweep_temporaries(folder)
        configure_torch(deterministic=deterministic, threads=threads)
        with signals.released():  # each file is written whole, or not at all
            trainer = Trainer(
                recipe,
                split.images,
                split.labels,
                folder,
                seed=seed,
                workers=workers,
                seen=seen,
                network=network,
                part=part,
            )
            train_into(folder, trainer, resume=resume, on_step=on_step, on_epoch=on_epoch)
            return _finish(folder, trainer, split, network, part)


def export(folder: Path) -> ModelCard:
    """Export a finished run's `best_model.pt` again, and write its `encoder.onnx` and card anew.

    :raises MissingModelError: If the folder holds no model.
    :raises BrokenModelError: If the checkpoint is not the one its card describes.
    :raises BadInputError: If the folder cannot be written.
    """
    card = read_model_card(folder)
    if "head" in card.training:
        return export_head_run(folder, card)
    checkpoint = read_model_file(folder, BEST_CHECKPOINT, card)
    network = network_of(card)
    model = load_model(folder / BEST_CHECKPOINT, network, sha256=FileRecord.of(checkpoint).sha256)
    return _write_model(
        folder, model, network, name=card.name, training=card.training, calibration=card.calibration
    )


def _finish(
    folder: Path, trainer: Trainer, split: Split, network: ImageNetwork, part: HoldOut | None
) -> ModelCard:
    """Export the best weights, write the card, calibrate.

    Too few validation images leave the model without a calibration.
    """
    part = part or hold_out(len(split), trainer.recipe.held_out_images)
    training = provenance(trainer, split, part)
    if network != DIGIT_NETWORK:
        training["network"] = network.name
    name = run_name(trainer.recipe, split.name, trainer.seed, network.name)
    card = _write_model(folder, trainer.best_model(), network, name=name, training=training)
    validation = validation_split(card, split, part)
    if is_enough(validation.labels):
        card = replace(card, calibration=fit_calibration(open_model(folder).encoder, validation))
        write_model_card(folder, card)
    return card


def _write_model(
    folder: Path,
    model: SimilarityModel,
    network: ImageNetwork,
    *,
    name: str,
    training: Mapping[str, Any],
    calibration: Calibration | None = None,
) -> ModelCard:
    encoder = export_onnx(model.embedding, network.input)
    write_atomically(folder / ENCODER, encoder)
    card = ModelCard(
        name=name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        dim=EMBEDDING_DIM,
        parameters=sum(parameter.numel() for parameter in model.embedding.parameters()),
        preprocessing=network.input.version,
        projection=PlattScaling(model.projection.weight.item(), model.projection.bias.item()),
        files=model_files(folder, encoder),
        training=training,
        calibration=calibration,
        input=network.input,
    )
    write_model_card(folder, card)
    return card
