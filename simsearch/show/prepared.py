"""The steps of preparing a picture, side by side on one sheet: what was taken for paper, ink, digit."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_SIDE, _CAPTION, _GAP = 224, 18, 8
_BACKGROUND, _TEXT = 255, 0


def steps_sheet(steps: Sequence[tuple[str, NDArray[np.uint8]]]) -> bytes:
    """A PNG with a tile for each step: its name, and its pixels, uint8 (H, W), fitted into a square."""
    width = _GAP + len(steps) * (_SIDE + _GAP)
    sheet = Image.new("L", (width, _CAPTION + _SIDE + 2 * _GAP), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for place, (name, pixels) in enumerate(steps):
        left = _GAP + place * (_SIDE + _GAP)
        scale = _SIDE / max(pixels.shape)
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        pen.text((left, _GAP // 2), name, fill=_TEXT)
        sheet.paste(Image.fromarray(pixels).resize(size, way), (left, _CAPTION + _GAP))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
