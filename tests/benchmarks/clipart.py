"""Debian's openclipart-png, cleaned, for benchmarks: what is there twice, or says nothing, would mislead.

1,221 of its files are links, hundreds of pictures are there under several names and classes, and a fifth of
the distinct ones are nearly identical stars. So each picture counts once (the first by name), and `unsorted`
and `shapes/stars` are left out. Computing features takes minutes; they are kept in a cache.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.data.collection import content_hash, scan
from simsearch.data.decoding import decode_files
from simsearch.encode.encoder import Encoder, Vectors
from simsearch.encode.model_folder import open_model
from simsearch.errors import BadImageError
from simsearch.prepare.inputs import ImageInput, Picture
from simsearch.prepare.pictures import prepare_picture

FOLDER = Path("/usr/share/openclipart/png")
_LEFT_OUT = ("unsorted/", "shapes/stars/")
_BATCH = 64
_BINS = 4  # of each channel of a color histogram


@dataclass(frozen=True, eq=False)
class ClipArt:
    """Pictures as encoders see them; a row of `digits` is NaN where no digit was found."""

    paths: NDArray[np.str_]  # below the folder
    encoder: Vectors  # (N, D)
    colors: Vectors  # (N, 64)
    digits: Vectors  # (N, 128)

    @property
    def leaf(self) -> NDArray[np.int64]:
        """The folder that each lies in."""
        return _numbers([path.rpartition("/")[0] for path in self.paths.tolist()])

    @property
    def top(self) -> NDArray[np.int64]:
        """The first folder of each."""
        return _numbers([path.partition("/")[0] for path in self.paths.tolist()])


def read_clip_art(model: Path, cache: Path) -> ClipArt:
    """The distinct pictures and their features by the model, from the cache if they are in it."""
    encoder = open_model(model, threads=1).encoder
    kept = cache / f"clipart-{encoder.fingerprint[:16]}.npz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        found = _compute(encoder)
        np.savez(kept, paths=found.paths, encoder=found.encoder, colors=found.colors, digits=found.digits)
    with np.load(kept) as arrays:
        return ClipArt(*(arrays[name] for name in ("paths", "encoder", "colors", "digits")))


def color_histograms(pictures: NDArray[np.uint8]) -> Vectors:
    """Unit rows: roots of the shares of 64 colors, of (N, H, W, 3) RGB."""
    bins = (pictures // (256 // _BINS)).astype(np.int64) @ [_BINS**2, _BINS, 1]  # (N, H, W)
    shares = np.stack([np.bincount(one.reshape(-1), minlength=_BINS**3) / one.size for one in bins])
    roots: Vectors = np.sqrt(shares).astype(np.float32)
    return roots


def _compute(encoder: Encoder) -> ClipArt:
    paths, seen, columns = [], set(), []
    batch: list[tuple[str, Picture, Picture | str]] = []
    digit = open_model(threads=1).encoder

    def flush() -> None:
        pictures = np.stack([photo for _, photo, _ in batch])
        digits = np.full((len(batch), digit.dim), np.nan, np.float32)
        readable = [row for row, (_, _, pixels) in enumerate(batch) if not isinstance(pixels, str)]
        if readable:
            digits[readable] = digit.encode(np.stack([batch[row][2] for row in readable]))
        columns.append((encoder.encode(pictures), color_histograms(pictures), digits))
        paths.extend(path for path, _, _ in batch)
        batch.clear()

    for path, photo, pixels in _pictures(encoder.input, digit.input):
        content = hashlib.sha256(photo).digest()
        if content in seen or path.startswith(_LEFT_OUT):
            seen.add(content)
            continue
        seen.add(content)
        batch.append((path, photo, pixels))
        if len(batch) == _BATCH:
            flush()
            print(f"{len(paths):,} pictures", end="\r", file=sys.stderr)
    if batch:
        flush()
    encoded, colors, digits = (np.concatenate(column) for column in zip(*columns, strict=True))
    return ClipArt(np.array(paths), encoded, colors, digits)


def _pictures(photo: ImageInput, digit: ImageInput) -> Iterator[tuple[str, Picture, Picture | str]]:
    """One file of each content that can be decoded, prepared for both; or why no digit was found."""
    collection = scan(FOLDER)
    files: dict[str, Path] = {}
    for item in collection.items:
        files.setdefault(content_hash(collection.file(item)), collection.file(item))
    chosen = list(files.values())
    for path, found in zip(
        chosen, decode_files(chosen, partial(_both, photo, digit), processes=1), strict=True
    ):
        if not isinstance(found, str):
            yield path.relative_to(FOLDER).as_posix(), *found  # type: ignore[misc]


def _both(photo: ImageInput, digit: ImageInput, file: Path) -> tuple[Picture, Picture | str]:
    data = file.read_bytes()
    large = prepare_picture(data, photo).pixels
    try:
        return large, prepare_picture(data, digit).pixels
    except BadImageError as error:
        return large, error.message


def _numbers(names: list[str]) -> NDArray[np.int64]:
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
