"""Pictures with text: in rows with captions, or one with text to its right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from simsearch.show.terminal.graphics import forward, reserve
from simsearch.show.terminal.thumbnails import COLUMNS, GAP, ROWS, Canvas, Pixels, Rendering, cells, graphic

_GRAPHICS = (Rendering.KITTY, Rendering.SIXEL)
_MOST_ACROSS = 20  # tiles: a row for whoever has wide windows, also where lines have no end


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture with lines of at most 14 cells below it."""

    pixels: Pixels
    caption: tuple[Text, ...]


class TileGrid:
    """Tiles side by side, as many to a row as fit, and lines of text to the right of them all."""

    def __init__(self, tiles: Sequence[Tile], canvas: Canvas, side: Sequence[Text] = ()) -> None:
        self._tiles, self._canvas, self._side = tiles, canvas, side

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw row by row: pictures, their captions, an empty line; what is left of the text below them."""
        beside = max((line.cell_len for line in self._side), default=-GAP) + GAP
        across = min(tiles_across(options.max_width - beside), max(1, len(self._tiles)))
        full = tiles_width(across)
        side = iter(self._side)
        for start in range(0, len(self._tiles), across):
            yield from self._row(console, self._tiles[start : start + across], side, full)
        for text in side:
            yield Segment(" " * (full + GAP))
            yield from _fitted(console, text, 0)
            yield Segment.line()

    def _row(
        self, console: Console, row: Sequence[Tile], side: Iterator[Text], full: int
    ) -> Iterator[Segment]:
        drawn = self._canvas.rendering in _GRAPHICS
        pictures = [tile.pixels for tile in row]
        lines: list[list[Segment]] = []
        if drawn:
            yield Segment(reserve(ROWS) + graphic(pictures, self._canvas))
            if self._side:
                lines += [[]] * ROWS
            else:
                yield Segment(f"\x1b[{ROWS}B")
        else:
            shown = [cells(console, pixels, self._canvas.rendering) for pixels in pictures]
            lines += [_joined([picture[number] for picture in shown]) for number in range(ROWS)]
        lines += _captions(console, row)
        lines.append([])
        for number, line in enumerate(lines):
            yield from line
            text = next(side, None)
            if text is not None:
                room = full + GAP - (tiles_width(len(row)) if line else 0)
                yield Segment(forward(room) if drawn and number < ROWS else " " * room)
                yield from _fitted(console, text, 0)
            yield Segment.line()


class Beside:
    """A picture with text to its right."""

    def __init__(self, pixels: Pixels, text: Text, canvas: Canvas) -> None:
        self._pixels, self._text, self._canvas = pixels, text, canvas

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the picture and, from its first row on, the text."""
        room = max(1, options.max_width - COLUMNS - GAP)
        lines = list(self._text.wrap(console, room, overflow="fold"))
        rows = max(ROWS, len(lines))
        if self._canvas.rendering in _GRAPHICS:
            yield Segment(reserve(rows) + graphic([self._pixels], self._canvas))
            margins = [[Segment(forward(COLUMNS + GAP))]] * rows
        else:
            drawn = cells(console, self._pixels, self._canvas.rendering)
            blank = [Segment(" " * COLUMNS)]
            margins = [[*(drawn[row] if row < ROWS else blank), Segment(" " * GAP)] for row in range(rows)]
        for row, margin in enumerate(margins):
            yield from margin
            if row < len(lines):
                yield from _fitted(console, lines[row], 0)
            yield Segment.line()


def tiles_across(width: int) -> int:
    """How many tiles fit side by side."""
    return min(max(1, (width + GAP) // (COLUMNS + GAP)), _MOST_ACROSS)


def tiles_width(count: int) -> int:
    """Columns that tiles take side by side."""
    return count * (COLUMNS + GAP) - GAP


def side_by_side(left: Sequence[Text], right: Sequence[Text], width: int) -> Text:
    """Two columns of lines as one text, the right one from `width` on."""
    lines = []
    for number in range(max(len(left), len(right))):
        line = left[number].copy() if number < len(left) else Text()
        line.truncate(width - GAP, overflow="ellipsis", pad=True)
        lines.append(Text.assemble(line, " " * GAP, right[number] if number < len(right) else ""))
    return Text("\n").join(lines)


def _captions(console: Console, row: Sequence[Tile]) -> list[list[Segment]]:
    """The lines below a row of pictures."""
    return [
        _joined(
            [
                list(_fitted(console, tile.caption[line] if line < len(tile.caption) else Text(), COLUMNS))
                for tile in row
            ]
        )
        for line in range(max(len(tile.caption) for tile in row))
    ]


def _joined(parts: Sequence[Sequence[Segment]]) -> list[Segment]:
    """Parts of a line, a gap between them."""
    line: list[Segment] = []
    for part in parts:
        line += ([Segment(" " * GAP)] if line else []) + list(part)
    return line


def _fitted(console: Console, text: Text, width: int) -> Iterator[Segment]:
    """One line of text, cut and filled to a width; a width of 0 leaves it as it is."""
    line = text.copy()
    line.end = ""
    line.stylize(line.style)  # rich draws a text without spans in no style
    if width:
        line.truncate(width, overflow="ellipsis", pad=True)
    yield from line.render(console)
