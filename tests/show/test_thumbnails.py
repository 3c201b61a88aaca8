"""Pictures in cells: exact characters, exact grays, and what a terminal shows is read back."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.text import Text
from test_graphics import decode_kitty, decode_sixel

from simsearch.show.terminal.thumbnails import (
    Canvas,
    Rendering,
    braille,
    cells,
    graphic,
    shaded,
    silhouette,
)
from simsearch.show.terminal.tiles import Beside, Tile, TileGrid, tiles_across

BLOCKS = Canvas(Rendering.BLOCKS)


def square(top: int, bottom: int, left: int, right: int, gray: int = 255) -> np.ndarray:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[top:bottom, left:right] = gray
    return pixels


def draw(renderable: object, width: int = 80, **settings: object) -> str:
    """What a console of this width writes."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, **settings)  # type: ignore[arg-type]
    console.print(renderable, crop=False)
    return console.file.getvalue()  # type: ignore[attr-defined]


def plain(text: str) -> list[str]:
    return [line.rstrip() for line in Text.from_ansi(text).plain.splitlines()]


def test_a_silhouette_fills_quadrants_with_ink() -> None:
    # Rows 0 to 3 are the first line's two halves of two pixels each; a cell is 2 pixels wide.
    assert silhouette(square(0, 2, 0, 28))[0] == "▀" * 14
    assert silhouette(square(2, 4, 0, 28))[0] == "▄" * 14
    assert silhouette(square(0, 4, 1, 2))[0] == "▐" + " " * 13
    assert silhouette(square(4, 6, 2, 3))[1] == " ▘" + " " * 12
    assert silhouette(square(4, 8, 2, 4) | square(6, 8, 5, 6))[1] == " █▗" + " " * 11
    assert silhouette(square(0, 0, 0, 0)) == [" " * 14] * 7


def test_a_silhouette_shows_faint_ink_and_leaves_out_what_is_much_fainter() -> None:
    assert silhouette(square(0, 4, 0, 28, 40))[0] == "█" * 14
    assert silhouette(square(0, 4, 0, 28) | square(4, 8, 0, 28, 90))[1] == " " * 14


def test_braille_has_a_dot_a_pixel() -> None:
    # Unicode's order: left column 1, 2, 3, 7; right column 4, 5, 6, 8.
    dots = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    for (row, column), dot in np.ndenumerate(dots):
        lines = braille(square(row, row + 1, column, column + 1))
        assert lines[0] == chr(0x2800 + dot) + "⠀" * 13
        assert lines[1:] == ["⠀" * 14] * 6
    assert braille(square(24, 28, 26, 28))[6] == "⠀" * 13 + "⣿"


def gray(level: int) -> tuple[int, int, int]:
    return level, level, level


def test_a_cell_has_the_mean_grays_of_its_lighter_and_darker_quarters() -> None:
    pixels = square(0, 2, 0, 1, 200)
    pixels[2:4, 1] = 100  # one diagonal of the first cell: 200 and 100; half of their span is 100
    assert shaded(pixels)[0][0] == ("▘", gray(200), gray(33))  # the rest: 100, 0 and 0
    pixels[2:4, 1] = 150
    assert shaded(pixels)[0][0] == ("▚", gray(175), gray(0))
    assert shaded(square(0, 4, 0, 2, 77))[0][0] == (" ", gray(0), gray(77))
    assert shaded(square(0, 2, 0, 2, 15))[0][0] == (" ", gray(0), gray(8))  # nearly flat: the mean


def test_a_cell_of_a_color_picture_has_the_mean_colors_of_its_quarters() -> None:
    pixels = np.zeros((28, 28, 3), np.uint8)
    pixels[0:2, 0] = (200, 0, 0)
    pixels[0:2, 1] = (0, 200, 0)
    pixels[2:4, 0:2] = (0, 0, 40)
    assert shaded(pixels)[0][0] == ("▝", (0, 200, 0), (67, 0, 27))  # green is brighter than red and blue


