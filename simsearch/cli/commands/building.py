"""Make an index."""

from __future__ import annotations

from typing import Annotated

import typer

from simsearch.cli.options import (
    DataDirOption,
    IndexDirOption,
    ModelOption,
    ThreadsOption,
    limit_threads,
    open_chosen_model,
)
from simsearch.index.locations import DEFAULT_INDEX_DIR, index_folder


def build_index(
    dataset: Annotated[
        str, typer.Option(help="mnist, a folder of images, or a folder of IDX files.")
    ] = "mnist",
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    name: Annotated[
        str | None, typer.Option(help="Name of the index; the dataset's and split's by default.")
    ] = None,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    model: ModelOption = None,
    factory: Annotated[
        str, typer.Option(help="FAISS factory string, such as HNSW32 or IVF100,Flat.")
    ] = "Flat",
    data_dir: DataDirOption = None,
    threads: ThreadsOption = 0,
) -> None:
    """Encode a gallery of images into an index; by default MNIST's 10,000 test images.

    Example: simsearch build-index --dataset my-photos --name mine
    """
    import time

    from simsearch.data.datasets import load_split
    from simsearch.index.build import build_index as build
    from simsearch.show.terminal import terminal

    opened = open_chosen_model(model, threads)
    gallery = load_split(dataset, split, input=opened.encoder.input, data_dir=data_dir, note=terminal.note)
    for skipped in gallery.skipped:
        terminal.note(f"skipped {skipped}")
    folder = index_folder(index_dir, name or gallery.name)
    limit_threads(threads)
    started = time.perf_counter()
    with terminal.progress("Encoding", len(gallery)) as advance:
        manifest = build(gallery, opened, folder, factory=factory, on_progress=advance)
    seconds = time.perf_counter() - started
    typer.echo(f"{folder}: {manifest.count:,} images by model {manifest.model} in {seconds:.1f} s")
