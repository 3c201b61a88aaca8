"""Schedules: the learning rate that each step of a run takes."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import torch

from simsearch.train.optimization import OneCycleSchedule


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 10, 100])  # at 5 the climb is no step long
def test_one_cycle_peaks_after_its_climb_and_ends_near_nothing(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = OneCycleSchedule(optimizer, rate=0.01, steps=steps, warm_up=0.2)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.after_step()
    peak = rates.index(max(rates))
    assert peak == max(0, steps // 5 - 1)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(4e-8)
