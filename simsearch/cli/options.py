"""Options that several commands share, and what they all do with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from simsearch.encode.model_folder import Model

WHERE = "Where things are"  # panels of --help
PICTURES = "How pictures are read"

IndexOption = Annotated[
    str,
    typer.Option(
        "--index",
        "-i",
        help="Name or folder of the index.",
        envvar="SIMSEARCH_INDEX",
        rich_help_panel=WHERE,
    ),
]
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
PreprocessOption = Annotated[
    Literal["auto", "mnist", "none"],
    typer.Option(
        help="auto: leave MNIST-like 28x28 images alone, prepare all others as MNIST was.",
        rich_help_panel=PICTURES,
    ),
]
InvertOption = Annotated[
    bool | None,
    typer.Option(
        "--invert/--no-invert",
        help="Dark ink on light, or not; decided from the border by default.",
        rich_help_panel=PICTURES,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with scores at full precision.")]


def limit_threads(threads: int) -> None:
    """Limit the libraries that have no setting of their own, FAISS and BLAS, for the rest of this process."""
    if threads:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)


def open_chosen_model(folder: Path | None, threads: int = 0) -> Model:
    from simsearch.encode.model_folder import PRETRAINED, open_model

    return open_model(folder or PRETRAINED, threads=threads)
