"""The parts of an answer's screen: hits and classes as tiles, as tables and as lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from simsearch.search.answers import Answer, ClassRank, Hit
from simsearch.search.batch import Outcome
from simsearch.show.names import distinct, without_middle
from simsearch.show.terminal.tables import BAR_WIDTH, bar, plain_table
from simsearch.show.terminal.thumbnails import COLUMNS
from simsearch.show.terminal.tiles import Tile
from simsearch.show.terminal.verdict import mark, spaced, tail
from simsearch.text import percent, printable

PAIRS = "pair probability"  # that the query and this image show one class
MOST_CLASSES = 10  # of the ranking are shown; JSON has them all
LONGEST_NAME, _SHORT_BAR = 12, 7  # cells

Thumbnail = Callable[[int], NDArray[np.uint8]]


def shows_pairs(answer: Answer) -> bool:
    """Whether pair probabilities say anything: none does of a picture that is unlike all images."""
    if any(hit.probability is None for hit in answer.hits):
        return False  # the model was not trained on pairs
    return answer.verdict is None or answer.verdict.known


def hit_tiles(answer: Answer, truth: str | None, thumbnail: Thumbnail) -> list[Tile]:
    """The hits, each with its rank and label, its figures, its id and, where that says more, its source."""
    room = COLUMNS - 3 - 2 * (truth is not None)
    names = _cut([hit.label for hit in answer.hits], room)
    pairs = shows_pairs(answer)
    return [_hit_tile(hit, names[hit.label or ""], truth, thumbnail, pairs=pairs) for hit in answer.hits]


def _hit_tile(hit: Hit, name: str, truth: str | None, thumbnail: Thumbnail, *, pairs: bool) -> Tile:
    lines = [
        _title(hit.rank, name, mark(hit.label, truth)),
        _figures(hit.score, hit.probability if pairs else None),
        Text(f"id {hit.id}", "dim"),
    ]
    if hit.match is False:
        lines.append(Text("no match", "dim"))
    if not hit.source.endswith(f"/{hit.id}"):  # a name that says no more than the id
        lines.append(tail(hit.source, COLUMNS))
    return Tile(thumbnail(hit.id), tuple(lines))


def class_tiles(classes: Sequence[ClassRank], truth: str | None, thumbnail: Thumbnail) -> list[Tile]:
    """The best example of each class."""
    names = _cut([row.label for row in classes], COLUMNS - 3 - 2 * (truth is not None))
    tiles = []
    for row in classes:
        tick = Text("✓", "bold green") if row.label == truth else Text()
        lines = (
            _title(row.rank, names[row.label], tick),
            _figures(row.best, _class_probability(row)),
            Text(f"mean {row.mean:.4f}"),
            Text(f"id {row.example}", "dim"),
        )
        tiles.append(Tile(thumbnail(row.example), lines))
    return tiles


def composed_tiles(outcome: Outcome) -> list[Tile]:
    """The pictures that a composed query is made of, each with its sign."""
    parts = outcome.composed.parts if outcome.composed else ()
    tiles = [Tile(part.image.pixels, (_sign(part.added, part.name),)) for part in parts]
    if outcome.image is not None:
        tiles.insert(0, Tile(outcome.image.pixels, (tail(outcome.query.name, COLUMNS),)))
    return tiles


def _sign(added: bool, name: str) -> Text:
    return Text.assemble(("+ " if added else "- ", "bold"), tail(name, COLUMNS - 2))


def hits_table(answer: Answer, truth: str | None, most: int | None = None) -> Table:
    """A row a hit, of the first `most`."""
    table = plain_table()
    table.add_column("rank", justify="right")
    table.add_column("label")
    if truth is not None:
        table.add_column("")
    table.add_column("score", justify="right")
    claimed = any(hit.probability is not None for hit in answer.hits)
    if claimed:
        table.add_column(PAIRS, justify="right")
    judged = any(hit.match is not None for hit in answer.hits)
    if judged:
        table.add_column("match")
    table.add_column("id", justify="right")
    table.add_column("source", overflow="fold")
    pairs = shows_pairs(answer)
    for hit in answer.hits[:most]:
        table.add_row(
            str(hit.rank),
            Text("-" if hit.label is None else printable(hit.label)),
            *([mark(hit.label, truth)] if truth is not None else []),
            f"{hit.score:.4f}",
            *([_chance(hit.probability if pairs else None)] if claimed else []),
            *(["yes" if hit.match else "no"] if judged else []),
            str(hit.id),
            Text(printable(hit.source)),
        )
    return table


def hit_lines(answer: Answer, truth: str | None) -> list[Text]:
    """A line a hit, below a heading."""
    names = _cut([hit.label for hit in answer.hits], LONGEST_NAME)
    width = max(5, *(Text(name).cell_len for name in names.values()))
    pairs = shows_pairs(answer)
    lines = [Text(f"rank  {'label':<{width + 3}}score{f'  {PAIRS}' if pairs else ''}", "dim")]
    for hit in answer.hits:
        name = Text(names[hit.label or ""])
        name.truncate(width, pad=True)
        lines.append(
            Text.assemble(
                f"{hit.rank:>4}  ",
                name,
                " ",
                mark(hit.label, truth) or " ",
                f" {hit.score:.4f}",
                f"  {_chance(hit.probability):>{len(PAIRS) - 1}}" if pairs else "",
                "  no match" if hit.match is False else "",
                (f"  id {hit.id}  {printable(hit.source)}", "dim"),
            )
        )
    return lines


def classes_table(classes: Sequence[ClassRank], truth: str | None) -> Table:
    """A row a class."""
    table = plain_table()
    table.add_column("class")
    if truth is not None:
        table.add_column("")
    table.add_column("mean of 5", justify="right")
    table.add_column("", width=BAR_WIDTH, no_wrap=True)
    table.add_column("best", justify="right")
    claimed = _class_heading(classes)
    if claimed:
        table.add_column(claimed, justify="right")
    table.add_column("example", justify="right")
    for row in classes:
        table.add_row(
            Text(printable(row.label)),
            *([Text("✓" if row.label == truth else "", "bold green")] if truth is not None else []),
            f"{row.mean:.4f}",
            Text(bar(row.mean), style="cyan"),
            f"{row.best:.4f}",
            *([_chance(_class_probability(row))] if claimed else []),
            f"id {row.example}",
        )
    return table


def class_lines(
    classes: Sequence[ClassRank], truth: str | None, most: int, longest: int = LONGEST_NAME
) -> list[Text]:
    """At most `most` lines: a heading, the first classes, the top one marked, and how many are left out."""
    if not classes:
        return []
    shown = classes if len(classes) < most else classes[: most - 2]
    names = _cut([row.label for row in shown], longest)
    width = max(5, *(Text(name).cell_len for name in names.values()))
    heading = "pair prob." if _class_heading(shown) == PAIRS else _class_heading(shown)
    lines = [Text(f"  {'class':<{width + 3}}{'mean of 5':<{_SHORT_BAR + 8}}{heading}", "dim")]
    for row in shown:
        name = Text(names[row.label], "bold" if row.rank == 1 else "")
        name.truncate(width, pad=True)
        lines.append(
            Text.assemble(
                ("▶ " if row.rank == 1 else "  ", "bold"),
                name,
                (" ✓ " if row.label == truth else "   ", "bold green"),
                (f"{bar(row.mean, _SHORT_BAR):<{_SHORT_BAR}}", "cyan"),
                f" {row.mean:.4f} ",
                f"{_chance(_class_probability(row)):>{len(heading)}}" if heading else "",
            )
        )
    if len(shown) < len(classes):
        lines.append(Text(f"  and {len(classes) - len(shown):,} more: --by-class", "dim"))
    return lines


def _chance(probability: float | None) -> str:
    return "-" if probability is None else percent(probability)


def _class_probability(row: ClassRank) -> float | None:
    """The posterior; without a calibration, the pair probability of the best image."""
    return row.probability if row.posterior is None else row.posterior


def _class_heading(classes: Sequence[ClassRank]) -> str:
    """What is claimed of classes; nothing without a calibration."""
    if any(row.posterior is not None for row in classes):
        return "posterior"
    return PAIRS if any(row.probability is not None for row in classes) else ""


def _cut(labels: Sequence[str | None], width: int) -> dict[str, str]:
    """Labels as they fit into a width, never two alike."""
    return distinct(
        {label or "": printable(label or "") for label in labels},
        lambda name: without_middle(name, lambda text: Text(text).cell_len <= width),
    )


def _title(rank: int, name: str, tick: Text) -> Text:
    """`1  seven      ✓`, as wide as a picture."""
    start = Text.assemble((f"{rank}", "dim"), "  ")
    shown = Text(name, "bold")
    shown.truncate(COLUMNS - start.cell_len - 2 * bool(tick), overflow="ellipsis", pad=True)
    return Text.assemble(start, shown, *spaced(tick))


def _figures(score: float, probability: float | None) -> Text:
    shown = "" if probability is None else percent(probability)
    return Text(f"{score:.4f}{shown:>{COLUMNS - len(f'{score:.4f}')}}")
