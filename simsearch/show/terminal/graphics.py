"""Pictures as the escape sequences of two terminal graphics protocols, kitty's and sixel.

kitty: https://sw.kovidgoyal.net/kitty/graphics-protocol/ (a PNG in base64 chunks, placed over cells).
sixel: DEC STD 070 chapter 9 (palette, then bands of six rows, one pass a color, runs shortened).
Both leave the cursor where it was; `reserve` makes room below it first.
"""

from __future__ import annotations

import io
import itertools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ESC = "\x1b"
SIXEL_LEVELS = 16  # grays: as many colors as the first sixel terminals had
SIXEL_COLORS = 256  # of pictures in color: as many as xterm and its kin have
_KITTY_CHUNK = 4096  # bytes of base64 in one escape sequence, at most

Grays = NDArray[np.uint8]  # (H, W)
Opaque = NDArray[np.bool_]  # (H, W), False where the terminal's own background shows


def reserve(rows: int) -> str:
    """Scroll so that this many rows are free from the cursor's line on, and return to that line."""
    return "\n" * rows + f"{ESC}[{rows}A"


def forward(columns: int) -> str:
    """Move right without writing, which would erase a picture's cells."""
    return f"{ESC}[{columns}C"


def kitty(colors: NDArray[np.uint8], opaque: Opaque, columns: int, rows: int) -> str:
    """A picture in grays (H, W) or colors (H, W, 3), over `columns` x `rows` cells from the cursor on."""
    import base64

    alpha = np.where(opaque, 255, 0).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([colors, alpha])).save(buffer, "PNG")
    data = base64.standard_b64encode(buffer.getvalue()).decode()
    chunks = [data[start : start + _KITTY_CHUNK] for start in range(0, len(data), _KITTY_CHUNK)]
    parts = []
    for position, chunk in enumerate(chunks):
        keys = f"a=T,f=100,q=2,C=1,c={columns},r={rows}," if position == 0 else ""
        more = int(position + 1 < len(chunks))
        parts.append(f"{ESC}_G{keys}m={more};{chunk}{ESC}\\")
    return "".join(parts)


def sixel(colors: NDArray[np.uint8], opaque: Opaque) -> str:
    """A picture in grays (H, W) or colors (H, W, 3), pixel by pixel, from the cursor on."""
    numbers, palette = _by_gray(colors) if colors.ndim == 2 else _by_color(colors)
    height, width = numbers.shape
    numbers = np.where(opaque, numbers, -1)
    defined = "".join(
        f"#{number};2;{';'.join(str(round(100 * part / 255)) for part in color)}"
        for number, color in enumerate(palette)
    )
    bands = [_band(numbers[top : top + 6]) for top in range(0, height, 6)]
    return f'{ESC}7{ESC}P0;1;0q"1;1;{width};{height}{defined}{"-".join(bands)}{ESC}\\{ESC}8'


def _by_gray(grays: Grays) -> tuple[NDArray[np.int64], list[list[float]]]:
    """The number of each pixel's level, and the levels."""
    levels = np.rint(grays.astype(np.float64) * (SIXEL_LEVELS - 1) / 255).astype(np.int64)
    return levels, [[255 * level / (SIXEL_LEVELS - 1)] * 3 for level in range(SIXEL_LEVELS)]


def _by_color(colors: NDArray[np.uint8]) -> tuple[NDArray[np.int64], list[list[float]]]:
    """The number of each pixel's color, and the colors that stand for all of them."""
    few = Image.fromarray(colors).quantize(SIXEL_COLORS, dither=Image.Dither.NONE)
    numbers = np.asarray(few).astype(np.int64)
    flat = few.getpalette() or []
    palette = [[float(part) for part in flat[start : start + 3]] for start in range(0, len(flat), 3)]
    return numbers, palette[: int(numbers.max(initial=0)) + 1]


def _band(levels: NDArray[np.int64]) -> str:
    """Up to six rows: for each color in them one pass from the left."""
    weights = 1 << np.arange(len(levels))  # the top row is the lowest bit
    passes = []
    for level in np.unique(levels[levels >= 0]):
        bits = weights @ (levels == level)  # (W,)
        passes.append(f"#{level}" + "".join(_run(bit, len(list(run))) for bit, run in _runs(bits)))
    return "$".join(passes)


def _runs(bits: NDArray[np.int64]) -> itertools.groupby[int, int]:
    return itertools.groupby(np.trim_zeros(bits, "b").tolist())


def _run(bits: int, count: int) -> str:
    character = chr(63 + bits)
    return f"!{count}{character}" if count > 3 else character * count
