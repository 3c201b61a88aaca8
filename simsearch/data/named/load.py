"""A named dataset -> a split: found where it may lie, fetched where it does not, verified, read."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from simsearch.data.idx import read_idx_bytes
from simsearch.data.mnist import Note, default_data_dir, silent
from simsearch.data.named.catalog import CIFAR, IDX, SVHN, USPS, NamedDataset, NamedFile
from simsearch.data.named.fetch import fetch_by_torchvision
from simsearch.data.named.formats import Labeled, read_cifar, read_svhn, read_usps
from simsearch.data.splits import Split
from simsearch.errors import BadDatasetError, DatasetUnavailableError
from simsearch.files import open_regular, reason_of

_MOST_BYTES = 2**30  # of a file
_READERS: Mapping[str, Callable[[Sequence[bytes]], Labeled]] = MappingProxyType(
    {USPS: read_usps, SVHN: read_svhn, CIFAR: read_cifar}
)
_DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OSError,
    zlib.error,
    struct.error,
    pickle.UnpicklingError,
    BadDatasetError,
)


class _Found(NamedTuple):
    """The files of a split, where they lie, with what was read and whether a checksum vouches for it."""

    paths: tuple[Path, ...]
    contents: tuple[bytes, ...]
    verified: bool


def load_named_dataset(
    dataset: NamedDataset, split: str, data_dir: Path | None = None, note: Note = silent
) -> Split:
    """Load "train" or "test" of a named dataset, as its files have it.

    :param data_dir: What torchvision calls the root; None is the platform's own folder.
    :raises DatasetUnavailableError: If it is nowhere, and torchvision cannot fetch it.
    """
    found = _locate(dataset, split, data_dir or default_data_dir(), note)
    try:
        labeled = _read(dataset, found)
    except _DAMAGED as error:
        raise _damaged(found, reason_of(error)) from error
    images, labels = labeled.images, labeled.labels - dataset.first_label
    count, classes = dataset.counts[split], len(dataset.classes)
    if len(images) != count or labels.shape != (count,):
        raise _damaged(found, f"it holds {len(images):,} images and {len(labels):,} labels, not {count:,}")
    if labels.min() < 0 or labels.max() >= classes:
        raise _damaged(found, f"its labels are not those of {classes} classes")
    if not found.verified:
        note(f"{found.paths[0]} was not checked: torchvision has no checksum of it alone")
    return Split(
        images=images.swapaxes(1, 2).copy() if dataset.turned else images,
        labels=labels,
        sources=tuple(f"{dataset.name}/{split}/{row}" for row in range(count)),
        name=f"{dataset.name}-{split}",
        classes=dataset.classes,
        sha256={
            path.name: hashlib.sha256(content).hexdigest()
            for path, content in zip(found.paths, found.contents, strict=True)
        },
    )


def fetch_named_dataset(dataset: NamedDataset, data_dir: Path, note: Note = silent) -> Path:
    """Make sure that both splits are there, and say in which folder.

    :raises DatasetUnavailableError: If one is nowhere, and torchvision cannot fetch it.
    """
    folders = [_locate(dataset, split, data_dir, note).paths[0].parent for split in dataset.splits]
    return folders[0]


def _locate(dataset: NamedDataset, split: str, data_dir: Path, note: Note) -> _Found:
    """The files of a split, fetched where they are not there."""
    places = dataset.places(data_dir)
    found = next(_look(dataset, split, places, note), None)
    if found is not None:
        return found
    reason = fetch_by_torchvision(dataset, split, data_dir, note)
    found = next(_look(dataset, split, places, note), None)
    if found is None:
        names = ", ".join(_packed(dataset, file) for file in dataset.splits[split])
        raise DatasetUnavailableError(
            f"{dataset.title} ({split}) is not in {', '.join(map(str, places))}, "
            f"and torchvision could not fetch it: {reason or 'it brought something else'}",
            hint=f"download {names} elsewhere ({dataset.source}) and put them into {places[0]}",
        )
    return found


def _look(dataset: NamedDataset, split: str, places: Sequence[Path], note: Note) -> Iterator[_Found]:
    """The files of a split in each place that has all of them undamaged; damaged ones are said."""
    for place in places:
        taken = []
        for file in dataset.splits[split]:
            one = _take(dataset, file, place, note)
            if one is None:
                break
            taken.append(one)
        else:
            paths, contents, verified = zip(*taken, strict=True)
            yield _Found(paths, contents, all(verified))


def _take(dataset: NamedDataset, file: NamedFile, place: Path, note: Note) -> tuple[Path, bytes, bool] | None:
    """A file with its content and whether a checksum vouches for it; None if it is not there undamaged.

    Of IDX files the packed one comes first: its checksum is known.
    """
    names = dict.fromkeys((_packed(dataset, file), file.name))
    for path in (place / name for name in names):
        try:
            with open_regular(path, _MOST_BYTES) as opened:
                content = opened.read()
            verified = _verify(file, content, packed=path.suffix == ".gz")
        except FileNotFoundError:
            continue
        except (OSError, ValueError, EOFError, zlib.error, BadDatasetError) as error:
            note(f"{path} is left aside: {reason_of(error)}")
            continue
        return path, content, verified
    return None


def _packed(dataset: NamedDataset, file: NamedFile) -> str:
    return f"{file.name}.gz" if dataset.format == IDX else file.name


def _verify(file: NamedFile, content: bytes, *, packed: bool) -> bool:
    """Whether a checksum vouches for a file.

    :raises ValueError: If one is known and is another.
    """
    of_md5 = packed or not file.name.endswith(("-ubyte", "-int"))
    if file.md5 and of_md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() == file.md5:
        return True
    if file.sha256:
        plain = gzip.GzipFile(fileobj=io.BytesIO(content)) if packed else io.BytesIO(content)
        if hashlib.file_digest(plain, "sha256").hexdigest() == file.sha256:
            return True
        raise ValueError("it has another SHA-256")
    if file.md5 and of_md5:
        raise ValueError("it has another MD5")
    return False


def _read(dataset: NamedDataset, found: _Found) -> Labeled:
    if dataset.format != IDX:
        return _READERS[dataset.format](found.contents)
    images, labels = (
        read_idx_bytes(content, path) for path, content in zip(found.paths, found.contents, strict=True)
    )
    if images.ndim != 3 or images.dtype != "uint8":
        raise ValueError(f"it holds no images, but {images.dtype} {images.shape}")
    return Labeled(images, (labels if labels.ndim == 1 else labels[:, 0]).astype("int64"))


def _damaged(found: _Found, problem: str) -> DatasetUnavailableError:
    return DatasetUnavailableError(
        f"{found.paths[0]} cannot be used: {problem}", hint="replace it by an undamaged copy, or delete it"
    )