def test_the_cells_read_back_as_the_picture_in_two_grays_a_cell() -> None:
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 2, (14, 28)) * 180 + 30, np.ones((2, 1), int)).astype(np.uint8)
    drawn = np.zeros((14, 28), int)
    for row, line in enumerate(shaded(pixels)):
        for column, (block, front, back) in enumerate(line):
            code = " ▗▖▄▝▐▞▟▘▚▌▙▀▜▛█".index(block)
            for bit, (y, x) in enumerate([(1, 1), (1, 0), (0, 1), (0, 0)]):
                drawn[2 * row + y, 2 * column + x] = (front if code >> bit & 1 else back)[0]
    np.testing.assert_array_equal(drawn, pixels[::2])


@pytest.mark.parametrize("size", [(28, 28), (28, 28, 3), (128, 96, 3), (20, 300), (1, 1, 3)])
@pytest.mark.parametrize("rendering", list(Rendering)[:2])
def test_a_picture_of_any_size_takes_its_seven_lines(size: tuple[int, ...], rendering: Rendering) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    lines = cells(Console(force_terminal=True, color_system="truecolor"), pixels, rendering)
    assert [sum(len(segment.text) for segment in line) for line in lines] == [14] * 7


def test_colors_reach_the_terminal_as_a_graphic() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    drawn = graphic([red, np.full((28, 28), 128, np.uint8)], Canvas(Rendering.KITTY))
    data = "".join(part.split(";", 1)[1] for part in drawn.split("\x1b\\") if ";" in part)
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (image.mode, image.size) == ("RGBA", (126 + 18 + 126, 126))
    assert image.getpixel((60, 60)) == (255, 0, 0, 255)
    assert image.getpixel((135, 60))[3] == 0  # the gap
    assert image.getpixel((200, 60)) == (128, 128, 128, 255)


@pytest.mark.parametrize(
    ("width", "across"), [(10, 1), (14, 1), (29, 1), (30, 2), (80, 5), (100, 6), (120, 7)]
)
def test_as_many_tiles_as_fit_stand_side_by_side(width: int, across: int) -> None:
    assert tiles_across(width) == across
    tile = Tile(square(0, 28, 0, 28), (Text("caption"),))
    lines = plain(draw(TileGrid([tile] * (across + 1), BLOCKS), width, no_color=True))
    assert lines[0] == "  ".join(["█" * 14] * across)
    assert lines[7].split() == ["caption"] * across
    assert lines[8:10] == ["", "█" * 14]
    assert max(map(len, lines)) <= max(width, 14)


def test_captions_are_cut_and_filled_to_the_picture() -> None:
    tiles = [
        Tile(square(0, 4, 0, 28), (Text("a very long caption"), Text("second"))),
        Tile(square(4, 8, 0, 28), (Text("short"),)),
        Tile(square(4, 8, 0, 28), (Text("数字数字数字数字"),)),  # two cells a character
    ]
    lines = draw(TileGrid(tiles, BLOCKS), no_color=True).splitlines()
    assert lines[7] == "a very long c…  short           数字数字数字 …"
    assert lines[8].rstrip() == "second"


def test_color_draws_grays_and_none_draws_silhouettes() -> None:
    tile = TileGrid([Tile(square(0, 2, 0, 1, 200), (Text("x"),))], BLOCKS)
    shades = draw(tile, color_system="truecolor")
    assert shades.startswith(
        "\x1b[38;2;200;200;200;48;2;0;0;0m▘\x1b[0m\x1b[38;2;0;0;0;48;2;0;0;0m             "
    )
    for settings in ({"no_color": True}, {"color_system": None}):
        assert draw(tile, **settings).startswith("▘             \n")


def test_a_terminal_of_few_colors_does_not_change_what_one_of_many_gets_afterwards() -> None:
    """Rich's styles keep the codes that they are first drawn with."""
    tile = TileGrid([Tile(square(0, 2, 0, 1, 201), (Text("x"),))], BLOCKS)
    assert "38;2;" not in draw(tile, color_system="standard")
    assert "\x1b[38;2;201;201;201;48;2;0;0;0m" in draw(tile, color_system="truecolor")


