"""Look for what is doubtful in an index, and for what is in it twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simsearch.cli.options import (
    IndexDirOption,
    JsonOption,
    PicturesOption,
    ThreadsOption,
    a_number,
    limit_threads,
)
from simsearch.cli.targets import check_targets
from simsearch.errors import BadInputError
from simsearch.index.audit.kinds import CopyKind
from simsearch.index.locations import DEFAULT_INDEX, DEFAULT_INDEX_DIR, find_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from simsearch.index.audit.groups import Duplicates
    from simsearch.index.bundle import Bundle
    from simsearch.prepare.inputs import Picture


@dataclass(frozen=True)
class Audited:
    """Which index is looked at, and which beside it."""

    index: Annotated[str, typer.Argument(metavar="[INDEX]", help="Name or folder of the index.")] = (
        DEFAULT_INDEX
    )
    against: Annotated[
        str | None,
        typer.Option(metavar="INDEX", help="Another index, whose copies of these pictures are named."),
    ] = None
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR
    threads: ThreadsOption = 0

    def bundles(self) -> tuple[Bundle, Bundle | None]:
        """Open both."""
        from simsearch.index.bundle import PRIVATE_BYTES, open_bundle

        limit_threads(self.threads)
        names = [self.index] if self.against is None else [self.index, self.against]
        folders = [find_index(name, self.index_dir) for name in names]
        bundle, *other = [
            open_bundle(folder, threads=self.threads, private=PRIVATE_BYTES) for folder in folders
        ]
        return bundle, other[0] if other else None


@dataclass(frozen=True)
class Shown:
    """How findings are shown."""

    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many of a kind are shown.")] = 20
    report: Annotated[
        Path | None, typer.Option("--html", help="Also write an HTML document, one self-contained file.")
    ] = None
    pictures: PicturesOption = "auto"
    as_json: JsonOption = False


def audit(
    *,
    audited: Audited,
    neighbors: Annotated[
        int, typer.Option(min=1, max=1_000, help="How many nearest others judge an item.")
    ] = 10,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Write path and label of every item, confident errors corrected, for build-index --labels.",
        ),
    ] = None,
    shown: Shown,
) -> None:
    """Find likely label errors, outliers, classes that overlap, and leaks between two indexes.

    Example: simsearch audit mine --html audit.html

    Example: simsearch audit mine --fix labels.csv

    Example: simsearch audit mine-test --against mine-train
    """
    from simsearch.index.audit.audit import audit as find
    from simsearch.index.audit.audit import corrected_labels, no_labels
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.findings_view import audit_view
    from simsearch.show.terminal.progress import progress

    check_targets(fix, shown.report)
    bundle, other = audited.bundles()
    check_targets(fix, shown.report, inputs=[bundle.manifest.labeling])
    if fix is not None and bundle.labels is None:
        raise no_labels(bundle)
    with progress("Auditing", len(bundle.ids)) as advance:
        found = find(bundle, other, k=neighbors, most=shown.count, on_progress=advance)
    if fix is not None:
        _write_csv(fix, ("path", "label", "was"), corrected_labels(bundle, found))
        terminal.note(f"{len(found.corrections):,} of {len(bundle.ids):,} labels are corrected in {fix}")
        if bundle.manifest.root is None:
            terminal.note(f"{bundle.manifest.name} keeps no folder that build-index could read them with")
    if shown.report is not None:
        from simsearch.show.html.audit_page import render_audit  # loads Jinja2

        _write(shown.report, render_audit(found, bundle, other))
    if shown.as_json:
        terminal.print_json(found.to_dict())
    else:
        canvas = terminal.canvas(shown.pictures)
        view = audit_view(found, _thumbnails(bundle), _thumbnails(other) if other else None, canvas)
        terminal.results().print(view, crop=False)


@dataclass(frozen=True)
class Rules:
    """What counts as a copy."""

    threshold: Annotated[
        float,
        typer.Option(
            min=-1, max=1, callback=a_number, help="Compare the pixels of pictures from this cosine on."
        ),
    ] = 0.7
    agreement: Annotated[
        float,
        typer.Option(
            min=0, max=1, callback=a_number, help="Call them near copies from this correlation of pixels on."
        ),
    ] = 0.98
    kind: Annotated[
        list[CopyKind] | None,
        typer.Option(help="Only this kind of copy; repeatable. All kinds by default."),
    ] = None


@dataclass(frozen=True)
class Moves:
    """What is done with copies."""

    move_to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Move all but the best of each group here; without --kind, only files that are equal.",
        ),
    ] = None
    undo: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Only move back what this list, left by --move-to, names."),
    ] = None


def duplicates(
    *,
    audited: Audited,
    rules: Rules,
    moves: Moves,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a row a picture.")] = False,
    shown: Shown,
) -> None:
    """Find pictures that are there twice: the same files, the same pixels, and near copies.

    Example: simsearch duplicates mine --html copies.html

    Example: simsearch duplicates mine --move-to ../copies

    Example: simsearch duplicates mine-test --against mine-train
    """
    from simsearch.show.terminal import terminal

    if as_csv and shown.as_json:
        raise BadInputError("--json and --csv exclude each other", hint="choose one")
    if moves.undo is not None:
        _undo(moves.undo)
        return
    check_targets(shown.report)
    if moves.move_to is not None and rules.kind is None:
        rules = replace(rules, kind=[CopyKind.FILE])  # nothing else is beyond doubt
    bundle, other = audited.bundles()
    found = _find(bundle, other, rules)
    if shown.report is not None:
        from simsearch.show.html.copies_page import render_copies  # loads Jinja2

        _write(shown.report, render_copies(found, bundle, other))
    if moves.move_to is not None:
        _move(found, bundle, moves.move_to)
    if shown.as_json:
        terminal.print_json(found.to_dict())
    elif as_csv:
        from simsearch.index.audit.groups import as_rows
        from simsearch.text import csv_text

        terminal.write(csv_text(as_rows(found)))
    else:
        _show(found, bundle, other, shown)


def _find(bundle: Bundle, other: Bundle | None, rules: Rules) -> Duplicates:
    from simsearch.index.audit.copies import CopyRules, find_copies
    from simsearch.index.audit.groups import group_copies
    from simsearch.show.terminal.progress import progress

    limits = CopyRules(threshold=rules.threshold, agreement=rules.agreement)
    with progress("Comparing", len(bundle.ids)) as advance:
        copies = find_copies(bundle, other, limits, on_progress=advance)
    pairs = tuple(pair for pair in copies.pairs if pair.kind in (rules.kind or CopyKind))
    return group_copies(bundle, other, replace(copies, pairs=pairs))


def _show(found: Duplicates, bundle: Bundle, other: Bundle | None, shown: Shown) -> None:
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.findings_view import copies_view

    own, others = _thumbnails(bundle), _thumbnails(other or bundle)
    view = copies_view(
        found,
        lambda member: (own if member.index == found.index else others)(member.id),
        terminal.canvas(shown.pictures),
        shown.count,
    )
    terminal.results().print(view, crop=False)


def _move(found: Duplicates, bundle: Bundle, folder: Path) -> None:
    from simsearch.index.audit.moving import move_files, plan_moves
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import progress

    root = bundle.manifest.root
    planned = plan_moves(found, None if root is None else Path(root), folder)
    if not planned:
        terminal.note("there is nothing to move")
        return
    with progress("Moving", len(planned)) as advance:
        listing = move_files(planned, folder, advance)
    terminal.note(
        f"files moved: {len(planned):,}; `simsearch duplicates --undo {listing}` moves them back, and the "
        "index still holds them until it is built again"
    )


def _undo(listing: Path) -> None:
    from simsearch.index.audit.moving import read_moves, undo_moves

    done, left = undo_moves(read_moves(listing))
    rest = f"; {left:,} are gone, or something else has their names" if left else ""
    typer.echo(f"files moved back: {done:,}{rest}")
    if left:
        raise typer.Exit(BadInputError.exit_code)


def _thumbnails(bundle: Bundle) -> Callable[[int], Picture]:
    from simsearch.search.searcher import Searcher

    return Searcher(bundle).thumbnail


def _write(path: Path, text: str) -> None:
    from simsearch.files import write_atomically
    from simsearch.show.terminal import terminal

    write_atomically(path, text.encode())
    terminal.note(f"wrote {path}")


def _write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from simsearch.files import write_atomically
    from simsearch.text import csv_text

    write_atomically(path, csv_text([columns, *rows]).encode("utf-8", "surrogateescape"))
