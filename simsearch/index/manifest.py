"""What one index says about itself: `manifest.json`, checked field by field when it is read.

An index is one segment, as it was built, and those that were added since; ids that were removed are listed.
What the formats 1 and 2 can say is written in them, so that earlier versions read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal

import msgspec

from simsearch.documents import check_checksum, parse_document, record_of, records_of, with_checksum
from simsearch.encode.encoder import AS_IS, MAX_MODEL_BYTES, VectorOutput
from simsearch.encode.model_folder import FORMAT_VERSION, version_of
from simsearch.encode.stored_calibration import PairScaled, restore_calibration, store_calibration
from simsearch.errors import BadInputError
from simsearch.index.stores.milvus.address import check_uri
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import DIGIT
from simsearch.stats.calibration import Calibration, PlattScaling

SEGMENTS_FORMAT = 3  # the first of indexes that have changed since they were built
_FORMATS = (1, FORMAT_VERSION, SEGMENTS_FORMAT)
MAX_MANIFEST_BYTES = 2**20
_MOST_EFFORT = 2**16
# onnxruntime's kernels differ a little from processor to processor, and a code is not its number.
_TOLERANCE = {"float32": 1e-4, "float16": 1.1e-3, "int8": 2e-2}
_NPY_HEADER = 2**12
_TRAINED = 2**28  # of a FAISS index: centroids, codebooks, rotations
_MOST_BYTES_AN_ITEM = 2**16  # of its picture, or of its path

# Role of a file in the bundle -> suffix of its name.
ROLES = {
    "index": "faiss",
    "encoder": "onnx",
    "ids": "npy",
    "labels": "npy",
    "thumbnails": "npy",
    "pictures": "bin",
    "picture_ends": "npy",
    "sources": "txt",
    "source_ends": "npy",
    "vectors": "npy",
    "stamps": "npy",
    "removed": "npy",
    "revised": "npy",
    "blocks": "npy",
}
_SHARED_ROLES = frozenset({"encoder", "removed", "revised"})  # of the whole index, not of a segment
_REQUIRED_ROLES = frozenset({"index", "ids", "sources", "source_ends"})
_SHOWN = (
    frozenset({"thumbnails"}),
    frozenset({"pictures", "picture_ends"}),
)  # exact pixels, or small pictures
_BYTES_AN_ITEM = {
    **dict.fromkeys(("ids", "labels", "source_ends", "picture_ends", "removed"), 8),
    "revised": 16,
    "stamps": 32,
}
_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_FILE_NAME = re.compile(r"(?P<role>[a-z_]+)-(?P<hash>[0-9a-f]{32})\.(?P<suffix>[a-z]+)")


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One data file: its name holds its XXH3-128 checksum, so a changed file gets another name."""

    name: str
    size: int
    xxh3_128: str

    @classmethod
    def of(cls, role: str, size: int, checksum: str) -> FileEntry:
        """The entry of a file in this role."""
        return cls(f"{role}-{checksum}.{ROLES[role]}", size, checksum)


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Items that were written together, in ascending order of id, and never change."""

    count: int  # of rows in its files, removed ones among them
    factory: str  # of its FAISS index
    files: Mapping[str, FileEntry]


class StoreRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a server holds the items; no credentials, which come from the environment."""

    kind: Literal["milvus"]
    uri: str
    collection: str
    generation: int  # of the collection: each build writes another
    last: int  # the largest id of a row that counts: those after it are of a change that was not committed
    numbers: tuple[int, ...]  # rows of manifest.classes that have an item
    exact_pictures: bool  # whether the very pixels that were encoded are kept
    replicas: int = 1
    stamps: bool = False  # whether it keeps what files were when they were read

    @property
    def served_name(self) -> str:
        """What the server calls it."""
        return f"{self.collection}__{self.generation}"


