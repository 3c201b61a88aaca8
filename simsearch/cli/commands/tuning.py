"""Choose how an index searches, by measuring."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from simsearch.cli.options import IndexDirOption, JsonOption, ThreadsOption, a_number, limit_threads
from simsearch.index.locations import DEFAULT_INDEX_DIR

_SIZES = {"KB": 1e3, "MB": 1e6, "GB": 1e9}
_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


_RECALL = typer.Option(
    min=0.0, max=1.0, callback=a_number, help="The least share of the ten nearest to find."
)


def tune(
    index: Annotated[str, typer.Argument(metavar="INDEX", help="Name or folder of the index.")],
    recall: Annotated[float, _RECALL] = 0.95,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="The most for vectors and index: 500MB, 1GB.")
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The most for one search, without encoding: 500us, 2ms."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure, and leave the index as it is.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the items that are asked for.")] = 0,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    as_json: JsonOption = False,
    threads: ThreadsOption = 0,
) -> None:
    """Choose an index type by measuring, and make the index one of it.

    Kinds of index are built from its own vectors and asked for its own items. What is printed are those that
    no other beats; the quickest that comes up to what is asked for is written in one step.

    Example: simsearch tune mine --recall .99 --memory 1GB
    """
    from simsearch.index.catalog import changeable
    from simsearch.index.retype import retype
    from simsearch.index.tune import Wanted, best_of, frontier, measure_kinds, none_suits
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import stages
    from simsearch.show.terminal.tune_view import as_document, kind_name, tune_view

    size = float("inf") if memory is None else _quantity("--memory", memory, _SIZES)
    seconds = float("inf") if latency is None else _quantity("--latency", latency, _TIMES)
    wanted = Wanted(recall, size, seconds)
    limit_threads(threads)
    folder = changeable(index, index_dir)
    with stages("Reading") as work:
        measured = list(
            measure_kinds(
                folder, wanted, seed=seed, on_kind=lambda kind: work.begin(f"Trying {kind_name(kind)}")
            )
        )
        best = best_of(measured, wanted)
        if best is not None and not dry_run:
            work.begin(f"Writing {kind_name(best.kind)}")
            retype(folder, best.kind)
    shown = frontier(measured)
    if as_json:
        terminal.print_json(as_document(shown, best))
    else:
        terminal.results().print(tune_view(shown, best))
    if best is None:
        raise none_suits(measured)
    if not as_json:
        typer.echo(f"{folder}: {'would be' if dry_run else 'is now'} {kind_name(best.kind)}")


def _quantity(option: str, text: str, units: dict[str, float]) -> float:
    """What an amount with a unit comes to.

    :raises BadInputError: If it is none.
    """
    from simsearch.errors import BadInputError

    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]+)", text.strip())
    factor = found and {unit.lower(): factor for unit, factor in units.items()}.get(found[2].lower())
    if not found or factor is None:
        names = ", ".join(units)
        raise BadInputError(f"{option} {text!r} is no amount", f"write a number and one of {names}")
    return float(found[1]) * factor
