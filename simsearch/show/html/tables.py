"""Tables and pictures of an HTML report as data; `report.html.jinja` writes and escapes them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.prepare import png_bytes


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
    """Gray pixels, uint8 (H, W), as the address of an image that is part of the document."""
    return f"data:image/png;base64,{base64.b64encode(png_bytes(pixels)).decode()}"
