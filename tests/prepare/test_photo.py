"""Photographs: turned, flattened and fitted, with pixels worked out by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.photo import prepare_photo

COLOR = ImageInput("photo", 1, 4, 4, 3, (0.0,) * 3, (1.0,) * 3, background=9)
GREY = ImageInput("photo", 1, 4, 4, 1, (0.0,), (1.0,))


def halves(width: int, height: int) -> Image.Image:
    """Red above, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = 200
    pixels[height // 2 :, :, 2] = 100
    return Image.fromarray(pixels)


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    made, notes = prepare_photo(Image.fromarray(pixels), COLOR)
    np.testing.assert_array_equal(made, pixels, strict=True)
    assert notes == ()


def test_a_wide_picture_is_letterboxed_on_the_background() -> None:
    made, _ = prepare_photo(Image.new("RGB", (40, 20), (200, 0, 50)), COLOR)
    assert made.shape == COLOR.picture_shape
    np.testing.assert_array_equal(made[[0, 3]], np.full((2, 4, 3), 9))
    np.testing.assert_array_equal(made[1:3], np.broadcast_to([200, 0, 50], (2, 4, 3)))


def test_a_tall_picture_is_cut_in_the_middle() -> None:
    pixels = np.zeros((60, 20, 3), np.uint8)
    pixels[9:51] = 77  # more than the middle third
    made, _ = prepare_photo(Image.fromarray(pixels), replace(COLOR, fit="crop"))
    np.testing.assert_array_equal(made, np.full((4, 4, 3), 77))


def test_a_stretched_picture_fills_the_whole_size() -> None:
    made, _ = prepare_photo(halves(4, 40), replace(COLOR, fit="stretch"))
    np.testing.assert_allclose(made[0], np.broadcast_to([200, 0, 0], (4, 3)), atol=4)  # of a cubic's swing
    np.testing.assert_allclose(made[3], np.broadcast_to([0, 0, 100], (4, 3)), atol=4)


@pytest.mark.parametrize("fit", ["letterbox", "crop", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (3, 5)])
def test_any_shape_gives_the_shape_of_the_input(fit, size) -> None:
    made, _ = prepare_photo(Image.new("RGB", size, (10, 20, 30)), replace(COLOR, fit=fit))
    assert (made.shape, made.dtype) == ((4, 4, 3), np.uint8)
    assert (made == [10, 20, 30]).all(axis=2).any()


def test_transparency_shows_the_background_and_half_of_it_half() -> None:
    layer = np.zeros((4, 4, 4), np.uint8)
    layer[:2] = (255, 0, 0, 255)
    layer[2] = (255, 255, 255, 0)  # what is invisible has no color
    layer[3] = (109, 109, 109, 128)
    made, _ = prepare_photo(Image.fromarray(layer), COLOR)
    np.testing.assert_array_equal(made[0], np.broadcast_to([255, 0, 0], (4, 3)))
    np.testing.assert_array_equal(made[2], np.full((4, 3), 9))
    np.testing.assert_allclose(made[3], 59, atol=1)  # half of 109 and 9


def test_a_palette_with_a_transparent_color_is_flattened_too() -> None:
    image = Image.fromarray(np.zeros((4, 4), np.uint8), "L").convert("P")
    image.info["transparency"] = 0
    made, _ = prepare_photo(image, COLOR)
    np.testing.assert_array_equal(made, np.full((4, 4, 3), 9))


def test_color_becomes_gray_where_the_network_sees_gray() -> None:
    made, _ = prepare_photo(Image.new("RGB", (4, 4), (255, 0, 0)), GREY)
    np.testing.assert_array_equal(made, np.full((4, 4), 76), strict=False)  # 0.299 of 255
    assert made.shape == GREY.picture_shape


@pytest.mark.parametrize(("value", "gray"), [(65_535, 255), (257 * 7, 7), (200, 200), (1, 1)])
def test_16_bits_are_scaled_unless_their_values_need_only_8(value, gray) -> None:
    image = Image.fromarray(np.full((4, 4), value, np.uint16))
    made, _ = prepare_photo(image, GREY)
    np.testing.assert_array_equal(made, np.full((4, 4), gray))


def test_a_turned_photograph_is_set_upright_and_said_so() -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # the camera was held with its right side down
    halves(4, 4).save(file, "PNG", exif=exif)
    made, notes = prepare_photo(Image.open(file), COLOR)
    np.testing.assert_array_equal(made, np.rot90(np.asarray(halves(4, 4)), -1))
    assert notes == ("rotated as its EXIF data say",)
