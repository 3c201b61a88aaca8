"""No picture costs more than about a second, whatever it declares: it is refused before it is decoded."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from pngs import chunk

from simsearch.errors import BadImageError
from simsearch.prepare import cost, decode, formats
from simsearch.prepare.cost import check_cost
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import prepare_image

DIGIT = Image.fromarray(np.pad(np.full((28, 8), 255, np.uint8), ((6, 6), (16, 16))))
PHOTO = ImageInput("photo", 1, 32, 32, 3, (0.5,) * 3, (0.5,) * 3)
AT_MOST_S = 1.5  # of the processor


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body)) + body


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 512), np.uint8).astype(np.uint8))
JPEG, PROGRESSIVE = encoded(DIGIT, "JPEG"), encoded(NOISE, "JPEG", progressive=True)
REFINEMENT = bytes.fromhex("ffda0008010100013f10")  # of all coefficients, by nothing
PNG, GIF = encoded(DIGIT, "PNG"), encoded(DIGIT, "GIF")
MEGABYTE = zlib.compress(bytes(1_000_000), 9)
WEBP = encoded(DIGIT.convert("RGB"), "WEBP", lossless=True)
FRAME = bytes(6) + b"\x27\0\0\x27\0\0\1\0\0\0" + WEBP[12:]
CANVAS = (
    b"WEBP" + b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0\x27\0\0\x27\0\0" + b"ANIM\6\0\0\0" + bytes(6)
)


def bmp(compression: int, data: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 2048, 2048, 1, 8, compression, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + header + bytes(1024) + data


def exif_part(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 8) + b"Exif\0\0" + content


def colors_apart(width: int, height: int) -> bytes:
    """A JPEG that says it is so large, and has its first color alone in its first scan."""
    data = encoded(DIGIT.convert("RGB"), "JPEG", subsampling=0)
    frame, scan = data.index(b"\xff\xc0") + 5, data.index(b"\xff\xda")
    sized = data[:frame] + struct.pack(">HH", height, width) + data[frame + 4 : scan]
    return sized + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + data[scan + 14 :]


DEAR: dict[str, Callable[[], bytes]] = {
    "JPEG of 4,000 scans": lambda: PROGRESSIVE[:-2] + REFINEMENT * 4_000 + PROGRESSIVE[-2:],
    "JPEG of scans with restarts in them": lambda: (
        PROGRESSIVE[:-2] + (REFINEMENT + b"\xff\xd0\0\xff\0") * 4_000 + PROGRESSIVE[-2:]
    ),
    "JPEG whose end is hidden in a comment": lambda: (
        PROGRESSIVE[:-2] + b"\xff\xfe\0\4\xff\xd9" + REFINEMENT * 4_000 + PROGRESSIVE[-2:]
    ),
    "JPEG of two million comments": lambda: JPEG[:2] + b"\xff\xfe\0\2" * 2_400_000 + JPEG[2:],
    "JPEG of half a million EXIF parts": lambda: (
        JPEG[:2] + b"\xff\xe1\0\x10Exif\0\0MM\0*\0\0\0\x08" * 500_000 + JPEG[2:]
    ),
    "JPEG of 900 parts of EXIF": lambda: JPEG[:2] + exif_part(bytes(10_000)) * 900 + JPEG[2:],
    "JPEG whose colors come one after the other": lambda: colors_apart(21_824, 8_192),
    "JPEG of nine million fill bytes": lambda: JPEG[:2] + b"\xff" * 9_000_000 + JPEG[2:],
    "PNG of 800,000 empty chunks": lambda: PNG[:33] + chunk(b"prVt", b"") * 800_000 + PNG[33:],
    "PNG of empty pixel chunks": lambda: PNG[:33] + chunk(b"IDAT", b"") * 800_000 + PNG[33:],
    "PNG of 5,000 profiles": lambda: PNG[:33] + chunk(b"iCCP", b"k\0\0" + MEGABYTE) * 5_000 + PNG[33:],
    "PNG of chunks after its pixels": lambda: PNG[:-12] + chunk(b"prVt", b"") * 700_000 + PNG[-12:],
    "GIF of a comment in single bytes": lambda: GIF[:-1] + b"\x21\xfe" + b"\1c" * 4_500_000 + b"\0;",
    "GIF of a million extensions": lambda: GIF[:-1] + b"\x21\xf9\4\0\0\0\0\0" * 1_100_000 + b";",
    "GIF of 450,000 frames": lambda: (
        GIF[:-1] + bytes.fromhex("2c00000000080008000002050484" + "8fa9cb00") * 450_000 + b";"
    ),
    "WebP of 100,000 frames": lambda: riff(
        CANVAS + (b"ANMF" + struct.pack("<I", len(FRAME)) + FRAME) * 100_000
    ),
    "WebP of a million parts": lambda: riff(b"WEBP" + WEBP[12:] + b"abcd\0\0\0\0" * 1_200_000),
    "BMP of four million runs": lambda: bmp(1, b"\1\5" * 4_190_000),
}


@pytest.mark.parametrize("make", DEAR.values(), ids=DEAR.keys())
def test_a_picture_that_costs_time_is_refused_at_once(make: Callable[[], bytes]) -> None:
    data = make()
    started = time.process_time()
    with pytest.raises(BadImageError, match="the picture costs too much to decode: it "):
        prepare_image(data)
    assert time.process_time() - started < AT_MOST_S


FAIR = {
    "progressive JPEG": PROGRESSIVE,
    "JPEG with a profile and EXIF": encoded(DIGIT, "JPEG", icc_profile=bytes(500_000), exif=b"Exif\0\0MM\0*"),
    "JPEG with a preview after its end": JPEG + PROGRESSIVE * 30,
    "interlaced GIF": encoded(NOISE, "GIF", interlace=1),
    "animated GIF": encoded(DIGIT, "GIF", save_all=True, append_images=[NOISE] * 9),
    "animated WebP": encoded(DIGIT, "WEBP", save_all=True, append_images=[NOISE.resize(DIGIT.size)] * 9),
    "animated PNG": encoded(DIGIT, "PNG", save_all=True, append_images=[NOISE.resize(DIGIT.size)] * 9),
    "PNG in small chunks": PNG[:33]
    + b"".join(chunk(b"IDAT", PNG[41 + at : 42 + at]) for at in range(len(PNG) - 57))
    + PNG[-12:],
    "run-length coded BMP": bmp(1, (b"\xff\5" * 8 + b"\x08\5\0\0") * 2048),
}


@pytest.mark.parametrize("data", FAIR.values(), ids=FAIR.keys())
def test_pictures_that_programs_write_cost_little_enough(data: bytes) -> None:
    check_cost(data)
    decode.decode_image(data)


def test_what_is_let_through_at_the_limits_takes_about_a_second() -> None:
    """As many scans as are allowed, of as many pixels as are allowed with them."""
    side = int((cost.MAX_SCANNED_PIXELS / cost.MAX_SCANS) ** 0.5) // 16 * 16
    picture = encoded(NOISE.resize((side, side)), "JPEG", progressive=True)
    scans = picture.count(b"\xff\xda")
    data = picture[:-2] + REFINEMENT * (cost.MAX_SCANS - scans) + picture[-2:]
    started = time.process_time()
    decode.decode_image(data)
    assert time.process_time() - started < 3 * AT_MOST_S  # on a machine that does other things too


def tags(count: int, blob: int) -> bytes:
    """The inside of a TIFF whose tags each name the same bytes."""
    start = 14 + 12 * count
    entries = b"".join(struct.pack(">HHII", 0x9000 + tag, 7, blob, start) for tag in range(count))
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", count) + entries + bytes(4 + blob)


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_tags_that_name_the_same_bytes_again_and_again_cost_them_once(kind: str) -> None:
    """With Pillow 12.3 these 8 MB took 32 GB."""
    many = tags(4_000, 8_000_000)
    size = struct.pack(">HHIHHHHI", 256, 3, 1, 40, 0, 257, 3, 1) + struct.pack(">HH", 28, 0)
    data = {
        "TIFF": many[:8] + struct.pack(">H", 4_002) + size + many[10:],
        "PNG": PNG[:33] + chunk(b"eXIf", many) + PNG[33:],
        "WEBP": encoded(DIGIT.convert("RGB"), "WEBP", exif=many),
    }[kind]
    tracemalloc.start()
    started = time.process_time()
    with contextlib.suppress(BadImageError):
        prepare_picture(data, PHOTO)
    assert time.process_time() - started < AT_MOST_S
    assert tracemalloc.get_traced_memory()[1] < 10 * len(data)
    tracemalloc.stop()


def test_every_kind_that_is_decoded_is_counted() -> None:
    assert set(cost._CHECKS) == set(get_args(formats.Kind)) >= set(formats.FORMATS)


def tiff(pages: int, *, wide: bool = False, order: str = "little") -> bytes:
    """So many empty directories, each naming the next."""
    head = (b"II" if order == "little" else b"MM") + (43 if wide else 42).to_bytes(2, order)
    head += (8).to_bytes(2, order) + bytes(2) + (16).to_bytes(8, order) if wide else (8).to_bytes(4, order)
    counted, offset = (8, 8) if wide else (2, 4)
    parts, at = [head], len(head)
    for page in range(pages):
        at += counted + offset
        following = at if page + 1 < pages else 0
        parts.append(bytes(counted) + following.to_bytes(offset, order))
    return b"".join(parts)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("order", ["little", "big"])
def test_the_pages_of_a_tiff_are_counted(wide: bool, order: str) -> None:
    check_cost(tiff(cost.MAX_PAGES, wide=wide, order=order))
    with pytest.raises(ValueError, match="it has more than 1,000 pages"):
        check_cost(tiff(cost.MAX_PAGES + 1, wide=wide, order=order))


def test_a_tiff_whose_pages_go_round_in_a_circle_is_refused() -> None:
    circle = b"II*\0" + (8).to_bytes(4, "little") + bytes(2) + (8).to_bytes(4, "little")
    with pytest.raises(ValueError, match="it has more than 1,000 pages"):
        check_cost(circle)


def test_damaged_pictures_are_left_to_the_decoder() -> None:
    for data in (JPEG, PROGRESSIVE[:3000], PNG, GIF, WEBP, bmp(1, b"\1\5" * 99)):
        for length in range(min(len(data), 400)):
            check_cost(data[:length])
