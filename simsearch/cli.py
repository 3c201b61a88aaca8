"""The commands: each parses, makes one call, renders. Everything heavy is imported when it is needed."""

from __future__ import annotations

import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from simsearch import __version__
from simsearch.errors import BadInputError, SimsearchError, require
from simsearch.interrupts import end_interrupted, end_quietly, interruption_behind, run_program
from simsearch.locations import DEFAULT_INDEX, DEFAULT_INDEX_DIR, find_index, index_folder

if TYPE_CHECKING:
    from simsearch.models import Model

_SEARCHING, _MEASURING, _BUILDING, _TRAINING = "Search", "Measure", "Build", "Train"
_LOOKING_AFTER = "Look after"


class Commands(TyperGroup):
    """The root command: turns errors into one line each, and into exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt as stop:
            raise typer.Exit(end_interrupted(stop)) from None
        except BrokenPipeError:
            raise typer.Exit(end_quietly()) from None
        except Exception as error:
            if signalled := interruption_behind(error):
                raise typer.Exit(end_interrupted(signalled)) from None
            if ctx.params.get("debug"):
                traceback.print_exc()
            raise typer.Exit(_explain(error)) from None


def _explain(error: Exception) -> int:
    """Print what happened and what to do; return the exit code."""
    if isinstance(error, SimsearchError):
        message, hint, code = error.message, error.hint, error.exit_code
    else:
        message, hint, code = f"unexpected {type(error).__name__}: {error}", "run again with --debug", 1
    typer.echo(f"error: {message}", err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
    return code


app = typer.Typer(
    cls=Commands,
    name="simsearch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(no_args_is_help=True)
app.add_typer(data_app, name="data", help="Fetch and verify datasets.", rich_help_panel=_LOOKING_AFTER)

IndexOption = Annotated[
    str, typer.Option("--index", "-i", help="Name or folder of the index.", envvar="SIMSEARCH_INDEX")
]
IndexDirOption = Annotated[
    Path, typer.Option(help="Folder that holds the indexes.", envvar="SIMSEARCH_INDEX_DIR")
]
ModelOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the model; the shipped one by default.", envvar="SIMSEARCH_MODEL"),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(help="Folder for datasets; the platform's own by default.", envvar="SIMSEARCH_DATA_DIR"),
]
ThreadsOption = Annotated[
    int, typer.Option(min=0, help="Threads that compute; 0 uses every core.", envvar="SIMSEARCH_THREADS")
]
PreprocessOption = Annotated[
    Literal["auto", "mnist", "none"],
    typer.Option(help="auto: leave MNIST-like 28x28 images alone, prepare all others as MNIST was."),
]
InvertOption = Annotated[
    bool | None,
    typer.Option(
        "--invert/--no-invert", help="Dark ink on light, or not; decided from the border by default."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with scores at full precision.")]


def main() -> None:
    """The `simsearch` program."""
    run_program(app)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"simsearch {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Learned visual similarity search: find the images that resemble yours."""


@app.command(rich_help_panel=_SEARCHING)
def query(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="PNG, JPEG, WebP, BMP or GIF files.")
    ],
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many nearest images to show.")] = 10,
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    preprocess: PreprocessOption = "auto",
    invert: InvertOption = None,
    as_json: JsonOption = False,
    threads: ThreadsOption = 0,
) -> None:
    """Find the nearest images to yours, by cosine similarity, and rank the classes.

    Example: simsearch query digit.png --k 10
    """
    from simsearch import terminal, views
    from simsearch.images import Preprocess
    from simsearch.search import Searcher, outcomes_to_dict

    searcher = Searcher.open(find_index(index, index_dir), threads=threads)
    _limit_threads(threads)
    if k > len(searcher):
        terminal.note(f"the gallery holds only {len(searcher):,} images: showing them all")
    outcomes = list(searcher.query_files(images, k=k, preprocess=Preprocess(preprocess), invert=invert))
    if as_json:
        terminal.print_json(outcomes_to_dict(searcher, outcomes))
    console = terminal.results()
    for outcome in outcomes:
        if outcome.answer is None:
            continue
        for remark in outcome.answer.query.notes:
            terminal.note(f"{outcome.name}: {remark}")
        if not as_json:
            console.print(views.answer_view(outcome.name, outcome.answer))
    failures = [outcome.error for outcome in outcomes if outcome.error is not None]
    if failures:
        for error in failures:
            _explain(error)
        raise typer.Exit(BadInputError.exit_code)


