"""From a dataset and a model to a bundle on disk."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

from simsearch import __version__
from simsearch.bundle import (
    MANIFEST,
    Sources,
    bundle_lock,
    commit,
    read_manifest,
    sweep,
    write_array,
    write_data_file,
)
from simsearch.datasets import Split
from simsearch.errors import BadDatasetError, BadInputError, NotUsableError
from simsearch.images import PREPROCESSING_VERSION
from simsearch.manifest import FileEntry, Manifest
from simsearch.models import Model
from simsearch.stores.faiss import FLAT, FaissStore

_LIBRARIES = ("faiss-cpu", "numpy", "onnxruntime", "pillow")


def build_index(
    split: Split,
    model: Model,
    folder: Path,
    *,
    factory: str = FLAT,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Encode a gallery into a bundle, replacing an index that is already there in one step.

    Item i of the split gets id i.

    :param folder: The index; its last part is its name.
    :param factory: A FAISS factory string, under inner product.
    :param on_progress: Called with the number of images of each encoded batch.
    :raises BadDatasetError: If the split is empty.
    :raises BadInputError: If FAISS cannot build such an index, or the folder cannot be written.
    :raises BusyError: If another process is writing the same index.
    """
    if not len(split):
        raise BadDatasetError(f"{split.name} holds no images")
    try:
        with bundle_lock(folder):
            try:
                return _build(split, model, folder, factory, on_progress)
            except BaseException:
                sweep(folder, keep=_current(folder))
                raise
    except OSError as error:
        raise BadInputError(f"{folder} cannot be written: {error.strerror or error}") from error


def _build(
    split: Split, model: Model, folder: Path, factory: str, on_progress: Callable[[int], None]
) -> Manifest:
    ids = np.arange(len(split), dtype=np.int64)
    vectors = model.encoder.encode(split.images, on_progress=on_progress)
    try:
        store = FaissStore.build(vectors, ids, factory)
    except ValueError as error:
        raise BadInputError(
            str(error), hint="`Flat`, `HNSW32` and `IVF100,Flat` work on most galleries"
        ) from error
    manifest = Manifest(
        name=folder.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        count=len(split),
        dim=store.dim,
        factory=factory,
        model=model.card.name,
        encoder=model.encoder.fingerprint,
        preprocessing=PREPROCESSING_VERSION,
        projection=model.card.projection,
        dataset=split.name,
        data_sha256=dict(split.sha256),
        classes=split.classes,
        versions={
            "simsearch": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _LIBRARIES},
        },
        files=_write_files(split, model, folder, store),
    )
    commit(folder, manifest)
    return manifest


def _write_files(split: Split, model: Model, folder: Path, store: FaissStore) -> dict[str, FileEntry]:
    text, ends = Sources.pack(split.sources)
    writers = {
        "index": store.write,
        "encoder": lambda path: _write_bytes(path, model.encoder.model),
        "ids": write_array(store.ids),
        "thumbnails": write_array(split.images),
        "sources": lambda path: _write_bytes(path, text),
        "source_ends": write_array(ends),
    }
    if split.labels is not None:
        writers["labels"] = write_array(split.labels)
    if not store.is_exact:
        writers["vectors"] = write_array(store.all_vectors())
    return {role: write_data_file(folder, role, write) for role, write in writers.items()}


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _current(folder: Path) -> Manifest | None:
    """The index that is in the folder now, if it is one."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        return read_manifest(folder)
    except NotUsableError:
        return None
