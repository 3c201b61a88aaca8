"""Draw results: a sub-command a kind of figure, each written to a PNG, SVG or PDF file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from simsearch.cli.options import (
    DataDirOption,
    IndexDirOption,
    IndexOption,
    InvertOption,
    ModelOption,
    PreprocessOption,
    open_chosen_model,
)
from simsearch.errors import BadInputError, require
from simsearch.files import check_target
from simsearch.index.locations import DEFAULT_INDEX, DEFAULT_INDEX_DIR, find_index

if TYPE_CHECKING:
    from simsearch.evaluate.findings import Findings
    from simsearch.show.figures.page import Look

SUFFIXES = (".png", ".svg", ".pdf")
_DPI = 150

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The file: .png, .svg or .pdf.")]
ThemeOption = Annotated[Literal["light", "dark"], typer.Option(help="Colours of the page.")]
SideOption = Annotated[
    float | None,
    typer.Option(min=1, max=60, help="Inches; the figure's own by default, or in proportion to the other."),
]
DpiOption = Annotated[int, typer.Option(min=20, max=600, help="Pixels an inch of a PNG.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the random choice.")]
ReportArgument = Annotated[
    Path, typer.Argument(metavar="REPORT", help="An evaluation written with `simsearch evaluate --json`.")
]

app = typer.Typer(no_args_is_help=True)


@app.command()
def pairs(
    output: OutputOption,
    dataset: Annotated[
        str, typer.Option(help="mnist:kept (what training sees), or another labelled dataset.")
    ] = "mnist:kept",
    count: Annotated[int, typer.Option(min=2, max=40, help="How many pairs, half of one class.")] = 12,
    predict: Annotated[
        bool, typer.Option("--predict/--no-predict", help="Show what the model says of each pair.")
    ] = True,
    csv: Annotated[Path | None, typer.Option(help="Write the pairs as a table, too.")] = None,
    seed: SeedOption = 0,
    model: ModelOption = None,
    data_dir: DataDirOption = None,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """Pairs of one class and of two, as training draws them, with the model's probability.

    Example: simsearch figure pairs -o pairs.png --csv pairs.csv
    """
    look = _check(output, theme, width, height)
    if csv is not None:
        check_target(csv)
    from simsearch.data.datasets import load_named
    from simsearch.files import write_atomically
    from simsearch.show.figures.pairs import pairs_csv, pairs_figure, sample_pairs
    from simsearch.show.terminal import terminal

    split = load_named(dataset, data_dir=data_dir, note=terminal.note)
    opened = open_chosen_model(model) if predict else None
    drawn = sample_pairs(split, count, seed=seed, model=opened)
    about = f"{len(drawn)} random pairs of {split.name}, seed {seed}"
    if opened is not None:
        about += f"; ✓ where model {opened.card.name} judges rightly"
    _write(pairs_figure(drawn, look, about=about), output, dpi)
    if csv is not None:
        write_atomically(csv, pairs_csv(drawn))
        terminal.note(f"wrote {csv}")


@app.command()
def similarity(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A PNG, JPEG, WebP, BMP or GIF file.")],
    output: OutputOption,
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    preprocess: PreprocessOption = "auto",
    invert: InvertOption = None,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """The picture beside the most similar item of every class, from red (low) to green (high).

    Example: simsearch figure similarity digit.png -o similarity.png
    """
    look = _check(output, theme, width, height)
    from simsearch.prepare.prepare import Preprocess, prepare_image
    from simsearch.search.searcher import Searcher
    from simsearch.show.figures.similarity import best_examples, similarity_figure

    searcher = Searcher.open(find_index(index, index_dir))
    prepared = prepare_image(image, preprocess=Preprocess(preprocess), invert=invert)
    examples = best_examples(searcher, searcher.query_prepared([prepared], k=1)[0])
    _write(similarity_figure(prepared.pixels, examples, look, name=str(image)), output, dpi)


@app.command()
def architecture(
    output: OutputOption,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[A B]", help="Two pictures to send through; gallery items by default."),
    ] = None,
    model: ModelOption = None,
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """The network in 3-D and its two towers, read off the model while two images run through it.

    Example: simsearch figure architecture -o architecture.svg
    """
    if images and len(images) != 2:
        raise BadInputError(
            f"two pictures go through the network, not {len(images)}", hint="give two or none"
        )
    look = _check(output, theme, width, height)
    require("torch", "train")
    from simsearch.encode.model_folder import PRETRAINED
    from simsearch.index.bundle import open_bundle
    from simsearch.prepare.prepare import prepare_image
    from simsearch.show.figures.architecture import architecture_figure, example_images
    from simsearch.train.dissect import dissect_folder

    if images:
        first, second = (prepare_image(path).pixels for path in images)
    else:
        first, second = example_images(open_bundle(find_index(index, index_dir)))
    card, anatomy = dissect_folder(model or PRETRAINED, first, second)
    about = f"model {card.name}; all blocks to one scale, each front the channel of most contrast"
    _write(architecture_figure(anatomy, look, about=about), output, dpi)


@app.command()
def history(
    output: OutputOption,
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Folder of a run; the shipped model by default.")
    ] = None,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """Loss, accuracy and learning rate of a training run, and the epoch that was kept.

    Example: simsearch figure history runs/batch-pairs-seed0 -o history.png
    """
    look = _check(output, theme, width, height)
    from simsearch.encode.history import read_history
    from simsearch.encode.model_folder import PRETRAINED
    from simsearch.show.figures.history import history_figure

    folder = run or PRETRAINED
    records = read_history(folder)
    name = "the shipped model" if run is None else str(folder)
    _write(history_figure(records, look, about=f"{name}, {len(records)} epochs"), output, dpi)


@app.command()
def embedding(
    output: OutputOption,
    method: Annotated[
        Literal["pca", "tsne"], typer.Option(help="Principal components, or t-SNE (slower).")
    ] = "pca",
    count: Annotated[int, typer.Option(min=2, max=100_000, help="At most so many random items.")] = 2_000,
    pictures: Annotated[int, typer.Option(min=0, max=1_000, help="At most so many example images.")] = 60,
    seed: SeedOption = 0,
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """A map of the gallery: every item a point, classes by colour and shape, with example images.

    Example: simsearch figure embedding --method tsne -o map.png
    """
    look = _check(output, theme, width, height)
    from simsearch.index.bundle import open_bundle
    from simsearch.show.figures.embedding import embedding_figure, map_gallery

    drawn = map_gallery(open_bundle(find_index(index, index_dir)), method, count=count, seed=seed)
    _write(embedding_figure(drawn, look, pictures=pictures), output, dpi)


@app.command()
def confusion(
    report: ReportArgument,
    output: OutputOption,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """Which classes are taken for which, by the nearest item of each query.

    Example: simsearch figure confusion report.json -o confusion.png
    """
    look, found = _open(report, output, theme, width, height)
    from simsearch.show.figures.confusion import confusion_figure

    _write(confusion_figure(found.confusion, found.classes, look, about=found.about), output, dpi)


@app.command("pr-curve")
def pr_curve(
    report: ReportArgument,
    output: OutputOption,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """Mean precision at each level of recall.

    Example: simsearch figure pr-curve report.json -o curve.svg
    """
    look, found = _open(report, output, theme, width, height)
    from simsearch.show.figures.curves import pr_curve_figure

    _write(pr_curve_figure(found.recall_levels, found.precision, look, about=found.about), output, dpi)


@app.command()
def scores(
    report: ReportArgument,
    output: OutputOption,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """How similar random pairs of one class and of two are.

    Example: simsearch figure scores report.json -o scores.png
    """
    look, found = _open(report, output, theme, width, height)
    from simsearch.show.figures.curves import scores_figure

    _write(scores_figure(found.verified(), look, about=found.about_pairs), output, dpi)


@app.command()
def reliability(
    report: ReportArgument,
    output: OutputOption,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """Predicted probabilities of pairs against what was true.

    Example: simsearch figure reliability report.json -o reliability.png
    """
    look, found = _open(report, output, theme, width, height)
    from simsearch.show.figures.curves import reliability_figure

    _write(reliability_figure(found.verified().calibration, look, about=found.about_pairs), output, dpi)


@app.command()
def mistakes(
    report: ReportArgument,
    output: OutputOption,
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    queries: Annotated[
        str | None, typer.Option(help="The queries of the evaluation, where it had --queries.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=30, help="How many queries.")] = 8,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=30, help="How many items of each.")] = 8,
    data_dir: DataDirOption = None,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """The queries with the lowest average precision, and what was found instead.

    Example: simsearch figure mistakes report.json -o mistakes.png
    """
    look, found = _open(report, output, theme, width, height)
    from simsearch.data.datasets import load_named
    from simsearch.evaluate.mistakes import saved_mistakes
    from simsearch.index.bundle import open_bundle
    from simsearch.show.figures.grids import grid_figure, mistake_rows
    from simsearch.show.terminal import terminal

    split = None if queries is None else load_named(queries, data_dir=data_dir, note=terminal.note)
    bundle = open_bundle(find_index(index, index_dir))
    rows = mistake_rows(saved_mistakes(found, bundle, split, count=count, neighbours=k))
    title = f"The {len(rows)} queries that are answered worst"
    _write(grid_figure(rows, look, title=title, about=found.about), output, dpi)


@app.command()
def retrieval(
    output: OutputOption,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[IMAGE...]", help="Pictures to ask about; gallery items by default."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=30, help="How many gallery items to ask about.")] = 8,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=30, help="How many items of each answer.")] = 8,
    seed: SeedOption = 0,
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    theme: ThemeOption = "light",
    width: SideOption = None,
    height: SideOption = None,
    dpi: DpiOption = _DPI,
) -> None:
    """Queries and their nearest items; gallery items are asked about without themselves, and judged.

    Example: simsearch figure retrieval -o retrieval.png
    """
    look = _check(output, theme, width, height)
    from simsearch.prepare.prepare import prepare_image
    from simsearch.search.searcher import Searcher
    from simsearch.show.figures.grids import answer_row, gallery_rows, grid_figure

    searcher = Searcher.open(find_index(index, index_dir))
    if images:
        prepared = [prepare_image(path) for path in images]
        answers = searcher.query_prepared(prepared, k=k)
        rows = tuple(
            answer_row(searcher, path.name, image.pixels, answer)
            for path, image, answer in zip(images, prepared, answers, strict=True)
        )
        about = f"asked of {searcher.bundle.manifest.name}"
    else:
        rows = gallery_rows(searcher, count=count, k=k, seed=seed)
        about = f"{len(rows)} random items of {searcher.bundle.manifest.name}, seed {seed}"
    _write(grid_figure(rows, look, title="Queries and their nearest items", about=about), output, dpi)


def _check(output: Path, theme: str, width: float | None, height: float | None) -> Look:
    """Refuse what could not be written or drawn, before any work is spent on it."""
    if output.suffix.lower() not in SUFFIXES:
        raise BadInputError(
            f"cannot write {output}: the name must end in .png, .svg or .pdf",
            hint="for example: -o figure.png",
        )
    check_target(output)
    require("matplotlib", "figures")
    from simsearch.show.figures.page import Look
    from simsearch.show.figures.theme import THEMES

    return Look(THEMES[theme], width, height)


def _open(
    report: Path, output: Path, theme: str, width: float | None, height: float | None
) -> tuple[Look, Findings]:
    from simsearch.evaluate.findings import read_findings

    return _check(output, theme, width, height), read_findings(report)


def _write(figure: Any, output: Path, dpi: int) -> None:
    from simsearch.show.figures.files import save

    save(figure, output, dpi=dpi)
    typer.echo(output)
