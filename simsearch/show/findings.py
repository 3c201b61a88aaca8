"""What audits and searches for copies found, in sentences that the terminal and the documents share."""

from __future__ import annotations

from collections.abc import Mapping

from simsearch.index.audit.audit import Audit, LabelError
from simsearch.index.audit.groups import Duplicates
from simsearch.index.audit.kinds import CopyKind
from simsearch.text import percent

KINDS: Mapping[CopyKind, str] = {
    CopyKind.FILE: "the same file",
    CopyKind.PIXELS: "the same pixels",
    CopyKind.NEAR: "a near copy",
    CopyKind.MIRRORED: "mirrored",
    CopyKind.EDITED: "edited",
}
MEANINGS: Mapping[str, str] = {
    "Label errors": "the nearest others of an item are of another class (confident learning; Northcutt, "
    "Jiang, Chuang 2021); what the encoder cannot tell apart, no label of can be judged",
    "Confident": "the other class's share of the neighbors reaches what that class has of its own",
    "Estimated": "how many labels are wrong in all, by the calibrated confident joint",
    "Outliers": "the items with the lowest mean cosine to their nearest others (Ramaswamy, Rastogi, Shim "
    "2000): other things, damaged or very rare pictures, or a kind that the encoder does not know",
    "Overlapping classes": "mean share of an item's neighbors that are of the other class",
    "Leaks": "the other index holds a copy: the same file or pixels, or a near copy by vector and pixels",
}


def labels_summary(audit: Audit) -> str:
    """How many labels are doubtful."""
    if not audit.judged:
        return "No label can be judged: there are none, or each class has one item."
    alone = audit.items - audit.judged
    left_out = f" {alone:,} alone in their class are not judged." if alone else ""
    return (
        f"{_labels(audit.confident)} at odds with the neighbors' by confident learning, which estimates that "
        f"{audit.estimated:,.0f} of {audit.judged:,} are wrong. Look before you correct.{left_out}"
    )


def outliers_summary(audit: Audit) -> str:
    """What the least near items are measured by."""
    if audit.median is None:
        return "There is nothing to compare an item with."
    return (
        f"The items with the least similar neighbors; half of all have a mean cosine of {audit.median:.4f}."
    )


def leaks_summary(audit: Audit) -> str:
    """How many items are in the other index too."""
    return f"{audit.leaking:,} of {audit.items:,} items have a copy in {audit.against}."


def shares(error: LabelError) -> str:
    """The neighbors of an item's label, and those of the suggested one."""
    return f"{percent(error.share)} of its neighbors, {percent(error.suggested_share)} of the other class"


def copies_summary(found: Duplicates) -> str:
    """How many pictures are there twice."""
    where = f"also in {found.against}" if found.against else "too many"
    files = (
        f"{found.files:,} files compared byte by byte" if found.files else "no file is there to be compared"
    )
    unreadable = f", {found.unreadable:,} could not be read" if found.unreadable else ""
    return (
        f"{found.copies:,} of {found.items:,} pictures are {where}, in {len(found.groups):,} groups "
        f"({files}{unreadable})."
    )


def _labels(count: int) -> str:
    return "1 label is" if count == 1 else f"{count:,} labels are"
