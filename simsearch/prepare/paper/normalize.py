"""A digit's ink -> 28x28 as MNIST has it: longest side 20, center of mass at pixel 14, strokes of its width.

So were MNIST's digits made (LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86(11), 1998). All that is known of 28x28 digits is known here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.prepare.paper.ranks import framed
from simsearch.prepare.paper.surface import edge

Gray = NDArray[np.uint8]  # (H, W), 0 black, 255 white
Ink = NDArray[np.float32]  # (H, W), gray levels above the paper; the paper is 0 plus noise
Mask = NDArray[np.bool_]

SIDE = 28
_DIGIT_SIDE = 20  # MNIST scales the longest side of the ink to this
_CENTRE = 14  # and moves its center of mass to this pixel index
_THIN = 1.0  # pixels of the 28: MNIST's finest strokes, measured by `stroke_width` on enlarged digits,
_WIDTH = 2.2  # and the median
_FINE = 4  # times the resolution of the result, at which thin strokes are drawn again


def looks_like_mnist(gray: Gray) -> bool:
    """Tell whether a picture is already light ink on dark, sized and centered the MNIST way.

    True for all 70,000 MNIST images, whose centers of mass lie in 13.48 to 14.50.
    """
    if gray.shape != (SIDE, SIDE) or gray.max() < 128 or edge(gray).mean() > 16:
        return False
    if not all(_CENTRE - 1 <= center <= _CENTRE + 1 for center in _center_of_mass(gray)):
        return False
    top, bottom, left, right = bounds(gray > 25)
    return 16 <= max(bottom - top, right - left) <= 24


def normalize(ink: Ink, mask: Mask, noise: float) -> Gray | None:
    """Bring ink, cropped to a digit, to 28x28: longest side 20, no thin strokes, centered by mass.

    :param ink: float32 (h, w), in levels of which 255 is the most.
    :param mask: bool (h, w), the ink of which the strokes' width is measured.
    :param noise: Levels up to which ink is paper.
    :return: uint8 (28, 28), light on dark; None where nothing is left above the noise.
    """
    digit = _shrunk(ink, _DIGIT_SIDE)
    stroke = np.where(mask, ink, 0)
    thickness = stroke_width(stroke) * _DIGIT_SIDE / max(ink.shape)
    if thickness < _THIN:
        digit = _thickened(stroke, thickness)
    if digit.max() <= noise:
        return None
    digit = np.where(digit > noise, digit * (255 / digit.max()), 0)
    return _centered(digit.round().astype(np.uint8))


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """BOX shrinks an enlarged MNIST digit back to its own pixels, and is the best on photographs."""
    shrinks = size[0] < image.width or size[1] < image.height
    return image.resize(size, Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)


def _shrunk(ink: Ink, side: int) -> Ink:
    """Resize so that the longer side is this long."""
    height, width = ink.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(resized(Image.fromarray(ink), size))


def stroke_width(ink: Ink) -> float:
    """Width of the strokes in pixels, whatever their strength: twice the ink over the length of its edge."""
    wide = framed(ink)
    down, across = wide[1:, 1:] - wide[:-1, 1:], wide[1:, 1:] - wide[1:, :-1]
    edges = np.sqrt(down * down + across * across).sum()  # twice as fast as `np.hypot`
    return float(2 * ink.sum() / max(edges, 1e-6))


def _thickened(ink: Ink, thickness: float) -> Ink:
    """Draw thin strokes again with a broader pen: a disc along them, as strong in the middle everywhere.

    :param thickness: Width of the strokes in pixels of the result.
    :return: Of the size that `_shrunk` to 20 gives, within rounding.
    """
    radius = (_WIDTH - thickness) / 2 * _FINE
    reach = math.ceil(radius)
    fine = np.pad(_shrunk(ink, _DIGIT_SIDE * _FINE - 2 * reach).clip(0), 2 * reach)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    height, width = (side - 2 * reach for side in fine.shape)
    drawn = np.zeros((height, width), np.float32)
    for (row, column), weight in np.ndenumerate(disc):
        drawn += weight * fine[row : row + height, column : column + width]
    middle = (drawn * drawn).sum() / drawn.sum()
    return _shrunk((drawn / middle).clip(0, 1) * 255, _DIGIT_SIDE)


def _centered(digit: Gray) -> Gray:
    """Paste a digit of at most 20x20 so that its center of mass falls on pixel (14, 14), if it fits."""
    height, width = digit.shape
    y, x = _center_of_mass(digit)
    top = min(max(round(_CENTRE - y), 0), SIDE - height)
    left = min(max(round(_CENTRE - x), 0), SIDE - width)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[top : top + height, left : left + width] = digit
    return pixels


def _center_of_mass(gray: Gray) -> tuple[float, float]:
    """Row and column, in pixel indices, of the mean ink."""
    rows, columns = gray.sum(1, dtype=np.int64), gray.sum(0, dtype=np.int64)
    total = int(rows.sum())
    return float(rows @ np.arange(len(rows))) / total, float(columns @ np.arange(len(columns))) / total


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the true pixels, ends exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
