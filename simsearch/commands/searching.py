"""Ask an index, or compare two images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simsearch.commands.failures import explain
from simsearch.commands.options import (
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
from simsearch.locations import DEFAULT_INDEX, DEFAULT_INDEX_DIR, find_index


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
    limit_threads(threads)
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
            explain(error)
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

    from simsearch import terminal, views
    from simsearch.images import Preprocess, prepare_image
    from simsearch.search import measure_similarity

    opened = open_chosen_model(model)
    prepared = [
        prepare_image(path, preprocess=Preprocess(preprocess), invert=invert) for path in (first, second)
    ]
    result = measure_similarity(opened, *prepared)
    if as_json:
        terminal.print_json({"a": str(first), "b": str(second), "model": opened.card.name, **asdict(result)})
    else:
        terminal.results().print(views.similarity_view(str(first), str(second), result))
