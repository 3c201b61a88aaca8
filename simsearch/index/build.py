"""From a dataset and a model to a bundle on disk."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np

from simsearch.data.splits import Split
from simsearch.documents import installed_versions
from simsearch.encode.model_folder import Model
from simsearch.errors import BadDatasetError
from simsearch.index.bundle import commit, write_data_file
from simsearch.index.calibrate import suit_gallery
from simsearch.index.change.guard import writing
from simsearch.index.manifest import Manifest
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import FLAT, check_factory
from simsearch.index.writing import LIBRARIES, Described, explained, write_bytes, write_segment


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
    with explained():
        check_factory(factory, model.encoder.dim)  # before the work of encoding
    with writing(folder) as signals:

        def heed_and_report(count: int) -> None:
            signals.heed()
            on_progress(count)

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
    manifest = Manifest(
        name=folder.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(),  # no two commits are equal
        count=len(split),
        dim=store.dim,
        factory=factory,
        model=model.card.name,
        encoder=model.encoder.fingerprint,
        preprocessing=model.encoder.input.version,
        projection=model.card.projection,
        dataset=split.name,
        data_sha256=dict(split.sha256),
        classes=split.classes,
        versions=installed_versions(*LIBRARIES),
        files={"encoder": encoder, **segment.files},
        input=model.encoder.input,
        output=model.encoder.output,
        root=split.root,
        calibration=suit_gallery(model.card.calibration, store, split.images.__getitem__),
    )
    commit(folder, manifest)
    return manifest
