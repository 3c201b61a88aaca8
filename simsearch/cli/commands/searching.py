"""Ask an index, or compare two images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import (
    IndexChoice,
    JsonOption,
    ModelOption,
    Preparation,
    Programs,
    Queries,
    Screen,
    ThreadsOption,
    Wanted,
    limit_threads,
    open_chosen_model,
)
from simsearch.errors import BadInputError


def query(
    *,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Pictures (PNG, JPEG, WebP, BMP, GIF), folders, patterns such as 'scans/*.png', or - for "
            "the bytes of one picture on standard input.",
        ),
    ] = None,
    queries: Queries,
    wanted: Wanted,
    screen: Screen,
    programs: Programs,
    index: IndexChoice,
    preparation: Preparation,
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
    from simsearch.search.compose import read_composed_query
    from simsearch.search.queries import gather
    from simsearch.search.searcher import Limits, Searcher
    from simsearch.show.terminal import terminal

    form = chosen_format(programs, screen)
    stdin, way, invert = sys.stdin.buffer, Preprocess(preparation.preprocess), preparation.invert
    like, unlike, items = queries.like or [], queries.unlike or [], queries.item or []
    steered, note = bool(like or unlike), terminal.note
    gathered, total = gather(images or [], items, queries.files_from, stdin, steered=steered, note=note)
    searcher = Searcher.open(index.folder(), threads=threads)
    limit_threads(threads)
    if wanted.k > len(searcher):
        terminal.note(f"the gallery holds only {len(searcher):,} images: showing them all")
    encoder = searcher.bundle.encoder
    outcomes = answer_queries(
        searcher,
        gathered,
        k=wanted.k,
        labels=wanted.label or [],
        limits=Limits(wanted.min_score, wanted.min_probability, wanted.unknown_below),
        preprocess=way,
        invert=invert,
        composed=read_composed_query(like, unlike, encoder, stdin, way, invert) if steered else None,
        threads=threads,
    )
    if print_answers(searcher, outcomes, total, form, screen):
        raise typer.Exit(BadInputError.exit_code)


def similarity(
    *,
    first: Annotated[Path, typer.Argument(metavar="A", help="An image file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another image file.")],
    model: ModelOption = None,
    preparation: Preparation,
    as_json: JsonOption = False,
) -> None:
    """Say how similar two images are: cosine, logit, and probability of one class.

    Example: simsearch similarity mine.png yours.png
    """
    from dataclasses import asdict

    from simsearch.prepare.pictures import prepare_picture
    from simsearch.prepare.prepare import Preprocess
    from simsearch.search.searcher import measure_similarity
    from simsearch.show.terminal import terminal, views

    opened = open_chosen_model(model)
    way = Preprocess(preparation.preprocess)
    prepared = [
        prepare_picture(path, opened.encoder.input, preprocess=way, invert=preparation.invert)
        for path in (first, second)
    ]
    result = measure_similarity(opened, *prepared)
    if as_json:
        terminal.print_json({"a": str(first), "b": str(second), "model": opened.card.name, **asdict(result)})
    else:
        terminal.results().print(views.similarity_view(str(first), str(second), result))
