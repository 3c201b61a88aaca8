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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simsearch.data.splits import HoldOut, hold_out
from simsearch.encode.history import EpochRecord
from simsearch.encode.model_folder import BEST_CHECKPOINT, LAST_CHECKPOINT
from simsearch.errors import BadInputError, BrokenModelError, MissingModelError
from simsearch.files import write_atomically
from simsearch.train.checkpoints import checkpoint_bytes, load_model, save_checkpoint
from simsearch.train.exposure import draw_outliers
from simsearch.train.model import SimilarityModel
from simsearch.train.networks import DIGIT_NETWORK, Network
from simsearch.train.objectives import make_objective, pair_accuracy, pair_loss
from simsearch.train.optimization import make_average, make_optimizer, make_schedule, network_precision
from simsearch.train.recipes import Recipe
from simsearch.train.resuming import read_state
from simsearch.train.validation import LossAndAccuracy, Validation

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
        self._training_labels = labels[part.train]
        self._objective = make_objective(
            recipe, self._training_images, self._training_labels, seed=seed, device=self.device,
            workers=workers, network=network, outliers=outliers,
        )  # fmt: skip
        self._validation = Validation(
            recipe,
            network.keep(images[part.validation]),
            labels[part.validation],
            device=self.device,
            network=network,
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
        state = read_state(self.folder / LAST_CHECKPOINT, self._state(), self._parameters())
        scaled = bool(state["scaler"] and self._scaler.state_dict())
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
        """Loss and accuracy on the fixed validation pairs."""
        return self._validation.judge(self.kept_model)

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
            val_map_at_r=self._map_at_r(),
        )

    def _map_at_r(self) -> float | None:
        """What the recipe chooses by, if it does."""
        if self.recipe.choose != "map-at-r":
            return None
        return self._validation.map_at_r(self.kept_model, self._training_images, self._training_labels)

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

    def _parameters(self) -> list[Tensor]:
        """What is trained, in the optimizer's order."""
        return [one for group in self._optimizer.param_groups for one in group["params"]]


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
