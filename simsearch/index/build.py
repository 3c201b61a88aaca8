"""From a dataset and a model to a bundle on disk."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from simsearch.data.splits import Split
from simsearch.documents import installed_versions
from simsearch.encode.model_folder import Model
from simsearch.errors import (
    BadDatasetError,
    BadInputError,
    BrokenBundleError,
    MissingBundleError,
    cannot_write,
)
from simsearch.files import sweep_temporaries
from simsearch.index.bundle import (
    Writer,
    bundle_lock,
    commit,
    read_manifest,
    sweep,
    write_array,
    write_data_file,
)
from simsearch.index.calibrate import fit_gallery, suit_gallery
from simsearch.index.manifest import FileEntry, Manifest
from simsearch.index.packed import SmallPictures, Sources
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import FLAT, check_factory, read_index
from simsearch.prepare.inputs import ImageInput

_KEPT_SIDE = 64  # pixels
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
    with _explained():
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
    with _explained():
        store = FaissStore.build(vectors, ids, split.labels, factory=factory)
    calibration = model.card.calibration
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
        files=_write_files(split, model, folder, store),
        input=model.encoder.input,
        output=model.encoder.output,
        root=split.root,
        calibration=suit_gallery(calibration, store, split.images) if calibration else fit_gallery(store),
    )
    commit(folder, manifest)
    return manifest


def keeps_input(input: ImageInput) -> bool:
    """Whether an index keeps the very pixels that it encoded; of larger pictures it keeps small ones."""
    return max(input.width, input.height) <= _KEPT_SIDE


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn a store's refusal of a factory string into the user's error."""
    try:
        yield
    except ValueError as error:
        hint = "`Flat`, `HNSW32` and `IVF100,Flat` work on most galleries"
        raise BadInputError(str(error), hint) from error


def _write_files(split: Split, model: Model, folder: Path, store: FaissStore) -> dict[str, FileEntry]:
    writers = {
        "index": lambda path: _write_index(path, store),
        "encoder": lambda path: _write_bytes(path, model.encoder.model),
        "ids": write_array(store.ids),
        **_picture_writers(split, model.encoder.input),
        **_source_writers(split),
    }
    if split.labels is not None:
        writers["labels"] = write_array(split.labels)
    if not store.is_exact:
        writers["vectors"] = write_array(gather(store).vectors)
    return {role: write_data_file(folder, role, write) for role, write in writers.items()}


def _picture_writers(split: Split, input: ImageInput) -> dict[str, Writer]:
    if keeps_input(input):
        return {"thumbnails": write_array(split.images)}
    content, ends = SmallPictures.pack(split.images)
    return {"pictures": lambda path: _write_bytes(path, content), "picture_ends": write_array(ends)}


def _source_writers(split: Split) -> dict[str, Writer]:
    text, ends = Sources.pack(split.sources)
    return {"sources": lambda path: _write_bytes(path, text), "source_ends": write_array(ends)}


def _write_index(path: Path, store: FaissStore) -> None:
    """Write the FAISS index, and read it back: FAISS builds and writes some that it refuses to read."""
    store.write(path)
    with _explained():
        read_index(path, dim=store.dim, count=len(store))


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


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
