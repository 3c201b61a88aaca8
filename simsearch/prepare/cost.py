"""What decoding a picture costs beside its pixels, counted in its bytes before anything decodes them.

A picture of few pixels can keep a decoder busy for minutes: with thousands of scans that change nothing,
with hundreds of thousands of empty parts, or with text that unpacks to gigabytes. Each format's parts are
counted here without unpacking any; what has more than pictures have is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from simsearch.prepare.formats import HEAD_BYTES, Kind, kind_of

# Every limit lies far above what cameras, phones and editors write: a progressive JPEG has about ten scans.
MAX_SCANS = 100
MAX_SCANNED_PIXELS = 2**28  # scans times pixels: a second's work
MAX_BUFFERED_PIXELS = 16_000_000  # of a JPEG whose coefficients are all kept: six bytes a pixel, or eight
MAX_SEGMENTS = 1_000  # of a JPEG, before its first scan and between scans
MAX_EXIF_PARTS = 100  # of them, 6 MB; each is joined to those before
MAX_CHUNKS = 20_000  # of a PNG or a WebP: 10 MB in parts of 512 bytes
MAX_SIDE_CHUNKS = 200  # of a PNG that hold neither pixels nor frames; each may unpack to a megabyte
MAX_BLOCKS = 100_000  # of a GIF: 10 MB have 40,000 of full size
MAX_FRAMES = 10_000
MAX_PAGES = 1_000  # of a TIFF
MAX_ENTRIES = 20_000  # of its directories
MAX_LAYERS = 8  # coded pictures in one item of an AVIF or HEIC; those in layers have up to four
MAX_TILES = 1_000  # coded pictures in all items
MAX_CODED_PIXELS = 2**24  # four times as many as a picture may have: layers, and transparency beside it
MAX_RUN_LENGTH_BYTES = 2**21  # of a run-length coded BMP, which Pillow unpacks in Python

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed byte nor a restart
_SCAN, _END, _START = 0xDA, 0xD9, 0xD8
_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # start of frame
_APP1 = 0xE1
_PNG_PICTURE = frozenset({b"IDAT", b"fdAT", b"fcTL"})


def check_cost(data: bytes) -> None:
    """Refuse an encoded picture that costs more than its pixels and bytes explain.

    Bytes of no known format, and damaged ones, are left to the decoder.

    :raises ValueError: Naming what there is too much of.
    """
    kind = kind_of(data[:HEAD_BYTES])
    if kind is not None:
        _CHECKS[kind](data)


def _check_jpeg(data: bytes) -> None:
    """Walk from marker to marker, as a decoder does, and count scans."""
    at, scans, segments, exif = 2, 0, 0, 0
    pixels = components = 0
    while (match := _MARKER.search(data, at)) is not None:
        if not scans and match.start() - at > MAX_SEGMENTS:  # Pillow steps over each byte between
            raise ValueError("it has too much between its parts")
        at, marker = match.end(), data[match.end() - 1]
        segments += 1
        if marker == _END:
            break
        if marker in (_START, 0x01):
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        if marker in _SIZES:
            height, width = (int.from_bytes(data[at + row : at + row + 2], "big") for row in (3, 5))
            pixels = max(pixels, height * width)
            components = max((components, *data[at + 7 : at + 8]))
        scans += marker == _SCAN
        if scans > MAX_SCANS or (scans > 1 and scans * pixels > MAX_SCANNED_PIXELS):
            raise ValueError(f"it has more than {scans - 1} scans")
        apart = marker == _SCAN and scans == 1 and data[at + 2 : at + 3] < bytes([components])
        if apart and pixels > MAX_BUFFERED_PIXELS:
            raise ValueError(f"it keeps its colors apart, and has more than {MAX_BUFFERED_PIXELS:,} pixels")
        exif += marker == _APP1 and data[at + 2 : at + 6] == b"Exif"
        if segments > MAX_SEGMENTS or exif > MAX_EXIF_PARTS:
            what = f"{MAX_EXIF_PARTS} parts of EXIF" if exif > MAX_EXIF_PARTS else f"{MAX_SEGMENTS:,} parts"
            raise ValueError(f"it has more than {what}")
        at += max(size, 2)


def _check_png(data: bytes) -> None:
    at, chunks, others = 8, 0, 0
    while at + 8 <= len(data):
        chunks += 1
        others += data[at + 4 : at + 8] not in _PNG_PICTURE
        if chunks > MAX_CHUNKS or others > MAX_SIDE_CHUNKS:
            raise ValueError(f"it has more than {(chunks if chunks > MAX_CHUNKS else others) - 1:,} chunks")
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _check_gif(data: bytes) -> None:
    at = 13 + _colors(data, 10)
    blocks = frames = 0
    while at < len(data) and data[at : at + 1] != b";":
        kind = data[at]
        if kind == 0x2C:  # an image
            frames += 1
            at += 11 + _colors(data, at + 9)
        elif kind == 0x21:  # an extension
            at += 2
        else:
            at += 1
            blocks += 1
            continue
        while at < len(data) and data[at] and blocks <= MAX_BLOCKS:
            at += 1 + data[at]
            blocks += 1
        at += 1
        blocks += 1
        if blocks > MAX_BLOCKS or frames > MAX_FRAMES:
            raise ValueError(f"it has more than {MAX_BLOCKS:,} blocks or {MAX_FRAMES:,} frames")


def _colors(data: bytes, at: int) -> int:
    """The bytes of the color table that a flag at this place announces."""
    flags = data[at] if at < len(data) else 0
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _check_webp(data: bytes) -> None:
    at, chunks = 12, 0
    while data[8:12] == b"WEBP" and at + 8 <= len(data):
        chunks += 1
        if chunks > MAX_FRAMES:
            raise ValueError(f"it has more than {MAX_FRAMES:,} frames or parts")
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2


def _check_bmp(data: bytes) -> None:
    run_length = data[30:34] in (b"\x01\0\0\0", b"\x02\0\0\0")
    if run_length and len(data) > MAX_RUN_LENGTH_BYTES:
        raise ValueError(f"it is a run-length coded BMP of more than {MAX_RUN_LENGTH_BYTES // 2**20} MB")


def _check_tiff(data: bytes) -> None:
    """Walk from directory to directory: each is a page, and a reader that counts pages visits all."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    wide = int.from_bytes(data[2:4], order) == 43  # BigTIFF: offsets of 64 bits
    offset, counted, entry = (8, 8, 20) if wide else (4, 2, 12)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    at, pages, entries = number(8 if wide else 4, offset), 0, 0
    while 0 < at < len(data):
        pages += 1
        entries += number(at, counted)
        if pages > MAX_PAGES or entries > MAX_ENTRIES:
            raise ValueError(f"it has more than {MAX_PAGES:,} pages or {MAX_ENTRIES:,} entries")
        at = number(at + counted + number(at, counted) * entry, offset)


def _check_coded(data: bytes) -> None:
    """AVIF and HEIC: pictures that are decoded to show one, such as its tiles and its transparency."""
    from simsearch.prepare.coded import coded_items  # which few pictures need

    pictures = pixels = 0
    for item in coded_items(data):
        pictures += item.pictures
        pixels += item.pictures * item.pixels
        if item.pictures > MAX_LAYERS:
            raise ValueError(f"it has more than {MAX_LAYERS} pictures in the place of one")
        if pictures > MAX_TILES:
            raise ValueError(f"it has more than {MAX_TILES:,} tiles")
        if pixels > MAX_CODED_PIXELS:
            raise ValueError(f"it decodes to more than {MAX_CODED_PIXELS:,} pixels")


_CHECKS: Mapping[Kind, Callable[[bytes], None]] = {
    "JPEG": _check_jpeg,
    "PNG": _check_png,
    "GIF": _check_gif,
    "WEBP": _check_webp,
    "BMP": _check_bmp,
    "TIFF": _check_tiff,
    "AVIF": _check_coded,
    "HEIC": _check_coded,
}
