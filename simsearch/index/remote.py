"""An index on a server that changes: its collection only grows, and the manifest says which rows count.

New items are rows after the last that counts. An item that is removed stays as a row that does not count; one
of another source or class becomes a new row under its old id. The manifest, with the list of such rows, is
committed last: until then nobody sees anything, and what a killed writer left does not count for the next. So
that the list does not grow for ever, `compact` writes what counts into another collection.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from simsearch.errors import BadInputError, UnavailableError
from simsearch.index.bundle import commit, open_served
from simsearch.index.change.commit import MOST_CHANGED, Change
from simsearch.index.change.recalibrate import fitted, model_of
from simsearch.index.change.revise import Classes, Revision
from simsearch.index.data_files import open_checked, write_array, write_data_file
from simsearch.index.manifest import Manifest, Segment, StoreRecord
from simsearch.index.reading import Stamp, stamp_text
from simsearch.index.served import open_store, pack_pictures, write_rows
from simsearch.index.serving import (
    Load,
    Target,
    check_served,
    load_columns,
    loaded,
    suited_calibration,
    write_served,
)
from simsearch.index.stores.base import Ids, Labels, Vectors
from simsearch.index.writing import Described

if TYPE_CHECKING:
    from simsearch.index.stores.milvus.store import MilvusStore

_READ_BACK = 16  # items of what is written at once that are compared bit for bit before the commit
_BLOCK = 2048  # revised items that are read and written at once
_VISIBLE_S = 60.0  # until what was written is served by every copy
_POLL_S = 0.2


class OnServer:
    """An index whose lock is held, and whose items a server holds; see `Holding`."""

    def __init__(self, folder: Path, manifest: Manifest, record: StoreRecord) -> None:
        """Open its store.

        :raises UnavailableError: If the server cannot answer.
        """
        self._folder, self._manifest, self._record = folder, manifest, record
        self._store = open_served(folder, manifest)
        self._some: list[Load] = []  # of what was written, to be read back
        self._left = np.empty(0, np.int64)  # rows that a killed writer left

    def next_id(self) -> int:
        """The id of the next item, after what a killed writer left.

        That is never deleted: if the folder was copied, it may be another's.

        :raises BadInputError: If the collection was made before it could be changed.
        """
        if not self._record.stamps:
            raise BadInputError(
                f"the collection of {self._manifest.name} is of a kind that is not changed",
                f"write it anew: `simsearch compact {self._manifest.name}`",
            )
        self._left = self._store.after_last()
        known = max(self._manifest.next_id or 0, self._record.last + 1)
        return max(known, int(self._left[-1]) + 1) if len(self._left) else known

    def present(self, wanted: Ids) -> Ids:
        """Those of these ids that there are items of; see `Holding.present`."""
        from simsearch.index.stores.milvus.rows import ABSENT

        found = wanted[self._store.rows.rows_of(wanted) != ABSENT]
        return np.array(sorted(self._store.existing(found, ())), np.int64)

    def write(self, ids: Ids, vectors: Vectors, labels: Labels, described: Described) -> Segment:
        """Store new items on the server, after all that count; see `Holding.write`."""
        stamps = [] if described.stamps is None else [stamp_text(one) for one in _plain(described.stamps)]
        numbers = labels if self._manifest.is_labeled else None
        load = Load(ids, numbers, vectors, list(described.sources), pack_pictures(described.shown), stamps)
        self._upsert(load)
        return Segment(len(ids), self._manifest.factory, {})

    def apply(self, change: Change, classes: Classes, next_id: int) -> Manifest:
        """Commit a change: see `apply_change`.

        :raises BadInputError: If nothing would be left.
        """
        before = self._manifest
        added = sum(segment.count for segment in change.added)
        if before.count + added == len(change.removed):
            raise BadInputError(
                f"nothing would be left in {before.name}", hint="`simsearch delete` deletes an index"
            )
        ids, moved, next_id = self._revise(change.revised, classes, next_id)
        rows = self._store.rows.changed(
            next_id - 1, left=self._left, gone=change.removed, revised=ids, rows=moved
        )
        arrays = write_rows(rows)
        files = {"encoder": before.files["encoder"]} | {
            role: write_data_file(self._folder, role, write_array(array)) for role, array in arrays.items()
        }
        count = before.count + added - len(change.removed)
        manifest = structs.replace(
            before,
            count=count,
            rows=count + len(rows.removed) if len(rows.removed) else None,
            files=files,
            next_id=next_id,
            root=change.root or before.root,
            labeling=change.labeling or before.labeling,
            changed=before.changed + change.size,
            store=structs.replace(self._record, last=rows.last),
        )
        manifest = _with_classes(manifest, classes.ordered(), classes)
        lost = bool(len(change.removed) or change.revised) or len(self._record.numbers) < len(before.classes)
        return self._finish(manifest, classes, lost=lost)

    def compact(self) -> Manifest:
        """Write what counts into another generation of the collection, and commit."""
        manifest, record = self._manifest, self._record
        if self._store.rows.is_plain and record.stamps and manifest.class_numbers is None:
            manifest = _recalibrated(self._store, manifest) if manifest.changed else manifest
            commit(self._folder, manifest)
            return manifest
        described = self._store.server.call("describe_collection", self._store.name)
        target = Target(record.uri, manifest.factory, int(described["num_shards"]), record.replicas)
        draft = structs.replace(
            manifest, rows=None, class_numbers=None, changed=0, calibration=model_of(manifest)
        )
        with open_checked(self._folder, manifest.files["encoder"]) as file:
            encoder = file.read()
        content = hashlib.sha256(manifest.to_json()).hexdigest()
        return write_served(self._folder, target, draft, encoder, self._loads(), content=content)

    def close(self) -> None:
        """Give the connection back."""
        self._store.close()

    def _loads(self) -> Iterator[Load]:
        for rows in self._store.scan_records(load_columns(self._record)):
            yield loaded(rows, labeled=self._manifest.is_labeled)

    def _upsert(self, load: Load) -> None:
        from simsearch.index.stores.milvus.collection import Items

        self._store.upsert(Items(*load))
        self._some.append(load.first(_READ_BACK))

    def _revise(
        self, revised: Mapping[int, Revision], classes: Classes, next_id: int
    ) -> tuple[Ids, Ids, int]:
        """Write what becomes of items: ids of those in new rows, these rows, and the next id then.

        Where only the stamp is another, which no reader sees, the row stays where it is.
        """
        every, moved = np.array(sorted(revised), np.int64), [np.empty(0, np.int64)]
        first = next_id
        for start in range(0, len(every), _BLOCK):
            ids = every[start : start + _BLOCK]
            wanted = [revised[int(item)] for item in ids]
            before = loaded(
                self._store.records(ids, load_columns(self._record)), labeled=self._manifest.is_labeled
            )
            numbers = None
            if self._manifest.is_labeled:
                numbers = np.array([classes.number_of(one.label or "") for one in wanted], np.int64)
            same = self._unseen(before, wanted)
            rows = self._store.rows.rows_of(ids)
            rows[~same] = np.arange(next_id, next_id + int((~same).sum()))
            next_id += int((~same).sum())
            moved.append(ids[~same])
            sources, stamps = [one.source for one in wanted], [stamp_text(one.stamp) for one in wanted]
            self._upsert(before._replace(ids=rows, labels=numbers, sources=sources, stamps=stamps))
        return np.concatenate(moved), np.arange(first, next_id, dtype=np.int64), next_id

    def _unseen(self, before: Load, wanted: Sequence[Revision]) -> NDArray[np.bool_]:
        """Which of these items get nothing that a reader sees, (n,)."""
        names = self._manifest.classes
        labels = [None] * len(wanted) if before.labels is None else [names[row] for row in before.labels]
        sides = zip(before.sources, labels, wanted, strict=True)
        return np.array([(source, label) == (new.source, new.label) for source, label, new in sides])

    def _finish(self, manifest: Manifest, classes: Classes, *, lost: bool) -> Manifest:
        """Wait until everything is served, check it, and commit."""
        assert manifest.store is not None
        store = open_served(self._folder, manifest)
        stored = open_store(_as_stored(manifest), manifest.store)
        try:
            _wait_until_served(stored, len(stored))
            check_served(stored, len(stored), self._some)
            if lost and manifest.is_labeled:
                kept = [name for place, name in enumerate(manifest.classes) if store.count(place)]
                manifest = _with_classes(manifest, tuple(kept), classes)
                store.close()
                store = open_served(self._folder, manifest)
            if manifest.changed > MOST_CHANGED * manifest.count:
                manifest = _recalibrated(store, manifest)
            commit(self._folder, manifest)
        finally:
            store.close()
            stored.close()
        return manifest


def _recalibrated(store: MilvusStore, manifest: Manifest) -> Manifest:
    """A manifest whose calibration was checked on its gallery; see `recalibrated`."""
    model = model_of(manifest)
    return fitted(manifest, model, suited_calibration(store, structs.replace(manifest, calibration=model)))


def _with_classes(manifest: Manifest, names: tuple[str, ...], classes: Classes) -> Manifest:
    """A manifest of these classes, each of which has an item."""
    assert manifest.store is not None
    numbers = tuple(classes.numbers[name] for name in names)
    return structs.replace(
        manifest,
        classes=names,
        class_numbers=None if numbers == tuple(range(len(names))) else numbers,
        store=structs.replace(manifest.store, numbers=tuple(range(len(names)))),
    )


def _as_stored(manifest: Manifest) -> Manifest:
    """An index of all its collection's rows, under their own numbers and those of their classes."""
    rows = manifest.count if manifest.rows is None else manifest.rows
    files = {"encoder": manifest.files["encoder"]}
    return structs.replace(manifest, count=rows, rows=None, files=files, class_numbers=None)


def _wait_until_served(store: MilvusStore, rows: int) -> None:
    """Wait until every copy serves what was written, and nothing that was deleted.

    :raises UnavailableError: If it takes longer than a minute.
    """
    end = time.monotonic() + _VISIBLE_S
    while store.served() != rows:
        if time.monotonic() > end:
            raise UnavailableError("the server does not serve all that was written", "run the same again")
        time.sleep(_POLL_S)


def _plain(stamps: NDArray[np.void]) -> Iterator[Stamp]:
    for size, mtime_ns, (high, low) in stamps.tolist():
        yield size, mtime_ns, (int(high), int(low))
