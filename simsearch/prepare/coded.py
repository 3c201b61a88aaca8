"""AVIF and HEIC: how many pictures their decoders would decode to show one, and how large each is.

A few bytes are enough to say "the last picture once more", and a decoder that is given a thousand such
pictures as one decodes all of them. So the boxes are walked down to the coded data, and the pictures there
are counted; their size is read where decoders read it, because the one beside it may be smaller. Written
after ISO/IEC 14496-12 and 23008-12 (boxes), the AV1 bitstream specification, sections 5.3 to 5.5, and ITU-T
H.265, section 7.3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

_MOST_PARTS = 20_000  # boxes, extents or units
_MOST_DEPTH = 16  # of boxes in boxes; those that count here lie six deep
_FULL = {b"meta": 4, b"iinf": 6, b"stsd": 8}  # bytes before the boxes inside
_SHAPED = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", *_FULL})  # boxes that hold boxes
_SEQUENCE, _FRAMES = 1, (3, 6)  # kinds of units of AV1; a frame, or the head of one
_SLICES = range(32)  # kinds of units of HEVC that hold parts of pictures


class Coded(NamedTuple):
    """What one coded item makes a decoder do."""

    pictures: int
    pixels: int  # of the largest; 0 where only the file's own words say it


class _Box(NamedTuple):
    kind: bytes
    start: int  # of its content
    end: int


def coded_items(data: bytes) -> Iterator[Coded]:
    """What each item of a file costs, and the first picture of each of its tracks.

    :raises ValueError: If its parts overlap, are far too many, or make no sense.
    """
    budget = 2 * len(data)  # no byte is part of two pictures
    for kind, parts in _parts(data):
        budget -= sum(length for _, length in parts)
        if budget < 0:
            raise ValueError("its pictures share their bytes")
        content = b"".join(data[start : start + length] for start, length in parts)
        if kind == b"av01":
            yield _av1(content)
        elif kind == b"hvc1":
            yield Coded(_hevc_pictures(content), 0)


Parts = list[tuple[int, int]]  # where and how long


def _parts(data: bytes) -> Iterator[tuple[bytes, Parts]]:
    boxes = list(islice(_boxes(data, 0, len(data)), _MOST_PARTS + 1))
    _check_count(len(boxes))
    kinds: dict[int, bytes] = {}
    tracks: list[dict[bytes, _Box]] = []
    for box in boxes:
        if box.kind == b"infe":
            wide = data[box.start] > 2  # item numbers of 32 bits
            at = box.start + 4 + (4 if wide else 2) + 2
            kinds[_number(data, box.start + 4, 4 if wide else 2)] = data[at : at + 4]
        elif box.kind == b"trak":
            tracks.append({})
        elif tracks:
            tracks[-1][box.kind] = box
    folded = next((box.start for box in boxes if box.kind == b"idat"), 0)
    for box in boxes:
        if box.kind == b"iloc":
            for item, parts in _located(data, box, folded):
                yield kinds.get(item, b""), parts
    for track in tracks:
        for kind in (b"av01", b"hvc1"):
            if kind in track:
                yield kind, _first_sample(data, track)


def _boxes(data: bytes, start: int, end: int, depth: int = 0) -> Iterator[_Box]:
    """Every box in a range, and those inside the boxes that hold others."""
    while start + 8 <= end:
        size, head, kind = _number(data, start, 4), 8, data[start + 4 : start + 8]
        if size == 1:
            size, head = _number(data, start + 8, 8), 16
        stop = end if size == 0 else start + size
        if size and size < head:
            return
        yield _Box(kind, start + head, min(stop, end))
        if kind in _SHAPED and depth < _MOST_DEPTH:
            yield from _boxes(data, start + head + _FULL.get(kind, 0), min(stop, end), depth + 1)
        start = stop


def _located(data: bytes, box: _Box, folded: int) -> Iterator[tuple[int, Parts]]:
    """The number and the parts of each item that an item location box tells of."""
    version, sizes, at = data[box.start], _number(data, box.start + 4, 2), box.start + 6
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    wide = 4 if version > 1 else 2
    count, at = _number(data, at, wide), at + wide
    _check_count(count)
    seen = 0
    for _ in range(count):
        item, at = _number(data, at, wide), at + wide
        inside = version > 0 and _number(data, at, 2) & 15 == 1  # in the box `idat`
        at += 2 * (version > 0) + 2
        base, at = _number(data, at, base_size) + (folded if inside else 0), at + base_size
        extents, at = _number(data, at, 2), at + 2
        seen += extents
        _check_count(seen)
        parts: Parts = []
        for _ in range(extents):
            at += index_size
            offset, at = base + _number(data, at, offset_size), at + offset_size
            length, at = _number(data, at, length_size), at + length_size
            parts.append((offset, min(length or len(data), max(0, len(data) - offset))))
        yield item, parts


def _first_sample(data: bytes, track: dict[bytes, _Box]) -> Parts:
    sizes, offsets, wide = track.get(b"stsz"), track.get(b"stco"), 4
    if offsets is None:
        offsets, wide = track.get(b"co64"), 8
    if sizes is None or offsets is None:
        return []
    size = _number(data, sizes.start + 4, 4) or _number(data, sizes.start + 12, 4)
    start = _number(data, offsets.start + 8, wide)
    return [(start, min(size, max(0, len(data) - start)))]


def _av1(content: bytes) -> Coded:
    """Pictures in a series of open bitstream units, and the largest size that their sequences allow."""
    at = pictures = pixels = units = 0
    while at < len(content):
        units += 1
        _check_count(units)
        head = content[at]
        at += 2 if head & 4 else 1  # with or without an extension
        size = len(content) - at
        if head & 2:
            size, at = _leb128(content, at)
        kind = head >> 3 & 15
        pictures += kind in _FRAMES
        if kind == _SEQUENCE:
            pixels = max(pixels, _sequence_pixels(content[at : at + min(size, 256)]))
        at += size
    return Coded(pictures, pixels)


def _leb128(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        byte = _number(content, at, 1)
        at += 1
        value |= (byte & 127) << shift
        if not byte & 128:
            return value, at
    raise ValueError("a length in it does not end")


class _Bits:
    """Bits of a head, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._value, self._left = int.from_bytes(content, "big"), 8 * len(content)

    def take(self, count: int) -> int:
        """The next bits as a number."""
        self._left -= count
        if self._left < 0:
            raise ValueError("a head in it is cut short")
        return self._value >> self._left & ((1 << count) - 1)


