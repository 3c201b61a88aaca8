"""shapes.py, sides.py: what no digit looks like, and strokes that are the end of something."""

from __future__ import annotations

import numpy as np
import pytest
from papers.digits import STROKES, write
from PIL import Image

from simsearch.data.datasets import load_named
from simsearch.errors import BadImageError
from simsearch.prepare.paper.choose import Pieces, choose
from simsearch.prepare.paper.components import find_components, grown
from simsearch.prepare.paper.normalize import bounds
from simsearch.prepare.paper.shapes import (
    _may_hold_square,
    _opened,
    find_holes,
    is_filled,
    is_plate,
    is_plus,
    is_ring,
)
from simsearch.prepare.paper.sides import evenness
from simsearch.prepare.prepare import prepare_image


def cross(row: int, column: int) -> np.ndarray:
    mask = np.zeros((100, 80), bool)
    mask[row : row + 4] = mask[:, column : column + 4] = True
    return mask


def test_axes_are_a_level_and_an_upright_stroke() -> None:
    assert is_plus(cross(50, 40))
    assert is_plus(cross(70, 20))
    assert is_plus(cross(96, 0))
    assert not is_plus(cross(96, 38))  # a 1 on its foot
    assert not is_plus(cross(0, 76))  # a 7 of straight strokes
    four = cross(60, 50)
    four[:60, :4] = True
    assert not is_plus(four)


@pytest.mark.parametrize("digit", STROKES)
def test_no_digit_of_strokes_is_a_plus(digit: int) -> None:
    for seed in range(10):
        assert not is_plus(write(digit, 100, np.random.default_rng(seed), pen=0.06) > 0.5)


def test_a_fold_is_darker_paper_on_one_side_and_a_stroke_is_not() -> None:
    page = np.full((60, 60), 200, np.uint8)
    ink = np.zeros((60, 60), bool)
    ink[10:50, 28:32] = True
    stroke = np.where(ink, 120, page)
    assert evenness(stroke.astype(np.uint8), ink, 4) == 1
    page[:, 30:] = 150
    fold = np.where(ink, 120, page)  # 30 under 150, 80 under 200
    assert evenness(fold.astype(np.uint8), ink, 4) == pytest.approx(30 / 80)
    shadow = np.where(ink, 20, page)  # dark ink along the edge of a shadow is ink
    assert evenness(shadow.astype(np.uint8), ink, 4) == 1


def test_a_circle_is_a_ring_and_a_zero_of_a_hand_is_not() -> None:
    y, x = np.mgrid[:101, :101] - 50
    ring = np.abs(np.hypot(y, x) - 46) <= 4.5
    assert is_ring(ring, find_holes(ring, 1))
    oval = np.abs(np.hypot(y, x * 1.25) - 46) <= 4.5
    oval = oval[:, oval.any(axis=0)]
    assert not is_ring(oval, find_holes(oval, 1))
    images = load_named("mnist:held-out")
    for image in images.images[images.labels == 0][:100]:
        big = np.asarray(Image.fromarray(image).resize((140, 140), Image.Resampling.BICUBIC)) > 90
        zero = big[np.ix_(big.any(axis=1), big.any(axis=0))]
        assert not is_ring(zero, find_holes(zero, 1))


def test_squares_are_looked_for_wherever_one_may_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    found = 0
    for number in range(300):
        mask = rng.random((60, 50)) < rng.choice([0.02, 0.3])
        top, left = rng.integers(0, 25, 2)
        mask[top : top + 30, left : left + 25] |= rng.random((30, 25)) < rng.choice([0.9, 0.96, 0.98, 1])
        quickly = _opened(mask, 0.36)
        with monkeypatch.context() as patch:
            patch.setattr("simsearch.prepare.paper.shapes._may_hold_square", lambda *_: True)
            np.testing.assert_array_equal(quickly, _opened(mask, 0.36), err_msg=str(number))
        found += quickly.any()
    assert 30 < found < 270


def test_most_digits_need_no_search_for_squares() -> None:
    masks = [write(digit, 100, np.random.default_rng(digit), pen=0.08) > 0.5 for digit in STROKES]
    assert not any(_may_hold_square(mask, 36) for mask in masks)
    assert not any(is_filled(mask) for mask in masks)
    assert is_filled(np.ones((60, 60), bool))


