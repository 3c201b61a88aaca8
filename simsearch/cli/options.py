"""The options of commands in groups, each defined once, and what commands do with them.

A group is a frozen dataclass whose fields are options. A command takes it as one parameter; `flatten` puts
the fields in its place where Typer looks, and gathers their values again when the command runs.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from simsearch.index.locations import DEFAULT_INDEX, DEFAULT_INDEX_DIR, find_index

if TYPE_CHECKING:
    from simsearch.encode.model_folder import Model
    from simsearch.index.manifest import Manifest
    from simsearch.index.serving import Target

WHERE = "Where things are"  # panels of --help
_PICTURES = "How pictures are read"
_ASK = "What to ask about"
_ANSWER = "What is answered"
_SCREEN = "On the screen"
_FILES = "With the files of the hits"
_PROGRAMS = "For programs (one of these)"
_MOST_SEED = 2**63 - 1

IndexDirOption = Annotated[
    Path,
    typer.Option(help="Folder that holds the indexes.", envvar="SIMSEARCH_INDEX_DIR", rich_help_panel=WHERE),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the model; the shipped one by default.",
        envvar="SIMSEARCH_MODEL",
        rich_help_panel=WHERE,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for datasets; the platform's own by default.",
        envvar="SIMSEARCH_DATA_DIR",
        rich_help_panel=WHERE,
    ),
]
ThreadsOption = Annotated[
    int, typer.Option(min=0, help="Threads that compute; 0 uses every core.", envvar="SIMSEARCH_THREADS")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with scores at full precision.")]


PicturesOption = Annotated[
    Literal["auto", "blocks", "braille", "kitty", "sixel", "none"],
    typer.Option(
        "--images", help="How to draw pictures; auto: blocks on a terminal.", rich_help_panel=_SCREEN
    ),
]


def seed_option(of: str) -> Any:
    """The option of a seed; `of` says what is random."""
    return typer.Option(min=0, max=_MOST_SEED, help=of)


@dataclass(frozen=True)
class IndexChoice:
    """Which index is meant."""

    index: Annotated[
        str,
        typer.Option(
            "--index",
            "-i",
            help="Name or folder of the index.",
            envvar="SIMSEARCH_INDEX",
            rich_help_panel=WHERE,
        ),
    ] = DEFAULT_INDEX
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR

    def folder(self) -> Path:
        """Its folder.

        :raises NoIndexError: If there is none.
        """
        return find_index(self.index, self.index_dir)


@dataclass(frozen=True)
class Preparation:
    """How pictures become what the network sees."""

    preprocess: Annotated[
        Literal["auto", "mnist", "none"],
        typer.Option(
            help="auto: leave images alone that are like MNIST, prepare all others as MNIST was.",
            rich_help_panel=_PICTURES,
        ),
    ] = "auto"
    invert: Annotated[
        bool | None,
        typer.Option(
            "--invert/--no-invert",
            help="Dark ink on light, or not; decided from the border by default.",
            rich_help_panel=_PICTURES,
        ),
    ] = None


@dataclass(frozen=True)
class Queries:
    """What else a query asks about."""

    item: Annotated[
        list[int] | None,
        typer.Option(
            "--id", min=0, help="An item of the gallery, itself left out; repeatable.", rich_help_panel=_ASK
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
            min=-1, max=1, help="Count an image as a match from this score on.", rich_help_panel=_ANSWER
        ),
    ] = None
    min_probability: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="And from this probability on.", rich_help_panel=_ANSWER),
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
        typer.Option("--by-class", help="The best example of each class, ranked.", rich_help_panel=_SCREEN),
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


_Side = Annotated[
    float | None,
    typer.Option(min=1, max=60, help="Inches; the figure's own by default, or in proportion to the other."),
]


@dataclass(frozen=True)
class FigureStyle:
    """How a figure looks."""

    theme: Annotated[Literal["light", "dark"], typer.Option(help="Colors of the page.")] = "light"
    width: _Side = None
    height: _Side = None
    dpi: Annotated[int, typer.Option(min=20, max=600, help="Pixels an inch of a PNG.")] = 150


def flatten(command: Callable[..., None]) -> Callable[..., None]:
    """A command as Typer reads it: every field of its groups is a parameter of its own, in their place."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    flat: list[inspect.Parameter] = []
    for own in inspect.signature(command).parameters.values():
        if own.name in groups:
            kinds = get_type_hints(groups[own.name], include_extras=True)
            flat += [_parameter(field, kinds[field.name]) for field in fields(groups[own.name])]
        else:
            flat.append(own.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[own.name]))

    @wraps(command)
    def run(**values: Any) -> None:
        gathered = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**gathered, **values)

    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return run


