"""An index of one kind -> another kind: how FAISS searches, and in which precision vectors are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import structs

from simsearch.errors import BadInputError
from simsearch.index.bundle import commit, open_as, read_manifest
from simsearch.index.change.guard import writing
from simsearch.index.change.merge import array_writer
from simsearch.index.change.recalibrate import recalibrated
from simsearch.index.data_files import write_data_file
from simsearch.index.manifest import FileEntry, Manifest
from simsearch.index.stores.base import Vectors
from simsearch.index.stores.coded import PRECISIONS, coded_factory
from simsearch.index.stores.faiss_index import FLAT, make_index, write_index
from simsearch.index.stores.flat import FlatStore
from simsearch.index.stores.opening import write_flat
from simsearch.index.writing import check_written, explained, with_block_sums

_BLOCK = 2**14  # vectors at once
_UNCHECKED = "not checked"


@dataclass(frozen=True)
class IndexKind:
    """How vectors are stored and searched."""

    factory: str = FLAT  # a FAISS factory string
    precision: str = "float32"  # one of `PRECISIONS`; less than float32: the codes of FAISS are the vectors
    effort: int | None = None  # lists or candidates that a search looks at; None for the usual

    @property
    def full_factory(self) -> str:
        """The factory string with the codes of this precision.

        :raises ValueError: If this kind has none.
        """
        return (
            self.factory if self.precision == PRECISIONS[0] else coded_factory(self.factory, self.precision)
        )


def retype(folder: Path, kind: IndexKind) -> Manifest:
    """Make an index in files one of this kind, in one step; until then it answers as before.

    :raises BadInputError: If it lies on a server, has changed since it was merged, is stored in a lower
        precision already, or FAISS cannot build such an index.
    :raises BusyError: If another process is writing it.
    """
    with explained():
        factory = kind.full_factory
    with writing(folder):
        manifest = retypable(folder, kind.precision)
        files = _files_of(folder, manifest, factory, coded=kind.precision != PRECISIONS[0])
        changed = structs.replace(
            manifest, factory=factory, dtype=kind.precision, effort=kind.effort, files=files
        )
        known = manifest.calibration
        if kind.precision != manifest.dtype and known and not (known.gallery or "").startswith(_UNCHECKED):
            changed = recalibrated(folder, changed)
        commit(folder, changed)
    return changed


def retypable(folder: Path, precision: str | None = None) -> Manifest:
    """The manifest of an index that can be made another kind.

    :param precision: Of that kind; None for any that can be.
    :raises BadInputError: If it cannot.
    """
    manifest = read_manifest(folder)
    if manifest.store is not None:
        raise BadInputError(f"{manifest.name} lies on a server", "`simsearch migrate` moves it into files")
    if manifest.is_changed:
        raise BadInputError(f"{manifest.name} has changed since it was built", "`simsearch compact` first")
    if precision and PRECISIONS.index(precision) < PRECISIONS.index(manifest.dtype):
        raise BadInputError(
            f"the vectors of {manifest.name} are stored as {manifest.dtype}: {precision} ones are gone",
            "`simsearch build-index` computes them again",
        )
    return manifest


def _files_of(folder: Path, manifest: Manifest, factory: str, *, coded: bool) -> dict[str, FileEntry]:
    """The files of an index whose vectors are searched by this factory, written beside the old ones."""
    store = open_as(folder, manifest).store
    assert isinstance(store, FlatStore)  # in files, and of one segment
    vectors, shape = store.matrix, (len(store), store.dim)
    files = {
        role: entry for role, entry in manifest.files.items() if role not in ("index", "vectors", "blocks")
    }
    if factory == FLAT:
        files["index"] = write_data_file(
            folder, "index", lambda path: write_flat(path, store.dim, len(store), _blocks(vectors))
        )
        return dict(with_block_sums(folder, files))

    def build(path: Path) -> None:
        with explained():
            write_index(make_index(vectors, factory), path)
        check_written(path, store.dim, len(store))

    files["index"] = write_data_file(folder, "index", build)
    if not coded:
        writer = array_writer(np.float32, shape, _blocks(vectors))
        files["vectors"] = write_data_file(folder, "vectors", writer)
    return dict(with_block_sums(folder, files))


def _blocks(vectors: Vectors) -> Iterator[Vectors]:
    for start in range(0, len(vectors), _BLOCK):
        yield vectors[start : start + _BLOCK]
