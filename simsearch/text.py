"""Words for people: guesses at what was meant, names that a terminal can show, percentages; rows of CSV."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import Any


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`did you mean 'x'? ` (with the space) for the closest of the choices, or nothing."""
    import difflib  # 6 ms that no answer needs

    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"did you mean {by_lower[close[0]]!r}? " if close else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a, b, c`, cut after the first few of many."""
    every = list(names)
    cut = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + cut


def printable(text: str) -> str:
    """The text with control characters, and what no encoding has, escaped: it cannot move a cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def percent(probability: float) -> str:
    """A probability to a tenth of a percent, never rounded up to certainty."""
    return f"{math.floor(probability * 1000) / 10:.1f} %"


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as lines of CSV."""
    import csv

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
