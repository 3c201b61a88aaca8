"""The indexes of a folder: list, rename, delete, migrate."""

from __future__ import annotations

from typing import Annotated

import typer

from simsearch.cli.options import IndexDirOption, JsonOption, StoreOptions
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
    of_link = (
        f" (a link; the index in {printable(str(folder.resolve()))} stays)" if folder.is_symlink() else ""
    )
    if not yes and not _agreed(f"Delete the index in {printable(str(folder))}{of_link}?"):
        return
    typer.echo(f"deleted {delete_index(index, index_dir)}{of_link}")


def migrate(
    index: Annotated[str, _NAME], storing: StoreOptions, index_dir: IndexDirOption = DEFAULT_INDEX_DIR
) -> None:
    """Move an index to a Milvus server, or back into files: the same items under the same ids.

    Example: simsearch migrate mine --store milvus --uri http://milvus:19530
    """
    from simsearch.index.bundle import read_manifest
    from simsearch.index.catalog import own_folder
    from simsearch.index.migrate import to_files, to_server
    from simsearch.show.terminal.progress import progress

    folder, target = own_folder(index, index_dir), storing.target()
    with progress("Moving", read_manifest(folder).count) as advance:
        if target is not None:
            manifest = to_server(folder, target, on_progress=advance)
        else:
            storing.check()
            manifest = to_files(folder, storing.first_factory, on_progress=advance)
            manifest = storing.finish(folder, manifest)
    typer.echo(f"{folder}: {manifest.count:,} images in {manifest.engine}")


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