@app.command(rich_help_panel=_SEARCHING)
def similarity(
    first: Annotated[Path, typer.Argument(metavar="A", help="An image file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another image file.")],
    model: ModelOption = None,
    preprocess: PreprocessOption = "auto",
    invert: InvertOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how similar two images are: cosine, logit, and probability of one class.

    Example: simsearch similarity mine.png yours.png
    """
    from dataclasses import asdict

    from simsearch import terminal, views
    from simsearch.images import Preprocess, prepare_image
    from simsearch.search import measure_similarity

    opened = _open_model(model)
    prepared = [
        prepare_image(path, preprocess=Preprocess(preprocess), invert=invert) for path in (first, second)
    ]
    result = measure_similarity(opened, *prepared)
    if as_json:
        terminal.print_json({"a": str(first), "b": str(second), "model": opened.card.name, **asdict(result)})
    else:
        terminal.results().print(views.similarity_view(str(first), str(second), result))


@app.command(rich_help_panel=_MEASURING)
def evaluate(
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    queries: Annotated[
        str | None,
        typer.Option(help="Ask about these instead: mnist:train, or a folder of images or IDX files."),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, max=2**31 - 1, help="Cut of P@k, hit@k, recall@k and nDCG@k.")
    ] = 10,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Of the bootstrap and of the random pairs.")
    ] = 0,
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
    """Measure how good an index's answers are: each item asked about against all others.

    Example: simsearch evaluate --queries mnist:train --report report.html
    """
    from simsearch import evaluation, outputs, terminal, views
    from simsearch.bundle import open_bundle
    from simsearch.datasets import load_named

    wanted = outputs.Outputs(report=report, per_query=per_query, run=run, qrels=qrels, depth=depth)
    outputs.check(wanted)
    bundle = open_bundle(find_index(index, index_dir), threads=threads)
    _limit_threads(threads)
    split = None if queries is None else load_named(queries, data_dir=data_dir, note=terminal.note)
    with terminal.progress("Ranking", len(bundle.ids) if split is None else len(split)) as advance:
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


@app.command(rich_help_panel=_MEASURING)
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="An evaluation written with --json.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another of the same queries and gallery.")],
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Of the random permutations and the bootstrap.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say which of two evaluations is better, metric by metric, and how sure that is.

    Example: simsearch compare before.json after.json
    """
    from dataclasses import asdict

    from simsearch import terminal, views
    from simsearch.compare import compare as compare_reports
    from simsearch.report import read_report

    a, b = read_report(first), read_report(second)
    rows = compare_reports(a, b, seed=seed)
    if as_json:
        comparisons = [{**asdict(row), "better": row.better or None} for row in rows]
        terminal.print_json({"a": str(first), "b": str(second), "seed": seed, "metrics": comparisons})
    else:
        names = tuple(f"{saved.path}  {saved.index}, model {saved.model}" for saved in (a, b))
        terminal.results().print(views.comparison_view((names[0], names[1]), rows))


@app.command("build-index", rich_help_panel=_BUILDING)
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

    from simsearch import terminal
    from simsearch.datasets import load_split
    from simsearch.indexing import build_index as build

    gallery = load_split(dataset, split, data_dir=data_dir, note=terminal.note)
    for skipped in gallery.skipped:
        terminal.note(f"skipped {skipped}")
    folder = index_folder(index_dir, name or gallery.name)
    opened = _open_model(model, threads)
    _limit_threads(threads)
    started = time.perf_counter()
    with terminal.progress("Encoding", len(gallery)) as advance:
        manifest = build(gallery, opened, folder, factory=factory, on_progress=advance)
    seconds = time.perf_counter() - started
    typer.echo(f"{folder}: {manifest.count:,} images by model {manifest.model} in {seconds:.1f} s")


@app.command(rich_help_panel=_TRAINING)
def train(
    recipe: Annotated[str, typer.Option(help="batch-pairs or siamese-pairs.")] = "batch-pairs",
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE-seedN by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of initial weights and pairs.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only deterministic kernels.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that assemble batches.")] = 0,
    threads: ThreadsOption = 0,
    dataset: Annotated[str, typer.Option(help="mnist, or a folder of images or IDX files.")] = "mnist",
    data_dir: DataDirOption = None,
) -> None:
    """Train the Siamese network on a training split and export its encoder.

    Example: simsearch train --seed 1 --set epochs=8
    """
    require("torch", "train")
    from simsearch import terminal
    from simsearch.datasets import load_split
    from simsearch.train.recipes import configure
    from simsearch.train.run import train as run

    configured = configure(recipe, settings or [])
    folder = out or Path("runs") / f"{recipe}-seed{seed}"
    split = load_split(dataset, "train", data_dir=data_dir, note=terminal.note)
    with terminal.training_progress(configured.epochs) as show:
        card = run(
            configured,
            split,
            folder,
            seed=seed,
            resume=resume,
            deterministic=deterministic,
            workers=workers,
            threads=threads,
            on_step=show.step,
            on_epoch=show.epoch,
        )
    best = card.training["best"]
    typer.echo(
        f"{folder}: best epoch {best['epoch']}, on held-out pairs loss {best['val_loss']:.4f}, "
        f"accuracy {best['val_accuracy']:.4f}"
    )


@app.command(rich_help_panel=_TRAINING)
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished training run.")],
) -> None:
    """Export a run's best checkpoint to ONNX again, checked against torch.

    Example: simsearch export runs/siamese-pairs-seed0
    """
    require("torch", "train")
    from simsearch.models import ENCODER
    from simsearch.train.run import export as export_run

    card = export_run(run)
    typer.echo(f"{run / ENCODER}: {card.files[ENCODER].size:,} bytes, agrees with torch")


