"""A folder of images -> an index: decoded, encoded and written in segments, so that a kill loses little.

What is done lies in a folder of its own until the end; the index that is there answers meanwhile.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import structs

from simsearch.data.collection import Item, Skipped, scan
from simsearch.data.decoding import available_cores
from simsearch.data.folders import nothing_readable, path_text
from simsearch.data.labels import AUTO, FOLDER, NONE, Labeled, label_items
from simsearch.documents import installed_versions
from simsearch.encode.model_folder import Model
from simsearch.errors import BadDatasetError
from simsearch.index.bundle import BUILDING, commit
from simsearch.index.calibrate import unchecked
from simsearch.index.change.guard import writing
from simsearch.index.change.ingest import Mapped, Taken, encode_files
from simsearch.index.change.merge import Shape, merge_segments
from simsearch.index.change.progress import Progress
from simsearch.index.change.recalibrate import calibrated
from simsearch.index.data_files import write_data_file
from simsearch.index.held_out import was_trained_on
from simsearch.index.manifest import Manifest
from simsearch.index.stores.faiss_index import FLAT, check_factory
from simsearch.index.writing import LIBRARIES, explained, write_bytes

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Built:
    """An index that was built, and what of its folder was left out."""

    manifest: Manifest
    skipped: tuple[Skipped, ...]
    resumed: int  # files that an earlier run had looked at


@dataclass(frozen=True)
class Source:
    """A folder of images, as a gallery."""

    root: Path
    name: str
    labels: str = AUTO  # where classes come from; see `simsearch.data.labels`


def build_folder(
    source: Source,
    model: Model,
    folder: Path,
    *,
    factory: str = FLAT,
    processes: int = 0,
    bar: Callable[[int, int], Advance] = lambda *_: lambda _: None,
    on_finish: Callable[[], object] = lambda: None,
) -> Built:
    """Build an index of a folder of images, or go on where the same build was ended, however that was.

    Item i is the i-th image that could be read, in natural order of paths.

    :param folder: The index; one that is already there is replaced in one step, at the end.
    :param processes: How many decode side by side, where the work is worth it; 0 uses every core.
    :param bar: Called with the number of files and how many an earlier run has done; what it returns, with
        how many more are done.
    :param on_finish: Called when all are encoded: what is left is to write one segment and to calibrate.
    :raises BadDatasetError: If the folder holds no readable image with a label, or goes away meanwhile.
    :raises BadInputError: If FAISS cannot build such an index, or the folder cannot be written.
    :raises BusyError: If another process is writing the same index.
    """
    with explained():
        check_factory(factory, model.encoder.dim)  # before the work of encoding
    labeled = label_items(scan(source.root), source.labels)
    if not labeled.items:
        raise nothing_readable(source.root, labeled.skipped)
    root = source.root.resolve()
    header = {
        "root": str(root),
        "encoder": model.encoder.fingerprint,
        "preprocessing": model.encoder.input.version,
        "labels": source.labels,
    }
    with writing(folder) as signals:
        progress = Progress.resume(folder / BUILDING, header, labeled.items, labeled.names)
        start = progress.end
        advance = bar(len(labeled.items), start)
        files = Mapped(range(start, len(labeled.items)), lambda row: _taken(root, labeled, row, progress))
        for chunk in encode_files(
            files,
            model.encoder.sharing(available_cores()),
            processes=processes,
            on_progress=advance,
            released=signals.released,
        ):
            if chunk.skipped:
                _check_there(root)
            progress.keep(chunk, start, labeled=labeled.names is not None)
        skipped = (*labeled.skipped, *progress.skipped)
        if not progress.segments:
            progress.discard()
            raise nothing_readable(source.root, progress.skipped or skipped)
        on_finish()
        manifest = _finished(source, model, folder, factory, progress, way_of(source.labels, labeled))
        commit(folder, manifest)
        progress.discard()
    return Built(manifest, skipped, start)


def _check_there(root: Path) -> None:
    """Refuse to take all files of a folder for unreadable that went away, as one on a lost disk does.

    :raises BadDatasetError: If it did.
    """
    with contextlib.suppress(OSError):
        if any(root.iterdir()):
            return
    raise BadDatasetError(
        f"the folder {root} is not there any more, or empty, so nothing was replaced",
        hint="when it is back, the same command goes on from where it was",
    )


def _taken(root: Path, labeled: Labeled, row: int, progress: Progress) -> Taken:
    item: Item = labeled.items[row]
    number = 0 if labeled.names is None else progress.number_of(labeled.names[row])
    return Taken(os.path.join(root, item.path), item.path, number)  # noqa: PTH118 - quicker, for millions


def way_of(labels: str, labeled: Labeled) -> str:
    """Where classes came from, so that a later `sync` takes them from there too."""
    if labeled.names is None:
        return NONE
    if labels == AUTO:
        return FOLDER
    table = Path(labels)
    return str(table.resolve()) if table.suffix else labels


def _finished(
    source: Source, model: Model, folder: Path, factory: str, progress: Progress, labeling: str
) -> Manifest:
    """The manifest of one segment of all that was encoded."""
    classes = progress.used_classes()
    renumber = {progress.number_of(name): row for row, name in enumerate(classes)}
    shape = Shape(model.encoder.dim, model.encoder.input.picture_shape)
    segment = merge_segments(
        folder / BUILDING,
        folder,
        progress.segments,
        shape,
        removed=np.empty(0, np.int64),
        factory=factory,
        renumber=renumber if classes else None,
    )
    encoder = write_data_file(folder, "encoder", lambda path: write_bytes(path, model.encoder.model))
    manifest = Manifest(
        name=folder.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(),  # no two commits are equal
        count=segment.count,
        dim=model.encoder.dim,
        factory=factory,
        model=model.card.name,
        encoder=model.encoder.fingerprint,
        preprocessing=model.encoder.input.version,
        projection=model.card.projection,
        dataset=source.name,
        data_sha256={},
        classes=classes,
        versions=installed_versions(*LIBRARIES),
        files={"encoder": encoder, **segment.files},
        input=model.encoder.input,
        output=model.encoder.output,
        root=path_text(source.root.resolve()),
        labeling=labeling,
    )
    if was_trained_on(model.card, manifest.root):
        return structs.replace(manifest, calibration=unchecked(model.card))
    return calibrated(folder, manifest, model.card.calibration)
