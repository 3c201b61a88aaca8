"""choose.py, plain.py: drawings that run into the edges of their picture, and pens as thick as a loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import SHIPPED_INDEX
from papers.digits import write
from PIL import Image

from simsearch.data.splits import Split, hold_out
from simsearch.errors import BadImageError
from simsearch.prepare.paper.choose import Pieces, choose_reaching
from simsearch.prepare.paper.evidence import Evidence, is_soft
from simsearch.prepare.paper.plain import find_plain
from simsearch.prepare.paper.shapes import is_waisted
from simsearch.prepare.prepare import prepare_image
from simsearch.search.searcher import Searcher


def picture(digit: int, pen: float, *margins: int) -> np.ndarray:
    """A digit 120 pixels high with so many pixels around it, above, below, left and right: uint8 (H, W)."""
    ink = write(digit, 120, np.random.default_rng(digit), pen=pen)
    return (255 - 255 * np.pad(ink, (margins[:2], margins[2:]))).astype(np.uint8)


@pytest.mark.parametrize("margins", [(0, 0, 30, 60), (0, 30, 0, 50), (0, 0, 0, 50), (20, 0, 40, 0)])
@pytest.mark.parametrize("digit", [2, 3, 5, 7, 9])
def test_a_drawing_that_runs_into_two_or_three_edges_is_whole(digit: int, margins: tuple[int, ...]) -> None:
    found = find_plain(picture(digit, 0.12, *margins), None)
    assert found is not None
    whole = write(digit, 120, np.random.default_rng(digit), pen=0.12) > 0.2
    assert np.count_nonzero(found.mask) == pytest.approx(np.count_nonzero(whole), rel=0.03)


def test_an_upright_stroke_from_edge_to_edge_is_a_1_if_its_ends_are_round() -> None:
    stroke = np.zeros((120, 100), bool)
    stroke[:, 45:57] = True
    assert choose_reaching(Pieces(stroke)).mask is None  # a post, a margin
    stroke[[0, -1]] = False
    stroke[[0, -1], 48:54] = True
    assert choose_reaching(Pieces(stroke)).mask is not None


def test_a_line_from_edge_to_edge_is_no_1() -> None:
    page = np.full((220, 200), 240, np.uint8)
    for row in range(220):
        page[row, 160 - row // 2 : 165 - row // 2] = 120
    with pytest.raises(BadImageError, match="no digit found"):
        prepare_image(page)
    cut = np.full((160, 100), 240, np.uint8)
    for row in range(160):
        cut[row, 78 - row // 2 : 100 - row // 2] = 40
    assert find_plain(cut, None) is not None  # a 1, cut close


def test_a_gleam_on_light_paper_is_no_chalk() -> None:
    chalk = Evidence(support=1, clear=9, goes_on=1, paper=0.9, levels=90, contrast=0.4)
    assert chalk.is_seen
    assert not replace(chalk, levels=18, contrast=18 / 246).is_seen


def test_frames_lines_and_nothing_are_no_drawings() -> None:
    frame = np.zeros((100, 100), bool)
    assert choose_reaching(Pieces(frame)).mask is None
    frame[:8] = frame[:, :8] = True  # along two edges
    assert choose_reaching(Pieces(frame)).mask is None
    level = np.zeros((100, 100), bool)
    level[40:46] = True
    assert choose_reaching(Pieces(level)).mask is None
    rising = np.abs(np.add.outer(np.arange(100), np.arange(100)) - 99) < 5
    assert choose_reaching(Pieces(rising)).mask is None


@pytest.mark.parametrize("digit", [4, 6, 8])
def test_a_digit_of_a_very_thick_pen_is_told_from_a_spot(digit: int) -> None:
    assert find_plain(picture(digit, 0.27, 30, 30, 30, 30), None) is not None


def test_round_and_square_spots_are_not_waisted() -> None:
    y, x = np.mgrid[:120, :90]
    assert not is_waisted(np.hypot((y - 59.5) / 60, (x - 44.5) / 45) <= 1)
    assert not is_waisted(np.ones((120, 90), bool))
    two = (np.hypot(y - 30, x - 44.5) <= 30) | (np.hypot(y - 82, x - 44.5) <= 37)  # a filled 8
    assert is_waisted(two[:, 8:82])


def test_a_digit_on_lines_from_edge_to_edge_is_not_whole_with_them() -> None:
    lined = picture(5, 0.1, 60, 60, 60, 60)
    for row in (90, 130):
        lined[row : row + 2] = 60
    assert find_plain(lined, None) is None
    one = picture(5, 0.1, 60, 60, 60, 60)
    one[130:132] = 60
    assert find_plain(one, None) is None


def test_dust_on_a_wiped_board_is_softer_than_chalk() -> None:
    y, x = np.mgrid[:200, :200].astype(np.float32)
    away = np.abs(np.hypot(y, x) - 150)  # from a bow that runs into two edges
    assert is_soft(200 * np.exp(-((away / 14) ** 2)))
    assert not is_soft(200 * np.clip(15 - away, 0, 1))
    assert not is_soft(200 * np.clip((16 - away) / 4, 0, 1))  # a little out of focus


@pytest.mark.parametrize(("row", "label"), [(233, "4"), (1613, "1")])
def test_a_digit_that_was_cropped_and_enlarged_is_no_gleam(mnist_train: Split, row: int, label: str) -> None:
    """Its edges are wide because it was small."""
    digit = mnist_train.images[hold_out(len(mnist_train)).validation[row]]
    rows, columns = np.flatnonzero((digit > 128).any(1)), np.flatnonzero((digit > 128).any(0))
    crop = Image.fromarray(digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    enlarged = crop.resize((crop.width * 10, crop.height * 10), Image.Resampling.BICUBIC)
    verdict = Searcher.open(SHIPPED_INDEX).query(np.asarray(enlarged), k=1).verdict
    assert (verdict.label, verdict.known) == (label, True)
