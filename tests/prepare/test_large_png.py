"""Large PNGs are reduced while they are read, to the very means that Pillow makes of the whole."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from pngs import RGB, chunk, png

from simsearch.errors import BadImageError
from simsearch.prepare import decode, large_png
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.large_png import png_size, reduce_png
from simsearch.prepare.pictures import prepare_picture

WIDTH, HEIGHT = 61, 47
PHOTO = ImageInput("photo", 1, 61, 47, 3, (0.5,) * 3, (0.5,) * 3)


def picture(mode: str) -> Image.Image:
    """Waves and noise, so that an encoder uses every filter; partly transparent where it can be."""
    rows, columns, planes = np.mgrid[:HEIGHT, :WIDTH, :4]
    waves = 120 + 80 * np.sin(columns / (3 + planes)) + 40 * np.cos(rows / 5)
    noise = np.random.default_rng(0).integers(0, 9, waves.shape)
    image = Image.fromarray((waves + noise).clip(0, 255).astype(np.uint8))
    return image.convert("RGB").quantize(7) if mode == "P" else image.convert(mode)


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def few_grays(bits: int) -> bytes:
    """Random grays of so many bits, which Pillow does not write."""
    rows = np.random.default_rng(bits).integers(0, 256, (HEIGHT, (WIDTH * bits + 7) // 8)).astype(np.uint8)
    up = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1])).astype(np.uint8)
    body = zlib.compress(
        b"".join(b"\2" + row.tobytes() for row in up)
    )  # the filter that subtracts the row above
    return png(WIDTH, HEIGHT, body, bits=bits)


def with_header(
    width: int, height: int, bits: int = 8, interlaced: int = 0, color: int = 2, before: bytes = b""
) -> bytes:
    """A PNG that declares what it does not hold."""
    return png(width, height, b"", bits=bits, color=color, interlaced=interlaced, before=before)


KINDS = {
    "RGBA": encoded(picture("RGBA")),
    "RGB": encoded(picture("RGB")),
    "L": encoded(picture("L")),
    "LA": encoded(picture("LA")),
    "1": encoded(picture("1")),
    "2 bits": few_grays(2),
    "4 bits": few_grays(4),
    "P": encoded(picture("P")),
    "P of 4 bits": encoded(picture("P"), bits=4),
    "P with a transparent color": encoded(picture("P"), transparency=3),
    "RGB with a transparent color": encoded(picture("RGB"), transparency=(120, 120, 120)),
}


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of a few rows, so that small pictures have many."""
    monkeypatch.setattr(large_png, "_STRIP", 4 * WIDTH)


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize(("most", "factor"), [(WIDTH * HEIGHT // 2, 2), (200, 4)])
@pytest.mark.parametrize("kind", KINDS)
def test_strips_give_the_means_of_the_whole(kind: str, most: int, factor: int) -> None:
    whole = Image.open(io.BytesIO(KINDS[kind]))
    mode = "RGBA" if whole.has_transparency_data else "L" if whole.mode in ("1", "L") else "RGB"
    made = reduce_png(KINDS[kind], most)
    assert png_size(KINDS[kind]) == (WIDTH, HEIGHT)
    assert made.size == (-(-WIDTH // factor), -(-HEIGHT // factor))
    np.testing.assert_array_equal(np.asarray(made), np.asarray(whole.convert(mode).reduce(factor)))


def interlaced(pixels: np.ndarray) -> bytes:
    """Colors (H, W, 3) in the seven passes of Adam7, which Pillow does not write."""
    body = b""
    steps = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    for top, left, down, right in steps:
        body += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::right])
    return png(pixels.shape[1], pixels.shape[0], zlib.compress(body), color=RGB, interlaced=1)


def deep(pixels: np.ndarray) -> bytes:
    """Colors (H, W, 3) of 16 bits: the high bytes are these, the low ones 128."""
    values = (pixels.astype(np.uint16) * 256 + 128).astype(">u2")
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    return png(pixels.shape[1], pixels.shape[0], body, bits=16, color=RGB)


@pytest.mark.parametrize("encode", [interlaced, deep])
def test_what_has_no_strips_gives_the_means_of_the_whole(encode: Callable[[np.ndarray], bytes]) -> None:
    image = picture("RGB")
    made = reduce_png(encode(np.asarray(image)), WIDTH * HEIGHT // 2)
    np.testing.assert_array_equal(np.asarray(made), np.asarray(image.reduce(2)))


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize(("most", "scale"), [(65_535, 257), (255, 1), (256, 257)])
def test_deep_gray_is_read_by_its_own_range(most: int, scale: int) -> None:
    values = np.random.default_rng(0).integers(0, most + 1, (HEIGHT, WIDTH)).astype(np.uint16)
    values[0, 0] = most
    made = np.asarray(reduce_png(encoded(Image.fromarray(values)), WIDTH * HEIGHT // 2))
    means = values[: HEIGHT - 1, : WIDTH - 1].reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean((1, 3)) / scale
    assert made.shape == (-(-HEIGHT // 2), -(-WIDTH // 2))
    np.testing.assert_allclose(made[: HEIGHT // 2, : WIDTH // 2], means, rtol=0, atol=0.501)


@pytest.mark.usefixtures("small_strips")
def test_a_large_png_is_prepared_as_its_reduced_self_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    data = encoded(picture("RGB"), exif=exif.tobytes())
    small = encoded(picture("RGB").reduce(2), exif=exif.tobytes())
    expected = prepare_picture(small, PHOTO)
    monkeypatch.setattr(decode, "MAX_PIXELS", WIDTH * HEIGHT // 2)
    found = prepare_picture(data, PHOTO)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.notes == expected.notes == ("rotated as its EXIF data say",)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (with_header(9_000, 8_000), "its 9000 x 8000 pixels are 216 MB, more than 150"),
        (with_header(9_000, 6_000, color=6), "its 9000 x 6000 pixels are 216 MB, more than 150"),
        (with_header(9_000, 6_000, color=4), "its 9000 x 6000 pixels are 216 MB, more than 150"),
        (with_header(9_000, 8_000, color=3), "its 9000 x 8000 pixels are 216 MB, more than 150"),
        (with_header(15_000, 14_000, 1, color=0), "its 15000 x 14000 pixels are 210 MB, more than 150"),
        (
            with_header(9_000, 6_000, color=0, before=chunk(b"tRNS", b"\0\1")),
            "its 9000 x 6000 pixels are 216 MB, more than 150",
        ),
        (with_header(7_000, 5_000, 16), "its 7000 x 5000 pixels are 210 MB, more than 150"),
        (
            with_header(8_000, 6_251, 16, color=0),
            "one of 16 bits is decoded whole, and it has 8000 x 6251 pixels",
        ),
        (
            with_header(8_000, 6_251, 8, 1, color=0),
            "an interlaced one is decoded whole, and it has 8000 x 6251 pixels",
        ),
        (with_header(20_000_000, 1), "one of its sides has 20,000,000 pixels"),
        (with_header(1, 168_000_000), "one of its sides has 168,000,000 pixels"),
    ],
    ids=[
        "RGB",
        "RGBA",
        "gray with transparency",
        "palette",
        "gray of 1 bit",
        "gray with a transparent value",
        "RGB of 16 bits",
        "16 bits",
        "interlaced",
        "long rows",
        "many rows",
    ],
)
def test_what_costs_too_much_is_named_and_never_unpacked(
    data: bytes, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_png.zlib, "decompressobj", lambda: pytest.fail("it was unpacked"))
    with pytest.raises(BadImageError) as caught:
        prepare_picture(data, PHOTO)
    assert caught.value.message.startswith(f"the picture costs too much to decode: {problem}")
    assert caught.value.hint == "save it with fewer pixels, or as a JPEG"


@pytest.mark.parametrize(
    "data",
    [
        with_header(9_921, 14_031, color=0),  # A4 at 1,200 dots an inch
        with_header(7_016, 4_960),  # A4 at 600
        with_header(8_000, 6_000, color=2),  # a telephone's 48 megapixels
        with_header(7_000, 7_000, color=3),
        with_header(12_000, 12_000, 1, color=0),
    ],
    ids=["gray", "RGB", "telephone", "palette", "1 bit"],
)
def test_large_scans_are_not_refused_for_their_size(data: bytes) -> None:
    """They go as far as being unpacked, and hold nothing."""
    with pytest.raises(BadImageError, match="not a picture, or damaged") as caught:
        prepare_picture(data, PHOTO)
    assert str(caught.value.__cause__) == "it ends before its last row"


def test_a_cut_or_damaged_one_is_refused_as_any_other() -> None:
    whole = encoded(Image.new("RGB", (3_000, 1_500), "teal"))
    at = whole.index(b"IDAT") + 20
    for data in (
        whole[: len(whole) // 2],
        whole[:at] + b"\0\0\0\0" + whole[at + 4 :],
        with_header(3_000, 1_500),
    ):
        with pytest.raises(BadImageError, match="not a picture, or damaged"):
            prepare_picture(data, PHOTO)
    assert prepare_picture(whole, PHOTO).pixels[20, 20].tolist() == [0, 128, 128]
