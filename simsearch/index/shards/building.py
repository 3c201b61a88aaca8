"""A gallery in shards -> an index, on a server or in files, by the same commit as every other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from msgspec import structs

from simsearch.data.folders import path_text
from simsearch.encode.encoder import any_picture
from simsearch.encode.model_folder import Model
from simsearch.errors import BadDatasetError, cannot_write
from simsearch.index.build import draft
from simsearch.index.bundle import bundle_lock, commit
from simsearch.index.calibrate import calibration_of, unchecked
from simsearch.index.data_files import write_data_file
from simsearch.index.held_out import was_trained_on
from simsearch.index.manifest import Manifest
from simsearch.index.packed import SmallPictures, keeps_pixels
from simsearch.index.reading import STAMP, UNKNOWN, stamp_of
from simsearch.index.served import unpack_picture
from simsearch.index.serving import Load, Target, write_served
from simsearch.index.shards.engines import Engine
from simsearch.index.shards.loading import encode_shards, read_loads
from simsearch.index.shards.places import is_uri
from simsearch.index.shards.plan import Plan
from simsearch.index.shards.step import Done, Job
from simsearch.index.stores.base import Ids
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import FLAT
from simsearch.index.writing import Described, explained, write_bytes, write_segment
from simsearch.prepare.prepare import Images


def build_from_shards(
    plan: Plan,
    model: Model,
    folder: Path,
    *,
    shards: str,
    engine: Engine,
    target: Target | None = None,
    factory: str = FLAT,
    on_progress: Callable[[int], None] = lambda _: None,
) -> tuple[Manifest, list[Done]]:
    """Encode a planned gallery into shards by an engine, then load them into an index.

    Whatever stops it, the same call goes on: with the shards that are there, and the collection as it is.

    :param shards: The folder of the shards, a path or a URI that every worker can write to.
    :return: The index, and what became of each unit.
    :raises BadDatasetError: If no picture can be read.
    """
    job = Job(
        root=plan.root,
        shards=shards,
        encoder=model.encoder.model,
        input=model.encoder.input,
        output=model.encoder.output,
        classes=plan.classes,
        fingerprint=plan.fingerprint(model.encoder.fingerprint),
    )
    try:
        with bundle_lock(folder) as signals:

            def heed_and_report(count: int) -> None:
                signals.heed()
                on_progress(count)

            done = encode_shards(job, plan, engine, heed_and_report)
            if not any(one.count for one in done):
                why = next((f" ({name}: {reason})" for one in done for name, reason in one.skipped), "")
                raise BadDatasetError(f"{plan.root} holds no readable image{why}")
            about, loads = draft(model, folder, factory, plan), read_loads(job, plan, model.encoder)
            root = None if is_uri(plan.root) else path_text(Path(plan.root).resolve())
            about = structs.replace(about, labeling=plan.labeling, root=root)
            if target is None:
                return _in_files(folder, about, model, factory, loads), done
            about = structs.replace(about, factory=target.factory)
            trained = was_trained_on(model.card, about.root)
            if trained:
                about = structs.replace(about, calibration=unchecked(model.card))
            return write_served(
                folder,
                target,
                about,
                model.encoder.model,
                loads,
                content=job.fingerprint,
                calibrated=trained,
            ), done
    except OSError as error:
        raise cannot_write(folder, error) from error


def _in_files(folder: Path, about: Manifest, model: Model, factory: str, loads: Iterable[Load]) -> Manifest:
    """All items in files of FAISS, which this machine's memory must hold."""
    every = list(loads)
    ids = np.concatenate([load.ids for load in every])
    labels = np.concatenate([load.labels for load in every if load.labels is not None] or [ids])
    pictures = [picture for load in every for picture in load.pictures]
    with explained():
        store = FaissStore.build(
            np.concatenate([load.vectors for load in every]),
            ids,
            labels if about.classes else None,
            factory=factory,
        )
    exact = keeps_pixels(any_picture(about.input)[0])
    if exact:
        shown = np.stack([unpack_picture(one, about.input, exact=True) for one in pictures])
    stamps = [stamp_of(text) for load in every for text in load.stamps or [""] * len(load.ids)]
    described = Described(
        shown if exact else SmallPictures(b"".join(pictures), np.cumsum([len(one) for one in pictures])),
        [source for load in every for source in load.sources],
        np.array(stamps, STAMP) if any(stamp != UNKNOWN for stamp in stamps) else None,
    )
    segment = write_segment(folder, store, described, factory=factory)

    def pixels(items: Ids) -> Images:
        return shown[np.searchsorted(ids, items)]

    manifest = structs.replace(
        about,
        count=len(ids),
        files={
            "encoder": write_data_file(
                folder, "encoder", lambda path: write_bytes(path, model.encoder.model)
            ),
            **segment.files,
        },
        calibration=calibration_of(model.card, about.root, store, pixels if exact else None),
    )
    commit(folder, manifest)
    return manifest
