"""Distortions of a batch: what each one does to a picture, by hand."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

from dataclasses import fields

import numpy as np
import torch

from simsearch.data.splits import Split
from simsearch.prepare.prepare import to_batch
from simsearch.train import augment
from simsearch.train.augment import Augmentation

BACKGROUND = -0.1307 / 0.3081


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(*pixels: tuple[int, int]) -> torch.Tensor:
    """White pixels on black, normalized, (1, 1, 28, 28)."""
    gray = np.zeros((1, 28, 28), np.uint8)
    for row, column in pixels:
        gray[0, row, column] = 255
    return torch.from_numpy(to_batch(gray))


def center(images: torch.Tensor) -> torch.Tensor:
    """Center of mass of the ink, (N, 2): row, column."""
    ink = (images - BACKGROUND)[:, 0]
    place = torch.arange(28.0)
    mass = ink.sum((1, 2))
    return torch.stack([(ink.sum(2) @ place) / mass, (ink.sum(1) @ place) / mass], dim=1)


def test_no_distortion_changes_nothing() -> None:
    images = torch.rand(5, 1, 28, 28)
    nothing = Augmentation()
    assert not nothing
    assert torch.allclose(nothing(images, generator()), images, atol=1e-5)


@pytest.mark.parametrize("name", [field.name for field in fields(Augmentation)])
def test_each_bound_makes_an_augmentation(name: str) -> None:
    augmentation = Augmentation(**{name: 0.5})
    assert augmentation
    images = picture((5, 14), (20, 9)).expand(64, 1, 28, 28)
    distorted = augmentation(images, generator())
    assert distorted.shape == images.shape
    assert torch.isfinite(distorted).all()
    assert (distorted - images).abs().amax((1, 2, 3)).max() > 0.1
    different = len({tuple(image.flatten().tolist()) for image in distorted})
    if name == "coarse":
        assert different == 9  # half are left as they are, the others have 9 to 16 pixels a side
    else:
        assert different == 64 if name not in ("thickness", "blur", "remains") else different > 16


def test_shifts_move_the_center_uniformly_within_the_bound_and_leave_background_behind() -> None:
    images = picture((14, 14), (13, 13), (13, 14), (14, 13)).expand(2_000, 1, 28, 28)
    shifted = Augmentation(shift=3.0)(images, generator())
    moved = center(shifted) - 13.5
    assert moved.abs().max() <= 3.001
    assert moved.abs().max() > 2.9
    assert moved.mean(0).abs().max() < 0.15
    assert moved.std(0).tolist() == pytest.approx([3 / 3**0.5] * 2, rel=0.05)  # of a uniform distribution
    assert shifted[:, 0, 0, 0].tolist() == pytest.approx([BACKGROUND] * 2_000, abs=1e-5)


def test_rotation_keeps_the_distance_from_the_center_and_stays_within_the_bound() -> None:
    arm = picture(*((row, 13) for row in range(3, 7)), *((row, 14) for row in range(3, 7)))
    turned = center(Augmentation(rotation=30.0)(arm.expand(1_000, 1, 28, 28), generator())) - 13.5
    distance = turned.norm(dim=1)
    angle = torch.rad2deg(torch.atan2(turned[:, 1], -turned[:, 0]))
    assert distance.tolist() == pytest.approx([9.0] * 1_000, abs=0.15)
    assert angle.abs().max() < 30.5
    assert angle.abs().max() > 29
    assert angle.mean().abs() < 1.5


def test_scale_multiplies_and_divides_alike() -> None:
    arm = picture((4, 13), (4, 14))
    scaled = 13.5 - center(Augmentation(scale=0.2)(arm.expand(1_000, 1, 28, 28), generator()))[:, 0]
    ratio = torch.log(scaled / 9.5)
    assert ratio.abs().max() == pytest.approx(0.2, abs=0.02)
    assert ratio.mean().abs() < 0.02


def test_a_tilted_plane_is_magnified_where_it_is_near_and_reduced_where_it_is_far() -> None:
    ends = picture((13, 4), (14, 4), (13, 23), (14, 23)).expand(1_000, 1, 28, 28)
    ink = Augmentation(perspective=0.2)(ends, generator()) - BACKGROUND
    left, right = ink[..., :14].sum((1, 2, 3)), ink[..., 14:].sum((1, 2, 3))
    ratio = torch.log(left / right)
    assert ratio.mean().abs() < 0.1
    assert ratio.max() > 0.5  # a tilt of 0.2 at 0.68 of the way out: areas differ by (1.136 / 0.864) ** 3
    assert ratio.min() < -0.5
    middle = picture((13, 13), (13, 14), (14, 13), (14, 14)).expand(100, 1, 28, 28)
    assert (center(Augmentation(perspective=0.2)(middle, generator())) - 13.5).abs().max() < 0.1


def test_strokes_grow_and_shrink_by_up_to_a_pixel_and_keep_their_darkness() -> None:
    stroke = picture(*((row, column) for row in range(4, 24) for column in (12, 13, 14)))
    ink = Augmentation(thickness=1.0)(stroke.expand(2_000, 1, 28, 28), generator()) - BACKGROUND
    width = ink[:, 0, 14].sum(dim=1) / ink[:, 0, 14].amax(dim=1)  # pixels
    assert width.min() == pytest.approx(1.0, abs=0.01)
    assert width.max() == pytest.approx(5.0, abs=0.01)
    assert width.mean() == pytest.approx(3.0, abs=0.1)
    assert ((width - 3).abs() < 1e-3).float().mean() == pytest.approx(0.5, abs=0.05)  # every second image
    assert ink.amax((1, 2, 3)).tolist() == pytest.approx([1 / 0.3081] * 2_000, rel=1e-4)


def test_a_stroke_that_thinning_would_erase_is_left_faint_not_amplified() -> None:
    hair = picture(*((row, 13) for row in range(4, 24))).expand(500, 1, 28, 28)
    ink = Augmentation(thickness=1.0)(hair, generator()) - BACKGROUND
    assert torch.isfinite(ink).all()
    assert ink.max() <= 1 / 0.3081 + 1e-4
    assert ink.min() > -1e-5


def test_blur_spreads_ink_as_its_gaussian_does() -> None:
    dot = picture((14, 14)).expand(2_000, 1, 28, 28)
    ink = (Augmentation(blur=1.0)(dot, generator()) - BACKGROUND)[:, 0]
    weights = np.exp(-(np.arange(-2, 3) ** 2) / 2.88)
    weights /= weights.sum()
    beside = (ink[:, 14, 15] / ink[:, 14, 14]).max().item()
    assert beside == pytest.approx(weights[3] / weights[2], rel=0.01)  # all of it blurred
    assert (ink[:, 14, 15] < 1e-4).float().mean() == pytest.approx(0.5, abs=0.05)  # every second image
    assert ink[:, 14, 14].tolist() == pytest.approx([1 / 0.3081] * 2_000, rel=1e-4)
    assert ink[:, 14, 17].abs().max() < 1e-5


def test_lost_resolution_averages_pixels_and_interpolates_them() -> None:
    """At 14 pixels a side a white corner is a quarter of the first pixel, and then as white as before."""
    coarse = Augmentation(coarse=1.0)(picture((0, 0)).expand(64, 1, 28, 28), generator())
    across = torch.tensor([1, 0.75, 0.25, *[0.0] * 25])
    expected = BACKGROUND + torch.outer(across, across) / 0.3081
    assert sum(torch.allclose(image[0], expected, atol=1e-3) for image in coarse) >= 4
    assert torch.allclose(coarse.amax((1, 2, 3)), picture((0, 0)).amax(), atol=1e-3)


def test_elastic_distortion_moves_parts_differently_and_stays_smooth() -> None:
    dots = picture(*((row, column) for row in range(4, 25, 5) for column in range(4, 25, 5)))
    field = Augmentation(elastic=1.0)._displacements(400, generator()) * 14  # pixels
    assert field.shape == (400, 2, 784)
    field = field.view(400, 2, 28, 28).permute(0, 2, 3, 1)
    neighbors = (field[:, 1:] - field[:, :-1]).abs().mean()
    apart = (field[:, 14:] - field[:, :14]).abs().mean()
    assert neighbors < 0.5 * apart
    spread = field.std(dim=(1, 2, 3))
    assert spread.max() < 1.3
    assert spread.mean() == pytest.approx(0.35, abs=0.1)
    assert not torch.equal(Augmentation(elastic=1.0)(dots, generator()), dots)


def test_displacements_are_the_bicubic_interpolation_of_their_cells() -> None:
    cells = torch.arange(49.0).view(1, 1, 7, 7).sin()
    expected = torch.nn.functional.interpolate(cells, size=(28, 28), mode="bicubic", align_corners=False)
    assert torch.allclose(cells.flatten(1) @ augment._SPREAD, expected.flatten(1), atol=1e-5)


def test_the_largest_around_a_pixel_is_that_of_max_pooling() -> None:
    pixels = torch.rand(3, 1, 28, 28, generator=generator()) - 0.5
    expected = torch.nn.functional.max_pool2d(pixels, 3, stride=1, padding=1)
    assert torch.equal(augment._largest_around(pixels), expected)


def test_a_distorted_digit_is_still_near_the_original(mnist_test: Split) -> None:
    images = torch.from_numpy(to_batch(mnist_test.images[:256]))
    distorted = Augmentation(15.0, 0.15, 0.2, 2.0, elastic=0.8)(images, generator())
    ink, before = distorted - BACKGROUND, images - BACKGROUND
    assert ink.min() > -1e-4
    assert ink.max() <= before.max() + 1e-4
    assert (ink.sum((1, 2, 3)) / before.sum((1, 2, 3))).mean() == pytest.approx(1.0, abs=0.05)
