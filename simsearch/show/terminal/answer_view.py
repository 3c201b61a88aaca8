"""One answer as a screen: the query as the network saw it, its nearest images, the ranking of the classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simsearch.search.batch import Outcome
from simsearch.search.searcher import Answer, ClassRank, Hit, Verdict
from simsearch.show.terminal.thumbnails import COLUMNS, Beside, Canvas, Rendering, Tile, TileGrid
from simsearch.show.terminal.views import BAR_WIDTH, bar, plain_table
from simsearch.text import percent, printable

_MOST_CLASSES = 10  # of the ranking are shown; JSON has them all

Thumbnail = Callable[[int], NDArray[np.uint8]]


def outcome_view(
    outcome: Outcome, answer: Answer, thumbnail: Thumbnail, canvas: Canvas, *, by_class: bool = False
) -> RenderableType:
    """A query's hits and class ranking, or with `by_class` its best example of each class.

    :param thumbnail: Gives the picture of an item.
    """
    drawn = canvas.rendering is not Rendering.NONE
    parts: list[RenderableType] = [_head(outcome, answer, canvas), ""]
    truth = outcome.truth
    if by_class and drawn:
        parts.append(TileGrid([_class_tile(row, truth, thumbnail) for row in answer.classes], canvas))
    elif by_class:
        parts += [_classes_table(answer.classes, truth), ""]
    else:
        if drawn:
            parts.append(TileGrid([_hit_tile(hit, truth, thumbnail) for hit in answer.hits], canvas))
        else:
            parts += [_hits_table(answer.hits, truth), ""]
        if answer.classes:
            parts += [_classes_table(answer.classes[:_MOST_CLASSES], truth), ""]
            if len(answer.classes) > _MOST_CLASSES:
                left = len(answer.classes) - _MOST_CLASSES
                parts[-1] = Text(f"and {left:,} more classes: --by-class shows them\n", "dim")
    return Group(*parts)


def _head(outcome: Outcome, answer: Answer, canvas: Canvas) -> RenderableType:
    """What was asked, and the short answer."""
    name = Text(printable(outcome.name), "bold", overflow="fold")
    verdict = Text("\n").join([name, *_verdict(outcome, answer)])
    if canvas.rendering is Rendering.NONE:
        return verdict
    if outcome.combination is None:
        return verdict if outcome.image is None else Beside(outcome.image.pixels, verdict, canvas)
    tiles = [Tile(part.image.pixels, (_sign(part.added, part.name),)) for part in outcome.combination.parts]
    if outcome.image is not None:
        tiles.insert(0, Tile(outcome.image.pixels, (_tail(outcome.query.name),)))
    return Group(TileGrid(tiles, canvas), verdict)


def _verdict(outcome: Outcome, answer: Answer) -> list[Text]:
    """The class, or that it is none; what that rests on; the truth, where it is known."""
    truth, verdict = outcome.truth, answer.verdict
    lines = _judgement(answer.classes[0], verdict, truth) if answer.classes else []
    if truth is not None:
        lines.append(Text(f"its class is {printable(truth)}"))
    if verdict is not None:
        best, share = f"best score {verdict.best:.4f}", f"familiarity {percent(verdict.familiarity)}"
        lines += [
            Text(_against(best, verdict.best < verdict.min_score, f"{verdict.min_score:.4f}"), "dim"),
            Text(
                _against(share, verdict.familiarity < verdict.unknown_below, percent(verdict.unknown_below)),
                "dim",
            ),
        ]
    return lines


def _judgement(top: ClassRank, verdict: Verdict | None, truth: str | None) -> list[Text]:
    label, tick = (printable(top.label), "bold"), _space(mark(top.label, truth))
    if verdict is None:
        return [Text.assemble("most like class ", label, *tick)]
    posterior = percent(verdict.probability)
    if verdict.known:
        return [Text.assemble("class ", label, f", {posterior}", *tick)]
    return [
        Text.assemble(("unknown", "bold"), ": it resembles nothing in the gallery enough"),
        Text.assemble("nearest class ", label, f", {posterior} if it is any of them", *tick),
    ]


def _against(figure: str, below: bool, limit: str) -> str:
    return f"{figure}, {'below' if below else 'at least'} the limit of {limit}"


def mark(label: str | None, truth: str | None) -> Text:
    """A tick or a cross, in color too, or nothing where the truth is not known."""
    if truth is None or label is None:
        return Text()
    return Text("✓", "bold green") if label == truth else Text("✗", "bold red")


def _space(text: Text) -> list[str | Text]:
    return [" ", text] if text else []


def _hit_tile(hit: Hit, truth: str | None, thumbnail: Thumbnail) -> Tile:
    lines = [
        _title(hit.rank, hit.label, mark(hit.label, truth)),
        _figures(hit.score, hit.probability),
        Text(f"id {hit.id}", "dim"),
    ]
    if hit.match is False:
        lines.append(Text("no match", "dim"))
    if not hit.source.endswith(f"/{hit.id}"):  # a name that says no more than the id
        lines.append(_tail(hit.source))
    return Tile(thumbnail(hit.id), tuple(lines))


def _class_tile(row: ClassRank, truth: str | None, thumbnail: Thumbnail) -> Tile:
    tick = Text("✓", "bold green") if row.label == truth else Text()
    lines = (
        _title(row.rank, row.label, tick),
        _figures(row.best, row.probability),
        Text(f"mean {row.mean:.4f}"),
        Text(f"id {row.example}", "dim"),
    )
    return Tile(thumbnail(row.example), lines)


def _title(rank: int, label: str | None, tick: Text) -> Text:
    """`1  seven      ✓`, as wide as a picture."""
    start = Text.assemble((f"{rank}", "dim"), "  ")
    room = COLUMNS - start.cell_len - 2 * bool(tick)
    name = Text("" if label is None else printable(label), "bold")
    name.truncate(room, overflow="ellipsis", pad=True)
    return Text.assemble(start, name, *_space(tick))


def _figures(score: float, probability: float) -> Text:
    return Text(f"{score:.4f}{percent(probability):>{COLUMNS - len(f'{score:.4f}')}}")


def _sign(added: bool, name: str) -> Text:
    return Text.assemble(("+ " if added else "- ", "bold"), _tail(name, COLUMNS - 2))


def _tail(name: str, width: int = COLUMNS) -> Text:
    """The end of a name, which tells more than its start."""
    text = printable(name)
    while Text(text).cell_len > width:
        text = "…" + text.removeprefix("…")[1:]
    return Text(text, "dim")


def _hits_table(hits: Sequence[Hit], truth: str | None) -> Table:
    table = plain_table()
    table.add_column("rank", justify="right")
    table.add_column("label")
    if truth is not None:
        table.add_column("")
    table.add_column("score", justify="right")
    table.add_column("probability", justify="right")
    judged = any(hit.match is not None for hit in hits)
    if judged:
        table.add_column("match")
    table.add_column("id", justify="right")
    table.add_column("source", overflow="fold")
    for hit in hits:
        table.add_row(
            str(hit.rank),
            Text("-" if hit.label is None else printable(hit.label)),
            *([mark(hit.label, truth)] if truth is not None else []),
            f"{hit.score:.4f}",
            percent(hit.probability),
            *(["yes" if hit.match else "no"] if judged else []),
            str(hit.id),
            Text(printable(hit.source)),
        )
    return table


def _classes_table(classes: Sequence[ClassRank], truth: str | None) -> Table:
    table = plain_table()
    table.add_column("class")
    if truth is not None:
        table.add_column("")
    table.add_column("mean of 5", justify="right")
    table.add_column("", width=BAR_WIDTH, no_wrap=True)
    table.add_column("best", justify="right")
    calibrated = any(row.posterior is not None for row in classes)
    table.add_column("posterior" if calibrated else "probability", justify="right")
    table.add_column("example", justify="right")
    for row in classes:
        table.add_row(
            Text(printable(row.label)),
            *([Text("✓" if row.label == truth else "", "bold green")] if truth is not None else []),
            f"{row.mean:.4f}",
            Text(bar(row.mean), style="cyan"),
            f"{row.best:.4f}",
            percent(row.probability if row.posterior is None else row.posterior),
            f"id {row.example}",
        )
    return table
