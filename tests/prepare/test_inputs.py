"""What an input holds, what it refuses, and the numbers that a network gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simsearch.prepare.inputs import ImageInput

COLOR = ImageInput("photo", 1, 2, 1, 3, (0.0, 0.5, 1.0), (1.0, 0.5, 0.25))
PIXELS = np.array([[[[0, 255, 51], [255, 0, 102]]]], np.uint8)  # one picture of 1x2 pixels


def test_channels_come_first_or_last_as_the_layout_says() -> None:
    first = COLOR.to_batch(PIXELS)
    expected = np.array([[[[0, 1]], [[1, -1]], [[-3.2, -2.4]]]])  # (0.2 - 1) / 0.25, (0.4 - 1) / 0.25
    np.testing.assert_allclose(first, expected, atol=1e-6)
    assert (first.dtype, first.shape[1:]) == (np.float32, COLOR.tensor_shape)
    last = replace(COLOR, layout="NHWC")
    np.testing.assert_allclose(last.to_batch(PIXELS), expected.transpose(0, 2, 3, 1), atol=1e-6)
    assert last.tensor_shape == (1, 2, 3)


def test_a_gray_picture_has_no_axis_of_channels() -> None:
    gray = ImageInput("plain", 1, 2, 3, 1, (0.5,), (0.5,))
    assert (gray.picture_shape, COLOR.picture_shape) == ((3, 2), (1, 2, 3))
    batch = gray.to_batch(np.array([[[0, 255], [255, 0], [0, 0]]], np.uint8))
    np.testing.assert_array_equal(batch, [[[[-1, 1], [1, -1], [-1, -1]]]])


@pytest.mark.parametrize(
    "pictures",
    [PIXELS[0], PIXELS.astype(np.float32), PIXELS[..., :2], PIXELS[:, :, :1], np.zeros((1, 1, 2), np.uint8)],
)
def test_pictures_of_another_shape_or_type_are_refused(pictures: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 images \(N, 1, 2, 3\), not"):
        COLOR.to_batch(pictures)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "an input of 0x1 pixels is not within 1 to 1024"),
        ({"height": 1025}, "an input of 2x1025 pixels is not within 1 to 1024"),
        ({"channels": 2}, "an input has 1 or 3 channels, not 2"),
        ({"mean": (0.0,)}, "mean and std need 3 values, one a channel"),
        ({"std": (1.0, 1.0, 0.0)}, "mean and std must be finite, std positive"),
        ({"mean": (0.0, float("nan"), 0.0)}, "mean and std must be finite, std positive"),
        ({"background": 256}, "the background must lie in 0 to 255"),
        ({"version": 0}, "the version from 1 on"),
    ],
)
def test_inputs_that_no_picture_can_be_brought_to_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(COLOR, **change)
