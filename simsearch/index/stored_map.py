"""A layout of an index's items that takes long to compute, kept beside the index: `map.json`.

It is no part of the index: where it is missing, damaged or of other items, the index answers all the same.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from simsearch.documents import check_checksum, parse_document, record_of, with_checksum
from simsearch.errors import MissingBundleError
from simsearch.files import read_small_file, write_atomically
from simsearch.index.bundle import MANIFEST, Bundle, bundle_lock
from simsearch.index.manifest import Manifest
from simsearch.index.stores.base import Ids

MAP = "map.json"
MOST_POINTS = 10_000  # a larger gallery is thinned at random
_SCHEMA = 1
_MAX_BYTES = 2**24
_IDS, _PLACES = np.dtype("<i8"), np.dtype("<f4")


@dataclass(frozen=True, eq=False)
class StoredMap:
    """The places of some items on a plane."""

    method: str  # "tsne"
    ids: Ids  # (N,), ascending
    places: NDArray[np.float32]  # (N, 2)


class _Document(msgspec.Struct):
    schema: int
    method: str
    segments: tuple[str, ...]  # checksums of the vectors that were laid out
    ids: str
    places: str


def write_map(bundle: Bundle, stored: StoredMap) -> Path:
    """Keep a layout of an index's items beside it; returns the file.

    :raises BusyError: If another process is writing the index.
    :raises BadInputError: If it cannot be written.
    :raises MissingBundleError: If the index has gone meanwhile.
    """
    path = bundle.folder / MAP
    document = {
        "schema": _SCHEMA,
        "method": stored.method,
        "segments": sorted(_vectors_of(bundle.manifest)),
        "ids": base64.b64encode(stored.ids.astype(_IDS).tobytes()).decode(),
        "places": base64.b64encode(stored.places.astype(_PLACES).tobytes()).decode(),
    }
    _check_there(bundle.folder)  # a lock would make the folder again
    with bundle_lock(bundle.folder):
        _check_there(bundle.folder)
        write_atomically(path, with_checksum(document))
    return path


def _check_there(folder: Path) -> None:
    if not (folder / MANIFEST).is_file():
        raise MissingBundleError(f"the index in {folder} was deleted or renamed meanwhile")


def read_map(bundle: Bundle) -> StoredMap | None:
    """The layout that is kept beside an index, of those of its items that are still there; None for none.

    None also where it cannot be read, or where the index holds other vectors than it was made of.
    """
    try:
        data = read_small_file(bundle.folder / MAP, _MAX_BYTES)
        return None if data is None else _parse(data, bundle)
    except (OSError, ValueError):
        return None


def _parse(data: bytes, bundle: Bundle) -> StoredMap | None:
    fields = parse_document(data)
    check_checksum(fields)
    stored = record_of(_Document, fields)
    if stored.schema != _SCHEMA or not set(stored.segments) <= _vectors_of(bundle.manifest):
        return None
    ids = np.frombuffer(base64.b64decode(stored.ids), _IDS).astype(np.int64)
    places = np.frombuffer(base64.b64decode(stored.places), _PLACES).reshape(-1, 2).astype(np.float32)
    if len(ids) != len(places) or not np.isfinite(places).all() or (ids[1:] <= ids[:-1]).any():
        raise ValueError("its places do not fit its ids")
    there = np.isin(ids, bundle.ids, assume_unique=True)
    return StoredMap(stored.method, ids[there], places[there]) if there.any() else None


def _vectors_of(manifest: Manifest) -> set[str]:
    """The checksums of the files of vectors, which no other vectors have; on a server the collection."""
    if manifest.store is not None:
        return {f"{manifest.store.uri}/{manifest.store.served_name}"}
    return {(part.files.get("vectors") or part.files["index"]).xxh3_128 for part in manifest.parts}
