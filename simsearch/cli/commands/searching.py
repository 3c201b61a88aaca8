"""Ask an index, or compare two images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from simsearch.cli.options import (
    IndexDirOption,
    IndexOption,
    InvertOption,
    JsonOption,
    ModelOption,
    PreprocessOption,
    ThreadsOption,
    limit_threads,
    open_chosen_model,
)
from simsearch.errors import BadInputError
from simsearch.index.locations import DEFAULT_INDEX, DEFAULT_INDEX_DIR, find_index

_ASK = "What to ask about"
_ANSWER = "What is answered"
_SCREEN = "On the screen"
_PROGRAMS = "For programs (one of these)"


def _print_schema(value: bool) -> None:
    if value:
        from simsearch.search.formats import SCHEMA

        typer.echo(SCHEMA.read_text("utf-8"), nl=False)
        raise typer.Exit


def query(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Pictures (PNG, JPEG, WebP, BMP, GIF), folders, patterns such as 'scans/*.png', or - for "
            "the bytes of one picture on standard input.",
        ),
    ] = None,
    item: Annotated[
        list[int] | None,
        typer.Option(
            "--id", min=0, help="An item of the gallery, itself left out; repeatable.", rich_help_panel=_ASK
        ),
    ] = None,
    files_from: Annotated[
        str | None,
        typer.Option(help="A file with a name a line, or - for standard input.", rich_help_panel=_ASK),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE", help="Add this picture's vector to each query; repeatable.", rich_help_panel=_ASK
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE", help="Subtract this picture's vector; repeatable.", rich_help_panel=_ASK
        ),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, help="How many nearest images.", rich_help_panel=_ANSWER)
    ] = 10,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Only images of this class; repeatable.", rich_help_panel=_ANSWER),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=-1, max=1, help="Count an image as a match from this score on.", rich_help_panel=_ANSWER
        ),
    ] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="And from this probability on.", rich_help_panel=_ANSWER),
    ] = None,
    unknown_below: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Call a picture less familiar than this unknown.", rich_help_panel=_ANSWER
        ),
    ] = None,
    by_class: Annotated[
        bool,
        typer.Option("--by-class", help="The best example of each class, ranked.", rich_help_panel=_SCREEN),
    ] = False,
    pictures: Annotated[
        Literal["auto", "blocks", "braille", "kitty", "sixel", "none"],
        typer.Option(
            "--images", help="How to draw pictures; auto: blocks on a terminal.", rich_help_panel=_SCREEN
        ),
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document.", rich_help_panel=_PROGRAMS)
    ] = False,
    as_jsonl: Annotated[
        bool, typer.Option("--jsonl", help="A line of JSON a query.", rich_help_panel=_PROGRAMS)
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="A row of CSV a hit.", rich_help_panel=_PROGRAMS)
    ] = False,
    as_paths: Annotated[
        bool, typer.Option("--paths", help="The sources of the hits, one a line.", rich_help_panel=_PROGRAMS)
    ] = False,
    _schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            callback=_print_schema,
            is_eager=True,
            help="Print the JSON Schema of --json and --jsonl, and do nothing else.",
            rich_help_panel=_PROGRAMS,
        ),
    ] = False,
    index: IndexOption = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    preprocess: PreprocessOption = "auto",
    invert: InvertOption = None,
    threads: ThreadsOption = 0,
) -> None:
    """Find the nearest images to yours, by cosine similarity, and rank the classes.

    Example: simsearch query digit.png --k 10

    Example: simsearch query --id 17 --label 3 --by-class

    Example: simsearch query mine.png --like yours.png --unlike theirs.png

    Example: simsearch query 'scans/*.png' --jsonl > answers.jsonl
    """
    from simsearch.cli.output import chosen_format, print_answers
    from simsearch.prepare.prepare import Preprocess
    from simsearch.search.batch import answer_queries
    from simsearch.search.compose import read_combination
    from simsearch.search.queries import gather
    from simsearch.search.searcher import Limits, Searcher
    from simsearch.show.terminal import terminal

    form = chosen_format(as_json=as_json, as_jsonl=as_jsonl, as_csv=as_csv, as_paths=as_paths)
    if form and (by_class or pictures != "auto"):
        raise BadInputError(f"--{form} is for programs", hint="leave out --by-class and --images")
    stdin, way, steered = sys.stdin.buffer, Preprocess(preprocess), bool(like or unlike)
    asked, total = gather(images or [], item or [], files_from, stdin, steered=steered, note=terminal.note)
    searcher = Searcher.open(find_index(index, index_dir), threads=threads)
    limit_threads(threads)
    if k > len(searcher):
        terminal.note(f"the gallery holds only {len(searcher):,} images: showing them all")
    encoder = searcher.bundle.encoder
    outcomes = answer_queries(
        searcher,
        asked,
        k=k,
        labels=label or [],
        limits=Limits(min_score, min_probability, unknown_below),
        preprocess=way,
        invert=invert,
        combination=read_combination(like or [], unlike or [], encoder, stdin, way, invert)
        if steered
        else None,
        threads=threads,
    )
    if print_answers(searcher, outcomes, total, form, images=pictures, by_class=by_class):
        raise typer.Exit(BadInputError.exit_code)


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

    from simsearch.prepare.prepare import Preprocess, prepare_image
    from simsearch.search.searcher import measure_similarity
    from simsearch.show.terminal import terminal, views

    opened = open_chosen_model(model)
    prepared = [
        prepare_image(path, preprocess=Preprocess(preprocess), invert=invert) for path in (first, second)
    ]
    result = measure_similarity(opened, *prepared)
    if as_json:
        terminal.print_json({"a": str(first), "b": str(second), "model": opened.card.name, **asdict(result)})
    else:
        terminal.results().print(views.similarity_view(str(first), str(second), result))
