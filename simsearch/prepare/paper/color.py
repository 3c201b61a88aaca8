"""Ink and paper of different colors that are the same gray: the direction of color that tells them apart.

It is the principal axis (Pearson, "On lines and planes of closest fit to systems of points in space",
Philosophical Magazine 2(11), 1901) of what each pixel differs from its surroundings by.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from simsearch.prepare.paper.ranks import median, quantiles

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's gray
_SIDE = 128  # pixels a side at which colors are compared
_BLUR = 0.12  # of the side: the surroundings
_HIDDEN = 0.4  # gray shows less than this share of what color shows
_LEAST = 2.5  # levels by which colors differ in the mean: less is noise of the chroma


def best_gray(rgb: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Project colors on the axis that shows the ink, where gray hides it.

    :param rgb: uint8 (H, W, 3).
    :return: uint8 (H, W), mostly light; None where gray shows the ink well enough.
    """
    picture = Image.fromarray(rgb)
    small = picture.reduce(max(1, max(picture.size) // _SIDE))
    around = small.filter(ImageFilter.BoxBlur(_BLUR * max(small.size)))
    differs = (np.asarray(small, np.float64) - np.asarray(around, np.float64)).reshape(-1, 3)
    covariance = differs.T @ differs / len(differs)
    values, axes = np.linalg.eigh(covariance)
    axis = axes[:, -1]
    spread = float(np.sqrt(values[-1] / 3))  # gray noise of variance v has 3v along its axis
    shown = float(np.sqrt(_LUMA @ covariance @ _LUMA))
    if spread < _LEAST or shown > _HIDDEN * spread:
        return None
    along = rgb.astype(np.float32) @ axis.astype(np.float32)
    low, high = quantiles(along[::2, ::2], 0.001, 0.999)
    gray = ((along - low) * (255 / max(high - low, 1e-3))).clip(0, 255).astype(np.uint8)
    light: NDArray[np.uint8] = gray if median(gray) > 127 else 255 - gray
    return light