class Manifest(msgspec.Struct, PairScaled, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The description and the commit of one index."""

    name: str
    created: str
    count: int  # of items, without those that were removed
    dim: int
    factory: str
    model: str
    encoder: str  # fingerprint: SHA-256 of the query encoder's ONNX file, or of a foreign model's name
    preprocessing: int
    projection: PlattScaling | None  # None where the network was not trained on pairs
    dataset: str
    data_sha256: Mapping[str, str]
    classes: tuple[str, ...]  # that have an item, in natural order
    versions: Mapping[str, str]
    files: Mapping[str, FileEntry]  # of the whole index, and of its first segment
    dtype: str = "float32"  # of stored vectors; less: the index's codes
    metric: str = "inner_product"
    calibration: Calibration | None = None  # absent in indexes from before there was one
    input: ImageInput = DIGIT
    output: VectorOutput = AS_IS
    root: str | None = None  # the folder that the sources are read from; a manifest with one is of format 2
    segments: tuple[Segment, ...] = ()  # those after the first
    rows: int | None = None  # in the files of the first segment, or the collection; None where as `count`
    next_id: int | None = None  # of the next item; None where it is one more than the largest id
    class_numbers: tuple[int, ...] | None = None  # of the classes where labels are stored; None for 0, 1, ...
    labeling: str | None = None  # where classes come from, as `data/labels.py` takes it
    changed: int = 0  # items added and removed since the calibration was checked
    model_calibration: Calibration | None = None  # the model's own, where the gallery got another
    effort: int | None = None  # lists or candidates that an approximate search looks at; None for the usual
    store: StoreRecord | None = None  # where a server holds the items; the index has then no segments

    @property
    def pair_scaling(self) -> PlattScaling | None:
        """What turns a cosine into the printed probability: nothing, unless it was calibrated."""
        return None if self.calibration is None else self.calibration.pairs

    @property
    def engine(self) -> str:
        """What searches, for people."""
        return f"{'FAISS' if self.store is None else 'Milvus'} {self.factory}"

    @property
    def keeps_input(self) -> bool:
        """Whether the very pixels that were encoded are kept, rather than small pictures."""
        return "thumbnails" in self.files if self.store is None else self.store.exact_pictures

    @property
    def is_labeled(self) -> bool:
        """Whether its items have classes."""
        return "labels" in self.files if self.store is None else bool(self.store.numbers)

    @property
    def parts(self) -> tuple[Segment, ...]:
        """All segments, the first among them, in ascending order of their ids."""
        if self.store is not None:
            return ()
        first = {role: entry for role, entry in self.files.items() if role not in _SHARED_ROLES}
        return (Segment(self.count if self.rows is None else self.rows, self.factory, first), *self.segments)

    @property
    def shared(self) -> Mapping[str, FileEntry]:
        """The files of the whole index: its encoder, and what was removed."""
        return {role: entry for role, entry in self.files.items() if role in _SHARED_ROLES}

    @property
    def all_files(self) -> tuple[FileEntry, ...]:
        """Every file of the index."""
        return (*self.files.values(), *(entry for part in self.segments for entry in part.files.values()))

    @property
    def is_coded(self) -> bool:
        """Whether vectors are stored in a lower precision, as the codes of FAISS's index."""
        return self.dtype != "float32"

    @property
    def tolerance(self) -> float:
        """How far a number of a stored vector may be from the encoder's."""
        return _TOLERANCE[self.dtype]

    @property
    def is_changed(self) -> bool:
        """Whether more than one segment is to be read, or not all of it."""
        return bool(self.segments) or "removed" in self.files

    def to_json(self) -> bytes:
        """The content of `manifest.json`."""
        fields = msgspec.to_builtins(
            {
                **msgspec.structs.asdict(self),
                "calibration": self.calibration and store_calibration(self.calibration),
                "model_calibration": self.model_calibration and store_calibration(self.model_calibration),
            }
        )
        if any(getattr(self, name) != default for name, default in _SEGMENTS_FIELDS.items()) or (
            self.files.keys() & {"stamps", "removed", "blocks"}
        ):
            return with_checksum({"format": SEGMENTS_FORMAT, **fields})
        for name in _SEGMENTS_FIELDS:
            del fields[name]
        version = FORMAT_VERSION
        if self.root is None:
            del fields["root"]
            version = version_of(fields, self.input, self.output)
        return with_checksum({"format": version, **fields})

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Parse and check `manifest.json`.

        :raises ValueError: Naming what is wrong with it.
        """
        fields = parse_document(data)
        version = fields.get("format")
        if type(version) is not int or version not in _FORMATS:
            read = " and ".join([", ".join(map(str, _FORMATS[:-1])), str(_FORMATS[-1])])
            raise ValueError(f"it has format {version!r}; this simsearch reads the formats {read}")
        check_checksum(fields)
        del fields["format"]
        restore_calibration(fields, optional=version >= FORMAT_VERSION)
        if version == SEGMENTS_FORMAT:
            _restore_segments(fields)
        elif later := sorted(fields.keys() & _SEGMENTS_FIELDS.keys()):
            raise ValueError(f"it is incomplete or malformed (it has the unknown field {later[0]!r})")
        if "files" in fields:
            fields["files"] = records_of(FileEntry, fields["files"], "files")
        manifest = record_of(cls, fields)
        _check(manifest)
        return manifest


_SEGMENTS_FIELDS: Mapping[str, object] = {
    "segments": (),
    "rows": None,
    "next_id": None,
    "class_numbers": None,
    "labeling": None,
    "changed": 0,
    "model_calibration": None,
    "effort": None,
    "store": None,
}


def _restore_segments(fields: dict[str, Any]) -> None:
    """Put records in the places of what only the third format has.

    :raises ValueError: If they are none.
    """
    model = {"calibration": fields.get("model_calibration")}
    restore_calibration(model)
    fields["model_calibration"] = model["calibration"]
    segments: list[dict[str, Any]] = record_of(list, fields.get("segments", []), "segments")
    fields["segments"] = [record_of(Segment, segment, "segments") for segment in segments]
    if fields.get("store") is not None:
        fields["store"] = record_of(StoreRecord, fields["store"], "store")


def _most_bytes(role: str, rows: int, dim: int) -> int:
    """How large a file in this role can be, before anything of it is read."""
    numbers = {"vectors": 4 * dim, **_BYTES_AN_ITEM}.get(role)
    if numbers is not None:
        return rows * numbers + _NPY_HEADER
    if role == "encoder":
        return MAX_MODEL_BYTES
    if role == "index":  # its vectors, the links of a graph, and what was trained
        return rows * (8 * dim + 2**12) + _TRAINED
    return rows * _MOST_BYTES_AN_ITEM + _NPY_HEADER


def is_data_file(name: str) -> bool:
    """Whether a name is one that a bundle writer gives to its data files."""
    match = _FILE_NAME.fullmatch(name)
    return match is not None and ROLES.get(match["role"]) == match["suffix"]


def _check(manifest: Manifest) -> None:
    """What the types of the fields do not say.

    :raises ValueError: Naming what is wrong.
    """
    for field in ("count", "dim", "preprocessing"):
        value = getattr(manifest, field)
        if not 0 < value < 2**40:
            raise ValueError(f"{field} is {value!r}")
    if manifest.dtype not in _TOLERANCE or manifest.metric != "inner_product":
        raise ValueError(f"it holds {manifest.dtype} vectors under {manifest.metric}")
    if manifest.effort is not None and not 0 < manifest.effort <= _MOST_EFFORT:
        raise ValueError(f"effort is {manifest.effort!r}")
    if len(set(manifest.classes)) < len(manifest.classes):
        raise ValueError("it names a class twice")
    root = manifest.root
    is_absolute = root is None or PurePosixPath(root).is_absolute() or PureWindowsPath(root).is_absolute()
    if not is_absolute or (root is not None and not root.isprintable()):
        raise ValueError("its root is no absolute path")
    if manifest.store is not None:
        _check_store(manifest, manifest.store)
        return
    parts = manifest.parts
    rows = sum(part.count for part in parts)
    if not all(0 < part.count < 2**40 for part in parts) or not manifest.count <= rows < 2**40:
        raise ValueError("its counts do not fit each other")
    if (manifest.count < rows) != ("removed" in manifest.files):
        raise ValueError("its counts do not fit what was removed")
    _check_counters(manifest)
    _check_roles(manifest)
    _check_entries(manifest.shared, rows, 0)
    for part in parts:
        _check_entries(part.files, part.count, manifest.dim)


def _check_counters(manifest: Manifest) -> None:
    """Check what an index of files and one on a server both number."""
    numbers = manifest.class_numbers
    if numbers is not None and (
        len(set(numbers)) != len(manifest.classes) or not all(0 <= number < 2**31 for number in numbers)
    ):
        raise ValueError("it does not number its classes")
    if manifest.changed < 0 or not 0 < (1 if manifest.next_id is None else manifest.next_id) < 2**62:
        raise ValueError("it counts below nothing")


def _check_store(manifest: Manifest, store: StoreRecord) -> None:
    """Check an index whose items a server holds: it has an encoder, and what its changes left."""
    try:
        safe = check_uri(store.uri) == store.uri
    except BadInputError as error:
        raise ValueError(error.message) from None
    if not safe or not _COLLECTION.fullmatch(store.collection):
        raise ValueError("its store has another address or name than a build gives it")
    rows = manifest.count if manifest.rows is None else manifest.rows
    if manifest.files.keys() - {"removed", "revised"} != {"encoder"} or manifest.segments:
        raise ValueError("it does not name the files that an index on a server has")
    if (manifest.count < rows) != ("removed" in manifest.files):
        raise ValueError("its counts do not fit what was removed")
    fits = 0 <= store.generation < 2**31 and manifest.count <= rows <= store.last + 1 <= 2**62
    if not fits or not 1 <= store.replicas < 2**10:
        raise ValueError("its counts do not fit each other")
    if list(store.numbers) != sorted({number for number in store.numbers if number >= 0}):
        raise ValueError("it does not number its classes")
    if bool(store.numbers) != bool(manifest.classes) or max(store.numbers, default=-1) >= len(
        manifest.classes
    ):
        raise ValueError("it does not number its classes")
    _check_counters(manifest)
    _check_entries(manifest.files, rows, manifest.dim)


def _check_roles(manifest: Manifest) -> None:
    """Check that each segment has the files that a segment has, and the same as the others."""
    parts, missing = manifest.parts, ValueError("it does not name the files that a bundle has")
    shown = parts[0].files.keys() & frozenset().union(*_SHOWN)
    if "revised" in manifest.files:
        raise missing
    # Without an encoder of its own an index keeps small pictures alone: nobody knows what was encoded.
    if shown not in _SHOWN or ("encoder" not in manifest.files and "thumbnails" in shown):
        raise missing
    for part in parts:
        roles = part.files.keys()
        if not _REQUIRED_ROLES <= roles <= ROLES.keys() - _SHARED_ROLES:
            raise missing
        if roles & frozenset().union(*_SHOWN) != shown or ("labels" in roles) != ("labels" in manifest.files):
            raise missing


def _check_entries(files: Mapping[str, FileEntry], rows: int, dim: int) -> None:
    """Check the sizes and names of files of so many rows."""
    for role, entry in files.items():
        if not 0 <= entry.size <= _most_bytes(role, rows, dim):
            raise ValueError(f"the size of {role} is {entry.size!r}")
        if not is_data_file(entry.name) or entry != FileEntry.of(role, entry.size, entry.xxh3_128):
            raise ValueError(f"the file name of {role} is {entry.name!r}")
