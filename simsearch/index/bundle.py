"""One index on disk: a folder whose manifest names every file, with size and checksum.

The manifest is the commit. Data files are written under new names, flushed, and only then is
`manifest.json` replaced by one rename. Whatever kills a writer, readers find the old index or the new
one; leftovers are swept by the next writer.
"""

from __future__ import annotations

import contextlib
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simsearch.encode.absent import no_encoder
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import BadInputError, BrokenBundleError, BrokenModelError, MissingBundleError
from simsearch.files import (
    HeldSignals,
    folder_lock,
    read_small_file,
    sweep_temporaries,
    sync_folder,
    write_atomically,
)
from simsearch.index.checked import checked_by_block
from simsearch.index.columns import Columns
from simsearch.index.data_files import REBUILD, open_checked, open_sized
from simsearch.index.manifest import MAX_MANIFEST_BYTES, Manifest, is_data_file
from simsearch.index.segment import Files, Items, load_removed, open_items, open_segments
from simsearch.index.stores.base import Ids, VectorStore, positions
from simsearch.prepare.inputs import Pictures
from simsearch.prepare.pictures import DIGITS
from simsearch.prepare.prepare import is_readable

if TYPE_CHECKING:
    from simsearch.index.stores.milvus.store import MilvusStore

MANIFEST = "manifest.json"
BUILDING = "building"  # a folder inside an index's: a build that is not done yet
_OPEN_TRIES = 20
PRIVATE_BYTES = 256 * 2**20  # what is read rather than mapped, unless a process ends at once


@dataclass(frozen=True, eq=False)
class Bundle:
    """An open index; what is read of it has been verified. Columns are in order of id, row by row."""

    folder: Path
    manifest: Manifest
    store: VectorStore
    own_encoder: OnnxEncoder | None  # None where another program computed the vectors
    columns: Columns

    @property
    def ids(self) -> Ids:
        """All ids, ascending, (N,)."""
        return self.columns.ids

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The items' classes, (N,), rows of manifest.classes; None without labels."""
        return self.columns.labels

    @property
    def thumbnails(self) -> Any:
        """N pictures; see `keeps_input`."""
        return self.columns.thumbnails

    @property
    def sources(self) -> Sequence[str]:
        """Where each of N items came from."""
        return self.columns.sources

    def rows(self, ids: Ids) -> NDArray[np.int64]:
        """Where the items of these ids stand in the arrays, int64 (len(ids),).

        :raises ValueError: If there is no such item.
        """
        return positions(self.ids, ids)

    @property
    def encoder(self) -> OnnxEncoder:
        """What encodes queries.

        :raises BadInputError: If the index has no encoder.
        """
        if self.own_encoder is None:
            raise no_encoder(self.manifest.name)
        return self.own_encoder

    @property
    def keeps_input(self) -> bool:
        """Whether the thumbnails are the very pixels that were encoded, uint8 (N, *input.picture_shape)."""
        return self.manifest.keeps_input

    @property
    def keeps_digits(self) -> bool:
        """Whether the thumbnails are digits as they were encoded, whose pixels say what is unlike them."""
        return self.keeps_input and self.manifest.input.preparation == DIGITS

    def pictures(self, ids: Ids) -> Pictures:
        """The pixels that were encoded of these items, uint8 (len(ids), *input.picture_shape).

        :raises ValueError: If there is no such item, or only smaller pictures are kept.
        """
        if not self.keeps_input:
            raise ValueError(f"the index {self.manifest.name} keeps small pictures only")
        return np.asarray(self.columns.pictures_of(ids))


