"""A PNG of more pixels than are decoded at once -> a smaller picture, read strip by strip.

Rows are unpacked a few at a time. Each strip is given to Pillow as a PNG of its own, below the last row of
the one before, which the first row's filter may refer to; so Pillow undoes the filters, and memory stays
that of one strip. A strip is reduced by a whole factor, the mean of so many pixels each way. Rows of 16 bits
and interlaced ones cannot be read so: such a picture is decoded whole, then reduced in strips.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

MAX_DECODED = 150_000_000  # bytes, 7 to 11 ns of a core each; 150 megapixels of gray, 50 of RGB, 37 of RGBA
MAX_SIDE = 2**16 - 1  # pixels, as of a JPEG; rows of a pixel or two cost more than what they hold
MAX_WHOLE = 50_000_000  # pixels that are decoded whole, in four bytes each
_STRIP = 2**20  # pixels that are decoded at once, if so many rows are a multiple of the factor
_PIECE = 2**16  # bytes that are unpacked at once, at least
_STREAM = b"\x78\x01"  # how a stream begins
_BLOCK = 2**16 - 1  # bytes that it may hold unpacked at once
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # numbers a pixel, by the header's kind of color
_INTERLACED = "an interlaced one is decoded whole, and it"
_DEEP = "one of 16 bits is decoded whole, and it"
_OPAQUE = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}  # bytes that a pixel is decoded to where no color is transparent
_LOW = 255  # values of 16 bits that are all no larger are those of 8


class _Header(NamedTuple):
    width: int
    height: int
    bits: int
    color: int
    compression: int
    filters: int
    interlaced: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, its filter's number among them."""
        return 1 + (self.width * self.bits * _CHANNELS.get(self.color, 1) + 7) // 8

    @property
    def is_whole(self) -> bool:
        """Whether it has no rows that can be read strip by strip."""
        return bool(self.interlaced) or self.bits == 16

    def decoded_bytes(self, *, transparent: bool) -> int:
        """Bytes that are unpacked, or that the pixels take when they are decoded, if those are more.

        :param transparent: Whether a color of it is.
        """
        each = 4 if transparent else _OPAQUE.get(self.color, 4)
        return max(self.row_bytes * self.height, self.width * self.height * each)


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a PNG declares; None if it is none."""
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    return _Header(*struct.unpack(">IIBBBBB", data[16:29]))[:2]


def reduce_png(data: bytes, most: int) -> Image.Image:
    """Decode a PNG to at most `most` pixels, each the mean of a square of its pixels.

    :raises ValueError: If it decodes to more than `MAX_DECODED` bytes, has a side of more than `MAX_SIDE`, or
        must be decoded whole and has more than `MAX_WHOLE` pixels.
    :raises OSError, zlib.error: If it is damaged.
    """
    header = _Header(*struct.unpack(">IIBBBBB", data[16:29]))
    chunks = list(_chunks(data))
    _check(header, transparent=any(kind == b"tRNS" for kind, _ in chunks))
    factor = _factor(header, most)
    if header.is_whole:
        return _reduced_whole(data, factor)
    before = [chunk for chunk in chunks if chunk[0] in (b"PLTE", b"tRNS")]
    rows = _Unpacked([content for kind, content in chunks if kind == b"IDAT"])
    size = (-(-header.width // factor), -(-header.height // factor))
    made: Image.Image | None = None
    for top, strip in _strips(header, before, rows, factor):
        part = _plain(strip).reduce(factor)
        if made is None:
            made = Image.new(part.mode, size)
        made.paste(part, (0, top // factor))
    if made is None:
        raise OSError("it has no rows")
    for kind, content in chunks:
        if kind == b"eXIf":
            made.info["exif"] = b"Exif\0\0" + content
    return made


def _reduced_whole(data: bytes, factor: int) -> Image.Image:
    """Decode a PNG, then reduce it strip by strip: what that takes beside the picture stays small."""
    whole = Image.open(io.BytesIO(data), formats=("PNG",))
    whole.load()
    deep = whole.mode.startswith("I")
    scale = 1 if deep and np.ravel(whole.getextrema())[-1] <= _LOW else 257
    size, made = (-(-whole.width // factor), -(-whole.height // factor)), None
    each = factor * max(1, _STRIP // (factor * whole.width))
    for top in range(0, whole.height, each):
        strip = whole.crop((0, top, whole.width, min(top + each, whole.height)))
        part = _shallow(strip, scale, factor) if deep else _plain(strip).reduce(factor)
        made = made or Image.new(part.mode, size)
        made.paste(part, (0, top // factor))
    assert made is not None
    made.info.update(whole.info)
    return made


def _shallow(strip: Image.Image, scale: int, factor: int) -> Image.Image:
    """Gray of 16 bits in 8, reduced."""
    values = Image.fromarray((np.asarray(strip) / scale).astype(np.float32))
    return Image.fromarray(np.asarray(values.reduce(factor)).round().astype(np.uint8))


def _check(header: _Header, *, transparent: bool) -> None:
    """Refuse what costs too much, before anything is unpacked.

    :raises ValueError: Naming what there is too much of.
    """
    size = f"{header.width} x {header.height} pixels"
    if max(header[:2]) > MAX_SIDE:
        raise ValueError(f"one of its sides has {max(header[:2]):,} pixels, more than {MAX_SIDE:,}")
    decoded = header.decoded_bytes(transparent=transparent)
    if decoded > MAX_DECODED:
        raise ValueError(f"its {size} are {decoded / 1e6:,.0f} MB, more than {MAX_DECODED // 10**6}")
    if header.is_whole and header.width * header.height > MAX_WHOLE:
        what = _INTERLACED if header.interlaced else _DEEP
        raise ValueError(f"{what} has {size}, more than {MAX_WHOLE:,}")


def _factor(header: _Header, most: int) -> int:
    """The least factor that leaves at most so many pixels."""
    factor = 2
    while -(-header.width // factor) * -(-header.height // factor) > most:
        factor += 1
    return factor


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each part of a PNG."""
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


