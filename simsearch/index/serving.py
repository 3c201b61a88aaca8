"""Writing an index whose items a server holds: a new generation of its collection, checked, then committed.

The manifest is the commit. Readers keep the generation that theirs names, until it is dropped a while after
the next commit; what a killed build left is gone on with, or dropped, by the next.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from simsearch.encode.encoder import any_picture
from simsearch.errors import BadDatasetError, BrokenBundleError, SimsearchError, require
from simsearch.files import read_small_file, write_atomically
from simsearch.index.bundle import commit, read_manifest
from simsearch.index.calibrate import suit_gallery
from simsearch.index.change.recalibrate import fitted
from simsearch.index.data_files import write_data_file
from simsearch.index.manifest import Manifest, StoreRecord
from simsearch.index.packed import keeps_pixels
from simsearch.index.served import ServedColumns, drop_generations, open_store
from simsearch.index.stores.base import Ids, Labels, Vectors
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.milvus.address import check_uri
from simsearch.index.writing import write_bytes
from simsearch.prepare.pictures import DIGITS
from simsearch.prepare.prepare import Images
from simsearch.stats.calibration import Calibration

if TYPE_CHECKING:
    from simsearch.index.stores.milvus.store import MilvusStore

_SAMPLE = 20_000  # items that a calibration is checked on
_READ_BACK = 16  # items of a load that are compared bit for bit before the commit
COLUMNS = ("label", "source", "picture", "vector")
PROGRESS = "loading.json"  # how far a load that can go on has come
_MOST_PROGRESS = 2**16  # bytes
_GRACE_S = 5.0  # until readers have seen the new manifest, and the old generation can go
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class Target:
    """Where items go: a server; which index type, in how many parts and copies."""

    uri: str
    factory: str = "Flat"
    shards: int = 1
    replicas: int = 1


class Load(NamedTuple):
    """Some items on their way into a collection, in ascending order of id, as all loads are."""

    ids: Ids
    labels: Labels | None  # rows of manifest.classes
    vectors: Vectors
    sources: list[str]
    pictures: list[bytes]  # as `pack_pictures` packs them
    stamps: Sequence[str] = ()  # of files, as `stamp_text` writes them; none where the items were not files

    def first(self, count: int) -> Load:
        """The first so many."""
        return Load(*(None if part is None else part[:count] for part in self))  # type: ignore[arg-type]


def write_served(
    folder: Path,
    target: Target,
    draft: Manifest,
    encoder: bytes,
    loads: Iterable[Load],
    *,
    content: str = "",
    calibrated: bool = False,
) -> Manifest:
    """Write an index whose lock is held: fill a new generation of its collection, check it, and commit.

    :param draft: The manifest, with the model's calibration, but for what only the filled collection tells.
    :param loads: All items, each id once.
    :param content: Names what is loaded: an interrupted load of the same goes on in the same collection.
    :param calibrated: That the draft's calibration is this gallery's already.
    :raises UnavailableError: If the server cannot answer; nothing is committed then, and nothing lost.
    :raises BrokenBundleError: If it gives back anything else than it was given.
    """
    require("pymilvus", "scale")
    before = _standing(folder)
    record = _next_record(folder, target, before, exact_pictures=keeps_pixels(any_picture(draft.input)[0]))
    manifest, some = _fill(folder, record, target, draft, loads, content)
    store = open_store(manifest, _record(manifest), timeout=60)
    try:
        check_served(store, manifest.count, some)
        files = {"encoder": write_data_file(folder, "encoder", lambda path: write_bytes(path, encoder))}
        manifest = structs.replace(manifest, files=files)
        if not calibrated:
            manifest = fitted(manifest, draft.calibration, suited_calibration(store, manifest))
        commit(folder, manifest)
        (folder / PROGRESS).unlink(missing_ok=True)
    finally:
        store.close()
    if before is not None and before.store is not None:
        time.sleep(_GRACE_S)
        with contextlib.suppress(SimsearchError):  # the next build drops it
            drop_generations(before.store, but=record)
    return manifest


def _fill(
    folder: Path, record: StoreRecord, target: Target, draft: Manifest, loads: Iterable[Load], content: str
) -> tuple[Manifest, list[Load]]:
    """Fill the collection and wait until it answers wholly: what is then known, and some of the items."""
    from simsearch.index.stores.milvus import collection as stored
    from simsearch.index.stores.milvus.client import Server

    server, name = Server(record.uri), record.served_name
    after = _acknowledged(folder, name, content)
    if not stored.holds(server, name, content):
        after = -1
        stored.drop(server, name)
        index = stored.IndexType(target.factory)
        shape = {"dim": draft.dim, "shards": target.shards}
        stored.create(server, name, index=index, encoder=draft.encoder, content=content, **shape)
    count, last, numbers, some = 0, -1, set[int](), list[Load]()
    for load in loads:
        count, last = count + len(load.ids), int(load.ids[-1])
        numbers.update([] if load.labels is None else np.unique(load.labels).tolist())
        if len(some) * _READ_BACK < _SAMPLE:
            some.append(load.first(_READ_BACK))
        if last > after:
            stored.upsert(server, name, stored.Items(*load))
            if content:
                progress = {"collection": name, "content": content, "after": last}
                write_atomically(folder / PROGRESS, msgspec.json.encode(progress))
    if not some:
        raise BadDatasetError(f"{draft.dataset} holds no images")
    stored.finish(server, name, replicas=target.replicas)
    server.close()
    filled = structs.replace(record, last=last, numbers=tuple(sorted(numbers)))
    return structs.replace(draft, count=count, factory=target.factory, store=filled), some


def _acknowledged(folder: Path, name: str, content: str) -> int:
    """The last id that the server has acknowledged of an interrupted load of the same; -1 for none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said = msgspec.json.decode(read_small_file(folder / PROGRESS, _MOST_PROGRESS) or b"")
        if (said["collection"], said["content"]) == (name, content):
            return int(said["after"])
    return -1


