"""plain.py: light that lies behind a digit is not taken for its ink."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from simsearch.prepare.prepare import prepare_image


def slate(*lamps: tuple[int, int]) -> Image.Image:
    """A two in chalk on a dark board, with the glare of lamps at these places (x, y)."""
    drawn = Image.new("L", (480, 480), 42)
    ImageDraw.Draw(drawn).line(
        [(170, 190), (200, 140), (260, 130), (300, 170), (280, 230), (170, 330), (310, 330)], 235, 30, "curve"
    )
    board = np.asarray(drawn, np.float64)
    y, x = np.mgrid[:480, :480]
    for across, down in lamps:
        board = board + 90 * np.exp(-((x - across) ** 2 + (y - down) ** 2) / 70**2)
    noise = np.random.default_rng(0).normal(0, 1.5, board.shape)
    return Image.fromarray(np.clip(board + noise, 0, 255).astype(np.uint8))


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """The mean difference of two pictures, of which one may lie a pixel beside the other."""
    shifts = [
        np.roll(first.astype(int), (down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1)
    ]
    return min(float(np.abs(shifted - second).mean()) for shifted in shifts)


@pytest.mark.parametrize("lamp", [(240, 240), (330, 260), (200, 350), (150, 300)])
def test_the_glare_of_a_lamp_behind_a_digit_is_left_out(lamp: tuple[int, int]) -> None:
    assert apart(prepare_image(slate(lamp)).pixels, prepare_image(slate()).pixels) < 4
