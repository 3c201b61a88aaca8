"""An audit, and groups of copies, as a screen: pictures where they are drawn, else tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from simsearch.index.audit.audit import Audit, LabelError, Leak, Outlier
from simsearch.index.audit.groups import Duplicates, Group, Member
from simsearch.index.audit.kinds import CopyKind
from simsearch.show.findings import KINDS, copies_summary, labels_summary, leaks_summary, outliers_summary
from simsearch.show.names import without_middle
from simsearch.show.terminal.tables import plain_table
from simsearch.show.terminal.thumbnails import COLUMNS, Canvas, Rendering
from simsearch.show.terminal.tiles import Tile, TileGrid
from simsearch.show.terminal.verdict import tail
from simsearch.text import printable

Thumbnail = Callable[[int], NDArray[np.uint8]]
_CLASSES = 10  # pairs of overlapping classes that are shown


def audit_view(
    audit: Audit, thumbnail: Thumbnail, other_thumbnail: Thumbnail | None, canvas: Canvas
) -> RenderableType:
    """Everything that an audit found.

    :param thumbnail: Gives the picture of an item.
    :param other_thumbnail: The same of the other index; None without one.
    """
    drawn = canvas.rendering is not Rendering.NONE
    parts: list[RenderableType] = [_heading("Label errors", labels_summary(audit))]
    if audit.label_errors and drawn:
        parts.append(TileGrid([_error_tile(error, thumbnail) for error in audit.label_errors], canvas))
    elif audit.label_errors:
        parts += [_errors_table(audit.label_errors), ""]
    parts.append(_heading("Outliers", outliers_summary(audit)))
    if audit.outliers and drawn:
        parts.append(TileGrid([_outlier_tile(outlier, thumbnail) for outlier in audit.outliers], canvas))
    elif audit.outliers:
        parts += [_outliers_table(audit.outliers), ""]
    if audit.overlaps:
        parts += [_heading("Overlapping classes"), _overlaps_table(audit), ""]
    if audit.against is not None:
        parts.append(_heading("Leaks", leaks_summary(audit)))
        if other_thumbnail and drawn:
            parts += [TileGrid(_leak_tiles(leak, thumbnail, other_thumbnail), canvas) for leak in audit.leaks]
        elif audit.leaks:
            parts += [_leaks_table(audit.leaks), ""]
    return Lines(*parts)


def copies_view(
    found: Duplicates, thumbnail: Callable[[Member], NDArray[np.uint8]], canvas: Canvas, most: int
) -> RenderableType:
    """The first groups of copies, the best of each first."""
    parts: list[RenderableType] = [Text(copies_summary(found)), ""]
    for group in found.groups[:most]:
        parts.append(Text.assemble(("best: ", "dim"), group.why))
        if canvas.rendering is Rendering.NONE:
            parts += [_group_table(group), ""]
        else:
            tiles = [_member_tile(group.best, thumbnail, best=True)]
            tiles += [_member_tile(member, thumbnail, best=False) for member in group.others]
            parts.append(TileGrid(tiles, canvas))
    if len(found.groups) > most:
        left = len(found.groups) - most
        parts.append(Text(f"and {left:,} more groups: --count, --json, --csv and --html show them", "dim"))
    return Lines(*parts)


def _heading(title: str, summary: str = "") -> Text:
    return Text.assemble((title, "bold"), "  " if summary else "", summary, "\n" if summary else "")


def _error_tile(error: LabelError, thumbnail: Thumbnail) -> Tile:
    room = (COLUMNS - 3) // 2
    title = f"{_cut(error.label, room)} → {_cut(error.suggested, room)}"
    lines = [
        Text(title, "bold"),
        Text(f"{error.share:.2f} → {error.suggested_share:.2f}"),
        Text("confident" if error.is_confident else "doubtful", "" if error.is_confident else "dim"),
        *_named(error.id, error.source),
    ]
    return Tile(thumbnail(error.id), tuple(lines))


def _outlier_tile(outlier: Outlier, thumbnail: Thumbnail) -> Tile:
    lines = [Text(_cut(outlier.label, COLUMNS), "bold")] if outlier.label is not None else []
    lines += [Text(f"mean {outlier.score:.4f}"), *_named(outlier.id, outlier.source)]
    return Tile(thumbnail(outlier.id), tuple(lines))


def _leak_tiles(leak: Leak, thumbnail: Thumbnail, other_thumbnail: Thumbnail) -> list[Tile]:
    own = [Text(_cut(leak.label or "", COLUMNS), "bold"), *_named(leak.id, leak.source)]
    other = [Text(_cut(leak.other_label or "", COLUMNS), "bold"), *_named(leak.other_id, leak.other_source)]
    other.append(Text(KINDS[CopyKind(leak.kind)], "dim"))
    return [Tile(thumbnail(leak.id), tuple(own)), Tile(other_thumbnail(leak.other_id), tuple(other))]


def _member_tile(member: Member, thumbnail: Callable[[Member], NDArray[np.uint8]], *, best: bool) -> Tile:
    lines = [Text("✓ best", "bold green") if best else Text(KINDS[member.kind])]
    if member.width is not None:
        lines.append(Text(f"{member.width}x{member.height}"))
        lines.append(Text(_bytes(member.bytes or 0)))
    lines += _named(member.id, member.source)
    return Tile(thumbnail(member), tuple(lines))


def _named(item: int, source: str) -> Iterator[Text]:
    """An item's id and, where that says more, its source."""
    yield Text(f"id {item}", "dim")
    if not source.endswith(f"/{item}"):
        yield tail(source, COLUMNS)


