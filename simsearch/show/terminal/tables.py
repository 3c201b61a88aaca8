"""Tables and bars that every view is made of."""

from __future__ import annotations

from rich import box
from rich.table import Table

BAR_WIDTH = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def plain_table() -> Table:
    """A table with a line under its headings and no frame."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A horizontal bar of block characters, an eighth of a cell precise; `share` in [0, 1]."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")
