"""What a change of an index does, and what it did, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simsearch.index.change.sync import Plan
from simsearch.index.update import Outcome
from simsearch.text import printable


def plan_lines(plan: Plan) -> Iterator[str]:
    """A line for each file about which something is to be done."""
    replaced = {known.source for known in plan.changed}
    for item, label in plan.added:
        verb = "replace" if item.path in replaced else "add"
        yield f"{verb:8}{printable(item.path)}" + (f" ({printable(label)})" if label else "")
    before = {known.id: known for known in plan.before}
    for number, revision in plan.renamed.items():
        yield f"{'rename':8}{printable(before[number].source)} -> {printable(revision.source)}"
    for revision in plan.relabeled.values():
        yield f"{'relabel':8}{printable(revision.source)} ({printable(revision.label or 'none')})"
    for known in plan.gone:
        yield f"{'remove':8}{printable(known.source)}"


def plan_summary(plan: Plan) -> str:
    """How many of each kind."""
    counts = plan_document(plan)
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count) or "no pictures"


def plan_document(plan: Plan) -> dict[str, Any]:
    """How many of each kind, for JSON."""
    return {
        "new": len(plan.added) - len(plan.changed),
        "changed": len(plan.changed),
        "renamed": len(plan.renamed),
        "of another class": len(plan.relabeled),
        "gone": len(plan.gone),
        "as they were": plan.kept,
    }


def outcome_line(outcome: Outcome) -> str:
    """What was done to an index."""
    manifest = outcome.manifest
    done = [
        f"{len(ids):,} {word}"
        for ids, word in ((outcome.added, "added"), (outcome.removed, "removed"))
        if ids
    ]
    segments = len(manifest.parts)
    parts = "in one segment" if segments == 1 else f"in {segments} segments"
    if manifest.store is not None:
        rows = (manifest.rows or manifest.count) - manifest.count
        parts = "on the server" + (f", {rows:,} {'row' if rows == 1 else 'rows'} to compact" if rows else "")
    return f"{', '.join([*done, ''])}now {manifest.count:,} images {parts}"
