"""An index whose items a server holds: its store, and what else the collection knows, asked when needed."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BrokenBundleError, require
from simsearch.index.columns import Described
from simsearch.index.manifest import Manifest, StoreRecord
from simsearch.index.packed import SmallPictures
from simsearch.index.segment import NPY_START, load_array
from simsearch.index.stores.base import Ids
from simsearch.prepare.inputs import ImageInput, Picture, Pictures

if TYPE_CHECKING:
    from simsearch.index.stores.milvus.rows import Rows
    from simsearch.index.stores.milvus.store import MilvusStore

_REBUILD = "build the index again with `simsearch build-index --store milvus`"


def open_store(
    manifest: Manifest,
    record: StoreRecord,
    files: Mapping[str, io.BufferedReader] | None = None,
    *,
    timeout: float | None = None,
) -> MilvusStore:
    """Open the store of an index by its kind: the one place that knows which there are.

    :param files: Of the index, by role, whose checksums are right; those of its rows are read, if it has any.
    :raises ValueError: If these do not fit the manifest.
    :raises MissingExtraError: If its client is not installed.
    :raises UnavailableError: If the server cannot answer now.
    :raises NotUsableError: If it refuses, lacks the collection, or has another than the manifest says.
    """
    require("pymilvus", "scale")
    from simsearch.index.stores.milvus.client import Server
    from simsearch.index.stores.milvus.collection import check_collection
    from simsearch.index.stores.milvus.store import MilvusStore

    rows = _rows_of(manifest, record, files or {})
    server, name = Server(record.uri, timeout=timeout), record.served_name
    check_collection(server, name, dim=manifest.dim, encoder=manifest.encoder, factory=manifest.factory)
    return MilvusStore(
        server,
        name,
        dim=manifest.dim,
        count=manifest.count,
        last=record.last,
        classes=record.numbers,
        factory=manifest.factory,
        rows=rows,
        numbers=manifest.class_numbers,
    )


def _rows_of(manifest: Manifest, record: StoreRecord, files: Mapping[str, io.BufferedReader]) -> Rows:
    """Which rows of its collection are an index's items."""
    from simsearch.index.stores.milvus.rows import Rows

    removed = revised = np.empty(0, np.int64)
    rows = revised
    if "removed" in files:
        assert manifest.rows is not None  # its check says so
        removed = load_array(files["removed"], np.int64, (manifest.rows - manifest.count,))
    if "revised" in files:
        many = (manifest.files["revised"].size - NPY_START) // 16
        revised, rows = load_array(files["revised"], np.int64, (2, many))
    found = Rows(record.last, removed, revised, rows)
    both = np.concatenate([removed, revised, rows])
    ascend = all((part[1:] > part[:-1]).all() for part in (removed, revised))
    if not ascend or (len(both) and not 0 <= both.min() <= both.max() <= record.last):
        raise ValueError("its removed and revised rows are none of its collection")
    return found


def write_rows(rows: Rows) -> dict[str, NDArray[np.int64]]:
    """The arrays of an index's files of its rows, by role; none where all of them are its items."""
    arrays = {"removed": rows.removed, "revised": np.stack([rows.items, rows.rows])}
    return {role: array for role, array in arrays.items() if array.size}


def drop_generations(record: StoreRecord, *, but: StoreRecord | None = None) -> None:
    """Drop what an index has on its server, all generations, but for one.

    :raises UnavailableError: If the server cannot answer.
    """
    require("pymilvus", "scale")
    from simsearch.index.stores.milvus import collection as stored
    from simsearch.index.stores.milvus.client import Server

    server = Server(record.uri)
    for name in server.call("list_collections"):
        kept = but is not None and but.uri == record.uri and name == but.served_name
        if name.startswith(f"{record.collection}__") and not kept:
            stored.drop(server, name)
    server.close()