def _sequence_pixels(content: bytes) -> int:
    """The largest picture of an AV1 sequence, from its header."""
    bits = _Bits(content)
    bits.take(3 + 1)  # profile, whether it is a still picture
    if bits.take(1):  # a reduced header
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return (bits.take(width_bits) + 1) * (bits.take(height_bits) + 1)


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):  # equal intervals, as a number in unary length
            zeros = 0
            while not bits.take(1):
                zeros += 1
            bits.take(zeros)
        if bits.take(1):  # a model of the decoder
            delay_bits = bits.take(5) + 1
            bits.take(32 + 5 + 5)
    display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:  # a level that has tiers
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if display_delay and bits.take(1):
            bits.take(4)


def _hevc_pictures(content: bytes) -> int:
    """Pictures in a series of units of HEVC, each after its length: as many as begin with a first slice."""
    at = pictures = units = 0
    while at + 7 <= len(content):
        units += 1
        _check_count(units)
        is_slice = (content[at + 4] >> 1 & 63) in _SLICES
        pictures += is_slice and content[at + 6] >> 7
        at += 4 + _number(content, at, 4)
    return pictures


def _check_count(count: int) -> None:
    if count > _MOST_PARTS:
        raise ValueError(f"it has more than {_MOST_PARTS:,} parts")


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