def open_bundle(folder: Path, *, threads: int = 0, private: int = PRIVATE_BYTES) -> Bundle:
    """Open an index, verifying size and checksum of each file before it is parsed.

    Of large files that are mapped, each block is verified before it is first used; `verify` looks at all.

    :param private: Files of vectors and pictures of at most so many bytes are read, larger ones mapped. A
        mapped file opens sooner and shares its memory, and kills this process if it is cut short in place: 0
        is for a process that ends at once.
    :raises MissingBundleError: If there is no index in the folder.
    :raises BrokenBundleError: If anything about it does not fit.
    """
    manifest = read_manifest(folder)
    for _ in range(_OPEN_TRIES):
        try:
            return _open(folder, manifest, threads, private)
        except FileNotFoundError as error:
            # A writer may have committed a new index since the manifest was read.
            current = read_manifest(folder)
            if current == manifest:
                raise _lacks(folder, error) from None
            manifest = current
    raise BrokenBundleError(f"the index in {folder} changes faster than it can be read", hint="try again")


def open_as(folder: Path, manifest: Manifest, *, threads: int = 0) -> Bundle:
    """Open what a manifest describes that is not committed yet; its files are there, and the lock is held.

    :raises BrokenBundleError: If anything about it does not fit.
    """
    return _open(folder, manifest, threads, 0)


def open_served(folder: Path, manifest: Manifest, *, timeout: float | None = None) -> MilvusStore:
    """Open the store alone of an index whose items a server holds; see `open_store`.

    :raises BrokenBundleError: If a file is missing or damaged.
    """
    from simsearch.index.served import open_store

    assert manifest.store is not None
    try:
        with contextlib.ExitStack() as held, consistent(folder):
            files = {
                role: held.enter_context(open_checked(folder, entry))
                for role, entry in manifest.files.items()
                if role != "encoder"
            }
            return open_store(manifest, manifest.store, files, timeout=timeout)
    except FileNotFoundError as error:
        raise _lacks(folder, error) from None


def read_items(folder: Path, manifest: Manifest, *roles: str) -> list[Items]:
    """What each segment says of its items, from its ids and the files of these roles; no vector is read.

    :raises BrokenBundleError: If a file is missing or damaged.
    """
    try:
        with contextlib.ExitStack() as held, consistent(folder):
            files = [
                {
                    role: held.enter_context(open_checked(folder, entry))
                    for role, entry in part.files.items()
                    if role in ("ids", *roles)
                }
                for part in manifest.parts
            ]
            shared = {
                role: held.enter_context(open_checked(folder, entry))
                for role, entry in manifest.shared.items()
                if role == "removed"
            }
            removed = load_removed(shared, manifest)
            return [
                open_items(opened, part.count, manifest, removed)
                for opened, part in zip(files, manifest.parts, strict=True)
            ]
    except FileNotFoundError as error:
        raise _lacks(folder, error) from None