class _Unpacked:
    """The rows of a PNG as they were packed, filters and all."""

    def __init__(self, packed: list[bytes]) -> None:
        self._packed, self._unpack, self._waiting = iter(packed), zlib.decompressobj(), b""

    def take(self, size: int) -> bytes:
        """The next bytes.

        :raises OSError: If there are fewer.
        """
        parts, missing = [self._waiting[:size]], size - len(self._waiting)
        self._waiting = self._waiting[size:]
        while missing > 0:
            given = self._unpack.unconsumed_tail or next(self._packed, b"")
            if not given or self._unpack.eof:
                raise OSError("it ends before its last row")
            part = self._unpack.decompress(given, max(missing, _PIECE))
            parts.append(part[:missing])
            self._waiting = part[missing:]
            missing -= len(part)
        return b"".join(parts)


def _strips(
    header: _Header, before: list[tuple[bytes, bytes]], rows: _Unpacked, factor: int
) -> Iterator[tuple[int, Image.Image]]:
    """The first row of each strip, and the strip; all but the last of a multiple of `factor` rows."""
    each, last, top = factor * max(1, _STRIP // (factor * header.width)), b"", 0
    packed = header.bits < 8
    filtered = header._replace(width=header.row_bytes - 1, bits=8, color=0) if packed else header
    while top < header.height:
        count = min(each, header.height - top)
        content = last + rows.take(count * header.row_bytes)
        strip = _decoded(filtered._replace(height=count + bool(last)), [] if packed else before, content)
        if last:
            strip = strip.crop((0, 1, strip.width, 1 + count))
        last = b"\0" + strip.crop((0, count - 1, strip.width, count)).tobytes()
        if packed:  # filters are those of bytes, and have been undone as such
            content = np.pad(np.asarray(strip), ((0, 0), (1, 0))).tobytes()
            strip = _decoded(header._replace(height=count), before, content)
        yield top, strip
        top += count


def _decoded(header: _Header, before: list[tuple[bytes, bytes]], rows: bytes) -> Image.Image:
    """A few rows as a picture."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", *header)),
        *before,
        (b"IDAT", _stored(rows)),
        (b"IEND", b""),
    ]
    png = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )
    image = Image.open(io.BytesIO(_SIGNATURE + png), formats=("PNG",))
    image.load()
    return image


def _stored(rows: bytes) -> bytes:
    """The rows as a stream of zlib that packs nothing; zlib itself takes three times as long."""
    view = memoryview(rows)
    parts: list[bytes | memoryview] = [_STREAM]
    for start in range(0, len(view), _BLOCK):
        block = view[start : start + _BLOCK]
        is_last = start + _BLOCK >= len(view)
        parts += [struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join((*parts, struct.pack(">I", zlib.adler32(rows))))


def _plain(strip: Image.Image) -> Image.Image:
    """The strip in a mode in which means are means."""
    gray = "L" if strip.mode in ("1", "L") else "RGB"
    mode = "RGBA" if strip.has_transparency_data else gray
    return strip if strip.mode == mode else strip.convert(mode)
