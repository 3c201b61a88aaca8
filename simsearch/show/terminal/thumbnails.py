"""28x28 pictures in a terminal: in quadrant blocks, in braille, or by a graphics protocol.

A picture takes 14 x 7 cells. Quadrant blocks show two grays a cell; without color, and in braille, a picture
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

from simsearch.show.terminal.graphics import kitty, sixel

COLUMNS, ROWS = 14, 7
GAP = 2  # columns between pictures
_QUADRANTS = " ▗▖▄▝▐▞▟▘▚▌▙▀▜▛█"  # 8 = upper left, 4 = upper right, 2 = lower left, 1 = lower right
_BRAILLE_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # Unicode's order of dots
_FLAT = 16  # a cell whose grays differ by less is one gray
_INK = 0.4  # of the strongest ink: from here on a silhouette is filled

Pixels = NDArray[np.uint8]  # (28, 28)


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
    per_column = pictures[0].shape[1] // COLUMNS
    gap = np.zeros((pictures[0].shape[0], GAP * per_column), np.uint8)
    parts = [part for pixels in pictures for part in (gap, pixels)][1:]
    grays = np.concatenate(parts, axis=1)
    opaque = np.concatenate([np.full(part.shape, part is not gap) for part in parts], axis=1)
    columns = grays.shape[1] // per_column
    if canvas.rendering is Rendering.KITTY:
        return kitty(grays, opaque, columns, ROWS)
    width, height = columns * canvas.cell[0], ROWS * canvas.cell[1]
    rows = np.arange(height) * grays.shape[0] // height
    across = np.arange(width) * grays.shape[1] // width
    return sixel(grays[rows][:, across], opaque[rows][:, across])


def cells(console: Console, pixels: Pixels, rendering: Rendering) -> list[list[Segment]]:
    """The seven lines of a picture."""
    if rendering is Rendering.BRAILLE:
        return [[Segment(line)] for line in braille(pixels)]
    if console.no_color or console.color_system is None:
        return [[Segment(line)] for line in silhouette(pixels)]
    return [_merged(line, console.color_system) for line in shaded(pixels)]


def silhouette(pixels: Pixels) -> list[str]:
    """Seven lines of quadrant blocks, filled where the picture has ink."""
    ink = _quarters(pixels)  # (7, 14, 4)
    filled = ink > _INK * max(1.0, float(ink.max()))
    return ["".join(_QUADRANTS[code] for code in row) for row in (filled @ [8, 4, 2, 1]).tolist()]


def braille(pixels: Pixels) -> list[str]:
    """Seven lines of braille, a dot where a pixel is ink."""
    filled = pixels > _INK * max(1, int(pixels.max()))
    dots = filled.reshape(ROWS, 4, COLUMNS, 2).transpose(0, 2, 1, 3)  # (7, 14, 4, 2)
    return [
        "".join(chr(0x2800 + code) for code in row) for row in (dots * _BRAILLE_BITS).sum((2, 3)).tolist()
    ]


def shaded(pixels: Pixels) -> list[list[tuple[str, int, int]]]:
    """Seven lines of fourteen cells: a quadrant block, the gray of its block, the gray behind it."""
    quarters = _quarters(pixels)  # (7, 14, 4)
    low, high = quarters.min(2, keepdims=True), quarters.max(2, keepdims=True)
    on = (quarters > (low + high) / 2) & (high - low >= _FLAT)
    front = (quarters * on).sum(2) / np.maximum(on.sum(2), 1)
    back = (quarters * ~on).sum(2) / np.maximum((~on).sum(2), 1)
    codes = on @ [8, 4, 2, 1]
    return [
        [(_QUADRANTS[code], round(f), round(b)) for code, f, b in zip(*line, strict=True)]
        for line in zip(codes.tolist(), front.tolist(), back.tolist(), strict=True)
    ]


def _quarters(pixels: Pixels) -> NDArray[np.float64]:
    """Mean gray of each cell's upper left, upper right, lower left and lower right, float64 (7, 14, 4)."""
    means: NDArray[np.float64] = pixels.reshape(ROWS * 2, 2, COLUMNS * 2, 1).mean((1, 3))  # (14, 28)
    return means.reshape(ROWS, 2, COLUMNS, 2).transpose(0, 2, 1, 3).reshape(ROWS, COLUMNS, 4)


def _merged(line: Sequence[tuple[str, int, int]], colors: str) -> list[Segment]:
    """Cells of the same grays as one segment."""
    return [
        Segment("".join(block for block, _, _ in run), _style(*grays, colors))
        for grays, run in ((key, list(cells)) for key, cells in groupby(line, key=lambda cell: cell[1:]))
    ]


@lru_cache(maxsize=2**14)
def _style(front: int, back: int, _colors: str) -> Style:
    """Gray on gray; one for each number of colors, for a Style keeps the codes it is first drawn with."""
    return Style(color=Color.from_rgb(front, front, front), bgcolor=Color.from_rgb(back, back, back))
