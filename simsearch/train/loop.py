"""The training loop: epochs over random pairs, the best weights by validation loss kept, resumable.

Everything random in epoch e depends on the seed and e alone, so a resumed run ends with the same
weights as one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from simsearch.errors import BadInputError, BrokenModelError
from simsearch.history import EpochRecord
from simsearch.holdout import HoldOut, hold_out
from simsearch.images import Images, to_batch
from simsearch.models import BEST_CHECKPOINT
from simsearch.pairs import PairTable, draw_pairs
from simsearch.train.checkpoints import check_form, load_model, read_checkpoint, save_checkpoint
from simsearch.train.model import SimilarityModel
from simsearch.train.pairs import PairBatch, PairDataset, as_is
from simsearch.train.recipes import Recipe

LAST_CHECKPOINT = "last.pt"
_EVALUATION_BATCH = 256
# Names of the independent random streams of one seed.
_VALIDATION_STREAM, _PAIR_STREAM = 0, 1


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
        images: Images,
        labels: NDArray[np.int64],
        folder: Path,
        *,
        seed: int = 0,
        device: torch.device | None = None,
        workers: int = 0,
    ) -> None:
        """Prepare data, model and optimiser.

        :param images: The whole training split, uint8 (N, 28, 28); part of it is held out here.
        :param labels: Class of each image, int64 (N,).
        :param folder: Where `best_model.pt` and `last.pt` go.
        :param workers: Processes that assemble batches; 0 is fastest for images already in memory.
        :raises BadInputError: If there are too few images to hold some out, or to pair those held out.
        """
        self.recipe, self.folder, self.seed, self.workers = recipe, folder, seed, workers
        self.device = device or pick_device()
        self.history: list[EpochRecord] = []
        self.best_epoch = 0
        part = _hold_out(len(images), recipe.held_out_images)
        self._images = torch.from_numpy(to_batch(images[part.train]))  # (55000, 1, 28, 28) for MNIST
        self._labels = labels[part.train]
        self._held_out = torch.from_numpy(to_batch(images[part.held_out])).to(self.device)
        self._validation = _draw_pairs(
            labels[part.held_out], recipe.validation_pairs, _generator(0, _VALIDATION_STREAM), "held-out"
        )
        with seeded(seed):
            model = SimilarityModel(recipe.projection_weight, recipe.projection_bias)
        # channels_last takes a quarter off the time of a step on the CPU.
        self.model = model.to(memory_format=torch.channels_last).to(self.device)
        self._optimizer = torch.optim.Adam(
            self.model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimizer, patience=recipe.plateau_patience, factor=recipe.plateau_factor
        )
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self.device.type == "cuda")

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
            improved = epoch == 1 or record.val_loss < self.best.val_loss
            if improved:
                self.best_epoch = epoch
                save_checkpoint(self.folder / BEST_CHECKPOINT, self.model.state_dict())
            self._scheduler.step(record.val_loss)
            save_checkpoint(self.folder / LAST_CHECKPOINT, self._state())
            on_epoch(record, improved)

    def resume(self) -> None:
        """Continue from `last.pt`.

        :raises MissingModelError: If it, or `best_model.pt`, is not there.
        :raises BrokenModelError: If one of them is damaged.
        :raises BadInputError: If that run had another recipe or seed.
        """
        path = self.folder / LAST_CHECKPOINT
        state = read_checkpoint(path)
        if state.keys() != self._state().keys() or not isinstance(state["history"], list):
            raise BrokenModelError(f"{path} is not the state of a training run")
        if (state["recipe"], state["seed"]) != (asdict(self.recipe), self.seed):
            raise BadInputError(
                f"{path} is of a run with another recipe or seed",
                hint="resume with that run's own settings, or train into another folder",
            )
        reference = self._state_after(len(state["history"]))
        scaled = bool(state["scaler"] and reference["scaler"])
        if not scaled:  # the CPU has no scaler; a run may move between it and a GPU
            reference["scaler"] = state["scaler"]
        check_form(state, reference, f"{path}:")
        if not 1 <= state["best_epoch"] <= len(state["history"]) <= self.recipe.epochs:
            raise BrokenModelError(f"{path} has a best epoch or a history that cannot be")
        load_model(self.folder / BEST_CHECKPOINT)  # missed now, not when the run is over
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        if scaled:
            self._scaler.load_state_dict(state["scaler"])
        self.history = [EpochRecord(**row) for row in state["history"]]
        self.best_epoch = state["best_epoch"]

    def validate(self) -> LossAndAccuracy:
        """Loss and accuracy on the fixed held-out pairs, embedding each held-out image once."""
        vectors = embed(self.model, self._held_out)  # (5000, 128)
        table = self._validation
        first, second = vectors[table.first], vectors[table.second]  # (P, 128)
        same = torch.from_numpy(table.same).to(self.device, torch.float32)  # (P,)
        with torch.inference_mode():
            logits = self.model.project(F.cosine_similarity(first, second))  # (P,)
            loss = F.binary_cross_entropy_with_logits(logits, same)
        return LossAndAccuracy(float(loss), float(((logits > 0) == (same > 0)).float().mean()))

    def _run_epoch(self, epoch: int, on_step: StepCallback) -> EpochRecord:
        started = time.perf_counter()
        learning_rate = float(self._optimizer.param_groups[0]["lr"])
        table = _draw_pairs(
            self._labels, self.recipe.pairs_per_epoch, _generator(self.seed, _PAIR_STREAM, epoch), "training"
        )
        training = self._train_on(table, epoch, on_step)
        validation = self.validate()
        return EpochRecord(
            epoch=epoch,
            train_loss=training.loss,
            train_accuracy=training.accuracy,
            val_loss=validation.loss,
            val_accuracy=validation.accuracy,
            learning_rate=learning_rate,
            seconds=time.perf_counter() - started,
        )

    def _train_on(self, table: PairTable, epoch: int, on_step: StepCallback) -> LossAndAccuracy:
        self.model.train()
        loader = self._loader(PairDataset(self._images, table))
        loss_sum = torch.zeros((), device=self.device)
        right = torch.zeros((), device=self.device)
        for step, batch in enumerate(loader, start=1):
            first, second, same = (part.to(self.device, non_blocking=True) for part in batch)
            with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
                logits = self.model(first, second)  # (B,)
                loss = F.binary_cross_entropy_with_logits(logits, same)
            self._optimizer.zero_grad(set_to_none=True)
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self._scaler.step(self._optimizer)
            self._scaler.update()
            loss_sum += loss.detach() * len(same)
            right += ((logits.detach() > 0) == (same > 0)).sum()
            on_step(epoch, step, len(loader))
        return LossAndAccuracy(float(loss_sum) / len(table), float(right) / len(table))

    def _loader(self, dataset: PairDataset) -> DataLoader[PairBatch]:
        return DataLoader(
            dataset,
            batch_size=self.recipe.batch_size,
            collate_fn=as_is,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "scaler": self._scaler.state_dict(),
            "history": [asdict(record) for record in self.history],
            "best_epoch": self.best_epoch,
        }

    def _state_after(self, epochs: int) -> dict[str, Any]:
        """A state of the form that this run's has after some epochs; its values mean nothing."""
        parameters = list(self.model.parameters())
        state = self._state()
        state["optimizer"]["state"] = {
            number: {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
            for number, parameter in enumerate(parameters)
        }
        row = asdict(EpochRecord(1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
        return {**state, "history": [row] * epochs}


def embed(model: SimilarityModel, images: Tensor) -> Tensor:
    """Unit vectors, float32 (N, 128), of normalised images (N, 1, 28, 28), in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model.embedding(part) for part in torch.split(images, _EVALUATION_BATCH)])


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


def _hold_out(total: int, count: int) -> HoldOut:
    try:
        return hold_out(total, count)
    except ValueError as error:
        raise BadInputError(
            f"{error}, which choose the checkpoint", hint="choose fewer with --set held_out_images=NUMBER"
        ) from None


def _draw_pairs(labels: NDArray[np.int64], count: int, rng: np.random.Generator, part: str) -> PairTable:
    try:
        return draw_pairs(labels, count, rng)
    except ValueError as error:
        raise BadInputError(
            f"the {len(labels)} {part} images cannot be paired: {error}",
            hint="give every class more images, or change their share with --set held_out_images=NUMBER",
        ) from None


def _generator(seed: int, *stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, *stream])
