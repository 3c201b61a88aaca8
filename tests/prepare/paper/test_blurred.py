"""Drawings that are blurred or noisy: read as one thing, if they stand out clearly."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SHIPPED_INDEX

from simsearch.data.corruptions import corrupt
from simsearch.data.splits import Split, hold_out
from simsearch.prepare.paper.page import find_on_page
from simsearch.prepare.paper.plain import find_plain
from simsearch.prepare.paper.steps import ALL
from simsearch.search.searcher import Searcher

ROWS = {137: 7, 209: 4, 371: 7}  # of the validation images: their digits


@pytest.fixture(scope="module")
def drawings(mnist_train: Split) -> dict[int, np.ndarray]:
    held_out = mnist_train.take(hold_out(len(mnist_train)).validation[: max(ROWS) + 1])
    assert held_out.labels is not None
    assert {row: int(held_out.labels[row]) for row in ROWS} == ROWS
    return {row: np.asarray(corrupt(held_out.images[row], np.random.default_rng([0, row]))) for row in ROWS}


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
