"""Measure how good answers are."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import (
    DataDirOption,
    IndexChoice,
    JsonOption,
    ThreadsOption,
    limit_threads,
    seed_option,
)
from simsearch.cli.targets import check_targets


def evaluate(
    index: IndexChoice,
    queries: Annotated[
        str | None,
        typer.Option(help="Query with these instead: mnist:train, another dataset, or a folder."),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, max=2**31 - 1, help="Cut of P@k, hit@k, recall@k and nDCG@k.")
    ] = 10,
    seed: Annotated[int, seed_option("Of the bootstrap and of the random pairs.")] = 0,
    as_json: JsonOption = False,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML report, one self-contained file.")
    ] = None,
    per_query: Annotated[
        Path | None, typer.Option(help="Write every query's values, as .csv or .parquet.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Write the rankings as a TREC run.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Write the relevant items as TREC qrels.")] = None,
    depth: Annotated[
        int, typer.Option(min=0, help="Items a query in the TREC run; 0 for the whole gallery.")
    ] = 1_000,
    data_dir: DataDirOption = None,
    threads: ThreadsOption = 0,
) -> None:
    """Measure how good an index's answers are: each item queried against all others.

    Example: simsearch evaluate --queries mnist:train --report report.html
    """
    from simsearch.data.datasets import load_named
    from simsearch.evaluate import evaluation
    from simsearch.index.bundle import open_bundle
    from simsearch.show import evaluation_files as outputs
    from simsearch.show.terminal import terminal, views
    from simsearch.show.terminal.progress import progress

    wanted = outputs.Outputs(report=report, per_query=per_query, run=run, qrels=qrels, depth=depth)
    outputs.check(wanted)
    check_targets(*wanted.paths())
    bundle = open_bundle(index.folder(), threads=threads)
    limit_threads(threads)
    load = partial(load_named, data_dir=data_dir, processes=threads, note=terminal.note)
    split = None if queries is None else load(queries, input=bundle.encoder.input)
    with progress("Ranking", len(bundle.ids) if split is None else len(split)) as advance:
        result = evaluation.evaluate(
            bundle,
            split,
            k=k,
            seed=seed,
            command=shlex.join(["simsearch", *sys.argv[1:]]),
            threads=threads,
            on_progress=advance,
        )
    for path in outputs.write(wanted, bundle, split, result):
        terminal.note(f"wrote {path}")
    if as_json:
        typer.echo(result.to_json(), nl=False)
    else:
        terminal.results().print(views.report_view(result))


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="An evaluation written with --json.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another of the same queries and gallery.")],
    seed: Annotated[int, seed_option("Of the random permutations and the bootstrap.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say which of two evaluations is better, metric by metric, and how sure that is.

    Example: simsearch compare before.json after.json
    """
    from dataclasses import asdict

    from simsearch.evaluate.compare import compare as compare_reports
    from simsearch.evaluate.saved_report import read_report
    from simsearch.show.terminal import terminal, views

    a, b = read_report(first), read_report(second)
    rows = compare_reports(a, b, seed=seed)
    if as_json:
        comparisons = [{**asdict(row), "better": row.better or None} for row in rows]
        terminal.print_json({"a": str(first), "b": str(second), "seed": seed, "metrics": comparisons})
    else:
        names = tuple(f"{saved.path}  {saved.index}, model {saved.model}" for saved in (a, b))
        terminal.results().print(views.comparison_view((names[0], names[1]), rows))
