"""The paper as a smooth surface of gray, so that a page lit unevenly is level; no shadows, no desk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.prepare.paper.ranks import median

Gray = NDArray[np.uint8]  # (H, W)
Levels = NDArray[np.float32]  # (H, W), gray levels
_Values = NDArray[np.float64]

_SAMPLES = 32  # points a side at which the paper is looked at
_ROUNDS = 4
_FLAT = 2  # gray levels by which the border of a drawing program's paper differs from its median


@dataclass(frozen=True, eq=False)
class Surface:
    """A quadratic surface, and how far what is near it lies from it."""

    terms: _Values  # (6,): of 1, x, x^2, y, yx, y^2
    noise: float = 0.0  # standard deviation

    def at(self, y: NDArray[np.float32], x: NDArray[np.float32]) -> Levels:
        """Its levels at the crossings of rows and columns, float32 (H, W)."""
        one, of_x, of_xx, of_y, of_yx, of_yy = self.terms.astype(np.float32)
        y = y[:, None]
        levels: Levels = (one + y * (of_y + y * of_yy)) + x * ((of_x + y * of_yx) + of_xx * x)
        return levels


def fit_paper(gray: Gray) -> tuple[Levels, float]:
    """Fit a quadratic surface to the paper, so that a page lit unevenly is level afterwards.

    Where the whole border is of one gray, so is the paper. Otherwise it is first taken to be all that lies
    near the border's median; then, because a picture cropped to the ink has much ink there, what lies very
    near one of the picture's two grays: the one with more of the border and of the whole. Of the two
    surfaces, the one that has more of both near it is returned.

    :return: The paper's gray levels, float32 (H, W), and the standard deviation of its noise.
    """
    border = edge(gray)
    level = median(border)
    if np.abs(border - level).max() <= _FLAT:
        return np.full(gray.shape, level, np.float32), 0.0
    step = max(1, max(gray.shape) // _SAMPLES)
    y, x = places(gray.shape)
    sampled, grays = (y[::step], x[::step]), gray[::step, ::step].astype(np.float64)
    dark, light = two_grays(gray)

    reach = np.ptp(gray) / 8

    def share(near_edge: NDArray[np.bool_], near: NDArray[np.bool_]) -> float:
        return float(near_edge.mean() + near.mean()) / 2

    def near(surface: Surface) -> float:
        ends = [surface.at(*line) for line in ((y[[0, -1]], x), (y, x[[0, -1]]))]
        along = np.concatenate((ends[0].ravel(), ends[1].T.ravel()))
        return share(np.abs(border - along) < reach, np.abs(grays - surface.at(*sampled)) < reach)

    middle = (dark + light) / 2
    common = light if share(border > middle, grays > middle) > 0.5 else dark
    residuals = np.abs(grays - level)
    first = _fit_surface(grays, sampled, level, max(float(residuals.max()) / 2, median(residuals)))
    second = _fit_surface(grays, sampled, common, (light - dark) / 4)
    best = max(first, second, key=near)
    return best.at(y, x), best.noise


def edge(gray: NDArray[np.generic]) -> NDArray[np.float32]:
    """The outermost pixels, float32 (2W + 2H,): top, bottom, left, right."""
    return np.concatenate((gray[0], gray[-1], gray[:, 0], gray[:, -1])).astype(np.float32)


def _fit_surface(
    grays: _Values, sampled: tuple[NDArray[np.float32], NDArray[np.float32]], level: float, limit: float
) -> Surface:
    """Fit a quadratic surface to the grays within a limit of a level; each round drops what lies far from it.

    :param grays: Samples, (H', W').
    :param sampled: Their rows and columns, each in -1 to 1.
    """
    terms = surface_terms(*sampled)  # (S, 6)
    samples = grays.ravel()  # (S,)
    residuals, noise = np.abs(samples - level), 0.0
    limit = max(limit, float(residuals.min()))  # never leaves nothing
    surface: _Values = np.zeros(6)
    for _ in range(_ROUNDS):
        kept = residuals <= limit
        near, levels = terms[kept], samples[kept]
        surface = np.asarray(np.linalg.lstsq(near.T @ near, near.T @ levels)[0])  # they are small
        residuals = np.abs(samples - terms @ surface)
        noise = 1.4826 * median(residuals[kept])
        limit = 3 * noise + 0.5
    return Surface(surface, noise)


def surface_terms(y: NDArray[np.float32], x: NDArray[np.float32]) -> _Values:
    """What a quadratic surface is the sum of, at the crossings of rows and columns: float64 (H W, 6)."""
    down, across = (line.astype(np.float64) for line in np.meshgrid(y, x, indexing="ij"))
    terms = [np.ones_like(across), across, across * across, down, down * across, down * down]
    return np.stack(terms, axis=-1).reshape(-1, 6)


def places(shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The rows and columns of a picture, each in -1 to 1."""
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape)
    return y, x


def two_grays(gray: Gray) -> tuple[float, float]:
    """Mean grays of the dark and the light class, at the threshold of Otsu ("A threshold selection method
    from gray-level histograms", 1979)."""
    counts = np.array(Image.fromarray(np.atleast_2d(gray)).histogram(), np.float64)
    below, sums = counts.cumsum()[:-1], (counts * np.arange(256)).cumsum()  # of grays up to each threshold
    above, rest = counts.sum() - below, sums[-1] - sums[:-1]
    split = (below > 0) & (above > 0)
    dark, light = (
        np.divide(a, b, out=np.zeros(255), where=split) for a, b in ((sums[:-1], below), (rest, above))
    )
    best = int(np.argmax(below * above * (light - dark) ** 2))
    return float(dark[best]), float(light[best])
