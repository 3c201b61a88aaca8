"""What all kinds of outliers have in common: a canvas, a pen, and the form of their makers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from simsearch.prepare.prepare import Images

CANVAS = 280  # pixels a side
_ENLARGED = 6  # times the side

Picture: TypeAlias = Image.Image  # gray, light on dark
Rng: TypeAlias = np.random.Generator
Maker: TypeAlias = Callable[[Images, NDArray[np.int64], Rng], Picture]
"""Known pictures, uint8 (N, H, W), and their classes, int64 (N,) -> one picture of no class."""


def sheet() -> tuple[Picture, ImageDraw.ImageDraw]:
    """An empty canvas, and a pen on it."""
    picture = Image.new("L", (CANVAS, CANVAS))
    return picture, ImageDraw.Draw(picture)


def enlarged(pixels: NDArray[np.uint8]) -> Picture:
    """A small picture, uint8 (H, W), as a drawing of the size that people make."""
    height, width = pixels.shape
    size = (width * _ENLARGED, height * _ENLARGED)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
