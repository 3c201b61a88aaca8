"""Small pictures in a terminal: in quadrant blocks, in braille, or by a graphics protocol.

A picture takes 14 x 7 cells, four pixels a cell; one of another size is fitted in. Quadrant blocks show two
colors a cell; without color, and in braille, a picture
is the silhouette of its ink in the terminal's own colors, so it reads on light and dark backgrounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

COLUMNS, ROWS = 14, 7
GAP = 2  # columns between pictures
_QUADRANTS = " ▗▖▄▝▐▞▟▘▚▌▙▀▜▛█"  # 8 = upper left, 4 = upper right, 2 = lower left, 1 = lower right
_BRAILLE_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # Unicode's order of dots
_GRAPHIC_SIDE = 9 * COLUMNS  # pixels of a larger picture as a graphic
_FLAT = 16  # a cell whose grays differ by less is one gray
_INK = 0.4  # of the strongest ink: from here on a silhouette is filled

SIDE = 2 * COLUMNS  # pixels of a picture that fits its cells
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # of ITU-R BT.601, as Pillow has it

Pixels = NDArray[np.uint8]  # (H, W) or (H, W, 3)
Rgb = tuple[int, int, int]


class Rendering(StrEnum):
    """How pictures are shown."""

    BLOCKS = "blocks"
    BRAILLE = "braille"
    KITTY = "kitty"
    SIXEL = "sixel"
    NONE = "none"


@dataclass(frozen=True)
class Canvas:
    """How to draw, and the pixels of a cell (width, height), which sixel needs to know."""

    rendering: Rendering
    cell: tuple[int, int] = (8, 16)


def graphic(pictures: Sequence[Pixels], canvas: Canvas) -> str:
    """A row of pictures as one graphic, which lies on the same cells as blocks would."""
    from simsearch.show.terminal.graphics import kitty, sixel

    shown = [
        fitted(pixels, _GRAPHIC_SIDE if pixels.shape[:2] != (SIDE, SIDE) else SIDE) for pixels in pictures
    ]
    side = max(len(pixels) for pixels in shown)
    shown = [pixels if len(pixels) == side else fitted(pixels, side) for pixels in shown]
    if any(pixels.ndim == 3 for pixels in shown):
        shown = [pixels if pixels.ndim == 3 else np.dstack([pixels] * 3) for pixels in shown]
    gap = np.zeros((side, GAP * side // COLUMNS, *shown[0].shape[2:]), np.uint8)
    parts = [part for pixels in shown for part in (gap, pixels)][1:]
    colors = np.concatenate(parts, axis=1)
    opaque = np.concatenate([np.full(part.shape[:2], part is not gap) for part in parts], axis=1)
    columns = colors.shape[1] // (side // COLUMNS)
    if canvas.rendering is Rendering.KITTY:
        return kitty(colors, opaque, columns, ROWS)
    width, height = columns * canvas.cell[0], ROWS * canvas.cell[1]
    rows = np.arange(height) * colors.shape[0] // height
    across = np.arange(width) * colors.shape[1] // width
    return sixel(colors[rows][:, across], opaque[rows][:, across])


def cells(console: Console, pixels: Pixels, rendering: Rendering) -> list[list[Segment]]:
    """The seven lines of a picture."""
    pixels = fitted(pixels)
    if rendering is Rendering.BRAILLE:
        return [[Segment(line)] for line in braille(pixels)]
    if console.no_color or console.color_system is None:
        return [[Segment(line)] for line in silhouette(pixels)]
    return [_merged(line, console.color_system) for line in shaded(pixels)]


def fitted(pixels: Pixels, side: int = SIDE) -> Pixels:
    """The picture in a square of this side: as it is, or scaled into it on black."""
    if pixels.shape[:2] == (side, side):
        return pixels
    from PIL import Image, ImageOps

    image = ImageOps.pad(Image.fromarray(pixels), (side, side), Image.Resampling.BICUBIC)
    return np.asarray(image)


def silhouette(pixels: Pixels) -> list[str]:
    """Seven lines of quadrant blocks, filled where the picture has ink."""
    ink = _quarters(_gray(pixels))[..., 0]  # (7, 14, 4)
    filled = ink > _INK * max(1.0, float(ink.max()))
    return ["".join(_QUADRANTS[code] for code in row) for row in (filled @ [8, 4, 2, 1]).tolist()]


def braille(pixels: Pixels) -> list[str]:
    """Seven lines of braille, a dot where a pixel is ink."""
    grays = _gray(pixels)
    filled = grays > _INK * max(1, int(grays.max()))
    dots = filled.reshape(ROWS, 4, COLUMNS, 2).transpose(0, 2, 1, 3)  # (7, 14, 4, 2)
    return [
        "".join(chr(0x2800 + code) for code in row) for row in (dots * _BRAILLE_BITS).sum((2, 3)).tolist()
    ]


def shaded(pixels: Pixels) -> list[list[tuple[str, Rgb, Rgb]]]:
    """Seven lines of fourteen cells: a quadrant block, the color of its block, the color behind it."""
    quarters = _quarters(pixels)  # (7, 14, 4, 1 or 3)
    grays = quarters[..., 0] if quarters.shape[-1] == 1 else quarters @ _LUMINANCE  # (7, 14, 4)
    low, high = grays.min(2, keepdims=True), grays.max(2, keepdims=True)
    on = ((grays > (low + high) / 2) & (high - low >= _FLAT))[..., None]
    front = (quarters * on).sum(2) / np.maximum(on.sum(2), 1)
    back = (quarters * ~on).sum(2) / np.maximum((~on).sum(2), 1)
    codes = on[..., 0] @ [8, 4, 2, 1]
    return [
        [(_QUADRANTS[code], _rgb(f), _rgb(b)) for code, f, b in zip(*line, strict=True)]
        for line in zip(codes.tolist(), front.tolist(), back.tolist(), strict=True)
    ]


def _rgb(color: Sequence[float]) -> Rgb:
    red, green, blue = (round(part) for part in (color if len(color) == 3 else [color[0]] * 3))
    return red, green, blue


def _gray(pixels: Pixels) -> Pixels:
    """Grays, uint8 (H, W), of a picture in grays or colors."""
    if pixels.ndim == 2:
        return pixels
    grays: Pixels = (pixels @ _LUMINANCE).round().astype(np.uint8)
    return grays


def _quarters(pixels: Pixels) -> NDArray[np.float64]:
    """Mean color of each cell's upper left and right, lower left and right, float64 (7, 14, 4, C)."""
    planes = pixels.reshape(*pixels.shape[:2], -1)
    means: NDArray[np.float64] = planes.reshape(ROWS * 2, 2, COLUMNS * 2, -1).mean(1)  # (14, 28, C)
    cells = means.reshape(ROWS, 2, COLUMNS, 2, -1).transpose(0, 2, 1, 3, 4)
    return cells.reshape(ROWS, COLUMNS, 4, -1)


def _merged(line: Sequence[tuple[str, Rgb, Rgb]], colors: str) -> list[Segment]:
    """Cells of the same colors as one segment."""
    return [
        Segment("".join(block for block, _, _ in run), _style(*pair, colors))
        for pair, run in ((key, list(cells)) for key, cells in groupby(line, key=lambda cell: cell[1:]))
    ]


@lru_cache(maxsize=2**14)
def _style(front: Rgb, back: Rgb, _colors: str) -> Style:
    """Color on color; one for each number of colors, for a Style keeps the codes it is first drawn with."""
    return Style(color=Color.from_rgb(*front), bgcolor=Color.from_rgb(*back))
