"""An audit as one HTML document; `audit.html.jinja` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from simsearch.index.audit.audit import Audit, LabelError, Leak, Neighbor, Outlier
from simsearch.index.audit.kinds import CopyKind
from simsearch.index.bundle import Bundle
from simsearch.index.originals import Originals
from simsearch.prepare.inputs import Picture
from simsearch.show.findings import (
    KINDS,
    MEANINGS,
    labels_summary,
    leaks_summary,
    outliers_summary,
    shares,
)
from simsearch.show.html.pages import render_page
from simsearch.show.html.tables import Table, table

_TITLES = ("Label errors", "Outliers", "Overlapping classes", "Leaks", "What the findings mean")


class Shown:
    """The pictures and files of one index."""

    def __init__(self, bundle: Bundle) -> None:
        """Show what this index keeps."""
        self._bundle, self._originals = bundle, Originals(bundle)

    def picture(self, item: int) -> Picture:
        """What is kept of an item's picture."""
        row = int(self._bundle.rows(np.array([item], np.int64))[0])
        pixels: Picture = self._bundle.thumbnails[row]
        return pixels

    def address(self, item: int) -> str | None:
        """The address of an item's file, where it is there."""
        path = self._originals.existing(item)
        return None if path is None else path.absolute().as_uri()

    def facts(self, item: int, source: str, label: str | None) -> dict[str, Any]:
        """What a template needs to show an item."""
        return {
            "id": item,
            "index": self._bundle.manifest.name,
            "source": source,
            "label": label,
            "pixels": self.picture(item),
            "address": self.address(item),
        }


def render_audit(audit: Audit, bundle: Bundle, against: Bundle | None = None) -> str:
    """One self-contained HTML5 document of an audit of this index."""
    shown = Shown(bundle)
    titles = [title for title in _TITLES if title != "Leaks" or audit.against]
    return render_page(
        "audit.html.jinja",
        audit=audit,
        titles=titles,
        about=_about(audit, bundle),
        labels_summary=labels_summary(audit),
        label_errors=[_label_error(shown, error) for error in audit.label_errors],
        outliers_summary=outliers_summary(audit),
        outliers=[_outlier(shown, outlier) for outlier in audit.outliers],
        overlaps=_overlaps(audit) if audit.overlaps else None,
        leaks_summary=leaks_summary(audit),
        leaks=list(_leaks(shown, Shown(against), audit.leaks)) if against else [],
        meanings={name: text for name, text in MEANINGS.items() if name != "Leaks" or audit.against},
    )


def _about(audit: Audit, bundle: Bundle) -> Mapping[str, str]:
    manifest = bundle.manifest
    facts = {
        "Items": f"{audit.items:,} in {len(manifest.classes):,} classes",
        "Model": manifest.model,
        "Judged by": f"the {audit.neighbors:,} nearest others of each",
    }
    return facts | ({"Against": audit.against} if audit.against else {})


def _label_error(shown: Shown, error: LabelError) -> dict[str, Any]:
    sure = "" if error.is_confident else " (doubtful)"
    return {
        **shown.facts(error.id, error.source, error.label),
        "title": f"{error.label}, or {error.suggested}{sure}",
        "lines": [shares(error)],
        "neighbors": _neighbors(shown, error.neighbors, error.label),
    }


def _outlier(shown: Shown, outlier: Outlier) -> dict[str, Any]:
    return {
        **shown.facts(outlier.id, outlier.source, outlier.label),
        "title": f"mean cosine {outlier.score:.4f}",
        "lines": [] if outlier.label is None else [f"class {outlier.label}"],
        "neighbors": _neighbors(shown, outlier.neighbors, outlier.label),
    }


def _neighbors(shown: Shown, neighbors: Sequence[Neighbor], label: str | None) -> list[dict[str, Any]]:
    return [
        {
            "id": near.id,
            "label": "" if near.label is None else near.label,
            "score": near.score,
            "right": near.label == label,
            "pixels": shown.picture(near.id),
        }
        for near in neighbors
    ]


def _overlaps(audit: Audit) -> Table:
    rows = (
        (f"{row.first} and {row.second}", ((row.of_first + row.of_second) / 2, row.of_first, row.of_second))
        for row in audit.overlaps
    )
    columns = ("Classes", "Mean", "Of the first", "Of the second")
    return table("Mean share of neighbors of the other class", columns, rows)


def _leaks(own: Shown, other: Shown, leaks: Sequence[Leak]) -> Iterator[tuple[Any, Any, str]]:
    for leak in leaks:
        differs = "" if leak.label == leak.other_label else ", under another label"
        yield (
            own.facts(leak.id, leak.source, leak.label),
            other.facts(leak.other_id, leak.other_source, leak.other_label),
            f"{KINDS[CopyKind(leak.kind)]}{differs}, cosine {leak.score:.4f}",
        )
