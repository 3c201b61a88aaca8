"""tophat.py, rulings.py, color.py, shapes.py: paper, ink, lines and colors of pages made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.prepare.paper.color import best_gray
from simsearch.prepare.paper.rulings import remove_rulings
from simsearch.prepare.paper.shapes import find_holes, is_box, is_filled, is_lattice
from simsearch.prepare.paper.tophat import closing, lay_paper


def test_a_closing_is_the_least_of_the_largest_around() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (19, 23)).astype(np.uint8)
    for side in (1, 3, 5, 9, 41):
        half = side // 2

        def around(values: np.ndarray, y: int, x: int, half: int = half) -> np.ndarray:
            return values[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1]

        lightest = np.array([[around(gray, y, x).max() for x in range(23)] for y in range(19)])
        expected = np.array([[around(lightest, y, x).min() for x in range(23)] for y in range(19)])
        assert np.array_equal(closing(gray, side), expected)


def test_ink_takes_the_same_share_of_light_in_sun_and_in_shadow() -> None:
    page = np.full((100, 200), 200, np.uint8)
    page[:, 100:] = 100  # a hard shadow
    page[40:46, 20:180] = page[40:46, 20:180] // 4
    layer = lay_paper(page, 31, dark=True)
    assert np.array_equal(layer.paper, np.repeat([[200, 100]], 100, axis=1).repeat(100, axis=0))
    np.testing.assert_allclose(layer.share[40:46, 20:180], 0.75, atol=1e-6)
    assert not layer.share[:40].any()
    light = lay_paper(255 - page, 31, dark=False)
    assert np.array_equal(light.share, layer.share)


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.13])
def test_rulings_go_and_a_thick_stroke_across_them_stays(slope: float) -> None:
    y, x = np.mgrid[:300, :300]
    ruled = np.abs((y - slope * x) % 40 - 20) < 1.1
    squared = ruled | (np.abs((x + slope * y) % 40 - 20) < 1.1)
    stroke = np.zeros((300, 300), bool)
    stroke[90:210, 140:152] = True
    for lines in (ruled, squared):
        left, thickness = remove_rulings(lines | stroke)
        assert 1.5 < thickness < 4
        assert left[lines & ~stroke].mean() < 0.06  # beside the stroke they are as thick as it
        assert left[stroke].mean() > 0.9
    assert remove_rulings(stroke) == (pytest.approx(stroke), 0.0)


def test_color_shows_what_gray_hides_and_is_not_asked_where_gray_shows_it() -> None:
    page = np.empty((120, 120, 3), np.uint8)
    page[:] = (255, 0, 0)  # 76 of gray
    page[30:90, 55:65] = (0, 130, 0)  # also 76
    gray = best_gray(page)
    assert gray is not None
    ink = np.zeros((120, 120), bool)
    ink[30:90, 55:65] = True
    assert int(gray[~ink].min()) - int(gray[ink].max()) > 200
    page[30:90, 55:65] = 255
    assert best_gray(page) is None


def ring(height: int, width: int, thick: int) -> np.ndarray:
    mask = np.ones((height, width), bool)
    mask[thick:-thick, thick:-thick] = False
    return mask


def ellipse(height: int, width: int, thick: float) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return (np.hypot(y, x) <= 1) & (np.hypot(y, x) > 1 - thick)


def is_drawing(crop: np.ndarray, pieces: int = 1) -> bool:
    holes = find_holes(crop, pieces)
    return not (is_filled(crop) or is_box(crop, holes) or is_lattice(crop, holes))


def test_boxes_blocks_and_lattices_are_no_digits_and_rings_and_bars_may_be() -> None:
    y, x = np.mgrid[:100, :100]
    assert not is_drawing(ring(100, 90, 4))
    assert not is_drawing(np.ones((100, 80), bool))
    assert not is_drawing((y % 20 < 3) | (x % 20 < 3))
    assert is_drawing(ellipse(100, 60, 0.2))
    assert is_drawing(np.ones((100, 20), bool))


def test_tables_are_no_digits_nor_is_a_box_around_a_speck() -> None:
    table, speck = ring(100, 90, 4), ring(100, 90, 4)
    table[40:44] = speck[40:44, 40:44] = True
    assert not is_drawing(table)
    assert not is_drawing(speck, 2)


def test_a_filled_loop_is_a_digit_where_nothing_is_lit_unevenly_and_a_filled_page_is_none() -> None:
    six = np.zeros((100, 90), bool)
    six[50:, 10:] = ellipse(50, 80, 1.0)
    six[:80, :18] = True
    assert is_filled(six)
    assert not is_filled(six, blots=True)
    framed = np.ones((100, 90), bool)
    framed[20:80, 40:50] = False
    assert is_filled(framed, blots=True)
