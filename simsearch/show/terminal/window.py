"""One answer in a window: at most its rows, and the verdict last, once more, where the eye is then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from simsearch.search.answers import Answer, Hit
from simsearch.search.batch import Outcome
from simsearch.show.terminal.answer_parts import (
    LONGEST_NAME,
    MOST_CLASSES,
    PAIRS,
    Thumbnail,
    class_lines,
    class_tiles,
    composed_tiles,
    hit_lines,
    hit_tiles,
    shows_pairs,
)
from simsearch.show.terminal.thumbnails import COLUMNS, GAP, ROWS, Canvas, Rendering
from simsearch.show.terminal.tiles import Beside, Tile, TileGrid, side_by_side, tiles_across, tiles_width
from simsearch.show.terminal.verdict import head_lines, verdict_line
from simsearch.text import printable

_LEAST_TEXT = 26  # columns that the verdict needs beside a picture
_ENOUGH_TILES = 5  # to a row, with the classes beside them


@dataclass(frozen=True, eq=False)
class Window:
    """An answer in at most so many rows."""

    outcome: Outcome
    answer: Answer
    thumbnail: Thumbnail
    canvas: Canvas
    by_class: bool
    rows: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Pictures if a row of them fits, lines if not; the verdict last."""
        pictures = None
        if self.canvas.rendering is not Rendering.NONE and (self.answer.hits or self.by_class):
            pictures = self._pictures(console, options.max_width)
        lines = [verdict_line(self.outcome, self.answer, options.max_width)]
        if pictures is None:
            lines = self._lines(console, options.max_width) + lines
        yield from pictures or ()
        for line in lines:
            line.truncate(options.max_width, overflow="ellipsis")
            yield line

    def _pictures(self, console: Console, width: int) -> list[RenderableType] | None:
        """Head, heading and tiles, the classes where there is room; None if a row of tiles is too high."""
        truth, classes = self.outcome.truth, self.answer.classes
        ranked, column = self._ranked(width)
        beside_tiles = bool(ranked) and width >= tiles_width(_ENOUGH_TILES) + column
        beside_head = not beside_tiles and (
            width - COLUMNS - GAP - _LEAST_TEXT >= column or self.outcome.composed is not None
        )
        head, taken = self._window_head(console, width, ranked if beside_head else [], column)
        room = self.rows - taken - 3  # a heading, the hits that are left out, the verdict
        below = [] if beside_tiles or beside_head or room < ROWS + 3 + 4 else ranked[:4]
        room -= len(below)
        across = tiles_across(width - (column if beside_tiles else 0))
        if self.by_class:
            tiles = class_tiles(classes, truth, self.thumbnail)
        else:
            tiles = hit_tiles(self.answer, truth, self.thumbnail)
        caption = min(max(len(tile.caption) for tile in tiles), room - ROWS - 1)
        if caption < 2:
            return None
        shown = tiles[: across * (room // (ROWS + caption + 1))]
        side: list[Text] = []
        if beside_tiles:
            grid = -(-len(shown) // across) * (ROWS + caption + 1)
            side = class_lines(classes, truth, min(MOST_CLASSES + 2, max(grid - 1, 3)))
        grid_tiles = [Tile(tile.pixels, tile.caption[:caption]) for tile in shown]
        heading = self._heading()
        heading.truncate(width, overflow="ellipsis")
        parts: list[RenderableType] = [head, heading, TileGrid(grid_tiles, self.canvas, side)]
        if len(shown) < len(tiles):
            parts.append(self._left_out(len(shown), width))
        for line in below:
            line.truncate(width, overflow="ellipsis")
        return [*parts, *below]

    def _ranked(self, width: int) -> tuple[list[Text], int]:
        """The first classes in as many rows as a picture has, and how wide they are with a gap."""
        if self.by_class or not self.answer.classes:
            return [], 0
        for longest in (LONGEST_NAME, 8, 5):
            lines = class_lines(self.answer.classes, self.outcome.truth, ROWS, longest)
            column = max(line.cell_len for line in lines) + GAP
            if column <= width - COLUMNS - GAP - _LEAST_TEXT:
                break
        return lines, column

    def _window_head(
        self, console: Console, width: int, classes: Sequence[Text], column: int
    ) -> tuple[RenderableType, int]:
        """The query and the verdict, the classes beside them; and how many rows that takes."""
        outcome, lines = self.outcome, head_lines(self.outcome, self.answer)
        if outcome.composed is not None:
            return self._composed_head(console, lines, width, classes)
        room = width - (COLUMNS + GAP if outcome.image is not None else 0)
        if not classes:
            text = _wrapped(console, lines, room)
            joined = Text("\n").join(text)
        else:
            text = _wrapped(console, lines, room - column)
            if len(text) > ROWS:
                text = _wrapped(console, head_lines(outcome, self.answer, brief=True), room - column)
            joined = side_by_side(text, classes, room - column + GAP)
        rows = max(len(text), len(classes))
        if outcome.image is None:
            return joined, rows
        return Beside(outcome.image.pixels, joined, self.canvas), max(rows, ROWS)

    def _composed_head(
        self, console: Console, lines: Sequence[Text], width: int, ranked: Sequence[Text]
    ) -> tuple[RenderableType, int]:
        """The pictures of a composed query; the verdict and the classes beside them, or the verdict below."""
        tiles = composed_tiles(self.outcome)
        rows = -(-len(tiles) // tiles_across(width)) * (ROWS + 2)
        room = width - tiles_width(len(tiles)) - GAP
        if room < max([_LEAST_TEXT, *(line.cell_len for line in ranked)]):
            text = _wrapped(console, lines, width)
            return Group(TileGrid(tiles, self.canvas), *text), rows + len(text)
        side = _wrapped(console, lines, room)
        if ranked and rows - len(side) > 2:
            side += class_lines(self.answer.classes, self.outcome.truth, rows - len(side))
        return TileGrid(tiles, self.canvas, side), max(rows, len(side))

    def _heading(self) -> Text:
        if self.by_class:
            calibrated = any(row.posterior is not None for row in self.answer.classes)
            what = "posterior" if calibrated else PAIRS
            return Text(f"best example of each class: cosine and {what}", "dim")
        figures = f"cosine and {PAIRS}" if shows_pairs(self.answer) else "cosine"
        return Text(f"nearest images: {figures}", "dim")

    def _left_out(self, shown: int, width: int) -> Text:
        """In one line, what would not fit."""
        if self.by_class:
            line = Text(f"and {len(self.answer.classes) - shown:,} more classes", "dim")
        else:
            line = Text(_summary(self.answer.hits[shown:]), "dim")
        line.truncate(width, overflow="ellipsis")
        return line

    def _lines(self, console: Console, width: int) -> list[Text]:
        """The same without pictures: as many hits and classes as fit, a line each."""
        truth, classes = self.outcome.truth, self.answer.classes
        head = _wrapped(console, head_lines(self.outcome, self.answer), width)
        room = self.rows - len(head) - 2  # an empty line, the verdict
        if self.by_class:
            return [*head, Text(), *class_lines(classes, truth, max(room, 3))]
        ranked = class_lines(classes, truth, min(MOST_CLASSES + 2, room // 2)) if room > 8 else []
        hits = hit_lines(self.answer, truth)
        most = max(2, room - len(ranked) - bool(ranked))
        if len(hits) > most:
            hits[most - 1 :] = [Text(_summary(self.answer.hits[most - 2 :]), "dim")]
        return [*head, Text(), *hits, *([Text()] if ranked else []), *ranked]


def _wrapped(console: Console, lines: Sequence[Text], width: int) -> list[Text]:
    """Lines folded to a width, their style with them."""
    folded: list[Text] = []
    for line in lines:
        for part in line.wrap(console, max(1, width), overflow="fold"):
            part.rstrip()
            folded.append(part)
    return folded


def _summary(hits: Sequence[Hit]) -> str:
    """Hits in a line: ranks, labels in order, first and last score."""
    labels = ", ".join(printable(hit.label) for hit in hits if hit.label is not None)
    scores = f"{hits[0].score:.4f} to {hits[-1].score:.4f}" if len(hits) > 1 else f"{hits[0].score:.4f}"
    ranks = f"{hits[0].rank} to {hits[-1].rank}" if len(hits) > 1 else f"{hits[0].rank}"
    return f"{ranks}: {scores}" + (f"; classes {labels}" if labels else "")
