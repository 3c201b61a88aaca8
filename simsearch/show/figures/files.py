"""Figures as files: the same data give the same bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from simsearch.errors import BadInputError
from simsearch.files import write_atomically

DPI = 150
_MOST_PIXELS = 100_000_000
_NO_DATES: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def render(figure: Figure, form: str = "png", *, dpi: int = DPI) -> bytes:
    """A figure as the content of a file; `form` is png, svg or pdf.

    :raises BadInputError: If a PNG would have more than 100 million pixels.
    """
    wide, high = figure.get_size_inches() * dpi
    if form == "png" and wide * high > _MOST_PIXELS:
        raise BadInputError(
            f"a picture of {wide:,.0f} x {high:,.0f} pixels is too large",
            hint="choose a smaller --width, --height or --dpi, or write an .svg",
        )
    settings: Any = {"svg.hashsalt": "simsearch", "svg.fonttype": "path", "pdf.fonttype": 42}
    extra: Any = {"pil_kwargs": {"optimize": True}} if form == "png" else {}
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure.savefig(
            buffer,
            format=form,
            dpi=dpi,
            facecolor=figure.get_facecolor(),
            metadata=_NO_DATES[form],
            **extra,
        )
    return buffer.getvalue()


def save(figure: Figure, path: Path, *, dpi: int = DPI) -> None:
    """Write a figure in the format that its name ends in, in one step.

    :raises BadInputError: If it cannot be written.
    """
    write_atomically(path, render(figure, path.suffix.lower().removeprefix("."), dpi=dpi))