def _parameter(field: Field[Any], kind: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def limit_threads(threads: int) -> None:
    """Limit the libraries that have no setting of their own, FAISS and BLAS, for the rest of this process."""
    if threads:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)


def start_no_threads() -> None:
    """Have NumPy's BLAS start no threads of its own, for the rest of this process, if it is not loaded yet.

    They are started when NumPy is, which takes as long as loading it, and one query is no work for them; many
    queries are shared by threads that each compute alone.
    """
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def open_chosen_model(folder: Path | None, threads: int = 0) -> Model:
    """Open the model in a folder, or the shipped one."""
    from simsearch.encode.model_folder import PRETRAINED, open_model

    return open_model(folder or PRETRAINED, threads=threads)


@dataclass(frozen=True)
class StoreOptions:
    """What holds the items, and how it searches."""

    factory: Annotated[
        str,
        typer.Option(
            help="FAISS factory string, such as HNSW32 or IVF100,Flat; of a Milvus store Flat or HNSW32."
        ),
    ] = "Flat"
    precision: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(help="Of stored vectors in files: less takes less memory, and scores come from them."),
    ] = "float32"
    store: Annotated[
        Literal["faiss", "milvus"], typer.Option(help="FAISS files in the index, or a Milvus server.")
    ] = "faiss"
    uri: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="The Milvus server, http://HOST:PORT. Its credentials come from the environment's "
            "SIMSEARCH_MILVUS_TOKEN.",
            envvar="SIMSEARCH_MILVUS_URI",
        ),
    ] = "http://localhost:19530"
    shards: Annotated[int, typer.Option(min=1, max=64, help="Parts that Milvus writes side by side.")] = 1
    replicas: Annotated[int, typer.Option(min=1, max=64, help="Copies that Milvus searches.")] = 1

    def target(self) -> Target | None:
        """The server that is to hold the items; None for files."""
        from simsearch.errors import BadInputError, require
        from simsearch.index.serving import Target
        from simsearch.index.stores.milvus.address import check_uri

        if self.store == "faiss":
            return None
        if self.precision != "float32":
            raise BadInputError(f"a Milvus store keeps float32 vectors, not {self.precision}")
        require("pymilvus", "scale")
        return Target(check_uri(self.uri), self.factory, self.shards, self.replicas)

    @property
    def first_factory(self) -> str:
        """The factory string of what is built first; see `finish`."""
        return self.factory if self.precision == "float32" else "Flat"

    def check(self) -> None:
        """Refuse an index type that has not this precision, before the work of encoding.

        :raises BadInputError: If there is none.
        """
        if self.precision != "float32":
            from simsearch.index.retype import IndexKind
            from simsearch.index.writing import explained

            with explained():
                _ = IndexKind(self.factory, self.precision).full_factory

    def finish(self, folder: Path, manifest: Manifest) -> Manifest:
        """Store the vectors of an index that was built in this precision."""
        if self.precision == "float32":
            return manifest
        from simsearch.index.retype import IndexKind, retype

        return retype(folder, IndexKind(self.factory, self.precision))
