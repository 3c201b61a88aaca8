"""From a dataset and a model to a bundle on disk."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from simsearch.data.splits import Split
from simsearch.documents import installed_versions
from simsearch.encode.model_folder import Model, ModelCard
from simsearch.errors import (
    BadDatasetError,
    BrokenBundleError,
    MissingBundleError,
    cannot_write,
)
from simsearch.files import sweep_temporaries
from simsearch.index.bundle import bundle_lock, commit, read_manifest, sweep, write_data_file
from simsearch.index.calibrate import fit_gallery, suit_gallery
from simsearch.index.manifest import Manifest
from simsearch.index.stores.base import VectorStore
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import FLAT, check_factory
from simsearch.index.writing import Described, explained, write_bytes, write_segment
from simsearch.stats.calibration import Calibration

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
    with explained():
        check_factory(factory, model.encoder.dim)  # before the work of encoding
    try:
        with bundle_lock(folder) as signals:

            def heed_and_report(count: int) -> None:
                signals.heed()
                on_progress(count)

            before = _standing(folder)
            try:
                return _build(split, model, folder, factory, heed_and_report)
            except BaseException:
                with contextlib.suppress(OSError):
                    _sweep_failed(folder, before)
                raise
    except OSError as error:
        raise cannot_write(folder, error) from error


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
        versions=installed_versions(*_LIBRARIES),
        files={"encoder": encoder, **segment.files},
        input=model.encoder.input,
        output=model.encoder.output,
        root=split.root,
        calibration=_calibrate(model.card, split, store),
    )
    commit(folder, manifest)
    return manifest


def _calibrate(card: ModelCard, split: Split, store: VectorStore) -> Calibration | None:
    """The model's calibration, where it holds or the gallery cannot say so; or one fitted to the gallery.

    A folder of images that the model was trained on says nothing of new pictures: training has brought its
    classes further apart.
    """
    if split.root is not None and split.root == card.training.get("root"):
        said = "not checked: the model was trained on these images"
        return card.calibration and replace(card.calibration, gallery=said)
    if card.calibration is None:
        return fit_gallery(store)
    return suit_gallery(card.calibration, store, split.images)


def _standing(folder: Path) -> list[Manifest] | None:
    """The index that is there, if there is one; None if it cannot be read, so that nobody knows its files."""
    try:
        return [read_manifest(folder)]
    except MissingBundleError:
        return []
    except BrokenBundleError:
        return None


def _sweep_failed(folder: Path, before: list[Manifest] | None) -> None:
    """Delete what a failed build left, and nothing that an index needs, even one we cannot read.

    If only the last flush failed, the new index is in place, and a crash may bring back the one before.
    """
    now = _standing(folder)
    if before is None or now is None:
        sweep_temporaries(folder)
    else:
        sweep(folder, keep=before + now)
