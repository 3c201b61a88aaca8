"""Groups of copies as one HTML document; `copies.html.jinja` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simsearch.index.audit.groups import Duplicates, Group, Member
from simsearch.index.audit.kinds import CopyKind
from simsearch.index.bundle import Bundle
from simsearch.show.findings import KINDS, copies_summary
from simsearch.show.html.audit_page import Shown
from simsearch.show.html.pages import render_page

MOST_GROUPS = 500  # whose pictures are some ten megabytes
_MEANINGS: Mapping[str, str] = {
    KINDS[CopyKind.FILE]: "equal in every byte",
    KINDS[CopyKind.PIXELS]: "equal in every pixel that the network saw",
    KINDS[CopyKind.NEAR]: "the same but for size, compression, color or brightness",
    KINDS[CopyKind.MIRRORED]: "the same, turned over",
    KINDS[CopyKind.EDITED]: "with a border, cut or turned a little; the least sure kind",
}


def render_copies(found: Duplicates, bundle: Bundle, against: Bundle | None = None) -> str:
    """One self-contained HTML5 document of the copies in this index."""
    shown = {found.index: Shown(bundle)}
    if against is not None and found.against is not None:
        shown[found.against] = Shown(against)
    return render_page(
        "copies.html.jinja",
        found=found,
        summary=copies_summary(found),
        groups=[_group(shown, group) for group in found.groups[:MOST_GROUPS]],
        left=max(0, len(found.groups) - MOST_GROUPS),
        meanings=_MEANINGS,
    )


def _group(shown: Mapping[str, Shown], group: Group) -> dict[str, Any]:
    every = (group.best, *group.others)
    members = [_member(shown, it, best=it is group.best) for it in every]
    labels = {it.label for it in every}
    differ = ", under different labels" if len(labels) > 1 else ""
    return {"title": f"{len(members):,} pictures{differ}", "why": group.why, "members": members}


def _member(shown: Mapping[str, Shown], member: Member, *, best: bool) -> dict[str, Any]:
    lines = [] if best else [f"{KINDS[member.kind]}, cosine {member.score:.4f}"]
    if member.width is not None:
        lines.append(f"{member.width:,} x {member.height:,} pixels, {member.bytes:,} bytes")
    if member.label is not None:
        lines.append(f"class {member.label}")
    facts = shown[member.index].facts(member.id, member.source, member.label)
    return {**facts, "best": best, "lines": lines}
