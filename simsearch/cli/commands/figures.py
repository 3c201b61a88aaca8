"""Draw galleries, answers, training pairs, runs and the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from simsearch.cli.drawing import OutputOption, start_figure
from simsearch.cli.options import (
    DataDirOption,
    FigureStyle,
    IndexChoice,
    ModelOption,
    Preparation,
    find_chosen_model,
    open_chosen_model,
    seed_option,
)
from simsearch.cli.targets import check_targets
from simsearch.errors import BadInputError, require

SeedOption = Annotated[int, seed_option("Of the random choice.")]


def pairs(
    *,
    output: OutputOption,
    dataset: Annotated[
        str, typer.Option(help="mnist:kept (what training sees), or another labeled dataset.")
    ] = "mnist:kept",
    count: Annotated[int, typer.Option(min=2, max=40, help="How many pairs, half of one class.")] = 12,
    predict: Annotated[
        bool, typer.Option("--predict/--no-predict", help="Show what the model says of each pair.")
    ] = True,
    csv: Annotated[Path | None, typer.Option(help="Write the pairs as a table, too.")] = None,
    seed: SeedOption = 0,
    model: ModelOption = None,
    data_dir: DataDirOption = None,
    style: FigureStyle,
) -> None:
    """Balanced random pairs of one class and of two, with the model's probability.

    Example: simsearch figure pairs -o pairs.png --csv pairs.csv
    """
    drawing = start_figure(output, style)
    check_targets(csv)
    check_targets(output, csv, pictures=True)
    from simsearch.data.datasets import load_named
    from simsearch.files import write_atomically
    from simsearch.prepare.prepare import DIGIT
    from simsearch.show.figures.pair_sheet import pairs_csv, pairs_figure, sample_pairs
    from simsearch.show.terminal import terminal

    opened = open_chosen_model(model) if predict else None
    takes = opened.encoder.input if opened else DIGIT
    split = load_named(dataset, input=takes, data_dir=data_dir, note=terminal.note)
    drawn = sample_pairs(split, count, seed=seed, model=opened)
    about = f"{len(drawn)} random pairs of {split.name}, seed {seed}"
    if opened is not None:
        about += f"; ✓ where model {opened.card.name} judges rightly"
    drawing.save(pairs_figure(drawn, drawing.style, about=about))
    if csv is not None:
        write_atomically(csv, pairs_csv(drawn))
        terminal.note(f"wrote {csv}")


def similarity(
    *,
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="A PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF file.")
    ],
    output: OutputOption,
    index: IndexChoice,
    preparation: Preparation,
    style: FigureStyle,
) -> None:
    """The picture beside the most similar item of every class, from red (low) to green (high).

    Example: simsearch figure similarity digit.png -o similarity.png
    """
    drawing = start_figure(output, style)
    from simsearch.prepare.pictures import prepare_picture
    from simsearch.prepare.prepare import Preprocess
    from simsearch.search.searcher import Searcher
    from simsearch.show.figures.similarity import best_examples, similarity_figure

    searcher = Searcher.open(index.folder())
    takes, way = searcher.bundle.encoder.input, Preprocess(preparation.preprocess)
    prepared = prepare_picture(image, takes, preprocess=way, invert=preparation.invert)
    examples = best_examples(searcher, searcher.query_prepared([prepared], k=1)[0])
    drawing.save(similarity_figure(prepared.pixels, examples, drawing.style, name=str(image)))


def architecture(
    *,
    output: OutputOption,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[A B]", help="Two pictures to send through; gallery items by default."),
    ] = None,
    model: ModelOption = None,
    index: IndexChoice,
    style: FigureStyle,
) -> None:
    """The network in 3-D and its two towers, read off the model while two images run through it.

    Example: simsearch figure architecture -o architecture.svg
    """
    if images and len(images) != 2:
        raise BadInputError(
            f"two pictures go through the network, not {len(images)}", hint="give two or none"
        )
    drawing = start_figure(output, style)
    require("torch", "train")
    from simsearch.encode.model_folder import PRETRAINED
    from simsearch.index.bundle import open_bundle
    from simsearch.prepare.pictures import prepare_picture
    from simsearch.show.figures.architecture import architecture_figure, example_images
    from simsearch.train.dissect import dissect_folder, input_of_dissectable

    takes = input_of_dissectable(model or PRETRAINED)
    if images:
        first, second = (prepare_picture(path, takes).pixels for path in images)
    else:
        first, second = example_images(open_bundle(index.folder()), takes)
    card, anatomy = dissect_folder(model or PRETRAINED, first, second)
    about = f"model {card.name}; all blocks to one scale, each front the channel of most contrast"
    drawing.save(architecture_figure(anatomy, drawing.style, about=about))


def history(
    *,
    output: OutputOption,
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]", help="Folder of a run, or residual; the first shipped model by default."
        ),
    ] = None,
    style: FigureStyle,
) -> None:
    """Loss, accuracy and learning rate of a training run, and the epoch that was kept.

    Example: simsearch figure history runs/batch-pairs-seed0 -o history.png
    """
    drawing = start_figure(output, style)
    from simsearch.encode.history import read_history
    from simsearch.encode.model_folder import PRETRAINED
    from simsearch.show.figures.training import history_figure

    records = read_history(find_chosen_model(run) or PRETRAINED)
    name = "the shipped model" if run is None else str(run)
    drawing.save(history_figure(records, drawing.style, about=f"{name}, {len(records)} epochs"))


def embedding(
    *,
    output: OutputOption,
    method: Annotated[
        Literal["pca", "tsne"], typer.Option(help="Principal components, or t-SNE (slower).")
    ] = "pca",
    count: Annotated[int, typer.Option(min=2, max=100_000, help="At most so many random items.")] = 2_000,
    pictures: Annotated[int, typer.Option(min=0, max=1_000, help="At most so many example images.")] = 60,
    seed: SeedOption = 0,
    index: IndexChoice,
    style: FigureStyle,
) -> None:
    """A map of the gallery: every item a point, classes by color and shape, with example images.

    Example: simsearch figure embedding --method tsne -o map.png
    """
    drawing = start_figure(output, style)
    from simsearch.index.bundle import open_bundle
    from simsearch.show.figures.embedding import embedding_figure, map_gallery

    drawn = map_gallery(open_bundle(index.folder()), method, count=count, seed=seed)
    drawing.save(embedding_figure(drawn, drawing.style, pictures=pictures))


def retrieval(
    *,
    output: OutputOption,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[IMAGE...]", help="Pictures to query with; gallery items by default."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=30, help="How many gallery items to query with.")] = 8,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=30, help="How many items of each answer.")] = 8,
    seed: SeedOption = 0,
    index: IndexChoice,
    style: FigureStyle,
) -> None:
    """Queries and their nearest items; gallery items are queried without themselves, and judged.

    Example: simsearch figure retrieval -o retrieval.png
    """
    drawing = start_figure(output, style)
    from simsearch.prepare.pictures import prepare_picture
    from simsearch.search.searcher import Searcher
    from simsearch.show.figures.grids import answer_row, gallery_rows, grid_figure

    searcher = Searcher.open(index.folder())
    if images:
        prepared = [prepare_picture(path, searcher.bundle.encoder.input) for path in images]
        answers = searcher.query_prepared(prepared, k=k)
        rows = tuple(
            answer_row(searcher, path.name, image.pixels, answer)
            for path, image, answer in zip(images, prepared, answers, strict=True)
        )
        about = f"queries to {searcher.bundle.manifest.name}"
    else:
        rows = gallery_rows(searcher, count=count, k=k, seed=seed)
        about = f"{len(rows)} random items of {searcher.bundle.manifest.name}, seed {seed}"
    drawing.save(grid_figure(rows, drawing.style, title="Queries and their nearest items", about=about))
