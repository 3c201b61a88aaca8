"""The paper as a smooth surface of grey, so that a page lit unevenly is level; no shadows, no desk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]  # (H, W)
Levels = NDArray[np.float32]  # (H, W), grey levels

_SAMPLES = 32  # points a side at which the paper is looked at
_ROUNDS = 4
_FLAT = 2  # grey levels by which the border of a drawing program's paper differs from its median


def fit_paper(grey: Grey) -> tuple[Levels, float]:
    """Fit a quadratic surface to the paper, so that a page lit unevenly is level afterwards.

    Where the whole border is of one grey, so is the paper. Otherwise it is first taken to be all that lies
    near the border's median; then, because a picture cropped to the ink has much ink there, what lies very
    near one of the picture's two greys: the one with more of the border and of the whole. Of the two
    surfaces, the one that has more of both near it is returned.

    :return: The paper's grey levels, float32 (H, W), and the standard deviation of its noise.
    """
    border = edge(grey)
    middle = median(border)
    if np.abs(border - middle).max() <= _FLAT:
        return np.full(grey.shape, middle, np.float32), 0.0
    step = max(1, max(grey.shape) // _SAMPLES)
    dark, light = two_greys(grey)

    def share(of: NDArray[np.bool_]) -> float:
        return float(edge(of).mean() + of[::step, ::step].mean()) / 2

    residuals = np.abs(grey[::step, ::step] - middle)
    common = light if share(grey > (dark + light) / 2) > 0.5 else dark
    first = _fit_surface(grey, middle, max(residuals.max() / 2, median(residuals)))
    second = _fit_surface(grey, common, (light - dark) / 4)
    return max(first, second, key=lambda fit: share(np.abs(grey - fit[0]) < np.ptp(grey) / 8))


def edge(grey: NDArray[np.generic]) -> NDArray[np.float32]:
    """The outermost pixels, float32 (2W + 2H,): top, bottom, left, right."""
    return np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1])).astype(np.float32)


def _fit_surface(grey: Grey, level: float, limit: float) -> tuple[Levels, float]:
    """Fit a quadratic surface to the greys within a limit of a level; each round drops what lies far from it.

    :return: The surface, float32 (H, W), and the standard deviation of what is near it.
    """
    step = max(1, max(grey.shape) // _SAMPLES)
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in grey.shape)
    samples = grey[::step, ::step].astype(np.float64).ravel()  # (S,)
    rows, columns = (part.ravel() for part in np.meshgrid(y[::step], x[::step], indexing="ij"))  # (S,)
    powers = (np.ones_like(rows), columns, columns * columns, rows, rows * columns, rows * rows)
    terms = np.stack(powers, axis=1)  # (S, 6)
    residuals, noise = np.abs(samples - level), 0.0
    limit = max(limit, float(residuals.min()))  # never leaves nothing
    for _ in range(_ROUNDS):
        near, seen = terms[residuals <= limit], samples[residuals <= limit]
        surface = np.linalg.lstsq(near.T @ near, near.T @ seen)[0]  # the normal equations are small
        noise = 1.4826 * median(np.abs(seen - near @ surface))
        residuals, limit = np.abs(samples - terms @ surface), 3 * noise + 0.5
    flat, x1, x2, y1, yx, y2 = surface.astype(np.float32)
    levels = (flat + y * (y1 + y * y2))[:, None] + x * ((x1 + y * yx)[:, None] + x * x2)  # by Horner
    return levels, noise


def median(values: NDArray[Any]) -> float:
    """The middle one of some values, or the mean of the middle two, as `np.median`, which loads a module of
    masked arrays first.
    """
    middle = [(values.size - 1) // 2, values.size // 2]
    return float(np.partition(values, middle, axis=None)[middle].mean())


def two_greys(grey: Grey) -> tuple[float, float]:
    """Mean greys of the dark and the light class, at the threshold of Otsu ("A threshold selection method
    from gray-level histograms", 1979)."""
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    below, sums = counts.cumsum()[:-1], (counts * np.arange(256)).cumsum()  # of greys up to each threshold
    above, rest = counts.sum() - below, sums[-1] - sums[:-1]
    split = (below > 0) & (above > 0)
    dark, light = (
        np.divide(a, b, out=np.zeros(255), where=split) for a, b in ((sums[:-1], below), (rest, above))
    )
    best = int(np.argmax(below * above * (light - dark) ** 2))
    return float(dark[best]), float(light[best])
