"""The options of commands in groups, each defined once, and what commands do with them.

A group is a frozen dataclass whose fields are options; a command takes it as one parameter (`flattening.py`).
Those that only `query` has are in `query_options.py`.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from simsearch.index.locations import DEFAULT_INDEX, DEFAULT_INDEX_DIR, find_index

if TYPE_CHECKING:
    from simsearch.encode.model_folder import Model
    from simsearch.index.manifest import Manifest
    from simsearch.index.serving import Target

WHERE = "Where things are"  # panels of --help
SCREEN = "On the screen"
_PICTURES = "How pictures are read"
MOST_INTEGER = 2**63 - 1  # of ids and seeds

IndexDirOption = Annotated[
    Path,
    typer.Option(help="Folder that holds the indexes.", envvar="SIMSEARCH_INDEX_DIR", rich_help_panel=WHERE),
]


def find_chosen_model(named: Path | None) -> Path | None:
    """The folder of a model that an option names: itself, or that of a shipped model of this name."""
    if named is None:
        return None
    from simsearch.encode.shipped_models import find_model

    return find_model(named)


ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the model, or residual, the second that ships; the first by default.",
        callback=find_chosen_model,
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
    int,
    typer.Option(
        min=0, max=1_024, help="Threads that compute; 0 uses every core.", envvar="SIMSEARCH_THREADS"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with scores at full precision.")]


PicturesOption = Annotated[
    Literal["auto", "blocks", "braille", "kitty", "sixel", "none"],
    typer.Option(
        "--images", help="How to draw pictures; auto: blocks on a terminal.", rich_help_panel=SCREEN
    ),
]


def seed_option(of: str) -> Any:
    """The option of a seed; `of` says what is random."""
    return typer.Option(min=0, max=MOST_INTEGER, help=of)


IndexArgument = Annotated[
    str | None, typer.Argument(metavar="[INDEX]", help="Name or folder of the index, as --index.")
]


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

    def folder(self, named: str | None = None) -> Path:
        """Its folder.

        :param named: The index that the command's own argument names; it comes first.
        :raises NoIndexError: If there is none.
        """
        return find_index(self.index if named is None else named, self.index_dir)


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


def a_number(value: float | None) -> float | None:
    """The `callback` of options that are shares or scores: "nan" lies in every range.

    :raises BadParameter: If it is none.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is no number.")
    return value


_Side = Annotated[
    float | None,
    typer.Option(
        min=1,
        max=60,
        callback=a_number,
        help="Inches; the figure's own by default, or in proportion to the other.",
    ),
]


@dataclass(frozen=True)
class FigureStyle:
    """How a figure looks."""

    theme: Annotated[Literal["light", "dark"], typer.Option(help="Colors of the page.")] = "light"
    width: _Side = None
    height: _Side = None
    dpi: Annotated[int, typer.Option(min=20, max=600, help="Pixels an inch of a PNG.")] = 150


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
            "--uri",  # without it Typer takes a metavar of the same letters for the name
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
