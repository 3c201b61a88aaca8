"""One answer as a screen: the query as the network saw it, its nearest images, the ranking of the classes."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from simsearch.search.answers import Answer
from simsearch.search.batch import Outcome
from simsearch.show.terminal.answer_parts import (
    MOST_CLASSES,
    Thumbnail,
    class_tiles,
    classes_table,
    composed_tiles,
    hit_tiles,
    hits_table,
)
from simsearch.show.terminal.thumbnails import Canvas, Rendering
from simsearch.show.terminal.tiles import Beside, TileGrid
from simsearch.show.terminal.verdict import head_lines


def outcome_view(
    outcome: Outcome,
    answer: Answer,
    thumbnail: Thumbnail,
    canvas: Canvas,
    *,
    by_class: bool = False,
    rows: int | None = None,
) -> RenderableType:
    """A query's hits and class ranking, or with `by_class` its best example of each class.

    :param thumbnail: Gives the picture of an item.
    :param rows: How many there are in the window; None where there is no window: everything is shown.
    """
    if rows is not None:
        from simsearch.show.terminal.window import Window

        return Window(outcome, answer, thumbnail, canvas, by_class, rows)
    drawn, truth = canvas.rendering is not Rendering.NONE, outcome.truth
    parts: list[RenderableType] = [_head(outcome, answer, canvas), ""]
    if by_class and drawn:
        parts.append(TileGrid(class_tiles(answer.classes, truth, thumbnail), canvas))
    elif by_class:
        parts += [classes_table(answer.classes, truth), ""]
    else:
        if drawn:
            parts.append(TileGrid(hit_tiles(answer, truth, thumbnail), canvas))
        else:
            parts += [hits_table(answer, truth), ""]
        if answer.classes:
            parts += [classes_table(answer.classes[:MOST_CLASSES], truth), ""]
            if len(answer.classes) > MOST_CLASSES:
                left = len(answer.classes) - MOST_CLASSES
                parts[-1] = Text(f"and {left:,} more classes: --by-class shows them\n", "dim")
    return Group(*parts)


def _head(outcome: Outcome, answer: Answer, canvas: Canvas) -> RenderableType:
    """The query, and the short answer."""
    text = Text("\n").join(head_lines(outcome, answer))
    if canvas.rendering is Rendering.NONE:
        return text
    if outcome.composed is None:
        return text if outcome.image is None else Beside(outcome.image.pixels, text, canvas)
    return Group(TileGrid(composed_tiles(outcome), canvas), text)
