"""Ask an index, or compare two images."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from simsearch.cli.options import (
    IndexChoice,
    JsonOption,
    Preparation,
    ThreadsOption,
    find_chosen_model,
    limit_threads,
    open_chosen_model,
    start_no_threads,
)
from simsearch.cli.query_options import HitsTo, Programs, Queries, Screen, Wanted
from simsearch.errors import BadInputError

_MOST_OPENED = 10  # hits, each perhaps in a window of its own

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simsearch.prepare.inputs import ImageInput
    from simsearch.prepare.prepare import PreparedImage, Preprocess
    from simsearch.search.batch import Outcome
    from simsearch.search.compose import ComposedQuery
    from simsearch.search.hit_files import HitCopies
    from simsearch.search.queries import Query
    from simsearch.search.searcher import Searcher


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
    hits_to: HitsTo,
    index: IndexChoice,
    preparation: Preparation,
    threads: ThreadsOption = 0,
) -> None:
    """Find the nearest images to yours, by cosine similarity, and rank the classes.

    Example: simsearch query digit.png --k 10

    Example: simsearch query --id 17 --label 3 --by-class

    Example: simsearch query mine.png --like yours.png --unlike theirs.png

    Example: simsearch query 'scans/*.png' --jsonl > answers.jsonl

    Example: simsearch query photo.jpg --others --paths -0 | xargs -0 ls -l

    Example: simsearch query photo.jpg --show-prepared steps.png
    """
    start_no_threads()
    from simsearch.cli.output import chosen_format, print_answers
    from simsearch.prepare.prepare import Preprocess
    from simsearch.search.answers import Limits
    from simsearch.search.batch import answer_queries

    form = chosen_format(programs, screen)
    stdin, way, invert = sys.stdin.buffer, Preprocess(preparation.preprocess), preparation.invert
    gathered, total = _gather(images or [], queries, stdin)
    searcher = _open(index.folder(), wanted.k, threads, is_one=total == 1)
    _write_steps(images or [], queries.show_prepared, way, invert)
    outcomes = answer_queries(
        searcher,
        _without_own(searcher, gathered) if wanted.others else gathered,
        k=wanted.k,
        labels=wanted.label or [],
        limits=Limits(wanted.min_score, wanted.min_probability, wanted.unknown_below, wanted.only_matches),
        preprocess=way,
        invert=invert,
        composed=_composed(queries, searcher, preparation),
        exact=wanted.exact,
        threads=threads,
    )
    with _hits_taken(hits_to, searcher, outcomes, several=total != 1, k=wanted.k) as passing:
        failed = print_answers(searcher, passing, total, form, screen, programs)
    if failed:
        raise typer.Exit(BadInputError.exit_code)


def _without_own(searcher: Searcher, queries: Iterator[Query]) -> Iterator[Query]:
    """The queries, each with the items of the gallery that are its very file."""
    from simsearch.search.own_files import OwnFiles

    return OwnFiles(searcher).mark(queries)


@contextmanager
def _hits_taken(
    to: HitsTo, searcher: Searcher, outcomes: Iterator[Outcome], *, several: bool, k: int
) -> Iterator[Iterator[Outcome]]:
    """Outcomes whose hits are copied as they pass, and shown in the viewer at the end."""
    if to == HitsTo():
        yield outcomes
        return
    from simsearch.search.hit_files import HitCopies, HitFiles, require_files

    if to.link and to.copy_to is None:
        raise BadInputError("--link says how hits are copied", hint="add --copy-to DIR")
    if to.open_hits:
        require_files(searcher)
    copies = to.copy_to and HitCopies(searcher, to.copy_to, link=to.link, several=several, k=k)
    first: list[Outcome] = []

    def keep_first(passing: Iterator[Outcome]) -> Iterator[Outcome]:
        for outcome in passing:
            if to.open_hits and len(first) < _MOST_OPENED:
                first.append(outcome)
            yield outcome

    yield keep_first(copies.watch(outcomes) if copies else outcomes)
    if copies:
        _tell_copies(copies, to)
    if to.open_hits:
        from simsearch.cli.viewer import open_in_viewer

        open_in_viewer([*HitFiles(searcher).pictures(first, _MOST_OPENED)])


def _tell_copies(copies: HitCopies, to: HitsTo) -> None:
    from simsearch.cli.output import note_missing
    from simsearch.show.terminal import terminal

    terminal.note(f"{'linked' if to.link else 'copied'} {copies.done:,} hits into {to.copy_to}")
    note_missing(copies.missing)


def _open(folder: Path, k: int, threads: int, *, is_one: bool) -> Searcher:
    """Open an index for one query, whose answer is there before anyone can cut a file short, or for many.

    A gallery that holds fewer images than are wanted is told of.
    """
    from simsearch.index.bundle import PRIVATE_BYTES
    from simsearch.search.searcher import Searcher
    from simsearch.show.terminal import terminal

    searcher = Searcher.open(folder, threads=threads or int(is_one), private=0 if is_one else PRIVATE_BYTES)
    limit_threads(threads)
    if k > len(searcher):
        terminal.note(f"the gallery holds only {len(searcher):,} images: showing them all")
    return searcher


def _composed(queries: Queries, searcher: Searcher, preparation: Preparation) -> ComposedQuery | None:
    """The pictures that are added to each query and taken from it, if there are any."""
    like, unlike = queries.like or [], queries.unlike or []
    if not (like or unlike):
        return None
    from simsearch.prepare.prepare import Preprocess
    from simsearch.search.compose import read_composed_query

    way, encoder = Preprocess(preparation.preprocess), searcher.bundle.encoder
    return read_composed_query(like, unlike, encoder, sys.stdin.buffer, way, preparation.invert)


def _gather(images: list[str], queries: Queries, stdin: BinaryIO) -> tuple[Iterator[Query], int | None]:
    """The queries that the command line names, and how many there are, if that is known."""
    from simsearch.search.queries import gather
    from simsearch.show.terminal import terminal

    steered = bool(queries.like or queries.unlike)
    items, listed = queries.item or [], queries.files_from
    vectors = queries.vector or []
    return gather(images, items, listed, stdin, vectors=vectors, steered=steered, note=terminal.note)


def _write_steps(images: list[str], target: Path | None, way: Preprocess, invert: bool | None) -> None:
    """Write the steps of preparing one picture; also where none of them finds a digit."""
    if target is None:
        return
    from simsearch.cli.targets import check_targets
    from simsearch.files import write_atomically
    from simsearch.prepare.decode import read_image_file
    from simsearch.prepare.pictures import read_steps
    from simsearch.show.prepared import steps_sheet

    if len(images) != 1 or not Path(images[0]).is_file():
        raise BadInputError("--show-prepared shows the steps of one picture", hint="name one file")
    check_targets(target, inputs=images, pictures=True)
    reading = read_steps(read_image_file(Path(images[0])), preprocess=way, invert=invert)
    write_atomically(target, steps_sheet(reading.steps))


def similarity(
    *,
    first: Annotated[Path, typer.Argument(metavar="A", help="An image file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another image file.")],
    index: IndexChoice,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Compare by this model alone, which cannot tell whether it knows such pictures.",
            callback=find_chosen_model,
            envvar="SIMSEARCH_MODEL",
        ),
    ] = None,
    preparation: Preparation,
    as_json: JsonOption = False,
) -> None:
    """Say how similar two images are: cosine, logit, and probability of one class.

    Of pictures that are unlike anything in the index there is the cosine alone.

    Example: simsearch similarity mine.png yours.png
    """
    start_no_threads()
    from simsearch.prepare.pictures import prepare_picture
    from simsearch.prepare.prepare import Preprocess
    from simsearch.search.searcher import Searcher, measure_similarity
    from simsearch.search.similarity import compare_pictures
    from simsearch.show.terminal import terminal, views

    way = Preprocess(preparation.preprocess)

    def prepared(takes: ImageInput) -> list[PreparedImage]:
        paths = (first, second)
        return [prepare_picture(path, takes, preprocess=way, invert=preparation.invert) for path in paths]

    if model is None:
        searcher = Searcher.open(index.folder())
        bundle = searcher.bundle
        result = compare_pictures(searcher, *prepared(bundle.encoder.input))
        by = bundle.manifest.model
    else:
        opened = open_chosen_model(model)
        result, by = measure_similarity(opened, *prepared(opened.encoder.input)), opened.card.name
    if as_json:
        terminal.print_json({"a": str(first), "b": str(second), "model": by, **result._asdict()})
    else:
        terminal.results().print(views.similarity_view(str(first), str(second), result))
