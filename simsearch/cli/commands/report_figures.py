"""Draw what an evaluation found, from its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simsearch.cli.drawing import Drawing, OutputOption, start_figure
from simsearch.cli.options import DataDirOption, FigureStyle, IndexChoice

if TYPE_CHECKING:
    from simsearch.evaluate.saved_report import SavedReport

ReportArgument = Annotated[
    Path, typer.Argument(metavar="REPORT", help="An evaluation written with `simsearch evaluate --json`.")
]


def confusion(
    *,
    report: ReportArgument,
    output: OutputOption,
    style: FigureStyle,
) -> None:
    """Which classes are taken for which, by the nearest item of each query.

    Example: simsearch figure confusion report.json -o confusion.png
    """
    drawing, found = _open(report, output, style)
    from simsearch.show.figures.confusion import confusion_figure

    drawing.save(confusion_figure(found.confusion, found.classes, drawing.style, about=found.about))


def pr_curve(
    *,
    report: ReportArgument,
    output: OutputOption,
    style: FigureStyle,
) -> None:
    """Mean precision at each level of recall.

    Example: simsearch figure pr-curve report.json -o curve.svg
    """
    drawing, found = _open(report, output, style)
    from simsearch.show.figures.curves import pr_curve_figure

    drawing.save(pr_curve_figure(found.recall_levels, found.precision, drawing.style, about=found.about))


def scores(
    *,
    report: ReportArgument,
    output: OutputOption,
    style: FigureStyle,
) -> None:
    """How similar random pairs of one class and of two are.

    Example: simsearch figure scores report.json -o scores.png
    """
    drawing, found = _open(report, output, style)
    from simsearch.show.figures.curves import scores_figure

    drawing.save(scores_figure(found.verified(), drawing.style, about=found.about_pairs))


def reliability(
    *,
    report: ReportArgument,
    output: OutputOption,
    style: FigureStyle,
) -> None:
    """Predicted probabilities of pairs against what was true.

    Example: simsearch figure reliability report.json -o reliability.png
    """
    drawing, found = _open(report, output, style)
    from simsearch.show.figures.curves import reliability_figure

    drawing.save(reliability_figure(found.verified().calibration, drawing.style, about=found.about_pairs))


def mistakes(
    *,
    report: ReportArgument,
    output: OutputOption,
    index: IndexChoice,
    queries: Annotated[
        str | None, typer.Option(help="The queries of the evaluation, where it had --queries.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=30, help="How many queries.")] = 8,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=30, help="How many items of each.")] = 8,
    data_dir: DataDirOption = None,
    style: FigureStyle,
) -> None:
    """The queries with the lowest average precision, and what was found instead.

    Example: simsearch figure mistakes report.json -o mistakes.png
    """
    drawing, found = _open(report, output, style)
    from simsearch.data.datasets import load_named
    from simsearch.evaluate.mistakes import saved_mistakes
    from simsearch.index.bundle import open_bundle
    from simsearch.show.figures.grids import AP_KEY, grid_figure, mistake_rows
    from simsearch.show.terminal import terminal

    bundle, split = open_bundle(index.folder()), None
    if queries is not None:
        split = load_named(queries, input=bundle.encoder.input, data_dir=data_dir, note=terminal.note)
    rows = mistake_rows(saved_mistakes(found, bundle, split, count=count, neighbors=k))
    title = f"The {len(rows)} queries that are answered worst"
    drawing.save(grid_figure(rows, drawing.style, title=title, about=found.about, key=AP_KEY))


def _open(report: Path, output: Path, style: FigureStyle) -> tuple[Drawing, SavedReport]:
    from simsearch.evaluate.saved_report import read_report

    return start_figure(output, style), read_report(report)
