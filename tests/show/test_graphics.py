"""What was written is decoded again, by decoders that follow the protocols and share no code with ours."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from simsearch.show.terminal.graphics import SIXEL_COLORS, SIXEL_LEVELS, forward, kitty, reserve, sixel


def decode_kitty(text: str) -> tuple[dict[str, str], np.ndarray]:
    """Keys of the first escape sequence, and the pixels (H, W, 2) of the PNG in all of them."""
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in parts) == text
    keys = [dict(pair.split("=") for pair in part[0].split(",")) for part in parts]
    assert [key["m"] for key in keys] == ["1"] * (len(parts) - 1) + ["0"]
    assert all(set(key) == {"m"} for key in keys[1:])
    assert all(
        len(data) <= 4096 and (len(data) % 4 == 0 or row == len(parts) - 1)
        for row, (_, data) in enumerate(parts)
    )
    png = base64.b64decode("".join(data for _, data in parts), validate=True)
    return keys[0], np.array(Image.open(io.BytesIO(png)))


def decode_sixel(text: str) -> np.ndarray:
    """Percent of gray of each pixel, float (H, W); NaN where none was set."""
    colors = decode_colors(text)
    gray = np.isnan(colors).all(axis=2) | (colors == colors[..., :1]).all(axis=2)
    assert gray.all()
    return colors[..., 0]


def decode_colors(text: str) -> np.ndarray:
    """Percent of red, green and blue of each pixel, float (H, W, 3); NaN where none was set."""
    match = re.fullmatch(r'\x1b7\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\\x1b8', text, re.DOTALL)
    assert match
    width, height = int(match[1]), int(match[2])
    pixels = np.full((-(-height // 6) * 6, width, 3), np.nan)
    palette: dict[int, tuple[int, int, int]] = {}
    x = y = color = 0
    for token in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|!\d+[?-~]|[?-~$-]", match[3]):
        if token.startswith("#") and ";" in token:
            number, _, red, green, blue = map(int, token[1:].split(";"))
            palette[number] = (red, green, blue)
        elif token.startswith("#"):
            color = int(token[1:])
        elif token == "$":
            x = 0
        elif token == "-":
            x, y = 0, y + 6
        else:
            count, character = (int(token[1:-1]), token[-1]) if token[0] == "!" else (1, token)
            for bit in range(6):
                if (ord(character) - 63) >> bit & 1:
                    pixels[y + bit, x : x + count] = palette[color]
            x += count
            assert x <= width
    assert np.isnan(pixels[height:]).all()
    return pixels[:height]


def noise(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(height * 1_000 + width)
    return rng.integers(256, size=(height, width), dtype=np.uint8), rng.random((height, width)) < 0.8


@pytest.mark.parametrize(("height", "width"), [(28, 28), (1, 1), (28, 160), (200, 300)])
def test_a_kitty_picture_decodes_to_the_same_pixels(height: int, width: int) -> None:
    grays, opaque = noise(height, width)
    keys, pixels = decode_kitty(kitty(grays, opaque, 14, 7))
    assert keys == {"a": "T", "f": "100", "q": "2", "C": "1", "c": "14", "r": "7", "m": keys["m"]}
    np.testing.assert_array_equal(pixels[..., 0], grays)
    np.testing.assert_array_equal(pixels[..., 1], np.where(opaque, 255, 0))


@pytest.mark.parametrize(("height", "width"), [(28, 28), (1, 1), (6, 40), (7, 3), (112, 250)])
def test_a_sixel_picture_decodes_to_the_same_pixels(height: int, width: int) -> None:
    grays, opaque = noise(height, width)
    grays[:, width // 2 :] = 255  # runs
    pixels = decode_sixel(sixel(grays, opaque))
    np.testing.assert_array_equal(np.isnan(pixels), ~opaque)
    level = np.rint(grays / 255 * (SIXEL_LEVELS - 1))
    np.testing.assert_array_equal(pixels[opaque], np.rint(100 * level / (SIXEL_LEVELS - 1))[opaque])


def test_a_sixel_picture_in_color_decodes_to_its_colors() -> None:
    colors = np.zeros((20, 31, 3), np.uint8)
    colors[:, :10], colors[:, 10:21], colors[5:9, 21:] = (220, 20, 60), (0, 128, 128), (255, 255, 255)
    opaque = np.ones((20, 31), bool)
    opaque[:3, :4] = False
    pixels = decode_colors(sixel(colors, opaque))
    np.testing.assert_array_equal(np.isnan(pixels[..., 0]), ~opaque)
    np.testing.assert_allclose(pixels[opaque], colors[opaque] / 2.55, atol=0.5)


def test_more_colors_than_a_terminal_has_are_brought_to_close_ones() -> None:
    rows, columns = np.mgrid[:60, :80]
    colors = np.stack([4 * rows, 3 * columns, 255 - 2 * (rows + columns) // 2], axis=2).astype(np.uint8)
    text = sixel(colors, np.ones((60, 80), bool))
    assert len(re.findall(r"#\d+;2;", text)) == SIXEL_COLORS
    assert np.abs(decode_colors(text) - colors / 2.55).mean() < 2.5


def test_a_flat_picture_is_written_as_runs() -> None:
    text = sixel(np.full((6, 100), 255, np.uint8), np.full((6, 100), True))
    assert text.endswith("#15!100~\x1b\\\x1b8")


def test_room_is_made_below_and_the_cursor_returns() -> None:
    assert reserve(3) == "\n\n\n\x1b[3A"
    assert forward(16) == "\x1b[16C"
