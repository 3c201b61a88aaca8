"""images.py: what reaches the network from any picture, and which pictures are refused."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pngs import black_png

from simsearch.errors import BadImageError
from simsearch.prepare.decode import MAX_BYTES, decode_image, read_image_file
from simsearch.prepare.prepare import Preprocess, looks_like_mnist, png_bytes, prepare_image, to_batch

INVERTED = "dark ink on a light background: inverted"
SUPPORTED = "pass a PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF"


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def seven(unit: int) -> np.ndarray:
    """A white 7 on black, 20 x 12 units: uint8 (30 x unit, 30 x unit)."""
    gray = np.zeros((30, 30), np.uint8)
    gray[2:5, 3:15] = 255  # the bar
    gray[5:22, 12:15] = 255  # the stem
    return np.kron(gray, np.ones((unit, unit), np.uint8))


# By hand: 36 pixels of bar and 51 of stem have their center 6.86 rows and 8.14 columns into the 7, so that it
# moves to row round(14 - 6.86) = 7 and column round(14 - 8.14) = 6.
SEVEN = np.zeros((28, 28), np.uint8)
SEVEN[7:10, 6:18] = 255
SEVEN[10:27, 15:18] = 255


def enlarged(digit: np.ndarray, factor: int, rng: np.random.Generator, resample: int) -> np.ndarray:
    """A digit somewhere on a canvas of 36 x factor, light on dark."""
    side, canvas = 28 * factor, np.zeros((36 * factor, 36 * factor), np.uint8)
    top, left = rng.integers(0, 8 * factor + 1, 2)
    canvas[top : top + side, left : left + side] = Image.fromarray(digit).resize((side, side), resample)
    return canvas


def alpha_only(gray: np.ndarray) -> np.ndarray:
    return np.dstack([np.zeros_like(gray)] * 3 + [gray])


def photographed(gray: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gray pencil on paper lit from one side and darker in the middle, with the camera's noise."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in gray.shape), indexing="ij")
    light = 175 + 30 * x - 20 * y + 15 * (x**2 + y**2)
    noisy = light * (1 - 0.7 * gray / 255) + rng.normal(0, 4, gray.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def mean_difference(
    digits: np.ndarray, view: Callable[[np.ndarray, np.random.Generator], Any], resample: int
) -> float:
    rng = np.random.default_rng(0)
    prepared = [prepare_image(view(enlarged(digit, 10, rng, resample), rng)).pixels for digit in digits]
    return float(np.abs(np.stack(prepared).astype(int) - digits).mean())


VIEWS: dict[str, Callable[[np.ndarray, np.random.Generator], Any]] = {
    "array": lambda gray, _: gray,
    "white-png": lambda gray, _: encoded(255 - gray),
    "rgba": lambda gray, _: np.dstack([gray] * 3 + [np.full_like(gray, 255)]),
    "alpha-only": lambda gray, _: encoded(alpha_only(gray)),
    "jpeg-80": lambda gray, _: encoded(255 - gray, "JPEG", quality=80),
    "16-bit": lambda gray, _: encoded(gray.astype(np.uint16) * 257),
    "photographed": lambda gray, rng: encoded(photographed(gray, rng), "JPEG", quality=80),
}


# --- MNIST itself ---------------------------------------------------------------------------------------


def test_every_mnist_image_passes_through_auto_bit_for_bit(mnist_test: Any, mnist_train: Any) -> None:
    for split in (mnist_test, mnist_train):
        for digit in split.images:
            prepared = prepare_image(digit)
            assert prepared.notes == ()
            assert prepared.pixels.tobytes() == digit.tobytes()


def test_mnist_images_survive_png_and_a_file_bit_for_bit(mnist_test: Any, tmp_path: Path) -> None:
    for digit in mnist_test.images[:300]:
        assert np.array_equal(prepare_image(png_bytes(digit)).pixels, digit)
    path = tmp_path / "digit.png"
    path.write_bytes(png_bytes(mnist_test.images[0]))
    assert np.array_equal(prepare_image(path).pixels, mnist_test.images[0])
    assert np.array_equal(prepare_image(str(path)).pixels, mnist_test.images[0])


def test_negatives_of_mnist_images_are_inverted_bit_for_bit_and_say_so(mnist_test: Any) -> None:
    for digit in mnist_test.images[:300]:
        prepared = prepare_image(png_bytes(255 - digit))
        assert np.array_equal(prepared.pixels, digit)
        assert prepared.notes == (INVERTED,)


# The bounds below: shifting a digit by one pixel changes it by 16.6 in the mean over these 200. Measured: 0.2
# to 0.6 where pixels became blocks, 6.5 to 6.6 where they were smoothed, 9.2 for smooth photographs.


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "photographed"])
def test_a_digit_enlarged_in_blocks_comes_back_nearly_exactly(mnist_test: Any, view: str) -> None:
    assert mean_difference(mnist_test.images[:200], VIEWS[view], Image.Resampling.NEAREST) < 1


@pytest.mark.parametrize("view", VIEWS)
def test_a_digit_enlarged_smoothly_comes_back_within_a_pixel(mnist_test: Any, view: str) -> None:
    bound = 11 if view == "photographed" else 8
    assert mean_difference(mnist_test.images[:200], VIEWS[view], Image.Resampling.BICUBIC) < bound


@pytest.mark.parametrize("view", ["array", "white-png", "jpeg-80"])
def test_a_digit_cropped_to_its_ink_comes_back_within_a_pixel(mnist_test: Any, view: str) -> None:
    """No margin: half of the border may be ink. One of these, an upright 1, is nearly all ink: refused."""
    differences = []
    for digit in mnist_test.images[:120]:
        rows, columns = np.flatnonzero((digit > 128).any(1)), np.flatnonzero((digit > 128).any(0))
        crop = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        big = Image.fromarray(crop).resize((crop.shape[1] * 10, crop.shape[0] * 10), Image.Resampling.BICUBIC)
        with suppress(BadImageError):
            pixels = prepare_image(VIEWS[view](np.asarray(big), np.random.default_rng(0))).pixels
            differences.append(np.abs(pixels.astype(int) - digit).mean())
    assert len(differences) >= 119
    assert np.mean(differences) < 6  # 4.3 to 4.4 measured


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_a_thin_pen_draws_strokes_of_mnists_width(width: int) -> None:
    """A right angle: from (80, 80) right to (80, 280), then down to (440, 280)."""
    for gray in (0, 200):  # ink, and pencil
        page = np.full((500, 500), 255, np.uint8)
        page[80 : 80 + width, 80 : 280 + width] = gray
        page[80 : 440 + width, 280 : 280 + width] = gray
        pixels = prepare_image(page).pixels.astype(float)
        bounds = [
            (side[0], side[-1] + 1)
            for side in map(np.flatnonzero, ((pixels > 25).any(1), (pixels > 25).any(0)))
        ]
        (top, bottom), (left, right) = bounds
        assert bottom - top in (20, 21)
        assert right - left in (11, 12, 13)
        middle, center = pixels[(top + bottom) // 2, left:right], pixels[top:bottom, (left + right) // 2]
        for stroke in (middle, center):
            assert stroke.max() > 240
            assert 1.5 < stroke.sum() / 255 < 2.7


def test_a_pen_of_mnists_width_is_left_alone() -> None:
    assert np.array_equal(prepare_image(BIG).pixels, SEVEN)
    assert prepare_image(np.kron(SEVEN, np.ones((18, 18), np.uint8))).pixels.sum() == SEVEN.sum(dtype=int)


def test_the_center_of_mass_lands_on_pixel_14(mnist_test: Any) -> None:
    rng = np.random.default_rng(0)
    for digit in mnist_test.images[:100]:
        big = enlarged(digit, 6, rng, Image.Resampling.BICUBIC)
        pixels = prepare_image(big).pixels.astype(float)
        assert pixels.sum(1) @ np.arange(28) / pixels.sum() == pytest.approx(14, abs=0.501)
        assert pixels.sum(0) @ np.arange(28) / pixels.sum() == pytest.approx(14, abs=0.501)


# --- Any other picture ----------------------------------------------------------------------------------

BIG = seven(10)  # 300 x 300
RGBA_SEVEN = np.dstack([255 - BIG] * 3 + [BIG])  # black ink on nothing
PICTURES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "gray": (BIG, ()),
    "off-center": (np.pad(BIG, ((0, 200), (130, 0))), ()),
    "cut-tight": (BIG[20:220, 30:150], ()),
    "small": (seven(1), ()),
    "black-on-white": (encoded(255 - BIG), (INVERTED,)),
    "faint": (encoded((200 - BIG // 4).astype(np.uint8)), (INVERTED,)),
    "bmp": (encoded(BIG, "BMP"), ()),
    "webp": (encoded(BIG, "WEBP", lossless=True), ()),
    "gif": (encoded(BIG, "GIF"), ()),
    "tiff": (encoded(BIG, "TIFF", compression="tiff_lzw"), ()),
    "avif": (encoded(BIG, "AVIF", quality=100), ()),
    "one-bit": (encoded(Image.fromarray(255 - BIG).convert("1")), (INVERTED,)),
    "sixteen-bit": (encoded(BIG.astype(np.uint16) * 257), ()),
    "twelve-bit": (encoded(BIG.astype(np.uint16) * 16), ()),
    "eight-bits-in-sixteen": (encoded(BIG.astype(np.uint16)), ()),
    "mask-in-sixteen-bits": (encoded((BIG // 255).astype(np.uint16)), ()),
    "mask": (encoded(BIG // 255), ()),
    "rgb-array": (np.dstack([BIG] * 3), ()),
    "la": (encoded(Image.merge("LA", (Image.fromarray(BIG), Image.new("L", (300, 300), 255)))), ()),
    "alpha-only": (encoded(RGBA_SEVEN), ("drawn in transparency only: opaque used as ink",)),
    "cmyk-jpeg": (encoded(Image.fromarray(255 - BIG).convert("CMYK"), "JPEG", quality=100), (INVERTED,)),
    "palette": (encoded(Image.fromarray(np.dstack([255 - BIG] * 3)).quantize(4)), (INVERTED,)),
    "large": (encoded(seven(60)), ()),
    "sideways": (
        encoded(
            np.rot90(BIG),
            "PNG",
            exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
        ),
        ("rotated as its EXIF data say",),
    ),
}


@pytest.mark.parametrize("picture", PICTURES)
def test_the_same_seven_comes_out_of_every_kind_of_picture(picture: str) -> None:
    source, notes = PICTURES[picture]
    prepared = prepare_image(source)
    assert np.abs(prepared.pixels.astype(int) - SEVEN).max() <= 4  # lossy JPEG; 0 elsewhere
    assert prepared.notes == notes


def test_a_transparent_palette_color_is_background() -> None:
    image = Image.fromarray((BIG // 255).astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 0, 0, 0])  # black ink on transparent black
    prepared = prepare_image(encoded(image, "PNG", transparency=0))
    assert np.array_equal(prepared.pixels, SEVEN)
    assert prepared.notes == ("drawn in transparency only: opaque used as ink",)


@pytest.mark.parametrize(("ink", "notes"), [(220, ()), (40, (INVERTED,))])
def test_shaded_ink_on_nothing_gets_the_backdrop_that_shows_it(ink: int, notes: tuple[str, ...]) -> None:
    shade = np.full_like(BIG, ink)
    shade[:40] += 20
    prepared = prepare_image(np.dstack([shade] * 3 + [BIG]))
    assert np.array_equal(prepared.pixels > 200, SEVEN > 200)
    assert prepared.notes == notes


def test_transparent_corners_do_not_count_as_ink() -> None:
    alpha = np.full_like(BIG, 255)
    alpha[:9, :9] = alpha[-9:, -9:] = 0
    for gray in (BIG, 255 - BIG):
        assert np.array_equal(prepare_image(np.dstack([gray] * 3 + [alpha])).pixels, SEVEN)


def test_specks_of_dust_do_not_widen_the_crop() -> None:
    dusty = 255 - BIG
    dusty[290, 5] = dusty[280:282, 290:292] = 0
    assert np.array_equal(prepare_image(dusty).pixels, SEVEN)


def test_an_animation_gives_its_first_frame_and_says_so() -> None:
    first, second = Image.fromarray(BIG), Image.fromarray(BIG.T.copy())
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        prepared = prepare_image(encoded(first, kind, save_all=True, append_images=[second], **options))
        assert np.array_equal(prepared.pixels, SEVEN)
        assert prepared.notes == ("animated: first frame used",)


def test_broken_exif_does_not_spoil_a_picture() -> None:
    assert np.array_equal(prepare_image(encoded(BIG, exif=b"Exif\0\0junk")).pixels, SEVEN)


def test_a_pillow_image_is_left_as_it_was() -> None:
    image = Image.fromarray(255 - BIG)
    assert np.array_equal(prepare_image(image).pixels, SEVEN)
    assert np.array_equal(np.asarray(image), 255 - BIG)


# --- Modes and inversion --------------------------------------------------------------------------------


def test_mode_mnist_moves_a_centered_mnist_like_picture_that_auto_leaves() -> None:
    shifted = np.roll(SEVEN, 1, 1)  # its center is now 15.1, beyond what counts as MNIST-like
    barely = np.roll(SEVEN, -1, 1)  # and here 13.1, within
    assert np.array_equal(prepare_image(shifted).pixels, SEVEN)
    assert np.array_equal(prepare_image(barely).pixels, barely)
    assert np.array_equal(prepare_image(barely, preprocess=Preprocess.MNIST).pixels, SEVEN)
    assert looks_like_mnist(barely)
    assert not looks_like_mnist(shifted)


def test_a_mode_may_be_given_by_its_name() -> None:
    barely = np.roll(SEVEN, -1, 1)
    assert np.array_equal(prepare_image(barely, preprocess="mnist").pixels, SEVEN)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'crop' is not a valid Preprocess"):
        prepare_image(barely, preprocess="crop")  # type: ignore[arg-type]


def test_mode_none_takes_28x28_as_it_is_and_resizes_the_rest() -> None:
    ramp = np.arange(784, dtype=np.uint16).reshape(28, 28).astype(np.uint8)
    assert np.array_equal(prepare_image(255 - ramp, preprocess=Preprocess.NONE).pixels, 255 - ramp)
    doubled = prepare_image(ramp.repeat(2, 0).repeat(3, 1), preprocess=Preprocess.NONE)
    assert np.array_equal(doubled.pixels, ramp)
    assert doubled.notes == ("resized to 28x28",)


def test_invert_is_forced_in_every_mode() -> None:
    assert np.array_equal(prepare_image(255 - SEVEN, preprocess=Preprocess.NONE, invert=True).pixels, SEVEN)
    assert np.array_equal(prepare_image(SEVEN, preprocess=Preprocess.NONE, invert=False).pixels, SEVEN)
    for mode in (Preprocess.AUTO, Preprocess.MNIST):
        prepared = prepare_image(255 - BIG, preprocess=mode, invert=True)
        assert np.array_equal(prepared.pixels, SEVEN)
        assert prepared.notes == ()
        assert np.array_equal(prepare_image(BIG, preprocess=mode, invert=False).pixels, SEVEN)


def test_the_wrong_forced_polarity_finds_no_digit() -> None:
    for gray, invert in ((BIG, True), (255 - BIG, False)):
        with pytest.raises(BadImageError, match="no digit found in the picture") as caught:
            prepare_image(gray, invert=invert)
        assert "--invert/--no-invert" in caught.value.hint


# --- Refusals -------------------------------------------------------------------------------------------


def one_pixel(side: int) -> np.ndarray:
    gray = np.zeros((side, side), np.uint8)
    gray[side // 2, side // 3] = 255
    return gray


NOISE = np.random.default_rng(0)
BLANK: dict[str, np.ndarray] = {
    "black": np.zeros((28, 28), np.uint8),
    "white": np.full((300, 200), 255, np.uint8),
    "1x1": np.zeros((1, 1), np.uint8),
    "1x20000": NOISE.integers(0, 256, (1, 20000)).astype(np.uint8),
    "20000x1": NOISE.integers(0, 256, (20000, 1)).astype(np.uint8),
    "no-pixels": np.zeros((0, 5), np.uint8),
    "one-pixel-28": one_pixel(28),
    "one-pixel-300": one_pixel(300),
    "faint-noise": NOISE.integers(200, 208, (100, 100)).astype(np.uint8),
    "noise": NOISE.integers(0, 256, (300, 300)).astype(np.uint8),
    "gradient": np.tile(np.linspace(40, 220, 200), (200, 1)).astype(np.uint8),
    "transparent": np.zeros((50, 50, 4), np.uint8),
}


@pytest.mark.parametrize("blank", BLANK)
def test_pictures_without_content_are_refused(blank: str) -> None:
    with pytest.raises(BadImageError) as caught:
        prepare_image(BLANK[blank])
    assert caught.value.message == "no digit found in the picture"
    assert caught.value.exit_code == 2


def test_a_constant_picture_is_refused_in_mode_none() -> None:
    with pytest.raises(BadImageError, match="no digit found"):
        prepare_image(BLANK["black"], preprocess=Preprocess.NONE)


UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello, I am a picture\n" * 50,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="9"/></svg>',
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\n",
    "ppm": b"P5 28 28 255\n" + SEVEN.tobytes(),
    "truncated-tiff": encoded(SEVEN, "TIFF")[:500],
    "tga": encoded(SEVEN, "TGA"),
    "truncated-png": encoded(BIG)[:-60],
    "truncated-jpeg": encoded(BIG, "JPEG")[:900],
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_not_a_whole_picture_is_refused(kind: str) -> None:
    with pytest.raises(BadImageError) as caught:
        prepare_image(UNREADABLE[kind])
    assert caught.value.message == "cannot decode the picture: not a picture, or damaged"
    assert caught.value.hint == SUPPORTED


@pytest.mark.parametrize(
    ("width", "height", "bits", "message"),
    [
        (12_000, 12_000, 8, "the picture has 12000 x 12000 pixels, more than 4,194,304"),  # Pillow warns
        (9_433, 9_433, 1, "the picture has 9433 x 9433 pixels, more than 4,194,304"),  # Pillow is silent
        (20_000, 20_000, 1, "the picture has more than 4,194,304 pixels"),  # Pillow refuses
    ],
)
def test_bombs_are_refused_before_they_are_decoded(
    width: int, height: int, bits: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("the bomb was decoded"))
    with pytest.raises(BadImageError) as caught:
        decode_image(black_png(width, height, bits))
    assert caught.value.message == message
    assert caught.value.hint == "make the picture smaller: 28x28 is enough"


def test_a_picture_of_exactly_the_largest_size_is_decoded() -> None:
    assert decode_image(black_png(2048, 2048, 1)).size == (2048, 2048)


def test_arrays_of_another_shape_or_dtype_are_the_callers_mistake() -> None:
    expected = r"expected uint8 pixels \(H, W\), \(H, W, 3\) or \(H, W, 4\), not "
    for shape in ((28,), (28, 28, 2), (1, 28, 28, 3)):
        with pytest.raises(ValueError, match=expected + "uint8"):
            prepare_image(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=expected + "float64"):
        prepare_image(np.zeros((28, 28)))  # type: ignore[arg-type]


# --- Files ----------------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(BadImageError) as caught:
        read_image_file(path)
    return caught.value.message


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    missing, empty, large = tmp_path / "no.png", tmp_path / "empty.png", tmp_path / "large.png"
    empty.touch()
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert refusal(missing) == f"cannot read {missing}: no such file or directory"
    assert refusal(empty) == f"{empty} is empty"
    assert refusal(large) == f"{large} is larger than 10 MB"
    assert refusal(Path("a\0b")) == "cannot read a\0b: embedded null byte"


@pytest.mark.skipif(os.name == "nt", reason="Windows calls it a permission error")
def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"cannot read {tmp_path}: is a directory"


def test_a_file_of_exactly_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(MAX_BYTES))
    assert len(read_image_file(path)) == MAX_BYTES


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert refusal(pipe) == f"cannot read {pipe}: not a regular file"


def test_errors_name_the_file(tmp_path: Path) -> None:
    blank, text = tmp_path / "blank.png", tmp_path / "text.png"
    blank.write_bytes(encoded(BLANK["white"]))
    text.write_text("not a picture")
    with pytest.raises(BadImageError) as caught:
        prepare_image(blank)
    assert caught.value.message == f"no digit found in {blank}"
    with pytest.raises(BadImageError) as caught:
        prepare_image(str(text))
    assert caught.value.message == f"cannot decode {text}: not a picture, or damaged"


# --- Batches and PNG ------------------------------------------------------------------------------------


def test_a_batch_is_standardised_as_in_training() -> None:
    gray = np.zeros((2, 28, 28), np.uint8)
    gray[0, 3, 4], gray[1, 27, 0] = 255, 51
    batch = to_batch(gray)
    assert batch.shape == (2, 1, 28, 28)
    assert batch.dtype == np.float32
    expected = np.full((2, 1, 28, 28), -0.1307 / 0.3081)  # black
    expected[0, 0, 3, 4] = (1 - 0.1307) / 0.3081
    expected[1, 0, 27, 0] = (0.2 - 0.1307) / 0.3081
    np.testing.assert_allclose(batch, expected, rtol=0, atol=1e-6)
    assert to_batch(gray[:0]).shape == (0, 1, 28, 28)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 27), (1, 1, 28, 28)])
def test_a_batch_of_another_shape_is_the_callers_mistake(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 images \(N, 28, 28\), not uint8"):
        to_batch(np.zeros(shape, np.uint8))


def test_a_batch_of_floats_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="not float32"):
        to_batch(np.zeros((1, 28, 28), np.float32))  # type: ignore[arg-type]


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
@settings(max_examples=50, deadline=None)
def test_png_bytes_keep_every_pixel(pixels: np.ndarray) -> None:
    assert np.array_equal(np.asarray(decode_image(png_bytes(pixels))), pixels)


def test_png_bytes_refuse_transparency_and_floats() -> None:
    with pytest.raises(ValueError, match=r"expected uint8 pixels \(H, W\)"):
        png_bytes(np.zeros((28, 28, 4), np.uint8))
    with pytest.raises(ValueError, match=r"expected uint8 pixels \(H, W\)"):
        png_bytes(np.zeros((28, 28)))  # type: ignore[arg-type]


# --- Anything at all ------------------------------------------------------------------------------------

SEEDS = [encoded(seven(2), kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF")]


def prepare_or_refuse(source: bytes | np.ndarray, preprocess: Preprocess) -> None:
    try:
        pixels = prepare_image(source, preprocess=preprocess).pixels
    except BadImageError:
        return
    assert pixels.shape == (28, 28)
    assert pixels.dtype == np.uint8


@given(st.binary(max_size=300), st.sampled_from([b"", *(seed[:20] for seed in SEEDS)]))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_prepared_or_refused(data: bytes, prefix: bytes) -> None:
    prepare_or_refuse(prefix + data, Preprocess.AUTO)


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_pictures_are_prepared_or_refused(seed: bytes, data: st.DataObject) -> None:
    damaged = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    prepare_or_refuse(bytes(damaged[: data.draw(st.integers(1, len(seed)))]), Preprocess.AUTO)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40)),
    st.sampled_from(Preprocess),
)
@settings(max_examples=300, deadline=None)
def test_arbitrary_pixels_are_prepared_or_refused(pixels: np.ndarray, preprocess: Preprocess) -> None:
    prepare_or_refuse(pixels, preprocess)
