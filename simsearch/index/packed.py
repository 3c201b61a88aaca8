"""Entries of many lengths in one file, with random access: the items' sources, and small pictures of them."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.errors import BrokenBundleError
from simsearch.prepare.inputs import Picture

SHOWN_SIDE = 128  # pixels of a small picture's longer side, at most
_KEPT_SIDE = 64  # pixels
_LOOKED_AT = 2**16  # sources at once
_KEY_BYTES = 12
_QUALITY = 80
_MOST_BYTES = 2**17  # of a small picture; noise has 25,000
_REBUILD = "build it again with `simsearch build-index`"
_UNPAIRED = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")  # in names of files on Windows, for example


class _Packed:
    """The content of one file, and the end of each entry in it."""

    _UNCOVERED: str

    def __init__(self, content: Any, ends: NDArray[np.int64]) -> None:
        """Wrap content whose entry i ends before byte ends[i]: bytes, or what gives the bytes of a stretch.

        :raises ValueError: If the ends do not cover the content.
        """
        if len(ends) and (ends[0] < 0 or (ends[1:] < ends[:-1]).any() or ends[-1] != len(content)):
            raise ValueError(self._UNCOVERED)
        self.content, self.ends = content, ends

    def __len__(self) -> int:
        return len(self.ends)

    def _entry(self, row: int) -> bytes:
        row = range(len(self))[row]
        start = int(self.ends[row - 1]) if row else 0
        entry: bytes = self.content[start : int(self.ends[row])]
        return entry


class Sources(_Packed, Sequence[str]):
    """Where each item came from, decoded on access."""

    _UNCOVERED = "the items' sources do not cover their text"

    @classmethod
    def pack(cls, entries: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
        """The text and the ends of these entries; halves of characters that no bytes gave are escaped."""
        return _join([_encoded(entry) for entry in entries])

    def __getitem__(self, row: Any) -> Any:
        """The entry of a row, or those of a slice."""
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        return self._entry(row).decode("utf-8", "surrogateescape")

    def find(self, entries: Collection[str]) -> dict[str, int]:
        """The last rows of these entries, of those that are there."""
        wanted = {_encoded(entry): entry for entry in entries}
        other = Sources(*_join(list(wanted)))
        keys = np.unique(other._keys(0, len(other)))
        found: dict[str, int] = {}
        for start in range(0, len(self) if len(keys) else 0, _LOOKED_AT):
            own = self._keys(start, start + _LOOKED_AT)
            rows = start + np.flatnonzero(keys[np.searchsorted(keys, own).clip(max=len(keys) - 1)] == own)
            for entry, row in ((self._entry(row), row) for row in rows.tolist()):
                if entry in wanted:
                    found[wanted[entry]] = row
        return found

    def _keys(self, start: int, end: int) -> NDArray[np.uint64]:
        """A number for each of these rows, of its length and its last bytes: equal for equal entries."""
        ends = self.ends[start:end]
        firsts = np.concatenate([[self.ends[start - 1] if start else 0], ends[:-1]])
        text = np.frombuffer(self.content or b"\0", np.uint8)
        keys: NDArray[np.uint64] = (ends - firsts).astype(np.uint64)
        for back in range(1, _KEY_BYTES + 1):
            there = ends - back >= firsts
            keys = keys * np.uint64(257) + np.where(there, text[np.where(there, ends - back, 0)], 0)
        return keys

    def take(self, rows: NDArray[np.int64]) -> list[str]:
        """The entries of many rows at once, (n,)."""
        starts = np.where(rows > 0, self.ends[rows - 1], 0).tolist()
        ends = self.ends[rows].tolist()
        return [
            self.content[start:end].decode("utf-8", "surrogateescape")
            for start, end in zip(starts, ends, strict=True)
        ]


class SmallPictures(_Packed):
    """Pictures of at most `SHOWN_SIDE` pixels a side, decoded on access: to be shown, not encoded."""

    _UNCOVERED = "the ends of the small pictures do not cover their content"

    def packed(self, row: int) -> bytes:
        """The picture of a row as it is stored."""
        return self._entry(row)

    @classmethod
    def pack(cls, pictures: Iterable[Picture]) -> tuple[bytes, NDArray[np.int64]]:
        """The content and the ends of these pictures, uint8 (H, W) or (H, W, 3) each, made small."""
        return _join([small_picture(picture) for picture in pictures])

    @classmethod
    def of(cls, entries: list[bytes]) -> SmallPictures:
        """Small pictures that were made already."""
        return cls(*_join(entries))

    def __getitem__(self, row: Any) -> Any:
        """The picture of a row, uint8 (H, W, 3); a list of those of many rows.

        :raises BrokenBundleError: If it is no small picture.
        """
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        if isinstance(row, np.ndarray):
            return [self[int(i)] for i in row]
        try:
            content = self._entry(row)
            if len(content) > _MOST_BYTES:  # enough for no parts that take a second
                raise ValueError("it has too many bytes")
            with Image.open(io.BytesIO(content), formats=("WEBP",)) as image:
                if max(image.size) > SHOWN_SIDE:
                    raise ValueError("it is too large")
                return np.asarray(image.convert("RGB"))
        except Exception as error:  # Pillow raises nearly anything
            raise BrokenBundleError(f"the picture of row {row} is damaged", _REBUILD) from error


def keeps_pixels(picture: Picture) -> bool:
    """Whether an index keeps the very pixels that it encoded; of larger pictures it keeps small ones."""
    return bool(max(picture.shape[:2]) <= _KEPT_SIDE)


def small_picture(picture: Picture) -> bytes:
    """A picture of at most `SHOWN_SIDE` pixels a side, WebP."""
    image, file = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BICUBIC)
    image.save(file, "WEBP", quality=_QUALITY)
    return file.getvalue()


def _join(parts: list[bytes]) -> tuple[bytes, NDArray[np.int64]]:
    return b"".join(parts), np.cumsum([len(part) for part in parts], dtype=np.int64)


def _encoded(source: str) -> bytes:
    return _UNPAIRED.sub(_escape, source).encode("utf-8", "surrogateescape")


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
