"""ranks.py: the values that NumPy gives, without what NumPy loads for them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from simsearch.prepare.paper.ranks import framed, median, quantiles


@pytest.mark.parametrize("size", [1, 2, 5, 100, 1001])
def test_quantiles_are_those_of_numpy(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size)
    shares = (0.0, 0.001, 0.25, 0.5, 0.8, 0.98, 1.0)
    np.testing.assert_allclose(quantiles(values, *shares), np.quantile(values, shares), rtol=1e-12)
    assert median(values) == pytest.approx(np.median(values), rel=1e-12)
    whole = (100 * values).astype(np.int16).reshape(1, -1)
    assert quantiles(whole, *shares) == pytest.approx(np.quantile(whole, shares))


def test_a_frame_is_of_zeros() -> None:
    values = np.arange(1, 7).reshape(2, 3)
    assert np.array_equal(framed(values, 2), np.pad(values, 2))


def test_preparing_a_page_loads_no_masked_arrays() -> None:
    code = (
        "import sys, numpy as np; from simsearch.prepare.prepare import prepare_image;"
        "y, x = np.mgrid[:300, :300];"
        "page = np.where(y % 30 < 2, 60, 230 - x // 5).astype(np.uint8); page[80:220, 140:150] = 20;"
        "print(prepare_image(page).notes); print('numpy.ma' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "lines across the page left out" in said.splitlines()[0]
    assert said.splitlines()[1] == "False"
