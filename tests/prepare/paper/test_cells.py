"""cells.py: what is in each cell of a picture, as Pillow's `reduce` has it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from simsearch.prepare.paper.cells import coverage, means

SHAPES = [(8, 12), (9, 12), (8, 13), (31, 17), (5, 40)]


def test_by_hand() -> None:
    mask = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], bool)
    np.testing.assert_array_equal(coverage(mask, 2), [[191, 0], [0, 255]])  # 3 of 4; 0 of 2; 0 of 2; 1 of 1
    np.testing.assert_array_equal(coverage(mask, 1), 255 * mask)
    values = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_array_equal(means(values, 2), [[2, 3.5], [6.5, 8]])
    assert means(values, 1) is values


@pytest.mark.parametrize("cell", [1, 2, 3, 4, 5, 8, 15])
@pytest.mark.parametrize("shape", SHAPES)
def test_pillow_says_the_same(shape: tuple[int, int], cell: int) -> None:
    rng = np.random.default_rng([*shape, cell])
    for share in (0.05, 0.3, 0.5, 0.9):
        mask = rng.random(shape) < share
        reduced = Image.fromarray(mask.view(np.uint8) * np.uint8(255)).reduce(cell)
        more = coverage(mask, cell).astype(int) - np.asarray(reduced)
        assert set(more.ravel().tolist()) <= {
            0,
            1,
        }  # Pillow multiplies by a rounded reciprocal
    values = rng.normal(0, 100, shape).astype(np.float32)
    reduced = Image.fromarray(values).reduce(cell)
    np.testing.assert_allclose(means(values, cell), np.asarray(reduced), rtol=1e-5, atol=1e-4)


def test_a_cell_of_more_pixels_than_a_byte_counts_is_refused() -> None:
    full = np.ones((30, 30), bool)
    assert (coverage(full, 15) == 255).all()
    with pytest.raises(ValueError, match="16 pixels"):
        coverage(full, 16)