def plate(digit: int, *, side: int = 200, round_: bool = True) -> np.ndarray:
    """A filled circle or square with a digit as its hole."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    mask = np.hypot(y, x) < side / 2 if round_ else np.ones((side, side), bool)
    ink = write(digit, side // 2, np.random.default_rng(digit), pen=0.14) > 0.5
    top, left = ((side - long) // 2 for long in ink.shape)
    mask[top : top + ink.shape[0], left : left + ink.shape[1]] &= ~ink
    return mask


@pytest.mark.parametrize("round_", [True, False])
@pytest.mark.parametrize("digit", [2, 3, 4, 5, 7])
def test_a_filled_shape_with_a_digit_for_a_hole_is_a_plate(digit: int, round_: bool) -> None:
    mask = plate(digit, round_=round_)
    assert is_plate(mask, find_holes(mask, len(find_components(mask))))


def test_no_handwriting_is_a_plate() -> None:
    split = load_named("mnist:validation")
    rows = np.flatnonzero(split.labels == 0)[:200].tolist() + list(range(300))
    taken = []
    for row in rows:
        mask = (
            np.asarray(Image.fromarray(split.images[row]).resize((112, 112), Image.Resampling.BICUBIC)) > 100
        )
        across, down = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        crop = mask[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        taken.append(is_plate(crop, find_holes(crop, 1)))
    assert sum(taken) <= 1  # of 500, 200 of them zeros


@pytest.mark.parametrize("digit", [2, 3, 5, 7])
def test_what_is_written_on_a_badge_is_read(digit: int) -> None:
    page = np.full((300, 300), 235, np.uint8)
    page[50:250, 50:250][plate(digit)] = 40
    read = prepare_image(page).pixels
    alone = np.full((300, 300), 40, np.uint8)
    ink = write(digit, 100, np.random.default_rng(digit), pen=0.14) > 0.5
    alone[100 : 100 + ink.shape[0], 100 : 100 + ink.shape[1]][ink] = 235
    np.testing.assert_allclose(read.astype(int), prepare_image(alone).pixels, atol=90)
    assert np.abs(read.astype(int) - prepare_image(alone).pixels).mean() < 6


def mark(hook: np.ndarray, *, right: int = 0, radius: int = 9, gray: int = 0) -> np.ndarray:
    """A drawing with a dot below it, uint8 (240, 200), dark on light."""
    page = np.full((240, 200), 255, np.uint8)
    top, left = 40, (200 - hook.shape[1]) // 2
    page[top : top + hook.shape[0], left : left + hook.shape[1]][hook] = 0
    foot = left + int(np.flatnonzero(hook[-4:].any(axis=0)).mean())
    y, x = np.mgrid[:240, :200]
    page[np.hypot(y - (top + hook.shape[0] + 22), x - foot - right) < radius] = gray
    return page


@pytest.mark.parametrize("digit", [1, 7])
def test_a_dot_straight_below_makes_it_a_mark_of_punctuation(digit: int) -> None:
    hook = write(digit, 120, np.random.default_rng(4), pen=0.12) > 0.5
    with pytest.raises(BadImageError, match="no digit found"):
        prepare_image(mark(hook))
    for other in ({"right": 60}, {"radius": 3}, {"gray": 150}):  # after it, dust, a stain
        assert prepare_image(mark(hook, **other)).pixels.any()


@pytest.mark.parametrize("digit", [6, 8, 9])
def test_the_outline_of_a_digit_is_no_frame_of_its_loop(digit: int) -> None:
    solid = grown(np.pad(write(digit, 160, np.random.default_rng(1), pen=0.1) > 0.5, 30), 5)
    outline = solid & grown(~solid, 3)
    choice = choose(Pieces(outline))
    assert not choice.around
    assert choice.mask is None or choice.box == bounds(outline)


@pytest.mark.parametrize("round_", [True, False])
def test_a_box_and_a_circle_are_frames(round_: bool) -> None:
    y, x = np.mgrid[:200, :200] - 99.5
    distance = np.hypot(y, x) if round_ else np.maximum(np.abs(y), np.abs(x))
    mask = (distance > 80) & (distance < 86)
    digit = write(6, 90, np.random.default_rng(1), pen=0.1) > 0.5
    mask[55 : 55 + digit.shape[0], 70 : 70 + digit.shape[1]] |= digit
    choice = choose(Pieces(mask))
    assert choice.around
    assert choice.mask is not None
    assert choice.box[:1] == (55 + int(np.flatnonzero(digit.any(axis=1))[0]),)
