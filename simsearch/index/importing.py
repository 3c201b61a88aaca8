"""An index of vectors that another program computed: searched by item and by vector, without an encoder."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from simsearch.data.decoding import decode_files, while_released
from simsearch.data.folders import path_text
from simsearch.data.vector_tables import VectorTable
from simsearch.documents import installed_versions
from simsearch.encode.absent import foreign_fingerprint
from simsearch.errors import BadInputError
from simsearch.files import HeldSignals
from simsearch.index.bundle import commit
from simsearch.index.calibrate import suit_gallery
from simsearch.index.change.guard import writing
from simsearch.index.manifest import Manifest
from simsearch.index.packed import SHOWN_SIDE, SmallPictures
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import FLAT, check_factory
from simsearch.index.writing import Described, explained, write_segment
from simsearch.prepare.inputs import ImageInput, Picture
from simsearch.prepare.photo import PHOTO_VERSION
from simsearch.prepare.pictures import prepare_picture

_LIBRARIES = ("faiss-cpu", "numpy", "pillow")
_SHOWN = ImageInput("plain", PHOTO_VERSION, SHOWN_SIDE, SHOWN_SIDE, 3, (0.0,) * 3, (1.0,) * 3)
_NO_PICTURE = np.full((8, 8, 3), 160, np.uint8)  # gray, where there is none to show
Progress = Callable[[int], None]


def import_index(
    table: VectorTable,
    folder: Path,
    *,
    dataset: str,
    model: str | None = None,
    root: Path | None = None,
    factory: str = FLAT,
    processes: int = 0,
    on_progress: Progress = lambda _: None,
) -> Manifest:
    """Make an index of these vectors, replacing one that is already there in one step.

    :param dataset: What the index says that it was made from.
    :param model: What computed the vectors; by default what the table says, or `dataset`.
    :param root: The folder that the sources are paths below: its pictures are shown, and none is encoded.
    :param processes: How many decode pictures side by side; 0 uses every core.
    :param on_progress: Called with 1 for each item whose picture was looked for.
    :raises BadInputError: If FAISS cannot build such an index, the root is no folder, or nothing can be
        written.
    :raises BusyError: If another process is writing the same index.
    """
    if root is not None and not root.is_dir():
        raise BadInputError(f"{root} is no folder", hint="name the folder that the sources lie in")
    with explained():
        check_factory(factory, table.vectors.shape[1])
    with writing(folder) as signals:
        shown = _pictures(table, root, processes, on_progress, signals)
        return _write(table, shown, folder, dataset, model, root, factory)


def _write(
    table: VectorTable,
    shown: SmallPictures,
    folder: Path,
    dataset: str,
    model: str | None,
    root: Path | None,
    factory: str,
) -> Manifest:
    with explained():
        store = FaissStore.build(table.vectors, table.ids, table.labels, factory=factory)
    segment = write_segment(folder, store, Described(shown, table.sources), factory=factory)
    named = model or table.model or dataset
    known = table.encoder if model is None else None
    manifest = Manifest(
        name=folder.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(),
        count=len(table.ids),
        dim=store.dim,
        factory=factory,
        model=named,
        encoder=known or foreign_fingerprint(named),
        preprocessing=_SHOWN.version,
        input=_SHOWN,
        projection=None,
        dataset=dataset,
        data_sha256={},
        classes=table.classes,
        versions=installed_versions(*_LIBRARIES),
        files=segment.files,
        root=None if root is None else path_text(root.resolve()),
        calibration=suit_gallery(None, store, None),
    )
    commit(folder, manifest)
    return manifest


def _pictures(
    table: VectorTable, root: Path | None, processes: int, on_progress: Progress, signals: HeldSignals
) -> SmallPictures:
    """Small pictures of the files that the sources name; gray where there is none."""
    if root is None:
        content, ends = SmallPictures.pack([_NO_PICTURE])
        return SmallPictures(content * len(table.ids), ends[0] * np.arange(1, len(table.ids) + 1))
    files = [_below(root, source) for source in table.sources]
    with closing(decode_files(files, partial(_small, _SHOWN), processes=processes)) as decoded:
        found = while_released(decoded, signals.released)
        return SmallPictures(*SmallPictures.pack(_or_gray(found, on_progress)))


def _or_gray(found: Iterable[Picture | str], on_progress: Progress) -> Iterator[Picture]:
    for picture in found:
        on_progress(1)
        yield _NO_PICTURE if isinstance(picture, str) else picture


def _below(root: Path, source: str) -> Path:
    """The file of a source; one that leads out of the folder is none."""
    path = root / source
    return path if ".." not in path.parts and path.is_relative_to(root) and "\0" not in source else root


def _small(input: ImageInput, file: Path) -> Picture:
    return prepare_picture(file, input).pixels
