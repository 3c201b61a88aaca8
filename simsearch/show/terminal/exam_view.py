"""What a learned head is worth, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType

from simsearch.show.terminal.tables import plain_table

if TYPE_CHECKING:
    from simsearch.train.head_exam import Exam


def exam_view(exam: Exam) -> RenderableType:
    """How a head retrieves beside what it is measured against, on known and on held-out classes."""
    table = plain_table()
    table.add_column("on validation images")
    for kind in ("known classes", f"{exam.held_out_classes} held-out classes")[
        : 2 if exam.held_out_classes else 1
    ]:
        table.add_column(f"{kind}: P@1", justify="right")
        table.add_column("MAP@R", justify="right")
    for row in exam.rows:
        found = [row.known] if row.unseen is None else [row.known, row.unseen]
        figures = [f"{value:.3f}" for one in found for value in (one.p_at_1, one.map_at_r)]
        table.add_row(row.name, *figures, style="bold" if row is exam.rows[-1] else "")
    return table
