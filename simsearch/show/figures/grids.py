"""Rows of a query and its nearest items, each framed right or wrong by color, line and mark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simsearch.errors import BadInputError
from simsearch.evaluate.mistakes import Mistake
from simsearch.index.bundle import Bundle
from simsearch.search.answers import Answer
from simsearch.search.searcher import Searcher
from simsearch.show.figures.sheet import HEADER, MARGIN, PLAIN, Sheet, Style

_SIDE = 0.92  # inches of a picture
_STEP = _SIDE + 0.17
_ROW = _SIDE + 0.5
_CAPTION = 1.75
_LINE = 0.19  # of the score below a long name
AP_KEY = (
    "AP: average precision, the mean of the precision at each item of the query's class; "
    "1 where they all come first"
)


@dataclass(frozen=True, eq=False)
class Item:
    """One item of an answer; `right` is None where the truth is not known."""

    label: str | None
    score: float
    right: bool | None
    pixels: NDArray[np.uint8]  # (H, W)


@dataclass(frozen=True, eq=False)
class Row:
    """One query: its picture, its class where it is known, a line of text below that, and its items."""

    title: str
    note: str
    pixels: NDArray[np.uint8]  # (H, W)
    items: tuple[Item, ...]


def answer_row(searcher: Searcher, name: str, pixels: NDArray[np.uint8], answer: Answer) -> Row:
    """The answer to a picture whose class is not known, and the class that it is most like."""
    items = (Item(hit.label, hit.score, None, searcher.thumbnail(hit.id)) for hit in answer.hits)
    note = f"most like class {answer.classes[0].label}" if answer.classes else ""
    if answer.verdict is not None and not answer.verdict.known:
        note = "unknown"
    return Row(name, note, pixels, tuple(items))


def gallery_rows(searcher: Searcher, *, count: int = 8, k: int = 8, seed: int = 0) -> tuple[Row, ...]:
    """Random gallery items as queries, one a class in turn, each left out of its own answer.

    :raises BadInputError: If the gallery holds a single item.
    """
    bundle = searcher.bundle
    if len(searcher) < 2:
        raise BadInputError(f"the index {bundle.manifest.name} holds a single item: nothing can be near it")
    rows = _in_turn(bundle, np.random.default_rng(seed))[:count]
    return tuple(_gallery_row(searcher, row, k) for row in rows.tolist())


def mistake_rows(mistakes: Iterable[Mistake], *, k: int = 8) -> tuple[Row, ...]:
    """The queries answered worst, with their average precision."""
    return tuple(
        Row(
            f"class {mistake.label}",
            f"AP {mistake.average_precision:.3f}",
            mistake.pixels,
            tuple(Item(item.label, item.score, item.right, item.pixels) for item in mistake.neighbors[:k]),
        )
        for mistake in mistakes
    )


def grid_figure(
    rows: Sequence[Row], style: Style = PLAIN, *, title: str, about: str = "", key: str = ""
) -> Figure:
    """A row a query, best item first; ✓ in a solid blue frame is right, ✗ in a dashed orange one wrong.

    :param key: What an abbreviation in the rows' notes stands for.
    :raises ValueError: If there is no row.
    """
    if not rows:
        raise ValueError("there must be at least one row")
    most = max(len(row.items) for row in rows)
    natural = 2 * MARGIN + _SIDE + 0.12 + _CAPTION + most * _STEP
    probe = Sheet(style, natural, 1)
    items = [item for row in rows for item in row.items]
    high = any(not _fits_beside(probe, item) for item in items)
    step = _ROW + (_LINE if high else 0)
    foot = 0.3 if key else 0.05
    sheet = Sheet(style, max(natural, 7.5), HEADER + 0.3 + len(rows) * step + foot)
    sheet.header(title, about)
    left = MARGIN + max(0.0, sheet.width - natural) / 2
    right = left + _SIDE + 0.12 + _CAPTION
    muted = sheet.theme.muted
    sheet.text(left, HEADER + 0.14, "query", color=muted)
    sheet.text(right, HEADER + 0.14, "nearest items and their cosine", color=muted)
    names = _names(sheet, items, _SIDE + 0.1 if high else None)
    for place, row in enumerate(rows):
        y = HEADER + 0.3 + place * step
        _draw_query(sheet, left, y, row)
        for column, item in enumerate(row.items):
            _draw_item(sheet, right + column * _STEP, y, item, names, high=high)
    if key:
        y = HEADER + 0.3 + len(rows) * step + 0.12
        sheet.text(left, y, sheet.fit(key, sheet.width - left - MARGIN, 10), size=10, color=muted)
    return sheet.figure


def _mark(item: Item) -> str:
    return "" if item.right is None else "✓ " if item.right else "✗ "


def _fits_beside(sheet: Sheet, item: Item) -> bool:
    """Whether there is room for the class beside the score."""
    room = _SIDE - sheet.text_width(f"{item.score:.3f}", 10) - 0.08
    return sheet.text_width(f"{_mark(item)}{item.label or ''}", 10, "bold") <= room


def _names(sheet: Sheet, items: Sequence[Item], room: float | None) -> dict[str, str]:
    """The classes as they are written: in the room of a line of their own, cut, but never two alike."""
    names = {item.label: item.label for item in items if item.label is not None}
    if room is None:
        return names
    mark = max(sheet.text_width(_mark(item), 10, "bold") for item in items)
    return sheet.fit_apart(names, room - mark, 10, "bold")


def _draw_query(sheet: Sheet, left: float, y: float, row: Row) -> None:
    sheet.picture(left, y, _SIDE, row.pixels)
    beside, room = left + _SIDE + 0.14, _CAPTION - 0.25
    sheet.text(beside, y + 0.42, sheet.fit(row.title, room, 12, "bold"), size=12, weight="bold")
    sheet.text(beside, y + 0.64, sheet.fit(row.note, room, 10), size=10, color=sheet.theme.muted)


def _draw_item(sheet: Sheet, x: float, y: float, item: Item, names: Mapping[str, str], *, high: bool) -> None:
    sheet.picture(x, y, _SIDE, item.pixels)
    color = sheet.theme.ink
    if item.right is not None:
        color = sheet.theme.blue if item.right else sheet.theme.orange
        sheet.box(x, y, _SIDE, _SIDE, edge=color, line=2.5, dashed=not item.right)
    score = f"{item.score:.3f}"
    if item.label is None:
        sheet.text(x + _SIDE / 2, y + _SIDE + 0.2, score, size=10, ha="center")
        return
    name = f"{_mark(item)}{names[item.label]}"
    sheet.text(x, y + _SIDE + 0.2, name, size=10, weight="bold", color=color)
    if high:
        sheet.text(x, y + _SIDE + 0.2 + _LINE, score, size=10, color=sheet.theme.muted)
    else:
        sheet.text(x + _SIDE, y + _SIDE + 0.2, score, size=10, color=sheet.theme.muted, ha="right")


def _in_turn(bundle: Bundle, rng: np.random.Generator) -> NDArray[np.int64]:
    """All rows in random order; with labels, one of each class before a second of any."""
    order = rng.permutation(len(bundle.ids))
    if bundle.labels is None:
        return order
    labels = bundle.labels[order]
    turn = np.empty(len(order), np.int64)  # how many of its class came before each row
    for label in np.unique(labels):
        turn[labels == label] = np.arange((labels == label).sum())
    return order[np.lexsort((labels, turn))]


def _gallery_row(searcher: Searcher, row: int, k: int) -> Row:
    bundle = searcher.bundle
    own = int(bundle.ids[row])
    label = searcher.label(own)
    items = tuple(
        Item(
            hit.label,
            hit.score,
            None if label is None else hit.label == label,
            searcher.thumbnail(hit.id),
        )
        for hit in searcher.query_item(own, k=k).hits
    )
    title = f"id {own}" if label is None else f"class {label}"
    return Row(title, bundle.sources[row], bundle.thumbnails[row], items)
