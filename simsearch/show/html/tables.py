"""Tables and pictures of an HTML report as data; templates write and escape them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.prepare.prepare import png_bytes

_QUALITY = 80  # of WebP


@dataclass(frozen=True)
class Cell:
    """A cell's text, and what it is: the `class` of its element."""

    text: str
    css: str = ""


@dataclass(frozen=True)
class Table:
    """Rows below their headings; the first column names the rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    css: str = "figures"


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[tuple[str, Sequence[Cell | str | float | None]]],
    css: str = "figures",
) -> Table:
    """A table of cells, texts, counts (int) and rates (float); None is a value that there is not."""
    return Table(
        caption, tuple(columns), tuple((name, tuple(map(as_cell, values))) for name, values in rows), css
    )


def as_cell(value: Cell | str | float | None) -> Cell:
    """A value as it is written in a cell."""
    return value if isinstance(value, Cell) else Cell(as_text(value))


def as_text(value: str | float | None) -> str:
    """A text, a count (int) or a rate (float) as it is written; "none" for None."""
    if value is None:
        return "none"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if isinstance(value, float) else value


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Pixels as the address of an image that is part of the document: gray ones as PNG, color as WebP.

    :param pixels: uint8 (H, W) or (H, W, 3).
    """
    kind, content = ("png", png_bytes(pixels)) if pixels.ndim == 2 else ("webp", _webp(pixels))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _webp(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=_QUALITY)
    return file.getvalue()
