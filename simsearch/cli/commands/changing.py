"""Change an index: add, remove, sync, compact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import MOST_INTEGER, IndexDirOption, ThreadsOption, limit_threads
from simsearch.index.locations import DEFAULT_INDEX_DIR

_INDEX = typer.Argument(metavar="INDEX", help="Name or folder of the index.")
_LABELS = typer.Option(
    metavar="WAY|FILE",
    help="Where classes come from: folder, last, none, or a CSV or Parquet file of path and label.",
)


def add(
    index: Annotated[str, _INDEX],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, or folders of them.")],
    label: Annotated[str | None, typer.Option(help="The class of all of them.")] = None,
    labels: Annotated[str, _LABELS] = "auto",
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    threads: ThreadsOption = 0,
) -> None:
    """Add pictures to an index; it is not built again.

    Example: simsearch add mine new/ holiday.jpg --label beach
    """
    from simsearch.data.collection import summary
    from simsearch.index.catalog import changeable
    from simsearch.index.change.paths import gather_paths
    from simsearch.index.update import Index
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.change_view import outcome_line
    from simsearch.show.terminal.progress import progress

    limit_threads(threads)
    opened = Index.open(changeable(index, index_dir), threads=threads)
    files = gather_paths(paths, opened.manifest, label=label, labels=labels)
    with progress("Adding", len(files.files)) as advance:
        outcome = opened.add_files(files, on_progress=advance)
    for line in summary(outcome.skipped):
        terminal.note(line)
    typer.echo(f"{opened.folder}: {outcome_line(outcome)}")


def remove(
    index: Annotated[str, _INDEX],
    item: Annotated[
        list[int] | None,
        typer.Option("--id", min=0, max=MOST_INTEGER, help="An item; repeatable."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="A picture's source, a folder of them, or a pattern like 'cat/*.png'; repeatable."),
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="A whole class; repeatable.")] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Items whose file is not there any more.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
) -> None:
    """Remove items from an index; the pictures stay where they are.

    Their ids are never used again.

    Example: simsearch remove mine --id 17 --source 'cat/*.png'
    """
    from simsearch.errors import BadInputError
    from simsearch.index.catalog import changeable
    from simsearch.index.change.paths import chosen_items
    from simsearch.index.update import Index
    from simsearch.show.terminal.change_view import outcome_line
    from simsearch.text import printable

    if not (item or source or label or missing):
        raise BadInputError("nothing is named", hint="name items by --id, --source, --label or --missing")
    opened = Index.open(changeable(index, index_dir))
    found = chosen_items(
        opened.items() if source or label or missing else (),
        opened.manifest,
        sources=source or (),
        labels=label or (),
        missing=missing,
    )
    ids = {*(known.id for known in found), *(item or ())}
    if dry_run:
        for known in opened.items():
            if known.id in ids:
                typer.echo(f"remove  {known.id}  {printable(known.source)}")
    elif ids:
        typer.echo(f"{opened.folder}: {outcome_line(opened.remove(ids))}")
    else:
        typer.echo(f"{opened.folder}: nothing is missing")


def sync(
    index: Annotated[str, _INDEX],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where its folder is now, if it was moved.")
    ] = None,
    labels: Annotated[str, _LABELS] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also if the index was made from another folder.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Also if most items would go.")] = False,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    threads: ThreadsOption = 0,
) -> None:
    """Make an index hold what lies in its folder now: new, changed, renamed and missing files.

    Files are compared by size and time, and where these differ by content.

    Example: simsearch sync mine --dry-run
    """
    from contextlib import ExitStack

    from simsearch.data.collection import summary
    from simsearch.index.catalog import changeable
    from simsearch.index.update import Index
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.change_view import outcome_line, plan_lines, plan_summary
    from simsearch.show.terminal.progress import progress

    limit_threads(threads)
    opened = Index.open(changeable(index, index_dir), threads=threads)
    if dry_run:
        plan = opened.plan(folder, labels=labels, replace=replace)
        for line in (*plan_lines(plan), f"{opened.folder}: {plan_summary(plan)}"):
            typer.echo(line)
        skipped = plan.skipped
    else:
        with ExitStack() as shown:
            outcome = opened.sync(
                folder,
                labels=labels,
                replace=replace,
                losing_most=yes,
                on_plan=lambda plan: terminal.note(plan_summary(plan)),
                bar=lambda total: shown.enter_context(progress("Adding", total)),
            )
        typer.echo(f"{opened.folder}: {outcome_line(outcome)}")
        skipped = outcome.skipped
    for line in summary(skipped):
        terminal.note(line)


def compact(
    index: Annotated[str, _INDEX],
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    threads: ThreadsOption = 0,
) -> None:
    """Merge what was added to an index, and free what was removed from it.

    An approximate index is trained anew. Changes do this by themselves as an index grows.

    Example: simsearch compact mine
    """
    from simsearch.index.catalog import changeable
    from simsearch.index.update import Index
    from simsearch.show.terminal.change_view import outcome_line

    limit_threads(threads)
    opened = Index.open(changeable(index, index_dir), threads=threads)
    typer.echo(f"{opened.folder}: {outcome_line(opened.compact())}")
