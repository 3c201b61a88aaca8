"""What one index says about itself: `manifest.json`, checked field by field when it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from simsearch.documents import check_checksum, parse_document, record_of, records_of, with_checksum
from simsearch.encode.encoder import AS_IS, VectorOutput
from simsearch.encode.model_folder import FORMAT_VERSION, version_of
from simsearch.encode.onnx_check import MAX_MODEL_BYTES
from simsearch.encode.stored_calibration import restore_calibration, store_calibration
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import DIGIT
from simsearch.stats.calibration import Calibration, PlattScaling

_FORMATS = (1, FORMAT_VERSION)
MAX_MANIFEST_BYTES = 2**20
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
}
_REQUIRED_ROLES = frozenset({"index", "encoder", "ids", "sources", "source_ends"})
_SHOWN = (
    frozenset({"thumbnails"}),
    frozenset({"pictures", "picture_ends"}),
)  # exact pixels, or small pictures
_WHOLE_NUMBERS = ("ids", "labels", "source_ends", "picture_ends")
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


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The description and the commit of one index."""

    name: str
    created: str
    count: int
    dim: int
    factory: str
    model: str
    encoder: str  # fingerprint of the query encoder: SHA-256 of its ONNX file
    preprocessing: int
    projection: PlattScaling | None  # None where the network was not trained on pairs
    dataset: str
    data_sha256: Mapping[str, str]
    classes: tuple[str, ...]
    versions: Mapping[str, str]
    files: Mapping[str, FileEntry]
    dtype: str = "float32"
    metric: str = "inner_product"
    calibration: Calibration | None = None  # absent in indexes from before there was one
    input: ImageInput = DIGIT
    output: VectorOutput = AS_IS
    root: str | None = None  # the folder that the sources are read from; a manifest with one is of format 2

    @property
    def pairs(self) -> PlattScaling | None:
        """What turns a cosine into the printed probability: calibrated, as it was learned, or nothing."""
        return self.projection if self.calibration is None else self.calibration.pairs

    def to_json(self) -> bytes:
        """The content of `manifest.json`."""
        calibration = self.calibration and store_calibration(self.calibration)
        fields = msgspec.to_builtins({**msgspec.structs.asdict(self), "calibration": calibration})
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
            read = " and ".join(map(str, _FORMATS))
            raise ValueError(f"it has format {version!r}; this simsearch reads the formats {read}")
        check_checksum(fields)
        del fields["format"]
        restore_calibration(fields, optional=version == FORMAT_VERSION)
        if "files" in fields:
            fields["files"] = records_of(FileEntry, fields["files"], "files")
        manifest = record_of(cls, fields)
        _check(manifest)
        return manifest


def _most_bytes(role: str, manifest: Manifest) -> int:
    """How large a file in this role can be, before anything of it is read."""
    numbers = {"vectors": 4 * manifest.dim, **dict.fromkeys(_WHOLE_NUMBERS, 8)}.get(role)
    if numbers is not None:
        return manifest.count * numbers + _NPY_HEADER
    if role == "encoder":
        return MAX_MODEL_BYTES
    if role == "index":  # its vectors, the links of a graph, and what was trained
        return manifest.count * (8 * manifest.dim + 2**12) + _TRAINED
    return manifest.count * _MOST_BYTES_AN_ITEM + _NPY_HEADER


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
    if (manifest.dtype, manifest.metric) != ("float32", "inner_product"):
        raise ValueError(f"it holds {manifest.dtype} vectors under {manifest.metric}")
    if not _REQUIRED_ROLES <= manifest.files.keys() <= ROLES.keys():
        raise ValueError("it does not name the files that a bundle has")
    if manifest.files.keys() & frozenset().union(*_SHOWN) not in _SHOWN:
        raise ValueError("it does not name the files that a bundle has")
    for role, entry in manifest.files.items():
        if not 0 <= entry.size <= _most_bytes(role, manifest):
            raise ValueError(f"the size of {role} is {entry.size!r}")
        if not is_data_file(entry.name) or entry != FileEntry.of(role, entry.size, entry.xxh3_128):
            raise ValueError(f"the file name of {role} is {entry.name!r}")
