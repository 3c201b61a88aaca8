"""Kinds of index that were measured, for people and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from simsearch.index.retype import IndexKind
from simsearch.index.tune import Measured
from simsearch.show.terminal.tables import plain_table


def kind_name(kind: IndexKind) -> str:
    """A kind in words."""
    effort = "" if kind.effort is None else f", {_word(kind)} {kind.effort}"
    return f"{kind.factory} of {kind.precision}{effort}"


def tune_view(measured: Sequence[Measured], best: Measured | None) -> RenderableType:
    """A row a kind, in order of recall; the one that is taken is marked."""
    table = plain_table()
    table.add_column("", no_wrap=True)
    table.add_column("index", overflow="fold")
    table.add_column("vectors", no_wrap=True)
    for heading in ("effort", "recall@10", "one search", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in sorted(measured, key=lambda one: (one.recall, -one.seconds)):
        kind = one.kind
        table.add_row(
            "→" if one == best else "",
            kind.factory,
            kind.precision,
            "" if kind.effort is None else f"{_word(kind)} {kind.effort}",
            f"{one.recall:.4f}",
            f"{1e3 * one.seconds:.2f} ms",
            f"{one.size / 1e6:,.1f} MB",
        )
    return table


def as_document(measured: Sequence[Measured], best: Measured | None) -> dict[str, Any]:
    """The same for programs."""
    return {"measured": [_fields(one) for one in measured], "best": None if best is None else _fields(best)}


def _fields(one: Measured) -> dict[str, Any]:
    return {
        "factory": one.kind.factory,
        "precision": one.kind.precision,
        "effort": one.kind.effort,
        "recall_at_10": one.recall,
        "seconds": one.seconds,
        "bytes": one.size,
    }


def _word(kind: IndexKind) -> str:
    """What FAISS calls the effort of a kind."""
    return "efSearch" if kind.factory.startswith("HNSW") else "nprobe"
