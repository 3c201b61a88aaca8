"""A run that learns a head on an encoder's features: its folder is a model as any other's."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from msgspec.structs import replace

from simsearch.data.mnist import Note, silent
from simsearch.data.splits import HoldOut
from simsearch.data.training_set import TrainingSet
from simsearch.encode.encoder import Vectors
from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    ENCODER,
    FileRecord,
    Model,
    ModelCard,
    open_model,
    read_model_file,
    write_model_card,
)
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import BadInputError, BrokenModelError
from simsearch.files import folder_lock, sweep_temporaries, write_atomically
from simsearch.index.calibrate import fit_vectors
from simsearch.index.leave_one_out import is_enough
from simsearch.train.baselines import Embed
from simsearch.train.checkpoints import load_model
from simsearch.train.features import Features, compute_features
from simsearch.train.head import HeadNet, HeadNetwork, JoinedHead, check_head_recipe
from simsearch.train.head_exam import Exam, examine
from simsearch.train.head_export import export_head
from simsearch.train.loop import EpochCallback, StepCallback, Trainer, configure_torch
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


class HeadResult(NamedTuple):
    """A finished run: its card, and what the head is worth."""

    card: ModelCard
    exam: Exam


def train_head(
    recipe: Recipe,
    data: TrainingSet,
    encoder: Path,
    folder: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    deterministic: bool = False,
    threads: int = 0,
    on_encoded: Callable[[int], None] = lambda _: None,
    on_step: StepCallback = lambda *_: None,
    on_epoch: EpochCallback = lambda *_: None,
    note: Note = silent,
) -> HeadResult:
    """Train a head into a folder: `encoder.onnx` is encoder and head, and the features are kept beside it.

    :param encoder: The model folder of the encoder.
    :param resume: Continue the run whose `last.pt` is in the folder.
    :param threads: Threads that encode and train on the CPU; 0 lets the libraries choose.
    :param on_encoded: Called with the number of pictures of each batch whose features were computed.
    :param note: Receives what was left out.
    :raises BadInputError: As `simsearch.train.run.train`.
    :raises MissingModelError: If there is no encoder in its folder, or no run to continue.
    :raises BrokenModelError: If the encoder or the run to continue is damaged.
    :raises BusyError: If another process is training into the folder.
    """
    check_seed(seed)
    check_head_recipe(recipe)
    seen = seen_labels(recipe, data.classes)
    opened = open_model(encoder, threads=threads)
    with folder_lock(folder, busy=f"another process is training into {folder}") as signals:
        check_folder(folder, resume=resume)
        sweep_temporaries(folder)
        configure_torch(deterministic=deterministic, threads=threads)
        with signals.released():  # each file is written whole, or not at all
            features = compute_features(
                data, opened.encoder, folder, resume=resume, on_progress=on_encoded, note=note
            )
            run = HeadRun(recipe, features, seed, seen)
            trainer = run.trainer(None, folder)
            train_into(folder, trainer, resume=resume, on_step=on_step, on_epoch=on_epoch)
            return _finish(folder, run, trainer, data, encoder, opened)


def _finish(
    folder: Path, run: HeadRun, trainer: Trainer, data: TrainingSet, encoder: Path, opened: Model
) -> HeadResult:
    """Say what the head is worth, and write it with its encoder."""
    exam = examine(run.features, lambda classes: run.embed(classes, trainer))
    training = {
        **provenance(trainer, data.described, run.held_out),
        "network": "head",
        "encoder": {
            "name": opened.card.name,
            "folder": str(encoder.resolve()),
            "fingerprint": opened.encoder.fingerprint,
        },
        "head": {
            "weight": exam.weight,
            "held_out_classes": exam.held_out_classes,
            "results": {row.name: _figures(row.known, row.unseen) for row in exam.rows},
        },
    }
    name = run_name(trainer.recipe, data.name, trainer.seed)
    joined = JoinedHead(_head_of(trainer), exam.weight)
    card = _write(folder, opened.encoder, joined, name, training, run.features)
    return HeadResult(card, exam)


def export_head_run(folder: Path, card: ModelCard) -> ModelCard:
    """Export the head of a finished run again, with the encoder that it was learned on.

    :raises MissingModelError: If that encoder is no longer where it was.
    :raises BrokenModelError: If the checkpoint is not the one its card describes, or the encoder another.
    """
    said = card.training
    try:
        place, fingerprint = Path(said["encoder"]["folder"]), said["encoder"]["fingerprint"]
        weight = float(said["head"]["weight"])
    except (KeyError, TypeError, ValueError):
        raise BrokenModelError(f"{folder} does not say on which encoder its head was learned") from None
    if not 0 <= weight < 1:
        raise BrokenModelError(f"{folder} has a head of weight {weight}")
    encoder = open_model(place).encoder
    if encoder.fingerprint != fingerprint:
        raise BrokenModelError(
            f"the encoder in {place} is not the one that the head in {folder} was learned on",
            hint="put that one back, or train another head",
        )
    record = FileRecord.of(read_model_file(folder, BEST_CHECKPOINT, card))
    network = HeadNetwork(np.zeros(encoder.dim, np.float32), 1.0)
    model = load_model(folder / BEST_CHECKPOINT, network, sha256=record.sha256)
    assert isinstance(model.embedding, HeadNet)
    content = export_head(encoder, JoinedHead(model.embedding, weight).eval())
    write_atomically(folder / ENCODER, content)
    card = replace(card, created=_now(), files=model_files(folder, content))
    write_model_card(folder, card)
    return card


class HeadRun:
    """What the head and those of the exam are trained with."""

    def __init__(self, recipe: Recipe, features: Features, seed: int, seen: tuple[int, ...] | None) -> None:
        self._recipe, self._seed, self.held_out = recipe, seed, features.part
        self.features = features if seen is None else _only(features, seen)

    def trainer(self, classes: tuple[int, ...] | None, folder: Path | None) -> Trainer:
        """Of a head for all classes, or for some only, whose images alone it sees."""
        vectors, labels, part = self.features
        rows = part.train if classes is None else part.train[np.isin(labels[part.train], classes)]
        if not len(rows):
            raise BadInputError("there are no training images of these classes")
        return Trainer(
            self._recipe,
            vectors,
            labels,
            folder,
            seed=self._seed,
            device=torch.device("cpu"),
            seen=classes,
            network=HeadNetwork.of(vectors[rows]),
            part=part,
        )

    def embed(self, classes: tuple[int, ...] | None, trained: Trainer) -> Embed:
        """The head for some classes, trained now; or that of all, which is trained already."""
        if classes is not None:
            trained = self.trainer(classes, None)
            trained.run()
        head = _head_of(trained)

        def embed(vectors: Vectors) -> Vectors:
            with torch.inference_mode():
                return np.asarray(head(torch.from_numpy(vectors)).numpy(), np.float32)

        return embed


def _head_of(trainer: Trainer) -> HeadNet:
    head = trainer.best_model().embedding
    assert isinstance(head, HeadNet)
    return head.cpu()


def _only(features: Features, classes: tuple[int, ...]) -> Features:
    rows = np.isin(features.labels, classes)
    part = HoldOut(*(side[rows[side]] for side in features.part))
    return features._replace(part=part)


def _figures(known: Any, unseen: Any) -> dict[str, dict[str, float] | None]:
    return {
        kind: None if found is None else {"P@1": found.p_at_1, "MAP@R": found.map_at_r}
        for kind, found in (("known", known), ("held_out", unseen))
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _write(
    folder: Path,
    encoder: OnnxEncoder,
    joined: JoinedHead,
    name: str,
    training: dict[str, Any],
    features: Features,
) -> ModelCard:
    """Write the encoder with its head, and the card, calibrated on validation images where these suffice.

    The line that the head learned is of its own cosine, not of the joined one, so it is not kept.
    """
    content = export_head(encoder, joined.eval())
    write_atomically(folder / ENCODER, content)
    rows = features.part.validation
    labels = features.labels[rows]
    with torch.inference_mode():
        vectors = joined(torch.from_numpy(features.vectors[rows])).numpy()
    said = f"{training['dataset']}-held-out"
    calibration = fit_vectors(vectors, labels, said) if is_enough(labels) else None
    card = ModelCard(
        name=name,
        created=_now(),
        dim=joined.dim,
        parameters=encoder.parameters + sum(one.numel() for one in joined.parameters()),
        preprocessing=encoder.input.version,
        projection=None if calibration is None else calibration.pairs,
        files=model_files(folder, content),
        training=training,
        calibration=calibration,
        input=encoder.input,
    )
    write_model_card(folder, card)
    return card