def _errors_table(errors: Sequence[LabelError]) -> Table:
    table = _table(("label", "suggested"), ("share", "suggested share", "id"), ("", "source"))
    for error in errors:
        table.add_row(
            Text(printable(error.label)),
            Text(printable(error.suggested)),
            f"{error.share:.2f}",
            f"{error.suggested_share:.2f}",
            str(error.id),
            "confident" if error.is_confident else "doubtful",
            Text(printable(error.source)),
        )
    return table


def _outliers_table(outliers: Sequence[Outlier]) -> Table:
    table = _table(("label",), ("mean cosine", "id"), ("source",))
    for outlier in outliers:
        table.add_row(
            Text(printable(outlier.label or "-")),
            f"{outlier.score:.4f}",
            str(outlier.id),
            Text(printable(outlier.source)),
        )
    return table


def _overlaps_table(audit: Audit) -> Table:
    table = _table(("class", "and class"), ("of the first", "of the second"), ())
    for overlap in audit.overlaps[:_CLASSES]:
        table.add_row(
            Text(printable(overlap.first)),
            Text(printable(overlap.second)),
            f"{overlap.of_first:.4f}",
            f"{overlap.of_second:.4f}",
        )
    return table


def _leaks_table(leaks: Sequence[Leak]) -> Table:
    table = _table(("kind",), ("cosine",), ("source", "in the other index"))
    for leak in leaks:
        table.add_row(
            KINDS[CopyKind(leak.kind)],
            f"{leak.score:.4f}",
            Text(printable(leak.source)),
            Text(printable(leak.other_source)),
        )
    return table


def _group_table(group: Group) -> Table:
    table = _table(("",), ("cosine", "pixels", "size", "id"), ("source",))
    for member in (group.best, *group.others):
        known = member.width is not None
        table.add_row(
            "best" if member is group.best else KINDS[member.kind],
            f"{member.score:.4f}",
            f"{member.width}x{member.height}" if known else "-",
            _bytes(member.bytes or 0) if known else "-",
            str(member.id),
            Text(printable(member.source)),
        )
    return table


def _table(names: Sequence[str], figures: Sequence[str], last: Sequence[str]) -> Table:
    table = plain_table()
    for name in names:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    for name in last:
        table.add_column(name, overflow="fold")
    return table


def _cut(name: str, room: int) -> str:
    return without_middle(printable(name), lambda text: Text(text).cell_len <= room)


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
