"""What MNIST's four files are, where they lie, and whether a folder holds them intact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simsearch.files import open_regular, reason_of, sha256_of, size_of


@dataclass(frozen=True)
class DataFile:
    """One of MNIST's four files, decompressed."""

    name: str
    split: str
    size: int
    sha256: str


FILES = (
    DataFile(
        "train-images-idx3-ubyte",
        "train",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    DataFile(
        "train-labels-idx1-ubyte",
        "train",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    DataFile(
        "t10k-images-idx3-ubyte",
        "test",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    DataFile(
        "t10k-labels-idx1-ubyte",
        "test",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def raw_dir(data_dir: Path) -> Path:
    """The folder of the four files: what torchvision expects below its `root`."""
    return data_dir / "MNIST" / "raw"


def find_defects(raw: Path, files: Sequence[DataFile] = FILES) -> dict[DataFile, str]:
    """What is wrong with the files in this folder: "missing", a wrong size, or other content."""
    found = {file: defect_of(raw / file.name, file) for file in files}
    return {file: defect for file, defect in found.items() if defect}


def defect_of(path: Path, file: DataFile) -> str:
    try:
        with open_regular(path) as found:
            if size_of(found) != file.size:
                return f"has {size_of(found):,} bytes instead of {file.size:,}"
            return "" if sha256_of(found) == file.sha256 else "has another SHA-256"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return reason_of(error)