def check_served(store: MilvusStore, count: int, some: Iterable[Load]) -> None:
    """Check that a server gives back what it was given: the number of rows, and some items exactly.

    :raises BrokenBundleError: If it does not.
    """
    found = store.served()
    if found != count:
        hint = "run the same command again"
        raise BrokenBundleError(f"the server holds {found:,} items of {count:,}", hint)
    for load in some:
        rows = store.records(load.ids, COLUMNS)
        again = loaded(rows, labeled=load.labels is not None)
        same = np.array_equal(again.vectors, load.vectors) and (
            load.labels is None or np.array_equal(again.labels, load.labels)  # type: ignore[arg-type]
        )
        if not same or (again.sources, again.pictures) != (load.sources, load.pictures):
            raise BrokenBundleError("the server gives back other items than it was given", "see its log")


def loaded(rows: Sequence[Mapping[str, Any]], *, labeled: bool) -> Load:
    """Items of a store, these columns, as they were loaded; stamps where they were asked for, too."""
    from simsearch.index.stores.milvus.collection import unpack_text

    return Load(
        np.array([row["id"] for row in rows], np.int64),
        np.array([row["label"] for row in rows], np.int64) if labeled else None,
        np.array([row["vector"] for row in rows], np.float32),
        [unpack_text(row["source"]) for row in rows],
        [base64.b64decode(row["picture"]) for row in rows],
        [row["stamp"] for row in rows if "stamp" in row],
    )


def load_columns(record: StoreRecord) -> tuple[str, ...]:
    """All that a collection says of an item."""
    return (*COLUMNS, "stamp") if record.stamps else COLUMNS


def suited_calibration(store: MilvusStore, manifest: Manifest) -> Calibration | None:
    """The manifest's calibration, checked on the gallery or on a sample of it; see `suit_gallery`."""
    some = store.sample(_SAMPLE)
    beside = FaissStore.build(some.vectors, some.ids, some.labels)
    columns = ServedColumns(store, manifest.input, labeled=bool(manifest.classes), exact_pictures=True)

    def pictures(ids: Ids) -> Images:
        return np.stack(columns.pictures_of(ids))

    keeps_digits = manifest.keeps_input and manifest.input.preparation == DIGITS
    found = suit_gallery(manifest.calibration, beside, pictures if keeps_digits else None)
    if found is None or len(some.ids) == manifest.count:
        return found
    return replace(found, gallery=f"of {len(some.ids):,} of its items: {found.gallery}")


def _next_record(
    folder: Path, target: Target, before: Manifest | None, *, exact_pictures: bool
) -> StoreRecord:
    """The next generation of what the index has, or the first of a collection named for its folder."""
    uri = check_uri(target.uri)
    if before is not None and before.store is not None and before.store.uri == uri:
        changed = {"generation": before.store.generation + 1, "replicas": target.replicas}
        return structs.replace(before.store, exact_pictures=exact_pictures, stamps=True, **changed)
    place = uuid.uuid5(uuid.NAMESPACE_URL, f"{socket.gethostname()}/{folder.resolve()}").hex[:8]
    name = f"simsearch_{_UNSAFE.sub('_', folder.name)[:100]}_{place}"
    return StoreRecord("milvus", uri, name, 1, 0, (), exact_pictures, target.replicas, stamps=True)


def _record(manifest: Manifest) -> StoreRecord:
    assert manifest.store is not None  # of a manifest that was drafted for a server
    return manifest.store


def _standing(folder: Path) -> Manifest | None:
    """The index that is there; none if there is none that can be read."""
    with contextlib.suppress(SimsearchError):
        return read_manifest(folder)
    return None
