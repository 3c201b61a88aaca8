"""Make an index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import (
    DataDirOption,
    IndexChoice,
    IndexDirOption,
    ModelOption,
    ThreadsOption,
    limit_threads,
    open_chosen_model,
    seed_option,
)
from simsearch.index.locations import DEFAULT_INDEX_DIR, index_folder


@dataclass(frozen=True)
class GallerySource:
    """Which images are taken, and where their classes come from."""

    dataset: Annotated[
        str,
        typer.Option(
            help="mnist, fashion-mnist or another by name, a folder of images or of IDX files, or "
            "FOLDER:train, FOLDER:val or FOLDER:test."
        ),
    ] = "mnist"
    split: Annotated[
        str | None, typer.Option(help="train, val or test, where there are splits; test by default.")
    ] = None
    labels: Annotated[
        str,
        typer.Option(
            metavar="WAY|FILE",
            help="Classes of a folder of images: folder (the first below it), last (the one that holds the "
            "file), none, or a CSV or Parquet file of path and label. By default folder, if there are any.",
        ),
    ] = "auto"
    skipped: Annotated[
        Path | None,
        typer.Option(help="Write what is left out to this CSV file, with the reasons."),
    ] = None
    data_dir: DataDirOption = None


def build_index(
    *,
    source: GallerySource,
    name: Annotated[
        str | None, typer.Option(help="Name of the index; the dataset's and split's by default.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also replace an index that was made from something else.")
    ] = False,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    model: ModelOption = None,
    factory: Annotated[
        str, typer.Option(help="FAISS factory string, such as HNSW32 or IVF100,Flat.")
    ] = "Flat",
    threads: ThreadsOption = 0,
) -> None:
    """Encode a gallery of images into an index; by default MNIST's 10,000 test images.

    Example: simsearch build-index --dataset my-photos --name mine
    """
    import time

    from simsearch.data.collection import write_skipped
    from simsearch.data.datasets import load_split, split_name
    from simsearch.files import check_target
    from simsearch.index.build import build_index as build
    from simsearch.index.catalog import check_source
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import progress

    if source.skipped is not None:
        check_target(source.skipped)
    opened = open_chosen_model(model, threads)
    place, chosen = (source.dataset, source.split) if source.split else split_name(source.dataset)
    gallery = load_split(
        place,
        chosen,
        input=opened.encoder.input,
        labels=source.labels,
        data_dir=source.data_dir,
        processes=threads,
        note=terminal.note,
    )
    if source.skipped is not None:
        write_skipped(source.skipped, gallery.skipped)
    folder = index_folder(index_dir, name or gallery.name)
    if not replace:
        check_source(folder, gallery.name, gallery.root)
    limit_threads(threads)
    started = time.perf_counter()
    with progress("Encoding", len(gallery)) as advance:
        manifest = build(gallery, opened, folder, factory=factory, on_progress=advance)
    seconds = time.perf_counter() - started
    classes = f", {len(manifest.classes)} classes" if manifest.classes else ""
    about = f"{manifest.count:,} images{classes} by model {manifest.model} in {seconds:.1f} s"
    typer.echo(f"{folder}: {about}")


def lay_out(
    index: IndexChoice,
    seed: Annotated[int, seed_option("Of t-SNE, and of the items that are taken of more than 10,000.")] = 0,
) -> None:
    """Compute a t-SNE map of an index and keep it beside the index, for the page of `serve`.

    Example: simsearch map --index mine
    """
    from simsearch.errors import BadInputError, require
    from simsearch.index.bundle import open_bundle
    from simsearch.index.stored_map import MOST_POINTS, StoredMap, write_map
    from simsearch.show.figures.plane import TSNE, project
    from simsearch.show.terminal import terminal

    require("sklearn", "figures")
    bundle = open_bundle(index.folder())
    block = bundle.store.sample(MOST_POINTS, seed)
    terminal.note(f"laying out {len(block.ids):,} images: 10,000 take a minute or two")
    try:
        places, _ = project(block.vectors, TSNE, seed=seed)
    except ValueError as error:
        raise BadInputError(f"{bundle.manifest.name} cannot be laid out: {error}") from error
    typer.echo(str(write_map(bundle, StoredMap(TSNE, block.ids, places.astype("float32")))))
