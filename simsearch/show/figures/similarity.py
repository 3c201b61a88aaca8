"""One query beside its best example of every class, from the least similar (red) to the most (green)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simsearch.errors import BadInputError
from simsearch.search.answers import Answer
from simsearch.search.searcher import Searcher
from simsearch.show.figures.sheet import BODY, HEADER, MARGIN, PLAIN, Sheet, Style
from simsearch.show.figures.theme import SIMILARITY, similarity_color, text_on
from simsearch.text import percent

MOST_CLASSES = 20
_QUERY = 2.0  # inches of the query's side
_TILE, _TILE_HEIGHT, _GAP = 1.42, 2.12, 0.14
_COLUMNS = 5
_BAR = 0.22


@dataclass(frozen=True, eq=False)
class Example:
    """A class's item that is most similar to the query."""

    label: str
    pixels: NDArray[np.uint8]  # (H, W)
    score: float  # cosine similarity
    probability: float | None  # that query and item show the same class


def best_examples(searcher: Searcher, answer: Answer) -> tuple[Example, ...]:
    """The best item of every class, most similar first.

    :raises BadInputError: If the gallery has no labels.
    """
    if not answer.classes:
        raise BadInputError(
            f"the index {searcher.bundle.manifest.name} has no labels, so there are no classes to show",
            hint="`simsearch figure retrieval` needs none; or build an index with one sub-folder a class",
        )
    ranked = sorted(answer.classes, key=lambda row: -row.best)
    return tuple(
        Example(row.label, searcher.thumbnail(row.example), row.best, row.probability) for row in ranked
    )


def similarity_figure(
    query: NDArray[np.uint8], examples: Sequence[Example], style: Style = PLAIN, *, name: str = "the query"
) -> Figure:
    """The query on the left, the examples in order of their cosine, a scale of the colors below.

    :param query: The picture as the network sees it, uint8 (H, W).
    :param examples: At least one; the first 20 are shown.
    :raises ValueError: If there is no example.
    """
    if not examples:
        raise ValueError("there must be at least one example")
    shown = sorted(examples, key=lambda example: -example.score)[:MOST_CLASSES]
    rows = -(-len(shown) // _COLUMNS)
    tiles = _COLUMNS * _TILE + (_COLUMNS - 1) * _GAP
    body = max(rows * (_TILE_HEIGHT + _GAP) - _GAP, _QUERY + 0.9)
    sheet = Sheet(style, 2 * MARGIN + _QUERY + 0.5 + tiles, HEADER + body + _GAP + 0.95)
    what = f"best example of each class of {len(examples):,}, by cosine similarity"
    if len(shown) < len(examples):
        what += f" (the first {len(shown)})"
    sheet.header("What the picture resembles", what)
    spare = sheet.width - 2 * MARGIN - _QUERY - 0.5 - tiles
    low = min(0.0, min(example.score for example in shown))
    _draw_query(sheet, MARGIN + spare / 3, HEADER + body / 2, query, name)
    left = sheet.width - MARGIN - tiles - spare / 3
    for place, example in enumerate(shown):
        row, column = divmod(place, _COLUMNS)
        x, y = left + column * (_TILE + _GAP), HEADER + row * (_TILE_HEIGHT + _GAP)
        _draw_example(sheet, x, y, place + 1, example, low)
    _draw_scale(sheet, left, HEADER + body + _GAP + 0.12, tiles, shown, low)
    return sheet.figure


def _draw_query(sheet: Sheet, x: float, middle: float, query: NDArray[np.uint8], name: str) -> None:
    top = middle - _QUERY / 2 - 0.1
    sheet.picture(x, top, _QUERY, query)
    sheet.box(x - 0.04, top - 0.04, _QUERY + 0.08, _QUERY + 0.08, edge=sheet.theme.ink, line=1.5)
    sheet.text(x + _QUERY / 2, top - 0.16, "query", size=12, weight="bold", ha="center")
    below = sheet.fit(name, _QUERY + 0.2, 10)
    sheet.text(x + _QUERY / 2, top + _QUERY + 0.27, below, size=10, color=sheet.theme.muted, ha="center")


def _draw_example(sheet: Sheet, x: float, y: float, rank: int, example: Example, low: float) -> None:
    color = similarity_color(example.score, low)
    ink = text_on(color)
    side = _TILE - 0.28
    sheet.box(x, y, _TILE, _TILE_HEIGHT, fill=color, rounding=0.07)
    sheet.text(x + 0.14, y + 0.25, f"{rank}", size=10, color=ink)
    label = f"class {example.label}"
    if sheet.text_width(label, BODY, "bold") > side - 0.3:
        label = sheet.fit(example.label, side - 0.3, BODY, "bold")
    sheet.text(x + _TILE - 0.14, y + 0.25, label, weight="bold", color=ink, ha="right")
    sheet.picture(x + 0.14, y + 0.36, side, example.pixels)
    center = x + _TILE / 2
    sheet.text(center, y + 1.77, f"{example.score:.3f}", size=14, weight="bold", color=ink, ha="center")
    if example.probability is not None:
        sheet.text(center, y + 1.99, percent(example.probability), size=10, color=ink, ha="center")


def _draw_scale(
    sheet: Sheet, x: float, y: float, width: float, examples: Sequence[Example], low: float
) -> None:
    """A bar of the colors with its numbers, and a tick above it for each example."""
    steps = 256
    colors = SIMILARITY(np.linspace(0, 1, steps))[None, :, :3]
    bar = sheet.picture(x, y, 1, np.zeros((1, 1)))
    bar.set_data(colors)
    bar.set_extent((x, x + width, y + _BAR, y))
    for example in examples:
        at = x + width * (example.score - low) / (1 - low)
        sheet.polygon([(at - 0.05, y - 0.1), (at + 0.05, y - 0.1), (at, y)], sheet.theme.ink, "none", 0)
    for tick in np.linspace(-1, 1, 9):
        if low <= tick + 1e-9:
            at = x + width * (tick - low) / (1 - low)
            sheet.text(at, y + _BAR + 0.2, f"{tick:g}", size=10, color=sheet.theme.muted, ha="center")
    claimed = any(example.probability is not None for example in examples)
    caption = "large: cosine similarity" + ("; below it: probability of one class" if claimed else "")
    sheet.text(x + width / 2, y + _BAR + 0.42, caption, size=10, color=sheet.theme.muted, ha="center")
