"""The indexes of a folder: list, rename, delete."""

from __future__ import annotations

from typing import Annotated

import typer

from simsearch.cli.options import IndexDirOption, JsonOption
from simsearch.index.locations import DEFAULT_INDEX_DIR

_NAME = typer.Argument(metavar="INDEX", help="Name of the index.")


def list_all(index_dir: IndexDirOption = DEFAULT_INDEX_DIR, as_json: JsonOption = False) -> None:
    """List every index: its images, classes, model, size and age.

    Example: simsearch list
    """
    from simsearch.index.catalog import catalog
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.catalog_view import as_document, catalog_view

    found = list(catalog(index_dir))
    if as_json:
        terminal.print_json([as_document(entry) for entry in found])
    else:
        terminal.results().print(catalog_view(found))


def rename(
    index: Annotated[str, _NAME],
    new_name: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.")],
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
) -> None:
    """Give an index another name.

    Example: simsearch rename mine holidays
    """
    from simsearch.index.catalog import rename_index

    typer.echo(f"{index} is now {rename_index(index, new_name, index_dir)}")


def delete(
    index: Annotated[str, _NAME],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
) -> None:
    """Delete an index; the pictures that it was made from stay where they are.

    Example: simsearch delete mine
    """
    from simsearch.index.catalog import delete_index, own_folder
    from simsearch.text import printable

    folder = own_folder(index, index_dir)
    if not yes and not _agreed(f"Delete the index in {printable(str(folder))}?"):
        return
    typer.echo(f"deleted {delete_index(index, index_dir)}")


def _agreed(question: str) -> bool:
    """What the user answers.

    :raises BadInputError: If nobody answers.
    """
    from simsearch.errors import BadInputError

    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        typer.echo(err=True)
        raise BadInputError("nobody answered, so nothing was deleted", hint="add --yes") from None
