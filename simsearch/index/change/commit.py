"""A change -> the next manifest: its files are written, segments merged where that pays, then one rename.

Segments at least halve in size from one to the next, as in a log-structured merge tree (O'Neil et al. 1996),
so that there are few and an item is written again only so often as the gallery doubles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec import structs

from simsearch.errors import BadInputError
from simsearch.index.bundle import commit, read_items
from simsearch.index.change.merge import Shape, merge_segments
from simsearch.index.change.recalibrate import recalibrated
from simsearch.index.change.revise import Classes, Revision, revise
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.manifest import Manifest, Segment
from simsearch.index.segment import Items
from simsearch.index.stores.base import Ids
from simsearch.index.stores.faiss_index import FLAT

_MOST_REMOVED = 0.25  # of a segment's rows, until it is written again without them
MOST_CHANGED = 0.1  # of the items, until the calibration is checked again
_NO_IDS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Change:
    """What is to be done to an index, in one commit."""

    added: Sequence[Segment] = ()  # already written, with ids from `next_id` of the index on
    removed: Ids = field(default_factory=lambda: _NO_IDS)  # ascending
    revised: Mapping[int, Revision] = field(default_factory=dict)  # by id
    root: str | None = None  # the new one
    labeling: str | None = None  # the new one

    @property
    def size(self) -> int:
        """How many items it is about."""
        return sum(segment.count for segment in self.added) + len(self.removed) + len(self.revised)


def next_id_of(folder: Path, manifest: Manifest) -> int:
    """The id of the next item."""
    if manifest.next_id is not None:
        return manifest.next_id
    return int(read_items(folder, manifest)[-1].ids[-1]) + 1


def apply_change(
    folder: Path, manifest: Manifest, change: Change, classes: Classes, next_id: int
) -> Manifest:
    """Commit a change to an index whose lock is held.

    :param classes: Of the index, with those that the change needs.
    :param next_id: Of the next item, after the change.
    :raises BadInputError: If nothing would be left.
    """
    parts = list(manifest.parts)
    gone = change.removed
    if "removed" in manifest.files:
        gone = np.union1d(gone, np.concatenate([_gone(items) for items in read_items(folder, manifest)]))
    if change.revised:
        parts = revise(folder, manifest, change.revised, classes)
    parts += change.added
    if len(gone) == sum(part.count for part in parts):
        raise BadInputError(
            f"nothing would be left in {manifest.name}", hint="`simsearch delete` deletes an index"
        )
    manifest = structs.replace(
        manifest,
        next_id=next_id,
        root=change.root or manifest.root,
        labeling=change.labeling or manifest.labeling,
        changed=manifest.changed + change.size,
    )
    manifest = _composed(folder, manifest, parts, gone, classes)
    if (
        change.revised or len(change.removed) or len(manifest.classes) > len(classes.before)
    ):  # perhaps of none that was read
        manifest = _without_empty_classes(folder, manifest, classes)
    return _finish(folder, tidy(folder, manifest))


def compact(folder: Path, manifest: Manifest) -> Manifest:
    """Make one segment of an index whose lock is held, without what was removed, and fit it anew."""
    return _finish(folder, _merge(folder, manifest, 0, len(manifest.parts)))


def tidy(folder: Path, manifest: Manifest) -> Manifest:
    """Merge segments where it pays."""
    every = read_items(folder, manifest) if "removed" in manifest.files else None
    rows = [part.count for part in manifest.parts]
    live = rows if every is None else [items.live for items in every]
    start, total = len(rows) - 1, live[-1]
    while start and live[start - 1] < 2 * total:
        start -= 1
        total += live[start]
    if (start == 0 and len(rows) > 1) or live[0] < (1 - _MOST_REMOVED) * rows[0]:
        try:
            return _merge(folder, manifest, 0, len(rows))
        except BadInputError:  # too few items for the index type, for example: what came later is merged
            start = max(1, start)
    if start < len(rows) - 1:
        return tidy(folder, _merge(folder, manifest, start, len(rows)))
    for number in range(1, len(rows)):
        if live[number] < (1 - _MOST_REMOVED) * rows[number]:
            return tidy(folder, _merge(folder, manifest, number, number + 1))
    return manifest


def _merge(folder: Path, manifest: Manifest, start: int, end: int) -> Manifest:
    """Make one segment of those from `start` to before `end`, or none where nothing is left of them."""
    parts = list(manifest.parts)
    every = read_items(folder, manifest)
    removed = np.concatenate([_gone(items) for items in every])
    whole = (start, end) == (0, len(parts))
    shape = Shape(manifest.dim, manifest.input.picture_shape)
    renumber = None
    if whole and manifest.class_numbers is not None:
        renumber = {number: row for row, number in enumerate(manifest.class_numbers)}
    merged: list[Segment] = []
    if any(items.live for items in every[start:end]):
        merged = [
            merge_segments(
                folder,
                folder,
                parts[start:end],
                shape,
                removed=removed,
                factory=manifest.factory if start == 0 else FLAT,
                coded=manifest.is_coded and start == 0,
                renumber=renumber,
            )
        ]
    left = np.concatenate([_NO_IDS, *(_gone(items) for items in (*every[:start], *every[end:]))])
    if whole:  # and the calibration is to be checked again
        manifest = structs.replace(manifest, class_numbers=None, changed=max(1, manifest.count))
    return _composed(folder, manifest, [*parts[:start], *merged, *parts[end:]], left, Classes(manifest))


def _composed(
    folder: Path, manifest: Manifest, parts: Sequence[Segment], removed: Ids, classes: Classes
) -> Manifest:
    """A manifest of these segments."""
    encoder = {role: entry for role, entry in manifest.files.items() if role == "encoder"}  # if there is one
    files = {**encoder, **parts[0].files}
    if len(removed):
        files["removed"] = write_data_file(folder, "removed", write_array(removed))
    names = classes.ordered()
    numbers = tuple(classes.numbers[name] for name in names)
    return structs.replace(
        manifest,
        count=sum(part.count for part in parts) - len(removed),
        rows=parts[0].count if len(parts) > 1 or len(removed) else None,
        files=files,
        segments=tuple(parts[1:]),
        classes=names,
        class_numbers=None if numbers == tuple(range(len(names))) else numbers,
    )


def _without_empty_classes(folder: Path, manifest: Manifest, classes: Classes) -> Manifest:
    """Take out the classes without an item."""
    if "labels" not in manifest.files:
        return manifest
    counts = np.zeros(len(manifest.classes), np.int64)
    for items in read_items(folder, manifest, "labels"):
        assert items.labels is not None
        labels = items.labels if items.kept is None else items.labels[items.kept]
        counts += np.bincount(labels, minlength=len(counts))
    kept = [name for name, count in zip(manifest.classes, counts, strict=True) if count]
    numbers = tuple(classes.numbers[name] for name in kept)
    return structs.replace(
        manifest,
        classes=tuple(kept),
        class_numbers=None if numbers == tuple(range(len(kept))) else numbers,
    )


def _gone(items: Items) -> Ids:
    """The removed ids of a segment."""
    gone: Ids = _NO_IDS if items.kept is None else np.delete(items.ids, items.kept)
    return gone


def _finish(folder: Path, manifest: Manifest) -> Manifest:
    """Check the calibration where much has changed, and commit."""
    if manifest.changed > MOST_CHANGED * manifest.count:
        manifest = recalibrated(folder, manifest)
    commit(folder, manifest)
    return manifest
