"""The state of a training run: what it has to be for a run to go on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simsearch.encode.history import EpochRecord
from simsearch.errors import BadInputError, BrokenModelError
from simsearch.train.checkpoints import check_form, read_checkpoint
from simsearch.train.networks import DIGIT_NETWORK
from simsearch.train.recipes import BATCH_PAIRS

# Fields that recipes did not have when older runs were saved, at what they meant then.
_NEW_FIELDS = {
    field: getattr(BATCH_PAIRS, field)
    for field in (
        "held_out_share", "choose", "average_share", "least_steps", "coarse", "remains", "outliers",
        "outlier_weight", "crop", "flip", "color",
    )
}  # fmt: skip


def read_state(path: Path, expected: Mapping[str, Any], parameters: Sequence[Tensor]) -> dict[str, Any]:
    """Read the state that a run left, of this version or an earlier one.

    :param expected: The state of the run that shall go on, before its first epoch.
    :param parameters: What is trained, in the optimizer's order.
    :raises MissingModelError: If there is none.
    :raises BrokenModelError: If it is damaged, or not the state of a run.
    :raises BadInputError: If it is of a run with another recipe, seed, network or data.
    """
    # Older ones recorded less.
    before = {"data_sha256": expected["data_sha256"], "best_sha256": "", "network": DIGIT_NETWORK.key}
    state = {**before, **read_checkpoint(path)}
    if state.keys() != expected.keys() or not isinstance(state["history"], list):
        raise BrokenModelError(f"{path} is not the state of a training run")
    if isinstance(state["recipe"], dict):
        state["recipe"] = {**_NEW_FIELDS, **state["recipe"]}
    _check_run(path, state, expected)
    reference = _after(expected, parameters, len(state["history"]))
    if not (state["scaler"] and reference["scaler"]):
        reference["scaler"] = state["scaler"]  # the CPU has none; a run may move between it and a GPU
    check_form(state, reference, f"{path}:")
    if not 1 <= state["best_epoch"] <= len(state["history"]) <= expected["recipe"]["epochs"]:
        raise BrokenModelError(f"{path} has a best epoch or a history that cannot be")
    return state


def _check_run(path: Path, state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse the state of another run."""
    for fields, other, whose in (
        (("recipe", "seed"), "a run with another recipe or seed", "settings"),
        (("network",), "a run of another network", "options"),
        (("data_sha256",), "a run on other images or labels", "dataset"),
    ):
        if any(state[field] != expected[field] for field in fields):
            raise BadInputError(
                f"{path} is of {other}",
                hint=f"resume with that run's own {whose}, or train into another folder",
            )


def _after(start: Mapping[str, Any], parameters: Sequence[Tensor], epochs: int) -> dict[str, Any]:
    """A state of the form that a run's has after some epochs; its values mean nothing."""
    moments = {
        number: {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
        for number, parameter in enumerate(parameters)
    }
    chosen_by_map = 0.0 if start["recipe"]["choose"] == "map-at-r" else None
    row = EpochRecord(1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, chosen_by_map).figures()
    return {**start, "optimizer": {**start["optimizer"], "state": moments}, "history": [row] * epochs}
