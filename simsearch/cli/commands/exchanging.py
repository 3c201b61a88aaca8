"""Indexes for other programs, and of other programs' vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import IndexDirOption, ThreadsOption, limit_threads
from simsearch.cli.targets import check_targets
from simsearch.errors import BadInputError, MissingBundleError
from simsearch.index.locations import DEFAULT_INDEX_DIR, find_index, index_folder


@dataclass(frozen=True)
class Quantizing:
    """A model in whole numbers."""

    int8: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of a model: another, in this folder, whose encoder computes in int8 (extra train).",
        ),
    ] = None
    dataset: Annotated[
        str, typer.Option(help="Of whose pictures the ranges of int8 are taken, best none that are searched.")
    ] = "mnist:validation"


@dataclass(frozen=True)
class Formats:
    """As what an index is exported."""

    parquet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Vectors, labels, sources and neighbors as a table (extra parquet)."
        ),
    ] = None
    npz: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same as NumPy arrays; `import` reads it.")
    ] = None
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="One page that searches itself in the browser; up to 20,000 items."
        ),
    ] = None
    neighbors: Annotated[
        int, typer.Option(min=0, max=1_000, help="Nearest others of each item in the tables.")
    ] = 10

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are wanted."""
        return tuple(path for path in (self.parquet, self.npz, self.html) if path is not None)


def export_any(
    *,
    target: Annotated[
        str,
        typer.Argument(metavar="INDEX|RUN", help="Name or folder of an index, or a training run's folder."),
    ],
    formats: Formats,
    quantizing: Quantizing,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    threads: ThreadsOption = 0,
) -> None:
    """Export an index as Parquet, .npz or a self-searching page; a run's checkpoint to ONNX; a model in int8.

    Example: simsearch export mine --parquet mine.parquet

    Example: simsearch export mine --html mine.html

    Example: simsearch export runs/siamese-pairs-seed0
    """
    if quantizing.int8 is not None:
        if formats.paths:
            raise BadInputError("--int8 makes a model, --parquet, --npz and --html export an index")
        _export_int8(Path(target), quantizing.int8, quantizing.dataset, threads)
        return
    if not formats.paths:
        _export_run(Path(target), index_dir)
        return
    from simsearch.index.bundle import open_bundle
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import progress

    check_targets(*formats.paths)
    bundle = open_bundle(find_index(target, index_dir), threads=threads)
    limit_threads(threads)
    tables = sum(path is not None for path in (formats.parquet, formats.npz)) * bool(formats.neighbors)
    with progress("Finding neighbors", tables * len(bundle.ids)) as advance:
        if formats.parquet is not None:
            from simsearch.index.exporting import export_parquet

            export_parquet(bundle, formats.parquet, formats.neighbors, advance)
        if formats.npz is not None:
            from simsearch.index.exporting import export_npz

            export_npz(bundle, formats.npz, formats.neighbors, advance)
    if formats.html is not None:
        from simsearch.files import write_atomically
        from simsearch.show.html.explorer_page import render_explorer  # loads Jinja2

        write_atomically(formats.html, render_explorer(bundle).encode())
    for path in formats.paths:
        terminal.note(f"wrote {path}")


def _export_run(run: Path, index_dir: Path) -> None:
    """Export a training run's checkpoint; an index needs a format."""
    try:
        find_index(str(run), index_dir)
    except MissingBundleError:
        pass
    else:
        raise BadInputError(f"{run} is an index", hint="say as what: --parquet, --npz or --html FILE")
    from simsearch.errors import require

    require("torch", "train")
    from simsearch.encode.model_folder import ENCODER
    from simsearch.train.run import export

    card = export(run)
    typer.echo(f"{run / ENCODER}: {card.files[ENCODER].size:,} bytes, agrees with torch")


def _export_int8(model: Path, folder: Path, dataset: str, threads: int) -> None:
    """Make a model of another, in int8."""
    from simsearch.errors import require

    require("onnx", "train")
    from simsearch.data.datasets import split_name
    from simsearch.data.some_pictures import some_pictures
    from simsearch.encode.model_folder import ENCODER, open_model
    from simsearch.encode.shipped_models import find_model
    from simsearch.show.terminal import terminal
    from simsearch.train.quantize import CALIBRATED_ON, quantize_model, write_quantized

    opened = open_model(find_model(model), threads=threads)
    pictures = some_pictures(*split_name(dataset), opened.encoder.input, CALIBRATED_ON, note=terminal.note)
    card = write_quantized(quantize_model(opened, pictures, threads=threads), folder)
    typer.echo(f"{folder / ENCODER}: {card.files[ENCODER].size:,} bytes, by {len(pictures):,} pictures")


def import_vectors(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .npz or .parquet file.")],
    name: Annotated[str | None, typer.Option(help="Name of the index; the file's by default.")] = None,
    column: Annotated[
        str | None,
        typer.Option("--vectors", help="What the vectors are called, if not vectors or embeddings."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="What computed the vectors; indexes of one model can be compared.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="The folder that the sources lie in: their pictures are shown.")
    ] = None,
    factory: Annotated[str, typer.Option(help="FAISS factory string.")] = "Flat",
    replace: Annotated[
        bool, typer.Option("--replace", help="Also replace an index that was made from something else.")
    ] = False,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    threads: ThreadsOption = 0,
) -> None:
    """Make an index of vectors that another program computed, from .npz or Parquet.

    Example: simsearch import vectors.npz --name mine --model clip-vit-b32 --root my-photos
    """
    from simsearch.data.vector_tables import read_vector_table
    from simsearch.index.catalog import check_source
    from simsearch.index.importing import import_index
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import progress
    from simsearch.text import printable

    folder = index_folder(index_dir, name or file.stem)
    if not replace:
        check_source(folder, file.name, None if root is None else str(root.resolve()))
    table = read_vector_table(file, column)
    if table.scaled:
        terminal.note(f"{table.scaled:,} of {len(table.ids):,} vectors were scaled to length 1")
    limit_threads(threads)
    with progress("Importing", len(table.ids)) as advance:
        manifest = import_index(
            table,
            folder,
            dataset=file.name,
            model=model,
            root=root,
            factory=factory,
            processes=threads,
            on_progress=advance,
        )
    classes = f", {len(manifest.classes):,} classes" if manifest.classes else ""
    about = f"{manifest.count:,} vectors of {printable(manifest.model)}{classes}"
    typer.echo(f"{folder}: {about}; ask with --id or --vector")
