"""Pairs as pictures and as a table: of one class and of two, and what a model says of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError
from simsearch.show.figures.sheet import BODY, HEADER, MARGIN, PLAIN, Sheet, Style
from simsearch.stats.pairs import draw_pairs
from simsearch.text import percent

_SIDE = 1.0  # inches of a picture
_GAP = 0.12
_CARD = 2 * _SIDE + _GAP
_BETWEEN = 0.3  # inches from card to card
_ROW = _SIDE + 0.62
_COLUMNS = 2  # of cards on each side
_PAIR_COLUMNS = ("first", "second", "first_label", "second_label", "same", "score", "probability")


@dataclass(frozen=True, eq=False)
class Side:
    """One image of a pair."""

    source: str
    label: str
    pixels: NDArray[np.uint8]  # (H, W)


@dataclass(frozen=True, eq=False)
class ShownPair:
    """Two images and, given a model, their cosine and the probability that they show one class."""

    first: Side
    second: Side
    same: bool
    score: float | None = None
    probability: float | None = None


def sample_pairs(
    split: Split, count: int = 12, *, seed: int = 0, model: Model | None = None
) -> tuple[ShownPair, ...]:
    """Draw balanced random pairs, and ask a model about them.

    :raises BadInputError: If the split has no labels, or too few images of a class to be paired.
    """
    if split.labels is None:
        raise BadInputError(
            f"{split.name} has no labels, so no pair is known to be of one class",
            hint="use a dataset with labels, or a folder with one sub-folder a class",
        )
    try:
        table = draw_pairs(split.labels, count, np.random.default_rng(seed))
    except ValueError as error:
        raise BadInputError(f"{split.name} cannot be paired: {error}") from None
    scores: list[float | None] = [None] * len(table)
    probabilities: list[float | None] = [None] * len(table)
    if model is not None:
        first, second = (model.encoder.encode(split.images[rows]) for rows in (table.first, table.second))
        cosines = np.clip(np.einsum("pd,pd->p", first, second, dtype=np.float64), -1, 1)  # (P,)
        scores = cosines.tolist()
        if model.card.pair_scaling is not None:
            probabilities = model.card.pair_scaling.probability(cosines).tolist()
    labels = split.labels

    def side(row: int) -> Side:
        return Side(split.sources[row], split.classes[labels[row]], split.images[row])

    rows = zip(table.first, table.second, table.same, scores, probabilities, strict=True)
    return tuple(ShownPair(side(a), side(b), bool(same), s, p) for a, b, same, s, p in rows)


def pairs_csv(pairs: Sequence[ShownPair]) -> bytes:
    """The pairs as CSV, a row a pair; without a model its two columns are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_PAIR_COLUMNS)
    for pair in pairs:
        sides = (pair.first.source, pair.second.source, pair.first.label, pair.second.label)
        writer.writerow((*sides, int(pair.same), pair.score, pair.probability))
    return text.getvalue().encode()


def pairs_figure(pairs: Sequence[ShownPair], style: Style = PLAIN, *, about: str = "") -> Figure:
    """Pairs of one class on the left, of two classes on the right.

    With a model's probabilities, each pair says by a mark whether probability 0.5 judges it rightly.

    :param about: Where the pairs are from, for the line under the title.
    """
    sides = [[pair for pair in pairs if pair.same is same] for same in (True, False)]
    rows = -(-max(map(len, sides)) // _COLUMNS)
    half = _COLUMNS * _CARD + (_COLUMNS - 1) * _BETWEEN
    between = 0.6  # from one half to the other
    top = HEADER + 0.5
    sheet = Sheet(style, 2 * MARGIN + 2 * half + between, top + max(rows, 1) * _ROW + 0.1)
    sheet.header("Random pairs of images: of one class, and of two", about)
    spare = (sheet.width - 2 * MARGIN - 2 * half - between) / 3
    headings = ("same class: the answer is 1", "different classes: the answer is 0")
    for column, (shown, heading) in enumerate(zip(sides, headings, strict=True)):
        color = (sheet.theme.blue, sheet.theme.orange)[column]
        left = MARGIN + spare + column * (half + between + spare)
        sheet.line([left, left + half], [HEADER + 0.34] * 2, color, 2)
        sheet.text(left, HEADER + 0.24, heading, weight="bold", color=color, size=12)
        for place, pair in enumerate(shown):
            row, card = divmod(place, _COLUMNS)
            _draw_pair(sheet, left + card * (_CARD + _BETWEEN), top + row * _ROW, pair)
    return sheet.figure


def _draw_pair(sheet: Sheet, x: float, y: float, pair: ShownPair) -> None:
    for place, side in enumerate((pair.first, pair.second)):
        left = x + place * (_SIDE + _GAP)
        sheet.picture(left, y, _SIDE, side.pixels)
        label = sheet.fit(side.label, _SIDE, BODY, "bold")
        sheet.text(left + _SIDE / 2, y + _SIDE + 0.19, label, weight="bold", ha="center")
    if pair.probability is None:
        return
    right = (pair.probability >= 0.5) == pair.same
    mark, color = ("✓", sheet.theme.blue) if right else ("✗", sheet.theme.orange)
    verdict = f"{mark} probability {percent(pair.probability)}"
    sheet.text(x + _CARD / 2, y + _SIDE + 0.40, verdict, size=10, color=color, ha="center")
