"""Moving an index from files to a server and back: the same items under the same ids, in one commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from msgspec import structs

from simsearch.errors import BadInputError, BrokenBundleError, cannot_write
from simsearch.index.bundle import Bundle, bundle_lock, commit, open_bundle
from simsearch.index.manifest import Manifest
from simsearch.index.packed import SmallPictures
from simsearch.index.served import drop_generations, pack_pictures, unpack_picture
from simsearch.index.serving import Load, Target, loaded, write_served
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.writing import Described, explained, write_segment

if TYPE_CHECKING:
    from simsearch.index.stores.milvus.store import MilvusStore

_BLOCK = 4096
_COLUMNS = ("label", "source", "picture", "vector")


def to_server(
    folder: Path, target: Target, *, on_progress: Callable[[int], None] = lambda _: None
) -> Manifest:
    """Move an index of files to a server; its files go after the commit.

    A move that was stopped goes on after what the server has acknowledged.

    :param on_progress: Called with the number of items of each block.
    :raises BadInputError: If it is on a server already.
    :raises UnavailableError: If the server cannot answer: then it stays where it is.
    """
    bundle = _open(folder, on_server=False)
    manifest = bundle.manifest
    if manifest.class_numbers is not None:
        manifest = structs.replace(manifest, class_numbers=None)  # labels are loaded as rows of the classes
    draft = structs.replace(manifest, files={}, segments=(), rows=None, factory=target.factory)
    content = hashlib.sha256(bundle.manifest.to_json()).hexdigest()
    try:
        with bundle_lock(folder) as signals:

            def loads() -> Iterator[Load]:
                for load in _blocks(bundle):
                    signals.heed()
                    yield load
                    on_progress(len(load.ids))

            return write_served(
                folder, target, draft, bundle.encoder.model, loads(), content=content, calibrated=True
            )
    except OSError as error:
        raise cannot_write(folder, error) from error


def to_files(folder: Path, factory: str, *, on_progress: Callable[[int], None] = lambda _: None) -> Manifest:
    """Move an index from a server to files, which this machine's memory must hold; the collection goes then.

    :param factory: A FAISS factory string.
    :raises BadInputError: If it is in files already.
    :raises UnavailableError: If the server cannot answer: then it stays where it is.
    """
    bundle = _open(folder, on_server=True)
    record = bundle.manifest.store
    assert record is not None
    try:
        with bundle_lock(folder) as signals:
            loads = []
            for load in _served_blocks(bundle):
                signals.heed()
                loads.append(load)
                on_progress(len(load.ids))
            manifest = _written(folder, bundle.manifest, loads, factory)
            _check(bundle, loads)
            commit(folder, manifest)
        bundle.store.close()
        drop_generations(record)
        return manifest
    except OSError as error:
        raise cannot_write(folder, error) from error


def _open(folder: Path, *, on_server: bool) -> Bundle:
    bundle = open_bundle(folder)
    if (bundle.manifest.store is not None) != on_server:
        where = "in files" if on_server else "on a server"
        raise BadInputError(f"the index {bundle.manifest.name} is {where} already", "nothing is to be done")
    return bundle


def _blocks(bundle: Bundle) -> Iterator[Load]:
    """The items of an index in files."""
    for start in range(0, len(bundle.ids), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(bundle.ids)))
        ids = np.asarray(bundle.ids[rows])
        if bundle.keeps_input:
            pictures = pack_pictures(np.asarray(bundle.thumbnails[rows]))
        else:
            pictures = [bundle.thumbnails.packed(row) for row in rows.tolist()]
        yield Load(
            ids,
            None if bundle.labels is None else np.asarray(bundle.labels[rows]),
            np.array(bundle.store.vectors(ids)),
            [bundle.sources[row] for row in rows.tolist()],
            pictures,
        )


def _served_blocks(bundle: Bundle) -> Iterator[Load]:
    for rows in cast("MilvusStore", bundle.store).scan_records(_COLUMNS):
        ids = np.array([row["id"] for row in rows], np.int64)
        yield loaded(ids, rows, labeled=bool(bundle.manifest.classes))


def _written(folder: Path, manifest: Manifest, loads: list[Load], factory: str) -> Manifest:
    """The files of these items, and the manifest that names them."""
    ids = np.concatenate([load.ids for load in loads])
    if len(ids) != manifest.count:
        raise BrokenBundleError(f"the server gave {len(ids):,} items of {manifest.count:,}", "try again")
    labels = [load.labels for load in loads if load.labels is not None]
    vectors = np.concatenate([load.vectors for load in loads])
    with explained():
        store = FaissStore.build(vectors, ids, np.concatenate(labels) if labels else None, factory=factory)
    pictures = [picture for load in loads for picture in load.pictures]
    sources = [source for load in loads for source in load.sources]
    if manifest.keeps_input:
        pixels = np.stack([unpack_picture(one, manifest.input, exact=True) for one in pictures])
        described = Described(pixels, sources)
    else:
        ends = np.cumsum([len(one) for one in pictures], dtype=np.int64)
        described = Described(SmallPictures(b"".join(pictures), ends), sources)
    segment = write_segment(folder, store, described, factory=factory)
    files = {"encoder": manifest.files["encoder"], **segment.files}
    return structs.replace(manifest, files=files, factory=factory, store=None)


def _check(bundle: Bundle, loads: list[Load]) -> None:
    """Check a sample of what was read against another reading of it."""
    sample = bundle.store.sample(256)
    every = np.concatenate([load.ids for load in loads])
    vectors = np.concatenate([load.vectors for load in loads])[np.searchsorted(every, sample.ids)]
    if not np.array_equal(vectors, sample.vectors):
        raise BrokenBundleError("the server gives other vectors when it is asked again", "try again")
