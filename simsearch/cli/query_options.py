"""The options that `query` alone has: what is asked about, what is answered, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import MOST_INTEGER, SCREEN, PicturesOption, a_number

_ASK = "What to ask about"  # panels of --help
_ANSWER = "What is answered"
_FILES = "With the files of the hits"
_PROGRAMS = "For programs (one of these)"


@dataclass(frozen=True)
class Queries:
    """What else a query asks about."""

    item: Annotated[
        list[int] | None,
        typer.Option(
            "--id",
            min=0,
            max=MOST_INTEGER,
            help="An item of the gallery, itself left out; repeatable.",
            rich_help_panel=_ASK,
        ),
    ] = None
    vector: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Vectors themselves, as .npy or JSON: a row each; repeatable.",
            rich_help_panel=_ASK,
        ),
    ] = None
    files_from: Annotated[
        str | None,
        typer.Option(help="A file with a name a line, or - for standard input.", rich_help_panel=_ASK),
    ] = None
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE", help="Add this picture's vector to each query; repeatable.", rich_help_panel=_ASK
        ),
    ] = None
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE", help="Subtract this picture's vector; repeatable.", rich_help_panel=_ASK
        ),
    ] = None
    show_prepared: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a PNG with the steps of preparing the one picture: paper, ink, digit.",
        ),
    ] = None


@dataclass(frozen=True)
class HitsTo:
    """Where the files of hits go."""

    open_hits: Annotated[
        bool,
        typer.Option("--open", help="Show the first hits in the system's viewer.", rich_help_panel=_FILES),
    ] = False
    copy_to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Copy the hits into this empty folder, numbered by rank.",
            rich_help_panel=_FILES,
        ),
    ] = None
    link: Annotated[
        bool, typer.Option("--link", help="With --copy-to: links, not copies.", rich_help_panel=_FILES)
    ] = False


@dataclass(frozen=True)
class Wanted:
    """What an answer holds, and from where on it is one."""

    k: Annotated[
        int, typer.Option("--k", "-k", min=1, help="How many nearest images.", rich_help_panel=_ANSWER)
    ] = 10
    label: Annotated[
        list[str] | None,
        typer.Option(help="Only images of this class; repeatable.", rich_help_panel=_ANSWER),
    ] = None
    min_score: Annotated[
        float | None,
        typer.Option(
            min=-1,
            max=1,
            callback=a_number,
            help="Count an image as a match from this score on.",
            rich_help_panel=_ANSWER,
        ),
    ] = None
    min_probability: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, callback=a_number, help="And from this probability on.", rich_help_panel=_ANSWER
        ),
    ] = None
    only_matches: Annotated[
        bool,
        typer.Option("--only-matches", help="Leave out images that are no match.", rich_help_panel=_ANSWER),
    ] = False
    others: Annotated[
        bool,
        typer.Option(
            "--others",
            help="Leave out the query itself, where its very file is in the gallery.",
            rich_help_panel=_ANSWER,
        ),
    ] = False
    unknown_below: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            callback=a_number,
            help="Call a picture unknown if a smaller share of known images is less typical.",
            rich_help_panel=_ANSWER,
        ),
    ] = None
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Compare with every image, though the index is approximate.",
            rich_help_panel=_ANSWER,
        ),
    ] = False


@dataclass(frozen=True)
class Screen:
    """How answers are shown to people."""

    by_class: Annotated[
        bool,
        typer.Option("--by-class", help="The best example of each class, ranked.", rich_help_panel=SCREEN),
    ] = False
    pictures: PicturesOption = "auto"


def _print_schema(value: bool) -> None:
    if value:
        from simsearch.search.formats import SCHEMA

        typer.echo(SCHEMA.read_text("utf-8"), nl=False)
        raise typer.Exit


@dataclass(frozen=True)
class Programs:
    """In which format answers are given to programs: at most one."""

    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.", rich_help_panel=_PROGRAMS)] = (
        False
    )
    as_jsonl: Annotated[
        bool, typer.Option("--jsonl", help="A line of JSON a query.", rich_help_panel=_PROGRAMS)
    ] = False
    as_csv: Annotated[bool, typer.Option("--csv", help="A row of CSV a hit.", rich_help_panel=_PROGRAMS)] = (
        False
    )
    as_paths: Annotated[
        bool,
        typer.Option(
            "--paths", help="The files of the hits, seen from here, one a line.", rich_help_panel=_PROGRAMS
        ),
    ] = False
    absolute: Annotated[
        bool, typer.Option("--absolute", help="With --paths: absolute ones.", rich_help_panel=_PROGRAMS)
    ] = False
    null: Annotated[
        bool,
        typer.Option(
            "--null",
            "-0",
            help="With --paths: each ended by a null byte, for xargs -0.",
            rich_help_panel=_PROGRAMS,
        ),
    ] = False
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            callback=_print_schema,
            is_eager=True,
            help="Print the JSON Schema of --json and --jsonl, and do nothing else.",
            rich_help_panel=_PROGRAMS,
        ),
    ] = False
