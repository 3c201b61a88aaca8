"""The list of indexes, for people and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from simsearch.index.catalog import Listing
from simsearch.show.terminal.tables import plain_table
from simsearch.text import printable

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def catalog_view(listings: Sequence[Listing]) -> RenderableType:
    """A row an index, and below them what is wrong with those that cannot be read."""
    table = plain_table()
    table.add_column("name", overflow="fold")
    for heading in ("images", "classes"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("model", overflow="fold")
    for heading in ("size", "age"):
        table.add_column(heading, justify="right", no_wrap=True)
    for listing in listings:
        table.add_row(*_cells(listing))
    problems = [Text(printable(listing.problem)) for listing in listings if listing.problem]
    return Group(table, "", *problems) if problems else table


def as_document(listing: Listing) -> dict[str, Any]:
    """What a list says of an index, for programs."""
    manifest = listing.manifest
    return {
        "name": listing.name,
        "folder": str(listing.folder),
        "images": manifest and manifest.count,
        "classes": manifest and list(manifest.classes),
        "model": manifest and manifest.model,
        "dataset": manifest and manifest.dataset,
        "root": manifest and manifest.root,
        "bytes": listing.size if manifest else None,
        "created": manifest and manifest.created,
        "problem": listing.problem,
    }


def _cells(listing: Listing) -> tuple[str | Text, ...]:
    name, manifest = Text(listing.name, "bold"), listing.manifest
    if manifest is None:
        return (name, "", "", "cannot be read", "", "")
    return (
        name,
        f"{manifest.count:,}",
        f"{len(manifest.classes):,}",
        Text(printable(manifest.model)),
        f"{listing.size / 1e6:.1f} MB",
        age(listing.age),
    )


def age(seconds: float | None) -> str:
    """A time that has passed, in its largest whole unit: `3 days`."""
    for unit, length in _UNITS:
        if seconds is not None and seconds >= length:
            count = int(seconds // length)
            return f"{count:,} {unit}{'s' if count > 1 else ''}"
    return "" if seconds is None else "now"
