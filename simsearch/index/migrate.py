"""Moving an index from files to a server and back: the same items under the same ids, in one commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from msgspec import structs

from simsearch.errors import BadInputError, BrokenBundleError, cannot_write
from simsearch.index.bundle import BUILDING, Bundle, bundle_lock, commit, open_as, open_bundle
from simsearch.index.change.guard import writing
from simsearch.index.change.merge import Shape, merge_segments
from simsearch.index.change.sync import known_items
from simsearch.index.manifest import Manifest, Segment, StoreRecord
from simsearch.index.packed import SmallPictures
from simsearch.index.reading import STAMP, stamp_of, stamp_text
from simsearch.index.served import drop_generations, pack_pictures, unpack_picture
from simsearch.index.serving import Load, Target, load_columns, loaded, write_served
from simsearch.index.staging import Staging
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import check_factory
from simsearch.index.writing import Described, explained, write_segment
from simsearch.prepare.inputs import Pictures

if TYPE_CHECKING:
    from simsearch.index.stores.milvus.store import MilvusStore

_BLOCK = 4096
_SAMPLE = 256  # items that are compared before the commit


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
    """Move an index from a server to files; the collection goes after the commit.

    A move that was stopped goes on after what was kept. Memory does not grow with the number of items, but
    for an index type that is not flat.

    :param factory: A FAISS factory string.
    :param on_progress: Called with the number of items of each block.
    :raises BadInputError: If it is in files already, or FAISS cannot build such an index.
    :raises UnavailableError: If the server cannot answer: then it stays where it is.
    """
    bundle = _open(folder, on_server=True)
    record = bundle.manifest.store
    assert record is not None
    with explained():
        check_factory(factory, bundle.manifest.dim)  # before the work
    with writing(folder) as signals:
        content = hashlib.sha256(bundle.manifest.to_json()).hexdigest()
        shape = Shape(bundle.manifest.dim, bundle.manifest.input.picture_shape)
        staging = Staging(folder / BUILDING, content, shape)
        on_progress(staging.count)
        for load in _served_blocks(bundle, record, staging.last):
            signals.heed()
            staging.add(_segment(staging.folder, bundle.manifest, load), int(load.ids[-1]))
            on_progress(len(load.ids))
        manifest = _written(folder, bundle.manifest, staging, factory, shape)
        _check(folder, bundle, manifest)
        commit(folder, manifest)
        staging.discard()
    bundle.store.close()
    drop_generations(record)
    return manifest


def _open(folder: Path, *, on_server: bool) -> Bundle:
    bundle = open_bundle(folder)
    if (bundle.manifest.store is not None) != on_server:
        where = "in files" if on_server else "on a server"
        raise BadInputError(f"the index {bundle.manifest.name} is {where} already", "nothing is to be done")
    return bundle


def _blocks(bundle: Bundle) -> Iterator[Load]:
    """The items of an index in files."""
    stamps = _stamps(bundle)
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
            [known.source for known in bundle.columns.describe(ids)],
            pictures,
            stamps[start : start + _BLOCK],
        )


def _stamps(bundle: Bundle) -> list[str]:
    """What the items' files were when they were read, in order of id; nothing where they were no files."""
    return [stamp_text(known.stamp) for known in known_items(bundle.folder, bundle.manifest)]


def _served_blocks(bundle: Bundle, record: StoreRecord, after: int) -> Iterator[Load]:
    for rows in cast("MilvusStore", bundle.store).scan_records(load_columns(record), after):
        yield loaded(rows, labeled=bool(bundle.manifest.classes))


def _segment(folder: Path, manifest: Manifest, load: Load) -> Segment:
    """The files of these items, flat."""
    shown: Pictures | SmallPictures = SmallPictures.of(load.pictures)
    if manifest.keeps_input:
        shown = np.stack([unpack_picture(one, manifest.input, exact=True) for one in load.pictures])
    stamps = np.array([stamp_of(text) for text in load.stamps], STAMP) if any(load.stamps) else None
    store = FaissStore.build(load.vectors, load.ids, load.labels)
    return write_segment(folder, store, Described(shown, load.sources, stamps))


def _written(folder: Path, manifest: Manifest, staging: Staging, factory: str, shape: Shape) -> Manifest:
    """The files of all items, and the manifest that names them."""
    if staging.count != manifest.count:
        raise BrokenBundleError(f"the server gave {staging.count:,} items of {manifest.count:,}", "try again")
    segment = merge_segments(
        staging.folder, folder, staging.segments, shape, removed=np.empty(0, np.int64), factory=factory
    )
    return structs.replace(
        manifest,
        files={"encoder": manifest.files["encoder"], **segment.files},
        factory=factory,
        store=None,
        rows=None,
        class_numbers=None,
    )


def _check(folder: Path, bundle: Bundle, manifest: Manifest) -> None:
    """Check a sample of what the server holds against what was written."""
    written, sample = open_as(folder, manifest), bundle.store.sample(_SAMPLE)
    same = np.array_equal(written.store.vectors(sample.ids), sample.vectors) and written.columns.describe(
        sample.ids
    ) == bundle.columns.describe(sample.ids)
    if not same:
        raise BrokenBundleError("the server gives other items when it is asked again", "try again")