@app.command(rich_help_panel=_LOOKING_AFTER)
def info(
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    model: Annotated[
        Path | None, typer.Option(help="Describe this model folder instead of an index.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Describe an index or a model.

    Example: simsearch info --model runs/siamese-pairs-seed0
    """
    import json

    from simsearch import terminal, views
    from simsearch.bundle import read_manifest
    from simsearch.models import read_model_card

    if model is not None:
        card = read_model_card(model)
        value, facts = card.to_json(), views.model_facts(card)
    else:
        folder = find_index(index, index_dir)
        manifest = read_manifest(folder)
        value, facts = manifest.to_json(), views.index_facts(folder, manifest)
    if as_json:
        terminal.print_json(json.loads(value))
    else:
        terminal.results().print(views.facts_view(facts))


@app.command(rich_help_panel=_LOOKING_AFTER)
def verify(
    target: Annotated[
        str, typer.Argument(metavar="[INDEX|MODEL]", help="Name or folder of an index, or a model's folder.")
    ] = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    check_all: Annotated[
        bool, typer.Option("--all", help="Encode and search for every item again, not a sample of 256.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the sample.")] = 0,
    as_json: JsonOption = False,
    threads: ThreadsOption = 0,
) -> None:
    """Check an index or a model: every file, all they say of each other, and what they compute.

    Example: simsearch verify mnist-test
    """
    from dataclasses import asdict

    from simsearch import terminal, views
    from simsearch.verify import is_model
    from simsearch.verify import verify as run_checks

    folder = Path(target) if is_model(Path(target)) else find_index(target, index_dir)
    checks = list(run_checks(folder, seed=seed, everything=check_all, threads=threads))
    passed = all(check.passed is not False for check in checks)
    if as_json:
        document = {"folder": str(folder), "passed": passed, "checks": [asdict(check) for check in checks]}
        terminal.print_json(document)
    else:
        found = [(check.passed, check.name, check.detail) for check in checks]
        terminal.results().print(views.checks_view(found))
    if not passed:
        raise typer.Exit(3)


@app.command(rich_help_panel=_LOOKING_AFTER)
def doctor(index_dir: IndexDirOption = DEFAULT_INDEX_DIR, data_dir: DataDirOption = None) -> None:
    """Check the installation; say what is wrong and how to mend it.

    Example: simsearch doctor
    """
    from simsearch import terminal, views
    from simsearch.doctor import run_checks
    from simsearch.mnist import default_data_dir

    checks = [
        (check.passed, check.name, check.detail)
        for check in run_checks(index_dir, data_dir or default_data_dir())
    ]
    terminal.results().print(views.checks_view(checks))
    if any(passed is False for passed, _, _ in checks):
        raise typer.Exit(3)


@data_app.command("fetch")
def data_fetch(
    dataset: Annotated[Literal["mnist"], typer.Argument(help="Name of the dataset.")] = "mnist",
    data_dir: DataDirOption = None,
) -> None:
    """Fetch a dataset, verify it, and say where it is.

    Example: simsearch data fetch mnist
    """
    from simsearch import terminal
    from simsearch.datasets import fetch

    typer.echo(fetch(dataset, data_dir, note=terminal.note))


def _limit_threads(threads: int) -> None:
    """Limit the libraries that have no setting of their own, FAISS and BLAS, for the rest of this process."""
    if threads:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)


def _open_model(folder: Path | None, threads: int = 0) -> Model:
    from simsearch.models import PRETRAINED, open_model

    return open_model(folder or PRETRAINED, threads=threads)
