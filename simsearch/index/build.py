"""From a dataset and a model to a bundle on disk."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from msgspec import structs

from simsearch.data.splits import Split
from simsearch.documents import installed_versions
from simsearch.encode.model_folder import Model
from simsearch.errors import BadDatasetError
from simsearch.index.bundle import commit
from simsearch.index.calibrate import calibration_of, unchecked
from simsearch.index.change.guard import writing
from simsearch.index.data_files import write_data_file
from simsearch.index.held_out import was_trained_on
from simsearch.index.manifest import Manifest
from simsearch.index.served import pack_pictures
from simsearch.index.serving import Load, Target, write_served
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import FLAT, check_factory
from simsearch.index.writing import LIBRARIES, Described, explained, write_bytes, write_segment

_BLOCK = 2**13  # images that are encoded and stored together on a server


def build_index(
    split: Split,
    model: Model,
    folder: Path,
    *,
    factory: str = FLAT,
    target: Target | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Encode a gallery into a bundle, replacing an index that is already there in one step.

    Item i of the split gets id i.

    :param folder: The index; its last part is its name.
    :param factory: A FAISS factory string, under inner product.
    :param target: The server that is to hold the items, and its index type; None for files of FAISS.
    :param on_progress: Called with the number of images of each encoded batch.
    :raises BadDatasetError: If the split is empty.
    :raises BadInputError: If FAISS cannot build such an index, or the folder cannot be written.
    :raises BusyError: If another process is writing the same index.
    """
    if not len(split):
        raise BadDatasetError(f"{split.name} holds no images")
    if target is None:
        with explained():
            check_factory(factory, model.encoder.dim)  # before the work of encoding
    with writing(folder) as signals:

        def heed_and_report(count: int) -> None:
            signals.heed()
            on_progress(count)

        if target is not None:
            return _serve(split, model, folder, target, heed_and_report)
        return _build(split, model, folder, factory, heed_and_report)


def _build(
    split: Split, model: Model, folder: Path, factory: str, on_progress: Callable[[int], None]
) -> Manifest:
    ids = np.arange(len(split), dtype=np.int64)
    vectors = model.encoder.encode(split.images, on_progress=on_progress)
    with explained():
        store = FaissStore.build(vectors, ids, split.labels, factory=factory)
    segment = write_segment(folder, store, Described.of(split.images, split.sources), factory=factory)
    encoder = write_data_file(folder, "encoder", lambda path: write_bytes(path, model.encoder.model))
    manifest = structs.replace(
        draft(model, folder, factory, split),
        count=len(split),
        files={"encoder": encoder, **segment.files},
        calibration=calibration_of(model.card, split.root, store, split.images.__getitem__),
    )
    commit(folder, manifest)
    return manifest


def _serve(
    split: Split, model: Model, folder: Path, target: Target, on_progress: Callable[[int], None]
) -> Manifest:
    def loads() -> Iterator[Load]:
        for start in range(0, len(split), _BLOCK):
            part = split.take(range(start, min(start + _BLOCK, len(split))))
            vectors = model.encoder.encode(part.images, on_progress=on_progress)
            packed = pack_pictures(Described.of(part.images, part.sources).shown)
            yield Load(np.arange(start, start + len(part)), part.labels, vectors, list(part.sources), packed)

    about = draft(model, folder, target.factory, split)
    trained = was_trained_on(model.card, about.root)
    if trained:
        about = structs.replace(about, calibration=unchecked(model.card))
    return write_served(folder, target, about, model.encoder.model, loads(), calibrated=trained)


class Gallery(Protocol):
    """What a manifest says of the images that an index was made from."""

    @property
    def name(self) -> str:
        """What they are called."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of their classes."""

    @property
    def root(self) -> str | None:
        """Where they lie, for people."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """Data files and their hashes."""


def draft(model: Model, folder: Path, factory: str, gallery: Gallery) -> Manifest:
    """A manifest but for its count, its files, and what the gallery makes of the model's calibration."""
    return Manifest(
        name=folder.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(),  # no two commits are equal
        count=0,
        dim=model.encoder.dim,
        factory=factory,
        model=model.card.name,
        encoder=model.encoder.fingerprint,
        preprocessing=model.encoder.input.version,
        projection=model.card.projection,
        dataset=gallery.name,
        data_sha256=dict(gallery.sha256),
        classes=gallery.classes,
        versions=installed_versions(*LIBRARIES),
        files={},
        input=model.encoder.input,
        output=model.encoder.output,
        root=gallery.root,
        calibration=model.card.calibration,
    )
