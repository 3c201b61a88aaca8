"""crossed.py: strokes through a digit are told from a digit's own."""

from __future__ import annotations

import numpy as np
import pytest
from papers.crossings import barred_7, slashed_0
from papers.digits import STROKES, line_of, write
from papers.families import Digit
from PIL import Image

from simsearch.data.corruptions import corrupt
from simsearch.data.datasets import load_named
from simsearch.errors import BadImageError
from simsearch.prepare.paper.crossed import is_crossed_out
from simsearch.prepare.paper.steps import Steps
from simsearch.prepare.prepare import prepare_image


def page(digit: int, pen: float, *strokes: tuple[float, float, float, float]) -> np.ndarray:
    """A digit 100 pixels high on a page, with strokes: uint8 (200, 200), dark on light."""
    ink = np.zeros((200, 200), np.float32)
    drawn = write(digit, 100, np.random.default_rng(digit), pen=pen)
    top, left = 50, 100 - drawn.shape[1] // 2
    ink[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    for x0, y0, x1, y1 in strokes:
        stroke = line_of([(x0, y0), (x1, y1)], 100 * pen)
        y, x = (round(min(pair) - 50 * pen) for pair in ((y0, y1), (x0, x1)))
        part = ink[y : y + stroke.shape[0], x : x + stroke.shape[1]]
        np.maximum(part, stroke[: part.shape[0], : part.shape[1]], out=part)
    return (255 - 255 * ink).astype(np.uint8)


CROSS = ((50, 55, 150, 145), (150, 55, 50, 145))
PAIR = ((45, 120, 155, 70), (45, 145, 155, 95))  # rising, as a right hand does


@pytest.mark.parametrize("pen", [0.04, 0.08])
@pytest.mark.parametrize("strokes", [CROSS, PAIR, CROSS[:1]])
@pytest.mark.parametrize("digit", [0, 2, 3, 6, 8, 9])
def test_what_is_crossed_out_is_refused_in_words(digit: int, strokes: tuple, pen: float) -> None:
    picture = page(digit, pen, *strokes)
    with pytest.raises(BadImageError) as raised:
        prepare_image(picture)
    assert raised.value.message == "the digit in the picture is crossed out"
    assert raised.value.hint == "write it again, without lines through it"


BUNDLE = tuple((45, 120 + shift, 155, 40 + shift) for shift in (0, 15, 30))
ZIGZAG = tuple((60 + 16 * i, 45 if i % 2 else 155, 76 + 16 * i, 155 if i % 2 else 45) for i in range(5))


@pytest.mark.parametrize("strokes", [BUNDLE, ZIGZAG])
@pytest.mark.parametrize("digit", [0, 2, 3, 5, 8])
def test_bundles_and_zigzags_of_strokes_cross_out_too(digit: int, strokes: tuple) -> None:
    with pytest.raises(BadImageError, match="crossed out"):
        prepare_image(page(digit, 0.05, *strokes))


def test_handwriting_enlarged_in_blocks_is_not_taken_for_crossed_out() -> None:
    """The stairs of its edges were once counted as strokes."""
    images = load_named("mnist:held-out").images[1000:1500]
    blocks = [Image.fromarray(image).resize((280, 280), Image.Resampling.NEAREST) for image in images]
    masks = [np.asarray(picture) > 60 for picture in blocks]
    found = sum(is_crossed_out(mask[np.ix_(mask.any(axis=1), mask.any(axis=0))]) for mask in masks)
    assert found <= 1


LEVEL = ((45, 90, 155, 88), (45, 112, 155, 110))


@pytest.mark.parametrize("digit", [2, 3, 5, 6, 8, 9])
def test_level_strokes_that_stick_out_at_both_ends_cross_out(digit: int) -> None:
    with pytest.raises(BadImageError, match="crossed out"):
        prepare_image(page(digit, 0.06, *LEVEL))


@pytest.mark.parametrize("digit", [3, 5, 6, 8])
def test_one_stroke_that_sticks_out_far_does_so_too(digit: int) -> None:
    for stroke in ((38, 100, 162, 102), (62, 165, 138, 35)):
        with pytest.raises(BadImageError, match="crossed out"):
            prepare_image(page(digit, 0.06, stroke))


@pytest.mark.parametrize("make", [barred_7, slashed_0])
def test_the_bar_of_a_7_and_the_slash_of_a_0_are_their_own(make) -> None:
    for seed in range(12):
        prepare_image(make(Digit(7), np.random.default_rng([3, seed])))


def test_without_the_step_what_can_be_read_of_it_is() -> None:
    assert prepare_image(page(2, 0.08, *CROSS), steps=Steps(crossed=False)).pixels.any()


@pytest.mark.parametrize("pen", [0.04, 0.08, 0.14, 0.2])
@pytest.mark.parametrize("digit", STROKES)
def test_no_digit_of_strokes_is_taken_for_crossed_out(digit: int, pen: float) -> None:
    for seed in range(20):
        assert not is_crossed_out(write(digit, 100, np.random.default_rng(seed), pen=pen) > 0.5)


def test_of_a_thousand_handwritten_digits_one_or_two_are() -> None:
    images = load_named("mnist:held-out").images[:1000]
    found = 0
    for image in images:
        rows, columns = np.flatnonzero((image > 60).any(1)), np.flatnonzero((image > 60).any(0))
        crop = Image.fromarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        big = crop.resize((crop.width * 4, crop.height * 4), Image.Resampling.BICUBIC)
        found += is_crossed_out(np.asarray(big) > 100)
    assert found <= 2


@pytest.mark.parametrize("row", [91, 840, 1193, 1441])
def test_turned_and_thick_handwriting_is_not_crossed_out(row: int) -> None:
    """The bar of a 7, the downstroke of an 8, two 4s whose stem leans to the left: once refused."""
    image = load_named("mnist:validation").images[row]
    assert prepare_image(corrupt(image, np.random.default_rng([0, row]))).pixels.any()
