"""The indexes of a folder and the shipped one: listed, renamed, deleted, protected from being mixed up."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from simsearch.errors import (
    BadInputError,
    MissingBundleError,
    NotUsableError,
    SimsearchError,
    cannot_write,
)
from simsearch.files import LOCK, hold_signals, sweep_temporaries, sync_folder, write_atomically
from simsearch.index.bundle import (
    BUILDING,
    MANIFEST,
    bundle_lock,
    open_served,
    read_items,
    read_manifest,
    sweep,
)
from simsearch.index.locations import find_index, index_folder, is_shipped, list_indexes
from simsearch.index.manifest import Manifest, is_data_file
from simsearch.index.served import drop_generations
from simsearch.index.stored_map import MAP


@dataclass(frozen=True)
class Listing:
    """One index of a list; where it cannot be read, `problem` says why, and the rest is None."""

    name: str
    folder: Path
    manifest: Manifest | None
    problem: str | None = None

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(entry.size for entry in self.manifest.all_files) if self.manifest else 0

    @property
    def age(self) -> float | None:
        """Seconds since it was made, if it says when."""
        try:
            created = datetime.fromisoformat(self.manifest.created if self.manifest else "")
            return (datetime.now(UTC) - created).total_seconds()
        except (ValueError, TypeError):  # TypeError: without a time zone
            return None


def catalog(index_dir: Path) -> Iterator[Listing]:
    """Every index that a name finds: those of a folder, and the shipped one."""
    for name in list_indexes(index_dir):
        try:
            folder = find_index(name, index_dir)
        except MissingBundleError:
            continue
        try:
            yield Listing(name, folder, read_manifest(folder))
        except SimsearchError as error:
            yield Listing(name, folder, None, error.message)


def class_counts(folder: Path, manifest: Manifest) -> dict[str, int]:
    """How many items each class has; empty for an index without labels.

    :raises BrokenBundleError: If its labels are damaged.
    """
    if manifest.store is not None:
        store = open_served(folder, manifest)
        found = {name: store.count(number) for number, name in enumerate(manifest.classes)}
        store.close()
        return found
    if "labels" not in manifest.files:
        return {}
    counts = np.zeros(len(manifest.classes), np.int64)
    for items in read_items(folder, manifest, "labels"):
        assert items.labels is not None
        counts += np.bincount(items.labels[items.rows], minlength=len(counts))
    return dict(zip(manifest.classes, counts.tolist(), strict=True))


def check_source(folder: Path, name: str, root: str | None) -> None:
    """Refuse to take the place of an index that was made from something else.

    :param name: Of the gallery, and `root` the folder that it lies in.
    :raises BadInputError: If there is one in the folder.
    """
    try:
        manifest = read_manifest(folder)
    except SimsearchError:  # none, or one that nobody can use
        return
    is_moved = None not in (manifest.root, root) and manifest.root != root
    if manifest.dataset == name and not is_moved:
        return
    made_from = f"{manifest.dataset} ({manifest.root})" if manifest.root else manifest.dataset
    raise BadInputError(
        f"the index {folder} was made from {made_from}, not from {root or name}",
        hint="choose another --name, or add --replace",
    )


@hold_signals()
def rename_index(name: str, new_name: str, index_dir: Path) -> Path:
    """Give an index of a folder another name; returns where it then is.

    :raises BadInputError: If the name is taken or impossible, the index is the shipped one, or its folder
        holds other files or cannot be written.
    :raises MissingBundleError: If there is no such index.
    :raises BusyError: If another process is writing it.
    """
    folder, target = own_folder(name, index_dir), index_folder(index_dir, new_name)
    if folder.is_symlink():
        raise BadInputError(f"{folder} is a link to {folder.resolve()}", hint="rename that folder")
    if target.exists():
        raise BadInputError(f"there is {target} already", hint="choose another name")
    manifest = read_manifest(folder)
    try:
        with bundle_lock(folder):
            sweep_temporaries(folder)
            for path in folder.iterdir():
                if not (is_data_file(path.name) or path.name in (MANIFEST, MAP, LOCK, BUILDING)):
                    raise BadInputError(
                        f"{folder} also holds {path.name}", hint="move what is not the index's"
                    )
            write_atomically(folder / MANIFEST, msgspec.structs.replace(manifest, name=new_name).to_json())
        folder.rename(target)
        sync_folder(index_dir)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


@hold_signals()
def delete_index(name: str, index_dir: Path) -> Path:
    """Delete the files of an index, and its folder if nothing else lies in it; returns where it was.

    The manifest goes first, so that a kill leaves no half of an index. Of a link only the link goes.

    :raises BadInputError: If it is the shipped index, or cannot be deleted.
    :raises MissingBundleError: If there is no such index.
    :raises BusyError: If another process is writing it.
    """
    folder = own_folder(name, index_dir)
    try:
        if folder.is_symlink():
            folder.unlink()
            return folder
        with bundle_lock(folder):
            _drop_served(folder)
            (folder / MANIFEST).unlink()
            sync_folder(folder)
            sweep(folder, keep=[])
            shutil.rmtree(folder / BUILDING, ignore_errors=True)
        for name in (MAP, LOCK):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds something else
            folder.rmdir()
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def _drop_served(folder: Path) -> None:
    """Drop what a server holds of an index: first, so that a server without an answer leaves all as it is."""
    with contextlib.suppress(NotUsableError):  # nobody can read where it was
        if (store := read_manifest(folder).store) is not None:
            drop_generations(store)


def own_folder(name: str, index_dir: Path) -> Path:
    """The folder of an index in this folder.

    :raises BadInputError: If it is the shipped index that has this name.
    :raises MissingBundleError: If there is no such index here.
    """
    folder = index_folder(index_dir, name)
    if (folder / MANIFEST).is_file():
        return _not_shipped(folder)
    raise _elsewhere(_not_shipped(find_index(name, index_dir)), folder)


def changeable(index: str, index_dir: Path) -> Path:
    """The folder of an existing index that may be changed, given its name or its path.

    :raises BadInputError: If it is the shipped index.
    :raises MissingBundleError: If there is no such index here.
    """
    found = _not_shipped(find_index(index, index_dir))
    if found not in (Path(index), index_dir / index):  # a checkout's indexes answer everywhere
        raise _elsewhere(found, index_dir / index)
    return found


def _elsewhere(found: Path, folder: Path) -> MissingBundleError:
    return MissingBundleError(
        f"there is no index in {folder}", hint=f"there is one in {found}: add --index-dir {found.parent}"
    )


def _not_shipped(folder: Path) -> Path:
    if is_shipped(folder):
        raise BadInputError(f"the index in {folder} ships with simsearch", hint="it stays as it is")
    return folder