def test_text_stands_beside_a_picture_and_folds() -> None:
    text = Text("one\n" + "two " * 12)
    lines = plain(draw(Beside(square(0, 28, 0, 28), text, BLOCKS), 36, no_color=True))
    assert lines[0] == "█" * 14 + "  one"
    assert lines[1] == "█" * 14 + "  two two two two two"
    assert len(lines) == 7
    long = plain(draw(Beside(square(0, 28, 0, 28), Text("line\n" * 9), BLOCKS), no_color=True))
    assert long[6:9] == ["█" * 14 + "  line", " " * 16 + "line", " " * 16 + "line"]


def test_a_row_by_kitty_is_one_picture_over_the_cells_that_blocks_would_take() -> None:
    tiles = [Tile(square(0, 28, 0, 28, 90), (Text("one"),)), Tile(square(0, 28, 0, 28, 60), (Text("two"),))]
    text = draw(TileGrid(tiles, Canvas(Rendering.KITTY)))
    start, end = text.index("\x1b_G"), text.rindex("\x1b\\") + 2
    assert text[:start] == "\n" * 7 + "\x1b[7A"
    keys, pixels = decode_kitty(text[start:end])
    assert (keys["c"], keys["r"], pixels.shape) == ("30", "7", (28, 60, 2))
    assert text[end:] == "\x1b[7Bone             two           \n\n"
    np.testing.assert_array_equal(pixels[0, :, 0], [90] * 28 + [0] * 4 + [60] * 28)
    np.testing.assert_array_equal(pixels[0, :, 1], [255] * 28 + [0] * 4 + [255] * 28)


def test_a_row_by_sixel_has_the_pixels_of_its_cells() -> None:
    tiles = [Tile(square(0, 14, 0, 28), (Text("one"),)), Tile(square(0, 28, 0, 28), (Text("two"),))]
    text = draw(TileGrid(tiles, Canvas(Rendering.SIXEL, (10, 20))))
    start, end = text.index("\x1b7"), text.rindex("\x1b8") + 2
    pixels = decode_sixel(text[start:end])
    assert pixels.shape == (140, 300)
    assert (pixels[:70, :140] == 100).all()
    assert (pixels[70:, :140] == 0).all()
    assert np.isnan(pixels[:, 140:160]).all()
    assert (pixels[:, 160:] == 100).all()


def test_text_beside_a_graphic_moves_over_it_without_writing() -> None:
    text = draw(Beside(square(0, 28, 0, 28), Text("one\ntwo"), Canvas(Rendering.KITTY)))
    after = text[text.rindex("\x1b\\") + 2 :]
    assert after.startswith("\x1b[16Cone\n\x1b[16Ctwo\n\x1b[16C\n")
    assert after.count("\n") == 7


def test_text_beside_a_grid_goes_on_over_captions_and_graphics() -> None:
    tiles = [Tile(square(0, 28, 0, 28), (Text("one"),)), Tile(square(0, 28, 0, 28), (Text("two"),))]
    side = [Text(f"line {number}") for number in range(11)]
    lines = plain(draw(TileGrid(tiles, BLOCKS, side), 46, no_color=True))
    assert lines[0] == "█" * 14 + "  " + "█" * 14 + "  line 0"
    assert lines[7] == "one             two             line 7"
    assert lines[8:] == [" " * 32 + f"line {number}" for number in (8, 9, 10)]
    narrow = plain(draw(TileGrid(tiles, BLOCKS, side), 38, no_color=True))
    assert narrow[0] == "█" * 14 + "  line 0"
    assert narrow[9] == "█" * 14 + "  line 9"
    text = draw(TileGrid(tiles, Canvas(Rendering.KITTY), side[:2]), 60)
    assert text[text.rindex("\x1b\\") + 2 :].startswith("\x1b[32Cline 0\n\x1b[32Cline 1\n\n")
