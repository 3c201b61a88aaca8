"""What an AVIF or HEIC holds to show one picture is counted: repeated and hidden pictures are refused."""

from __future__ import annotations

import contextlib
import io
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simsearch.errors import BadImageError
from simsearch.prepare.coded import Coded, _sequence_pixels, coded_items
from simsearch.prepare.cost import MAX_CODED_PIXELS, MAX_LAYERS, check_cost
from simsearch.prepare.decode import decode_image

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 4), np.uint8))


def avif(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", **options)
    return buffer.getvalue()


STILL = avif(NOISE.convert("RGB"))
ANIMATED = avif(NOISE.convert("RGB"), save_all=True, append_images=[NOISE.convert("RGB").rotate(9)] * 3)
FAIR = {
    "still": (STILL, [Coded(1, 2_400)]),
    "gray": (avif(NOISE.convert("L")), [Coded(1, 2_400)]),
    "with transparency": (avif(NOISE), [Coded(1, 2_400)] * 2),
    "animated": (ANIMATED, [Coded(1, 2_400)] * 2),
    "as large as may be": (avif(Image.new("RGB", (2048, 2048)), speed=10), [Coded(1, 2**22)]),
}


@pytest.mark.parametrize("name", FAIR)
def test_what_pillow_writes_is_counted_and_decoded(name: str) -> None:
    data, expected = FAIR[name]
    assert list(coded_items(data)) == expected
    decode_image(data)


def extent(data: bytes) -> int:
    """Where the first item's offset and length stand."""
    return data.index(b"iloc") + 4 + 14


def coded(data: bytes) -> bytes:
    start, length = struct.unpack_from(">II", data, extent(data))
    return data[start : start + length]


def pointing_to(data: bytes, content: bytes) -> bytes:
    """The same file with other coded data, at its end."""
    at = extent(data)
    place = struct.pack(">II", len(data) + 8, len(content))
    return data[:at] + place + data[at + 8 :] + struct.pack(">I", len(content) + 8) + b"mdat" + content


def test_a_picture_said_a_thousand_times_is_refused_at_once() -> None:
    """Pillow 13 takes 14 seconds for these two megabytes."""
    large = FAIR["as large as may be"][0]
    data = pointing_to(large, coded(large) * 4_000)
    started = time.process_time()
    with pytest.raises(BadImageError, match="costs too much to decode: it has more than 8 pictures"):
        decode_image(data)
    assert time.process_time() - started < 1.5


def test_a_picture_in_layers_is_decoded() -> None:
    data = pointing_to(STILL, coded(STILL) * MAX_LAYERS)
    assert list(coded_items(data)) == [Coded(MAX_LAYERS, 2_400)]
    decode_image(data)
    with pytest.raises(ValueError, match="more than 8 pictures in the place"):
        check_cost(pointing_to(STILL, coded(STILL) * (MAX_LAYERS + 1)))


def test_the_first_picture_of_a_track_may_not_be_many() -> None:
    sizes = ANIMATED.index(b"stsz") + 8
    (first,) = struct.unpack_from(">I", ANIMATED, sizes + 8)
    offsets = ANIMATED.index(b"stco") + 12
    start = struct.unpack_from(">I", ANIMATED, offsets)[0]
    content = ANIMATED[start : start + first] * 20
    moved = bytearray(ANIMATED)
    struct.pack_into(">I", moved, offsets, len(moved) + 8)
    struct.pack_into(">I", moved, sizes + 8, len(content))
    moved += struct.pack(">I", len(content) + 8) + b"mdat" + content
    with pytest.raises(ValueError, match="more than 8 pictures in the place of one"):
        check_cost(bytes(moved))


def test_a_picture_larger_than_it_is_said_to_be_is_refused() -> None:
    large = avif(Image.new("RGB", (4_200, 4_200)), speed=10)
    at = large.index(b"ispe") + 8
    hidden = large[:at] + struct.pack(">II", 32, 32) + large[at + 8 :]
    with Image.open(io.BytesIO(hidden)) as opened:
        assert opened.size == (32, 32)
    with pytest.raises(BadImageError, match=f"it decodes to more than {MAX_CODED_PIXELS:,} pixels"):
        decode_image(hidden)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


BRAND = box(b"ftyp", b"avif\0\0\0\0avif")


def located(*items: bytes) -> bytes:
    """A file whose items lie where these bytes say, with offsets and lengths of 32 bits."""
    names = b"".join(
        box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + b"av01\0") for number in range(len(items))
    )
    places = box(b"iloc", bytes(4) + b"\x44\0" + struct.pack(">H", len(items)) + b"".join(items))
    entries = box(b"iinf", bytes(4) + struct.pack(">H", len(items)) + names)
    return BRAND + box(b"meta", bytes(4) + entries + places)


DEAR = {
    "items that share their bytes": located(
        *(struct.pack(">HHHII", number, 0, 1, 0, 400) for number in range(9))
    ),
    "an item of the same bytes again and again": located(
        struct.pack(">HHH", 0, 0, 99) + struct.pack(">II", 0, 400) * 99
    ),
    "extents of no size": BRAND
    + box(b"meta", bytes(4) + box(b"iloc", bytes(6) + struct.pack(">H", 9) + b"\0\0\0\0\xff\xff" * 9)),
    "very many items": located(*[struct.pack(">HHH", 0, 0, 0)] * 20_001),
    "very many boxes": BRAND + box(b"free", b"") * 20_001,
    "very many units": pointing_to(STILL, b"\x12\0" * 20_001),
}


@pytest.mark.parametrize("name", DEAR)
def test_what_costs_more_than_a_picture_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"it has more than 20,000 parts|its pictures share their bytes"):
        check_cost(DEAR[name])


def test_boxes_deep_inside_each_other_are_left_to_the_decoder() -> None:
    nested = b""
    for _ in range(5_000):
        nested = box(b"moov", nested)
    check_cost(BRAND + nested)
    with pytest.raises(BadImageError):
        decode_image(BRAND + nested)


def test_the_size_of_a_sequence_is_read_behind_all_that_may_stand_before_it() -> None:
    """Bits by hand after section 5.5 of the specification: 5 x 3 pixels each time."""
    size = "0010" + "0001" + "100" + "10"  # 3 and 2 bits; 4 and 2, one less than the size
    one_point = "00000" + "0" * 12 + "01000" + "0"  # of a level that has tiers
    heads = {
        "reduced": "0001" + "1" + "00000",
        "plain": "0000" + "0" + "0" + "0" + one_point,
        "timed": "0000" + "0" + "1" + "0" * 64 + "1" + "00101" + "0" + "0" + one_point,
        "modeled": (
            "00000" + "1" + "0" * 64 + "0" + "1" + "00010" + "0" * 42 + "1"
            "00000" + "0" * 12 + "00111" + "1" + "0" * 7 + "1" + "0000"
        ),
    }  # fmt: skip
    for head in heads.values():
        bits = (head + size).ljust(1_024, "0")
        assert _sequence_pixels(int(bits, 2).to_bytes(128, "big")) == 15
    with pytest.raises(ValueError, match="cut short"):
        _sequence_pixels(bytes(4))


@given(at=st.integers(0, len(ANIMATED)), by=st.binary(min_size=1, max_size=6))
def test_damaged_files_are_refused_in_words_or_left_to_the_decoder(at: int, by: bytes) -> None:
    for data in (STILL, ANIMATED):
        with contextlib.suppress(ValueError):  # and nothing else
            check_cost(data[:at] + by + data[at + len(by) :])
