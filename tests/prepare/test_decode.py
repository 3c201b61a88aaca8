import io
import struct
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageDraw

from simsearch.errors import BadImageError
from simsearch.prepare.decode import decode_image, pillow_errors
from simsearch.search.searcher import Searcher


def test_threads_decode_at_the_same_time_in_silence_and_the_filters_come_back() -> None:
    meeting = threading.Barrier(3, timeout=300)
    before = list(warnings.filters)

    def decode(name: str) -> str:
        with pillow_errors(name):
            meeting.wait()  # opens only if all three are inside
            warnings.warn("broken EXIF", UserWarning, stacklevel=1)
            meeting.wait()
        return name

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(decode, "abc")) == ["a", "b", "c"]
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="outside"):
        warnings.warn("outside", UserWarning, stacklevel=1)


def test_the_filters_come_back_after_an_error_too() -> None:
    before = list(warnings.filters)
    with pytest.raises(BadImageError, match="cannot decode x"), pillow_errors("x"):
        raise KeyError("anything that Pillow raises")
    assert list(warnings.filters) == before


def photograph(width: int, height: int, **options: object) -> bytes:
    """A 7 in dark ink on gray paper, as a JPEG."""
    page = Image.new("L", (width, height), 225)
    points = [(0.35, 0.25), (0.6, 0.25), (0.45, 0.8)]
    ImageDraw.Draw(page).line([(x * width, y * height) for x, y in points], fill=30, width=height // 25)
    buffer = io.BytesIO()
    page.convert("RGB").save(buffer, "JPEG", quality=80, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def test_a_photograph_is_decoded_no_larger_than_it_is_needed() -> None:
    data = photograph(4032, 3024)
    assert decode_image(data).size == (1008, 756)
    assert decode_image(data, side=1000).size == (2016, 1512)
    assert decode_image(photograph(640, 480)).size == (640, 480)


def test_a_photograph_of_12_megapixels_is_read_as_the_small_one_is(shipped: Searcher) -> None:
    for size in ((4032, 3024), (504, 378)):
        verdict = shipped.query(photograph(*size), k=1).verdict
        assert verdict is not None
        assert verdict.label == "7"


def test_a_progressive_photograph_of_many_megapixels_is_refused_for_its_memory() -> None:
    with pytest.raises(BadImageError) as caught:
        decode_image(photograph(5000, 4000, progressive=True))
    assert caught.value.message == (
        "the picture is a progressive JPEG of 5000 x 4000 pixels, more than 16,000,000"
    )


def test_a_photograph_of_200_megapixels_is_decoded_at_an_eighth() -> None:
    """As the largest sensors of telephones make them; `Image.open` itself refuses 179 megapixels."""
    assert decode_image(photograph(16_320, 12_240)).size == (2_040, 1_530)


def test_a_jpeg_that_is_too_large_even_at_an_eighth_is_refused() -> None:
    data = bytearray(photograph(64, 64))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 20_000, 30_000)
    with pytest.raises(BadImageError, match=r"^the picture has 30000 x 20000 pixels, more than 268,435,456$"):
        decode_image(bytes(data))
