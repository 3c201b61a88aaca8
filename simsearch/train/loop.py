"""The training loop: epochs over random pairs, the best weights by validation loss kept, resumable.

Everything random in epoch e depends on the seed and e alone, so a resumed run ends with the same
weights as one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from simsearch.data.splits import HoldOut, hold_out
from simsearch.encode.history import EpochRecord
from simsearch.encode.model_folder import BEST_CHECKPOINT, LAST_CHECKPOINT
from simsearch.errors import BadInputError, BrokenModelError, MissingModelError
from simsearch.files import write_atomically
from simsearch.train.checkpoints import (
    check_form,
    checkpoint_bytes,
    load_model,
    read_checkpoint,
    save_checkpoint,
)
from simsearch.train.exposure import draw_outliers
from simsearch.train.model import SimilarityModel
from simsearch.train.networks import DIGIT_NETWORK, Network
from simsearch.train.objectives import draw_training_pairs, make_objective
from simsearch.train.optimization import make_average, make_optimizer, make_schedule, network_precision
from simsearch.train.recipes import BATCH_PAIRS, Recipe
from simsearch.train.retrieval import judge_scores

_EVALUATION_BATCH = 256
_VALIDATION_STREAM = 0  # of seed 0, whatever the run's: every run is judged on the same pairs
_GALLERY_STREAM = 4
_MOST_GALLERY, _MOST_QUERIES = 10_000, 2_000  # of MAP@R after each epoch
# Fields that recipes did not have when older runs were saved, at what they meant then.
_NEW_FIELDS = {
    field: getattr(BATCH_PAIRS, field)
    for field in (
        "held_out_share", "choose", "average_share", "least_steps", "remains", "outliers", "outlier_weight",
        "crop", "flip", "color",
    )
}  # fmt: skip


@dataclass(frozen=True)
class LossAndAccuracy:
    """Mean binary cross-entropy, and the share of pairs on the right side of probability 0.5."""

    loss: float
    accuracy: float


StepCallback = Callable[[int, int, int], None]  # epoch, step (from 1), steps an epoch
EpochCallback = Callable[[EpochRecord, bool], None]  # the record, and whether it is the best so far


class Trainer:
    """One training run: `run()` trains what is left of the recipe's epochs."""

    def __init__(
        self,
        recipe: Recipe,
        images: NDArray[Any],
        labels: NDArray[np.int64],
        folder: Path | None,
        *,
        seed: int = 0,
        device: torch.device | None = None,
        workers: int = 0,
        seen: Collection[int] | None = None,
        network: Network = DIGIT_NETWORK,
        part: HoldOut | None = None,
    ) -> None:
        """Prepare data, model and optimizer.

        :param images: The whole training split as the network takes it, for MNIST uint8 (N, H, W).
        :param labels: Class of each image, int64 (N,).
        :param folder: Where `best_model.pt` and `last.pt` go; None keeps the best weights in memory.
        :param workers: Processes that assemble batches; 0 is fastest for images already in memory.
        :param seen: The labels that training and validation see; None for all.
        :param part: The rows that train and those that choose; None holds out the recipe's number at random.
        :raises BadInputError: If there are too few images to hold some out, or to pair those held out.
        """
        self.recipe, self.folder, self.seed, self.workers = recipe, folder, seed, workers
        self.device = device or pick_device()
        self.history: list[EpochRecord] = []
        self.best_epoch, self.best_sha256, self._best = 0, "", b""
        self._network = network
        self._data_sha256 = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        part = _seen(part or _hold_out(labels, recipe.held_out_images), labels, seen)
        outliers = draw_outliers(recipe, images[part.train], labels[part.train], seed=seed, network=network)
        self._training_images = network.keep(images[part.train])  # (55000, 1, H, W) for MNIST
        self._training_labels, self._validation_labels = labels[part.train], labels[part.validation]
        self._objective = make_objective(
            recipe, self._training_images, self._training_labels, seed=seed, device=self.device,
            workers=workers, network=network, outliers=outliers,
        )  # fmt: skip
        self._validation_images = network.keep(images[part.validation]).to(self.device)
        self._validation = draw_training_pairs(
            labels[part.validation],
            recipe.validation_pairs,
            np.random.default_rng([0, _VALIDATION_STREAM]),
            "validation",
        )
        with seeded(seed):
            model = SimilarityModel(recipe.projection_weight, recipe.projection_bias, network.build())
        # channels_last takes a quarter off the time of a step on the CPU.
        self.model = model.to(memory_format=torch.channels_last).to(self.device)
        self._average = make_average(recipe, self.model, recipe.epochs * self._objective.steps)
        self._optimizer = make_optimizer(recipe, self.model)
        self._schedule = make_schedule(recipe, self._optimizer, self._objective.steps)
        self._precision = network_precision(recipe, self.device)
        scaled = self._precision is torch.float16  # whose gradients would otherwise vanish
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)

    @property
    def kept_model(self) -> SimilarityModel:
        """The model that is validated and kept: the averaged one, where the recipe averages."""
        if self._average is None:
            return self.model
        assert isinstance(self._average.module, SimilarityModel)
        return self._average.module

    @property
    def best(self) -> EpochRecord:
        """The epoch whose weights are in `best_model.pt`."""
        return self.history[self.best_epoch - 1]

    def run(
        self, *, on_step: StepCallback = lambda *_: None, on_epoch: EpochCallback = lambda *_: None
    ) -> None:
        """Train to the recipe's last epoch, writing both checkpoints after each.

        :raises BadInputError: If the training images cannot be paired, or training diverges.
        """
        for epoch in range(len(self.history) + 1, self.recipe.epochs + 1):
            record = self._run_epoch(epoch, on_step)
            if not math.isfinite(record.val_loss):
                raise BadInputError(
                    f"training diverged: the validation loss of epoch {epoch} is {record.val_loss}",
                    hint="train into another folder with a smaller learning_rate",
                )
            self.history.append(record)
            improved = epoch == 1 or record.is_better_than(self.best)
            if improved:
                self._best = checkpoint_bytes(self.kept_model.state_dict())
                self.best_epoch, self.best_sha256 = epoch, hashlib.sha256(self._best).hexdigest()
            self._schedule.after_epoch(record.val_loss)
            if self.folder is not None:
                save_checkpoint(self.folder / LAST_CHECKPOINT, self._state())
                if improved:  # last: whoever is killed before it has these weights in the other file
                    write_atomically(self.folder / BEST_CHECKPOINT, self._best)
            on_epoch(record, improved)

    def best_model(self) -> SimilarityModel:
        """The model of the best epoch, in evaluation mode.

        :raises BrokenModelError: If its checkpoint is not the one that was written.
        """
        if self.folder is not None:
            return load_model(self.folder / BEST_CHECKPOINT, self._network, sha256=self.best_sha256 or None)
        model = copy.deepcopy(self.kept_model)
        model.load_state_dict(torch.load(io.BytesIO(self._best), weights_only=True))
        return model.eval()

    def resume(self) -> None:
        """Continue from `last.pt`.

        :raises MissingModelError: If it, or `best_model.pt`, is not there.
        :raises BrokenModelError: If one of them is damaged.
        :raises BadInputError: If that run had another recipe or seed.
        """
        assert self.folder is not None
        path = self.folder / LAST_CHECKPOINT
        # Older ones recorded less.
        before = {"data_sha256": self._data_sha256, "best_sha256": "", "network": DIGIT_NETWORK.key}
        state = {**before, **read_checkpoint(path)}
        if state.keys() != self._state().keys() or not isinstance(state["history"], list):
            raise BrokenModelError(f"{path} is not the state of a training run")
        if isinstance(state["recipe"], dict):
            state["recipe"] = {**_NEW_FIELDS, **state["recipe"]}
        if (state["recipe"], state["seed"]) != (asdict(self.recipe), self.seed):
            raise BadInputError(
                f"{path} is of a run with another recipe or seed",
                hint="resume with that run's own settings, or train into another folder",
            )
        if state["network"] != self._network.key:
            raise BadInputError(
                f"{path} is of a run of another network",
                hint="resume with that run's own options, or train into another folder",
            )
        if state["data_sha256"] != self._data_sha256:
            raise BadInputError(
                f"{path} is of a run on other images or labels",
                hint="resume with that run's own dataset, or train into another folder",
            )
        reference = self._state_after(len(state["history"]))
        scaled = bool(state["scaler"] and reference["scaler"])
        if not scaled:  # the CPU has no scaler; a run may move between it and a GPU
            reference["scaler"] = state["scaler"]
        check_form(state, reference, f"{path}:")
        if not 1 <= state["best_epoch"] <= len(state["history"]) <= self.recipe.epochs:
            raise BrokenModelError(f"{path} has a best epoch or a history that cannot be")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["scheduler"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if scaled:
            self._scaler.load_state_dict(state["scaler"])
        self.history = [EpochRecord(**row) for row in state["history"]]
        self.best_epoch, self.best_sha256 = state["best_epoch"], state["best_sha256"]
        self._check_best()

    def _check_best(self) -> None:
        """Find out now, not when the run is over, whether `best_model.pt` is this run's.

        A kill right after the epoch that was the best may have left the one before: it is written again.
        """
        assert self.folder is not None
        try:
            self.best_model()
        except (BrokenModelError, MissingModelError):
            if not self.best_sha256 or self.best_epoch != len(self.history):
                raise
            save_checkpoint(self.folder / BEST_CHECKPOINT, self.kept_model.state_dict())

    def validate(self) -> LossAndAccuracy:
        """Loss and accuracy on the fixed validation pairs, embedding each validation image once."""
        vectors = embed(self.kept_model, self._validation_images, self._network)  # (5000, 128)
        table = self._validation
        first, second = vectors[table.first], vectors[table.second]  # (P, 128)
        same = torch.from_numpy(table.same).to(self.device, torch.float32)  # (P,)
        with torch.inference_mode():
            logits = self.kept_model.project(F.cosine_similarity(first, second))  # (P,)
            loss = F.binary_cross_entropy_with_logits(logits, same)
        return LossAndAccuracy(float(loss), float(((logits > 0) == (same > 0)).float().mean()))

    def _run_epoch(self, epoch: int, on_step: StepCallback) -> EpochRecord:
        started = time.perf_counter()
        learning_rate = float(self._optimizer.param_groups[0]["lr"])
        training = self._train_on(epoch, on_step)
        validation = self.validate()
        return EpochRecord(
            epoch=epoch,
            train_loss=training.loss,
            train_accuracy=training.accuracy,
            val_loss=validation.loss,
            val_accuracy=validation.accuracy,
            learning_rate=learning_rate,
            seconds=time.perf_counter() - started,
            val_map_at_r=self._map_at_r() if self.recipe.choose == "map-at-r" else None,
        )

    def _map_at_r(self) -> float:
        """MAP@R of validation images, each queried against the training images as they are."""
        rows = np.random.default_rng([0, _GALLERY_STREAM]).permutation(len(self._training_labels))
        gallery, asked = np.sort(rows[:_MOST_GALLERY]), slice(_MOST_QUERIES)
        images = (self._validation_images[asked], self._training_images[torch.from_numpy(gallery)])
        queries, items = (
            embed(self.kept_model, part.to(self.device), self._network).cpu().numpy() for part in images
        )
        return judge_scores(
            queries @ items.T, self._validation_labels[asked], self._training_labels[gallery]
        ).map_at_r

    def _train_on(self, epoch: int, on_step: StepCallback) -> LossAndAccuracy:
        self.model.train()
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)  # of loss and accuracy
        samples, steps = 0, self._objective.steps
        for number, step in enumerate(self._objective.epoch(epoch), start=1):
            with torch.autocast(
                self.device.type, self._precision, enabled=self._precision is not torch.float32
            ):
                logits, same, weights, count = step(self.model)
                loss = pair_loss(logits, same, weights)
            self._optimizer.zero_grad(set_to_none=True)
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self._scaler.step(self._optimizer)
            self._scaler.update()
            self._schedule.after_step()
            if self._average is not None:
                self._average.update_parameters(self.model)
            totals += torch.stack((loss.detach(), pair_accuracy(logits.detach(), same, weights))) * count
            samples += count
            on_step(epoch, number, steps)
        mean = totals / samples
        return LossAndAccuracy(float(mean[0]), float(mean[1]))

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": {} if self._average is None else self._average.state_dict(),
            "scheduler": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "history": [record.figures() for record in self.history],
            "best_epoch": self.best_epoch,
            "best_sha256": self.best_sha256,
            "data_sha256": self._data_sha256,
            "network": self._network.key,
        }

    def _state_after(self, epochs: int) -> dict[str, Any]:
        """A state of the form that this run's has after some epochs; its values mean nothing."""
        parameters = [one for group in self._optimizer.param_groups for one in group["params"]]
        state = self._state()
        state["optimizer"]["state"] = {
            number: {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
            for number, parameter in enumerate(parameters)
        }
        chosen_by_map = 0.0 if self.recipe.choose == "map-at-r" else None
        row = EpochRecord(1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, chosen_by_map).figures()
        return {**state, "history": [row] * epochs}


def embed(model: SimilarityModel, images: Tensor, network: Network = DIGIT_NETWORK) -> Tensor:
    """Unit vectors, float32 (N, 128), of images as their network keeps them, in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        parts = torch.split(images, _EVALUATION_BATCH)
        return torch.cat([model.embedding(network.enter(part)) for part in parts])


def pair_loss(logits: Tensor, same: Tensor, weights: Tensor | None) -> Tensor:
    """Binary cross-entropy of pairs, weighted where weights are given; float32, ()."""
    if weights is None:
        return F.binary_cross_entropy_with_logits(logits, same)
    return F.binary_cross_entropy_with_logits(logits, same, weights, reduction="sum")


def pair_accuracy(logits: Tensor, same: Tensor, weights: Tensor | None) -> Tensor:
    """Share of pairs on the right side of probability 0.5, weighted like the loss; float64, ()."""
    right = ((logits > 0) == (same > 0)).double()  # (P,)
    return right.mean() if weights is None else (right * weights).sum()


def configure_torch(*, deterministic: bool = False, threads: int = 0) -> None:
    """Set torch's process-wide switches; on the CPU, equal seeds and threads repeat exactly either way."""
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic
    if threads:
        torch.set_num_threads(threads)


def pick_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run torch's global generator, which initial weights come from, at a seed; then put it back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _seen(part: HoldOut, labels: NDArray[np.int64], seen: Collection[int] | None) -> HoldOut:
    """The same rows without unseen classes, which stay on their own side."""
    if seen is None:
        return part
    return HoldOut(*(rows[np.isin(labels[rows], list(seen))] for rows in part))


def _hold_out(labels: NDArray[np.int64], count: int) -> HoldOut:
    """The rows to train on and to hold out, at random."""
    try:
        return hold_out(len(labels), count)
    except ValueError as error:
        raise BadInputError(
            f"{error}, which choose the checkpoint", hint="choose fewer with --set held_out_images=NUMBER"
        ) from None