class ServedColumns:
    """Columns of a collection. The query's way asks for a few items; what takes all of them reads all ids."""

    def __init__(self, store: MilvusStore, input: ImageInput, *, labeled: bool, exact_pictures: bool) -> None:
        self._store, self._input = store, input
        self._labeled, self._exact = labeled, exact_pictures

    @cached_property
    def ids(self) -> Ids:
        """All ids, (N,): eight bytes an item, read when they are first asked for."""
        found = [row["id"] for rows in self._store.scan_records(()) for row in rows]
        return np.array(found, np.int64)

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """All classes, (N,); None without labels."""
        if not self._labeled:
            return None
        found = [row["label"] for rows in self._store.scan_records(("label",)) for row in rows]
        return np.array(found, np.int64)

    @property
    def sources(self) -> Sequence[str]:
        """N sources, fetched by row."""
        return _Fetched(self, "source", self.source)

    @property
    def thumbnails(self) -> Sequence[Picture]:
        """N pictures, fetched by row."""
        return _Fetched(self, "picture", self._picture)

    def describe(self, ids: Ids) -> list[Described]:
        """What is known of these items; see `Columns.describe`."""
        rows = self._store.records(ids, ("label", "source"))
        return [Described(int(row["label"]) if self._labeled else None, self.source(row)) for row in rows]

    def pictures_of(self, ids: Ids) -> Sequence[Picture]:
        """The pictures of these items; see `Columns.pictures_of`."""
        return [self._picture(row) for row in self._store.records(ids, ("picture",))]

    def scan(self, *columns: str) -> Iterator[dict[str, Any]]:
        """These columns of everything, in ascending order of id."""
        for rows in self._store.scan_records(columns):
            yield from rows

    def fetch(self, rows: NDArray[np.int64], column: str) -> list[dict[str, Any]]:
        """One column of the items in these rows."""
        return self._store.records(self.ids[rows], (column,))

    def source(self, row: dict[str, Any]) -> str:
        """The source in a row of the collection."""
        from simsearch.index.stores.milvus.collection import unpack_text

        return unpack_text(row["source"])

    def _picture(self, row: dict[str, Any]) -> Picture:
        try:
            packed = base64.b64decode(row["picture"], validate=True)
        except (binascii.Error, ValueError):
            packed = b""
        return unpack_picture(packed, self._input, exact=self._exact)


class _Fetched(Sequence[Any]):
    """A column by row: nothing is held."""

    def __init__(self, columns: ServedColumns, name: str, read: Callable[[dict[str, Any]], Any]) -> None:
        self._columns, self._name, self._read = columns, name, read

    def __len__(self) -> int:
        return len(self._columns.ids)

    def __iter__(self) -> Iterator[Any]:
        return map(self._read, self._columns.scan(self._name))

    def __getitem__(self, row: Any) -> Any:
        """The entry of a row; those of a slice or of rows as an array of pictures, or a list."""
        several = isinstance(row, slice | np.ndarray | list)
        rows = np.atleast_1d(np.arange(len(self))[row])
        found = [self._read(one) for one in self._columns.fetch(rows, self._name)]
        if not several:
            return found[0]
        same = found and isinstance(found[0], np.ndarray) and len({one.shape for one in found}) == 1
        return np.stack(found) if same else found


def pack_pictures(shown: Pictures | SmallPictures) -> list[bytes]:
    """Pictures as a collection holds them: the very pixels compressed, or small pictures as they are."""
    if isinstance(shown, SmallPictures):
        return [shown.content[start:end] for start, end in pairwise([0, *shown.ends.tolist()])]
    return [zlib.compress(np.ascontiguousarray(picture).tobytes(), 6) for picture in shown]


def unpack_picture(packed: bytes, input: ImageInput, *, exact: bool) -> Picture:
    """One picture that `pack_pictures` packed.

    :raises BrokenBundleError: If it is none.
    """
    if not exact:
        small: Picture = SmallPictures(packed, np.array([len(packed)]))[0]
        return small
    size = int(np.prod(input.picture_shape))
    try:
        pixels = zlib.decompressobj().decompress(packed, size + 1)
    except zlib.error:
        pixels = b""
    if len(pixels) != size:
        raise BrokenBundleError("a stored picture is damaged", _REBUILD)
    return np.frombuffer(pixels, np.uint8).reshape(input.picture_shape)
