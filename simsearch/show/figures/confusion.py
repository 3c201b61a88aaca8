"""Which classes are taken for which: the class of each query against the class of its nearest item."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from simsearch.show.figures.sheet import HEADER, MARGIN, PLAIN, Color, Sheet, Style
from simsearch.show.figures.theme import text_on

MOST_CLASSES = 20
_CELL = 0.6  # inches
_NAME = 1.5  # inches that a class's name may take


def confusion_figure(
    confusion: ArrayLike, classes: Sequence[str], style: Style = PLAIN, *, about: str = ""
) -> Figure:
    """The counts as a matrix; only errors are shaded, so that they are seen beside the full diagonal.

    :param confusion: Counts (C, C): [class of the query][class of its nearest item].
    :param classes: Their names; of more than 20, the 20 with most errors are shown.
    """
    counts = np.asarray(confusion, np.int64)  # (C, C)
    shown = _most_confused(counts)
    kept = counts[np.ix_(shown, shown)]
    errors = int(counts.sum() - np.trace(counts))
    names = [classes[number] for number in shown]
    probe = Sheet(style, 8.0, 8.0)
    name = min(_NAME, max(probe.text_width(text, weight="bold") for text in names)) + 0.15
    slanted = any(probe.text_width(text, weight="bold") > _CELL - 0.05 for text in names)
    above = (name if slanted else 0.25) + 0.35
    side = len(shown) * _CELL
    body = max(side, 1.7)  # that the name of the axis takes
    left = MARGIN + 0.35 + name
    sheet = Sheet(style, max(left + side + MARGIN, 6.5), HEADER + above + body + 0.2)
    title = f"{errors:,} of {counts.sum():,} nearest items are of another class"
    more = f" ({len(shown)} of {len(counts)} classes)" if len(shown) < len(counts) else ""
    sheet.header(title, about + more)
    left += (sheet.width - left - side - MARGIN) / 2
    top = HEADER + above
    muted = sheet.theme.muted
    sheet.text(left + side / 2, HEADER + 0.15, "class of the nearest item", color=muted, ha="center")
    sheet.text(
        left - name - 0.1,
        top + body / 2,
        "class of the query",
        color=muted,
        ha="right",
        va="center",
        rotation=90,
    )
    shown_names = sheet.fit_apart({text: text for text in names}, name - 0.1, weight="bold")
    for place, text in enumerate(names):
        middle = (place + 0.5) * _CELL
        fitted = shown_names[text]
        sheet.text(left - 0.1, top + middle, fitted, weight="bold", ha="right", va="center")
        sheet.text(
            left + middle,
            top - 0.1,
            fitted,
            weight="bold",
            ha="center",
            va="bottom",
            rotation=90 if slanted else 0,
        )
    _draw_cells(sheet, left, top, kept)
    return sheet.figure


def _most_confused(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows to show, ascending: those with most errors, as query or as nearest item."""
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    chosen: NDArray[np.int64] = np.sort(np.argsort(-errors, kind="stable")[:MOST_CLASSES])
    return chosen


def _draw_cells(sheet: Sheet, left: float, top: float, counts: NDArray[np.int64]) -> None:
    most = max(1, int((counts - np.diag(np.diag(counts))).max()))
    for (row, column), count in np.ndenumerate(counts):
        x, y = left + column * _CELL, top + row * _CELL
        on_diagonal = row == column
        fill: Color = sheet.theme.panel if on_diagonal else sheet.theme.page
        if count and not on_diagonal:
            fill = _shade(sheet, int(count), most)
        sheet.box(x, y, _CELL, _CELL, fill=fill, edge=sheet.theme.rule, line=0.6)
        if count:
            sheet.text(
                x + _CELL / 2,
                y + _CELL / 2,
                f"{count}" if count < 100_000 else f"{count / 1000:.0f}k",
                size=11 if count < 10_000 else 9,
                color=sheet.theme.muted if on_diagonal else text_on(fill),
                weight="normal" if on_diagonal else "bold",
                ha="center",
                va="center",
            )


def _shade(sheet: Sheet, count: int, most: int) -> Color:
    """The color of a count of errors: the first shade for 1, the last for `most`, between by the root."""
    shades = LinearSegmentedColormap.from_list("errors", sheet.theme.heat, N=4096)
    red, green, blue, _ = shades((math.sqrt(count) - 1) / (math.sqrt(most) - 1) if most > 1 else 1.0)
    return red, green, blue
