"""Faults of preparation in training images: what each leaves of a digit, and how many get one."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import torch

from simsearch.train import remains
from simsearch.train.remains import leave_remains


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def block(count: int) -> torch.Tensor:
    """A filled square of 12 pixels in the middle, (N, 1, 28, 28)."""
    ink = torch.zeros(count, 1, 28, 28)
    ink[..., 8:20, 8:20] = 1.0
    return ink


def test_so_many_images_are_changed_and_the_others_are_as_they_were() -> None:
    ink = torch.rand(4_000, 1, 28, 28, generator=generator(1))
    changed = leave_remains(ink, 0.25, generator())
    assert not torch.equal(changed, ink)
    assert (changed != ink).flatten(1).any(dim=1).float().mean() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(leave_remains(ink, 0.0, generator()), ink)
    assert torch.equal(leave_remains(ink, 0.25, generator()), changed)  # of the generator alone


def test_a_line_adds_ink_that_a_smaller_digit_lacks() -> None:
    ink = remains._line(block(500), generator())
    alone = remains._moved_aside(block(500), generator())
    assert (alone.sum((1, 2, 3)) <= 144.01).all()  # never larger than it was
    assert alone.sum((1, 2, 3)).min() < 0.4 * 144
    assert ink.max() <= 1
    outside = ink.clone()
    outside[..., 2:26, 2:26] = 0
    assert (outside.amax((1, 2, 3)) > 0).float().mean() > 0.2  # where no digit came


def test_an_edge_lies_in_the_outer_part_of_the_picture() -> None:
    speck = torch.zeros(500, 1, 28, 28)
    speck[..., 14, 14] = 1.0
    ink = remains._edge(speck, generator())
    assert ink.sum((1, 2, 3)).median() > 3
    assert ink[..., 8:20, 8:20].sum((1, 2, 3)).max() <= 1.01  # the speck alone


def test_a_cut_takes_one_side_and_nothing_else() -> None:
    ink = remains._cut(torch.ones(500, 1, 28, 28), generator())
    left = ink.mean((1, 2, 3))
    assert left.min() > 0.6
    assert left.max() < 0.9
    assert (ink[..., 12:16, 12:16] == 1).all()


def test_thick_strokes_are_up_to_a_pixel_broader_on_either_side() -> None:
    stroke = torch.zeros(500, 1, 28, 28)
    stroke[..., 4:24, 13:15] = 1.0
    width = remains._thicken(stroke, generator())[:, 0, 14].sum(dim=1)
    assert width.min() == pytest.approx(2.6, abs=0.05)
    assert width.max() == pytest.approx(4.0, abs=0.05)
