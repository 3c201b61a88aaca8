"""Many files -> encoded chunks: while a batch is encoded here, other processes decode the next ones.

A chunk ends after some seconds or bytes, so that memory does not grow with their number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np

from simsearch.data.collection import Skipped
from simsearch.data.decoding import FileName, decode_chunks, while_released
from simsearch.encode.encoder import Encoder, Vectors
from simsearch.errors import BadImageError
from simsearch.index.packed import SmallPictures
from simsearch.index.reading import STAMP, Read, ReadCodec, Stamp, read_picture
from simsearch.index.stores.base import Labels
from simsearch.index.writing import Described
from simsearch.prepare.inputs import Picture, Pictures

CHUNK_SECONDS = 10.0  # what a kill may lose
_REPORT_SECONDS = 0.1
_CHUNK_BYTES = 2**24  # of pictures and vectors
_BATCH_BYTES = 2**22  # of pixels that are encoded together
_BATCH = 256

Made = TypeVar("Made")


class Taken(NamedTuple):
    """A file that is to become an item."""

    file: FileName
    source: str  # what the index calls it
    number: int = 0  # of its class


class Chunk(NamedTuple):
    """Items that were encoded, in their order, and files that could not be."""

    end: int  # of all files, how many have been looked at
    vectors: Vectors
    labels: Labels
    described: Described
    skipped: tuple[Skipped, ...]


def encode_files(
    files: Sequence[Taken],
    encoder: Encoder,
    *,
    processes: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
    released: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Chunk]:
    """Decode and encode files; the last chunk may hold no item, and tells what was skipped.

    :param processes: How many decode side by side, where the work is worth it; 0 uses every core.
    :param on_progress: Called with how many more files have been decoded, some times a second.
    :param released: A block in which signals raise; what is decoded is waited for in one.
    """
    read = partial(read_picture, encoder.input)
    pending, started = _Pending(encoder), time.monotonic()
    reported, told = 0, started
    decoded = decode_chunks(Mapped(files, _file_of), read, processes=processes, codec=ReadCodec())
    with closing(decoded) as found:
        pictures = chain.from_iterable(while_released(found, released))
        for end, (entry, picture) in enumerate(zip(files, pictures, strict=True), start=1):
            pending.take(entry, picture)
            if (now := time.monotonic()) - told >= _REPORT_SECONDS:
                on_progress(end - reported)
                reported, told = end, now
            if pending.is_batch:
                pending.encode()
                if pending.size >= _CHUNK_BYTES or now - started >= CHUNK_SECONDS:
                    yield pending.chunk(end)
                    pending, started = _Pending(encoder), time.monotonic()
        pending.encode()
        on_progress(len(files) - reported)
        yield pending.chunk(len(files))


class Mapped(Sequence[Made]):
    """What a function makes of each entry of a sequence, when it is asked for: of millions none is kept."""

    def __init__(self, entries: Sequence[Any], make: Callable[[Any], Made]) -> None:
        """Make entries of others."""
        self._entries, self._make = entries, make

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, row: Any) -> Any:
        """What is made of an entry, or of those of a slice."""
        if isinstance(row, slice):
            return Mapped(_Slice(self._entries, range(len(self))[row]), self._make)
        return self._make(self._entries[row])


class _Slice(Sequence[Any]):
    """Some entries of a sequence, without a copy."""

    def __init__(self, entries: Sequence[Any], rows: range) -> None:
        self._entries, self._rows = entries, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return _Slice(self._entries, self._rows[row])
        return self._entries[self._rows[row]]


def _file_of(entry: Taken) -> FileName:
    return entry.file


@dataclass
class _Pending:
    """What a chunk is made of until it is one."""

    encoder: Encoder
    size: int = 0  # bytes
    waiting: list[tuple[Taken, Read]] = field(default_factory=list)  # to be encoded
    looked_at: int = 0  # since the last batch
    vectors: list[Vectors] = field(default_factory=list)
    shown: list[Picture | bytes] = field(default_factory=list)
    done: list[tuple[Taken, Stamp]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def take(self, entry: Taken, picture: Read | str) -> None:
        self.looked_at += 1
        if isinstance(picture, str):
            self.skipped.append(Skipped(entry.source, picture))
        else:
            self.waiting.append((entry, picture))

    @property
    def is_batch(self) -> bool:
        most = max(1, _BATCH_BYTES // self.waiting[0][1].pixels.nbytes) if self.waiting else _BATCH
        return self.looked_at >= _BATCH or len(self.waiting) >= most

    def encode(self) -> None:
        """Encode what waits."""
        if self.waiting:
            pixels = np.stack([picture.pixels for _, picture in self.waiting])
            for (entry, picture), vector in zip(
                self.waiting, encode_or_explain(self.encoder, pixels), strict=True
            ):
                if isinstance(vector, str):
                    self.skipped.append(Skipped(entry.source, vector))
                    continue
                shown = picture.pixels if picture.small is None else picture.small
                self.vectors.append(vector)
                self.shown.append(shown)
                self.done.append((entry, picture.stamp))
                self.size += vector.nbytes + (len(shown) if isinstance(shown, bytes) else shown.nbytes)
            self.waiting.clear()
        self.looked_at = 0

    def chunk(self, end: int) -> Chunk:
        small = [entry for entry in self.shown if isinstance(entry, bytes)]
        pixels = [entry for entry in self.shown if not isinstance(entry, bytes)]
        shape = self.encoder.input.picture_shape
        return Chunk(
            end,
            np.stack(self.vectors) if self.vectors else np.empty((0, self.encoder.dim), np.float32),
            np.array([entry.number for entry, _ in self.done], np.int64),
            Described(
                SmallPictures.of(small) if small else np.stack(pixels) if pixels else _none(shape),
                [entry.source for entry, _ in self.done],
                np.array([stamp for _, stamp in self.done], STAMP),
            ),
            tuple(self.skipped),
        )


def encode_or_explain(encoder: Encoder, pictures: Pictures) -> list[Vectors | str]:
    """The vector of each picture, float32 (D,), or why it has none."""
    try:
        return list(encoder.encode(pictures))
    except BadImageError as error:
        if len(pictures) == 1:
            return [str(error)]
        halves = np.array_split(pictures, 2)
        return [found for half in halves for found in encode_or_explain(encoder, half)]


def _none(shape: tuple[int, ...]) -> Pictures:
    return np.empty((0, *shape), np.uint8)
