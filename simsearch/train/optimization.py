"""How weights change: optimizer, learning-rate schedule, weight averaging and number format."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from simsearch.train.model import SimilarityModel
from simsearch.train.recipes import Recipe


class Schedule(Protocol):
    """A learning-rate schedule that hears of every step and every epoch."""

    def after_step(self) -> None:
        """Adjust the rate after a training step."""

    def after_epoch(self, val_loss: float) -> None:
        """Adjust the rate after an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""


class PlateauSchedule:
    """Lower the rate when the validation loss stops falling."""

    def __init__(self, optimizer: torch.optim.Optimizer, *, patience: int, factor: float) -> None:
        """Multiply the rate by `factor` after more than `patience` epochs without an improvement."""
        self._scheduler = ReduceLROnPlateau(optimizer, patience=patience, factor=factor)

    def after_step(self) -> None:
        """Nothing: this schedule moves once an epoch."""

    def after_epoch(self, val_loss: float) -> None:
        """Look at the validation loss."""
        self._scheduler.step(val_loss)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return self._scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._scheduler.load_state_dict(state)


class OneCycleSchedule:
    """One cosine up to the recipe's rate and one down to nearly nothing, over the whole run."""

    def __init__(self, optimizer: torch.optim.Optimizer, *, rate: float, steps: int, warm_up: float) -> None:
        """Peak at `rate` after the share `warm_up` of all steps."""
        if warm_up * steps == 1:  # a climb of no length, by which OneCycleLR would divide
            warm_up = 0.0
        self._scheduler = OneCycleLR(optimizer, rate, total_steps=steps, pct_start=warm_up)
        self._left = steps - 1  # OneCycleLR refuses a step beyond its last

    def after_step(self) -> None:
        """Move along the cycle."""
        if self._left:
            self._scheduler.step()
            self._left -= 1

    def after_epoch(self, val_loss: float) -> None:
        """Nothing: this schedule moves with every step, whatever the loss."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {**self._scheduler.state_dict(), "left": self._left}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._left = state["left"]
        self._scheduler.load_state_dict({key: value for key, value in state.items() if key != "left"})


def make_optimizer(recipe: Recipe, model: SimilarityModel) -> torch.optim.Optimizer:
    """Adam over everything; or AdamW, which decays the network's weights but no bias, norm or projection."""
    if recipe.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    weights = [parameter for parameter in model.embedding.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.embedding.parameters() if parameter.ndim == 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": [*others, *model.projection.parameters()], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def make_schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, steps: int) -> Schedule:
    """The schedule that a recipe names, for epochs of so many steps."""
    if recipe.schedule == "plateau":
        return PlateauSchedule(optimizer, patience=recipe.plateau_patience, factor=recipe.plateau_factor)
    total = recipe.epochs * steps
    return OneCycleSchedule(optimizer, rate=recipe.learning_rate, steps=total, warm_up=recipe.warm_up)


def make_average(recipe: Recipe, model: SimilarityModel, steps: int) -> AveragedModel | None:
    """An exponential moving average of weights and batch statistics, where the recipe has one.

    :param steps: Of the whole run.
    """
    decay = recipe.average
    if recipe.average_share:
        decay = 1 - 1 / max(1.0, recipe.average_share * steps)
    if not decay:
        return None
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def network_precision(recipe: Recipe, device: torch.device) -> torch.dtype:
    """The number format inside the network: half precision on CUDA; on the CPU what the recipe says,
    where the processor computes in it.
    """
    if device.type == "cuda":
        return torch.bfloat16 if recipe.precision == "bfloat16" else torch.float16
    native = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if recipe.precision == "bfloat16" and native else torch.float32
