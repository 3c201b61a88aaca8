"""Drawings that are blurred or noisy: read as one thing, if they stand out clearly or blur explains all."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SHIPPED_INDEX
from PIL import Image, ImageFilter

from simsearch.data.corruptions import corrupt
from simsearch.data.splits import Split, hold_out
from simsearch.prepare.paper.blurred import find_blurred
from simsearch.prepare.paper.page import find_on_page
from simsearch.prepare.paper.plain import find_plain
from simsearch.prepare.paper.steps import ALL
from simsearch.search.searcher import Searcher

ROWS = {137: 7, 209: 4, 371: 7}  # of the validation images: their digits
OUT_OF_FOCUS = {90: 2, 389: 1, 802: 8, 877: 4, 1035: 3}  # a part was taken for the first, the others refused


@pytest.fixture(scope="module")
def drawings(mnist_train: Split) -> dict[int, np.ndarray]:
    held_out = mnist_train.take(hold_out(len(mnist_train)).validation[: max(OUT_OF_FOCUS) + 1])
    assert held_out.labels is not None
    rows = {**ROWS, **OUT_OF_FOCUS}
    assert {row: int(held_out.labels[row]) for row in rows} == rows
    return {row: np.asarray(corrupt(held_out.images[row], np.random.default_rng([0, row]))) for row in rows}


@pytest.mark.parametrize("row", ROWS)
def test_a_clear_drawing_in_which_no_page_is_found_is_read(row: int, drawings: dict[int, np.ndarray]) -> None:
    gray = drawings[row]
    assert find_on_page(gray, dark=None, steps=ALL) is None
    answer = Searcher.open(SHIPPED_INDEX).query(gray, k=1)
    assert (answer.verdict.label, answer.verdict.known) == (str(ROWS[row]), True)


@pytest.mark.parametrize("row", ROWS)
def test_at_a_quarter_of_its_contrast_it_may_be_a_shadow(row: int, drawings: dict[int, np.ndarray]) -> None:
    """Its ink is not as strong everywhere."""
    faint = (100 + drawings[row].astype(float) / 4).round().astype(np.uint8)
    assert find_plain(drawings[row], None) is not None
    assert find_plain(faint, None) is None


@pytest.mark.parametrize("row", OUT_OF_FOCUS)
def test_a_drawing_out_of_focus_is_read_whole(row: int, drawings: dict[int, np.ndarray]) -> None:
    assert find_plain(drawings[row], None) is None
    answer = Searcher.open(SHIPPED_INDEX).query(drawings[row], k=1)
    assert (answer.verdict.label, answer.verdict.known) == (str(OUT_OF_FOCUS[row]), True)


def page(*, lines: bool = False, second: bool = False, blur: float = 5.0) -> np.ndarray:
    """Two joined strokes on paper that grows darker to the right, all out of focus."""
    paper = np.broadcast_to(np.linspace(230, 170, 200), (220, 200)).copy()
    ink = np.zeros((220, 200))
    ink[40:180, 80:96] = ink[164:180, 80:140] = 1
    if second:
        ink[40:180, 20:36] = 1
    if lines:
        for first in range(20, 220, 40):
            ink[first : first + 6] = 1
    spread = Image.fromarray((255 * ink).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
    return (paper * (1 - 0.6 * np.asarray(spread, float) / 255)).round().astype(np.uint8)


@pytest.mark.parametrize("dark", [True, False])
def test_paper_and_blur_that_were_laid_on_are_taken_off(dark: bool) -> None:
    gray = page() if dark else 255 - page()
    drawing = find_blurred(gray, None)
    assert drawing is not None
    assert drawing.dark is dark
    strong = drawing.ink > 0.5 * drawing.ink.max()
    assert strong.any(axis=1).sum() == pytest.approx(140, abs=4)
    assert strong.any(axis=0).sum() == pytest.approx(60, abs=4)
    assert find_blurred(gray, not dark) is None


def test_a_page_out_of_focus_and_a_sharp_drawing_are_not_taken_for_one() -> None:
    assert find_blurred(page(lines=True), None) is None
    assert find_blurred(page(second=True), None) is None
    assert find_blurred(page(blur=0.5), None) is None
    assert find_blurred(page(blur=30), None) is None  # nothing can be read in it


def test_a_blot_in_which_no_stroke_is_found_is_nothing() -> None:
    """As strong ink as there must be would be nowhere."""
    y, x = np.mgrid[-20:20, -20:20]
    assert find_blurred((20 + 120 * np.exp(-(x**2 + y**2) / 200)).round().astype(np.uint8), None) is None