def read_manifest(folder: Path) -> Manifest:
    """Read and check `manifest.json`.

    :raises MissingBundleError: If there is none.
    :raises BrokenBundleError: If it cannot be understood.
    """
    path = folder / MANIFEST
    try:
        data = read_small_file(path, MAX_MANIFEST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingBundleError(f"there is no index in {folder}", hint=REBUILD) from None
    except OSError as error:
        raise BrokenBundleError(f"{path} cannot be read: {error.strerror}", hint=REBUILD) from error
    if data is None:
        raise BrokenBundleError(f"{path} is too large to be a manifest", hint=REBUILD)
    try:
        manifest = Manifest.from_json(data)
    except ValueError as error:
        raise BrokenBundleError(f"{path} cannot be used: {error}", hint=REBUILD) from error
    if not is_readable(manifest.preprocessing, manifest.input):
        raise BrokenBundleError(
            f"the index in {folder} was made with preprocessing version {manifest.preprocessing}, "
            f"this simsearch has {manifest.input.version}",
            hint=REBUILD,
        )
    return manifest


def bundle_lock(folder: Path) -> AbstractContextManager[HeldSignals]:
    """Hold an index folder's lock, creating the folder; see `folder_lock`."""
    return folder_lock(folder, busy=f"another process is writing {folder}")


def commit(folder: Path, manifest: Manifest) -> None:
    """Make the written files the index, in one step, and sweep what no manifest names any more.

    :raises BadInputError: If such an index could not be opened again; the old one is then still there.
    """
    content = manifest.to_json()
    _check_manifest(content)
    sync_folder(folder)
    write_atomically(folder / MANIFEST, content)
    with contextlib.suppress(OSError):  # it is the index: what cannot be deleted now is swept next time
        sweep(folder, keep=[manifest])


def _check_manifest(content: bytes) -> None:
    """Read a manifest as who opens the index will.

    :raises BadInputError: If that fails.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        size = f"{len(content) / 2**20:.1f} MB, more than {MAX_MANIFEST_BYTES // 2**20}"
        raise BadInputError(
            f"the index's description would have {size}", hint="give it fewer classes, or shorter names"
        )
    try:
        Manifest.from_json(content)
    except ValueError as error:
        raise BadInputError(f"such an index could not be opened again: {error}") from error


def sweep(folder: Path, *, keep: Sequence[Manifest]) -> None:
    """Delete leftovers of killed writers and files that none of these name; the lock must be held."""
    kept = {entry.name for manifest in keep for entry in manifest.all_files}
    sweep_temporaries(folder)
    for path in folder.iterdir():
        if is_data_file(path.name) and path.name not in kept:
            with contextlib.suppress(OSError):  # Windows: a reader still has it open; swept next time
                path.unlink()


def _lacks(folder: Path, error: FileNotFoundError) -> BrokenBundleError:
    name = Path(error.filename or "a file").name
    return BrokenBundleError(f"the index in {folder} lacks {name}", hint=REBUILD)


def _open(folder: Path, manifest: Manifest, threads: int, private: int) -> Bundle:
    with contextlib.ExitStack() as held:
        shared, *parts = (
            {
                role: held.enter_context((open_sized if role in by_block else open_checked)(folder, entry))
                for role, entry in files.items()
            }
            for files, by_block in (
                (manifest.shared, ()),
                *(
                    (part.files, checked_by_block(part, private, alone=not manifest.is_changed))
                    for part in manifest.parts
                ),
            )
        )
        with consistent(folder):
            return _parse(folder, manifest, shared, parts, threads, private)


@contextlib.contextmanager
def consistent(folder: Path) -> Iterator[None]:
    """Turn what does not fit in an index's files into the user's error."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (ValueError, OSError, EOFError, tokenize.TokenError, BrokenModelError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]  # NumPy explains at length
        raise BrokenBundleError(f"the index in {folder} is inconsistent: {reason}", hint=REBUILD) from error


def _parse(
    folder: Path, manifest: Manifest, shared: Files, files: Sequence[Files], threads: int, private: int
) -> Bundle:
    """The index in these files, whose sizes and checksums are right.

    :param files: Of each segment.
    :raises ValueError, BrokenModelError: If they do not fit each other.
    """
    encoder = _open_encoder(shared, manifest, threads)
    if (record := manifest.store) is not None:
        from simsearch.index.served import ServedColumns, open_store

        served = open_store(manifest, record, shared)
        labeled, exact = bool(record.numbers), record.exact_pictures
        columns = ServedColumns(served, manifest.input, labeled=labeled, exact_pictures=exact)
        return Bundle(folder, manifest, served, encoder, columns)
    removed = load_removed(shared, manifest)
    store, arrays = open_segments(files, manifest, removed, private)
    return Bundle(folder, manifest, store, encoder, arrays)


def _open_encoder(shared: Files, manifest: Manifest, threads: int) -> OnnxEncoder | None:
    """The encoder in one of these files, if the index has one.

    :raises ValueError, BrokenModelError: If it is not the one that made the vectors.
    """
    if "encoder" not in shared:
        return None
    content = shared["encoder"].read()
    encoder = OnnxEncoder(content, input=manifest.input, output=manifest.output, threads=threads)
    if (encoder.fingerprint, encoder.dim) != (manifest.encoder, manifest.dim):
        raise ValueError("its encoder is not the one that made its vectors")
    return encoder
