"""Make an index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from simsearch.cli.options import (
    DataDirOption,
    IndexArgument,
    IndexChoice,
    IndexDirOption,
    ModelOption,
    StoreOptions,
    ThreadsOption,
    limit_threads,
    open_chosen_model,
    seed_option,
)
from simsearch.cli.targets import check_targets
from simsearch.index.locations import DEFAULT_INDEX_DIR, index_folder

if TYPE_CHECKING:
    from simsearch.encode.model_folder import Model
    from simsearch.index.manifest import Manifest


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


@dataclass(frozen=True)
class EncodeOptions:
    """What encodes the pictures."""

    encoder_precision: Annotated[
        Literal["float32", "int8"],
        typer.Option(
            help="In which numbers the encoder computes: int8 is three times as fast and loses a little "
            "(extra train)."
        ),
    ] = "float32"
    engine: Annotated[
        Literal["here", "ray"],
        typer.Option(help="This process, or Ray, of a folder, Parquet files, or a URI such as s3://..."),
    ] = "here"
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The Ray cluster; this machine by default. Its token comes from RAY_AUTH_TOKEN.",
            envvar="SIMSEARCH_RAY_ADDRESS",
        ),
    ] = None
    shards_dir: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URI",
            help="Where Ray's workers write what they encode: Parquet, kept to be loaded again. By default "
            "beside the index.",
        ),
    ] = None


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
    storing: StoreOptions,
    encoding: EncodeOptions,
    threads: ThreadsOption = 0,
) -> None:
    """Encode a gallery of images into an index; by default MNIST's 10,000 test images.

    Example: simsearch build-index --dataset my-photos --name mine
    """
    import time

    from simsearch.data.datasets import image_folder, split_name
    from simsearch.show.terminal import terminal
    from simsearch.text import printable

    check_targets(source.skipped, inputs=[source.labels, source.dataset])
    target = storing.target()
    storing.check()
    opened = open_chosen_model(model, threads)
    place, chosen = (source.dataset, source.split) if source.split else split_name(source.dataset)
    if encoding.encoder_precision == "int8":
        opened = _in_int8(opened, source, (place, chosen), encoding.engine, threads)
    images = image_folder(place, chosen, note=terminal.note) if encoding.engine == "here" else None
    limit_threads(threads)
    started = time.perf_counter()
    if encoding.engine == "ray" or (target is not None and images is not None):
        folder, manifest = _in_shards(source, opened, name, index_dir, storing, encoding, replace=replace)
    elif images is None:
        folder, manifest = _of_a_dataset(
            source, (place, chosen), opened, name, index_dir, storing, replace=replace
        )
    else:
        folder, manifest = _of_a_folder(
            source,
            images,
            opened,
            name,
            index_dir,
            factory=storing.first_factory,
            replace=replace,
            threads=threads,
        )
    manifest = storing.finish(folder, manifest)
    seconds = time.perf_counter() - started
    _suggest_tuning(folder, manifest)
    classes = f", {len(manifest.classes)} classes" if manifest.classes else ""
    about = f"{manifest.count:,} images{classes} by model {printable(manifest.model)} in {seconds:.1f} s"
    typer.echo(f"{folder}: {about}")


def _in_int8(
    model: Model, source: GallerySource, place: tuple[str, str | None], engine: str, threads: int
) -> Model:
    """The model, its encoder quantized by some pictures of the gallery."""
    from simsearch.errors import BadInputError, require

    require("onnx", "train")
    if engine != "here":
        raise BadInputError(
            "--encoder-precision int8 looks at pictures here, before the work is shared",
            hint="make a model of it first: `simsearch export RUN --int8 FOLDER`, then --model FOLDER",
        )
    from simsearch.data.some_pictures import some_pictures
    from simsearch.show.terminal import terminal
    from simsearch.train.quantize import CALIBRATED_ON, quantize_model

    pictures = some_pictures(
        *place, model.encoder.input, CALIBRATED_ON, data_dir=source.data_dir, note=terminal.note
    )
    terminal.note(f"quantizing the encoder by {len(pictures):,} pictures of the gallery")
    return quantize_model(model, pictures, threads=threads)


def _suggest_tuning(folder: Path, manifest: Manifest) -> None:
    """Say of a large index that is compared as a whole that there are quicker ones."""
    from simsearch.index.tune import SUGGESTED
    from simsearch.show.terminal import terminal

    if manifest.store is None and manifest.count >= SUGGESTED and manifest.factory == "Flat":
        terminal.note(
            f"a search compares all {manifest.count:,}: `simsearch tune {folder}` finds a quicker way"
        )


def _of_a_dataset(
    source: GallerySource,
    place: tuple[str, str | None],
    model: Model,
    name: str | None,
    index_dir: Path,
    storing: StoreOptions,
    *,
    replace: bool,
) -> tuple[Path, Manifest]:
    from simsearch.data.collection import write_skipped
    from simsearch.data.datasets import load_split
    from simsearch.index.build import build_index as build
    from simsearch.index.catalog import check_source
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import progress

    gallery = load_split(
        *place,
        input=model.encoder.input,
        labels=source.labels,
        data_dir=source.data_dir,
        note=terminal.note,
    )
    if source.skipped is not None:
        write_skipped(source.skipped, gallery.skipped)
    folder = index_folder(index_dir, name or gallery.name)
    if not replace:
        check_source(folder, gallery.name, gallery.root)
    with progress("Encoding", len(gallery)) as advance:
        built = build(
            gallery,
            model,
            folder,
            factory=storing.first_factory,
            target=storing.target(),
            on_progress=advance,
        )
        return folder, built


def _of_a_folder(
    source: GallerySource,
    images: tuple[str, Path],
    model: Model,
    name: str | None,
    index_dir: Path,
    *,
    factory: str,
    replace: bool,
    threads: int,
) -> tuple[Path, Manifest]:
    from simsearch.data.collection import summary, write_skipped
    from simsearch.data.folders import path_text
    from simsearch.index.catalog import check_source
    from simsearch.index.change.folder_build import Advance, Source, build_folder
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import stages

    gallery, root = images
    folder = index_folder(index_dir, name or gallery)
    if not replace:
        check_source(folder, gallery, path_text(root.resolve()))
    with stages(f"Looking through {root}") as work:

        def bar(total: int, done: int) -> Advance:
            if done:
                work.note(f"going on after {done:,} files that were done before")
            return work.begin("Encoding", total, done)

        built = build_folder(
            Source(root, gallery, source.labels),
            model,
            folder,
            factory=factory,
            processes=threads,
            bar=bar,
            on_finish=lambda: work.begin("Finishing"),
        )
    for line in summary(built.skipped):
        terminal.note(line)
    if source.skipped is not None:
        write_skipped(source.skipped, built.skipped)
    return folder, built.manifest


def lay_out(
    index: IndexChoice,
    named: IndexArgument = None,
    seed: Annotated[int, seed_option("Of t-SNE, and of the items that are taken of more than 10,000.")] = 0,
) -> None:
    """Compute a t-SNE map of an index and keep it beside the index, for the page of `serve`.

    Example: simsearch map mine
    """
    from simsearch.errors import BadInputError, require
    from simsearch.index.bundle import open_bundle
    from simsearch.index.stored_map import MOST_POINTS, StoredMap, write_map
    from simsearch.show.figures.plane import TSNE, project
    from simsearch.show.terminal import terminal

    require("sklearn", "figures")
    bundle = open_bundle(index.folder(named))
    block = bundle.store.sample(MOST_POINTS, seed)
    terminal.note(f"laying out {len(block.ids):,} images: 10,000 take a minute or two")
    try:
        places, _ = project(block.vectors, TSNE, seed=seed)
    except ValueError as error:
        raise BadInputError(f"{bundle.manifest.name} cannot be laid out: {error}") from error
    typer.echo(str(write_map(bundle, StoredMap(TSNE, block.ids, places.astype("float32")))))


def _in_shards(
    source: GallerySource,
    model: Model,
    name: str | None,
    index_dir: Path,
    storing: StoreOptions,
    encoding: EncodeOptions,
    *,
    replace: bool,
) -> tuple[Path, Manifest]:
    """Encode into shards, here or by Ray, then load those."""
    from simsearch.data.collection import Skipped, summary, write_skipped
    from simsearch.index.catalog import check_source
    from simsearch.index.shards.building import build_from_shards
    from simsearch.index.shards.engines import by_ray, one_by_one
    from simsearch.index.shards.plan import plan
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import progress

    engine = by_ray(encoding.address) if encoding.engine == "ray" else one_by_one
    planned = plan(source.dataset, source.labels)
    folder = index_folder(index_dir, name or planned.name)
    if not replace:
        check_source(folder, planned.name, planned.root)
    shards = encoding.shards_dir or str(folder.parent / f"{folder.name}-shards")
    with progress("Encoding", planned.count) as advance:
        manifest, done = build_from_shards(
            planned,
            model,
            folder,
            shards=shards,
            engine=engine,
            target=storing.target(),
            factory=storing.first_factory,
            on_progress=advance,
        )
    skipped = [Skipped(name, reason) for unit in done for name, reason in unit.skipped]
    for line in summary(skipped):
        terminal.note(line)
    if source.skipped is not None:
        write_skipped(source.skipped, skipped)
    return folder, manifest
