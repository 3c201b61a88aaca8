"""Further families: the papers, boards and files that people bring, and more pages with nothing to know."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from papers import sheets
from papers.digits import Ink, Rng, line_of
from papers.families import Digit, Maker, page_of, put, size
from papers.sheets import Page, captured, color, ink_color, lay, light_color, photographed

_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {3: 2, 6: 1, 8: 3}  # its value: quarter turns, counterclockwise, that the camera saw


def _lined(page: Page, rng: Rng, shade: sheets.Color, turns: tuple[float, ...] = (0,)) -> None:
    """Lines a pitch apart, level but for a few degrees."""
    height, width = page.shape[:2]
    pitch, angle = rng.uniform(0.05, 0.14) * min(height, width), rng.uniform(-0.1, 0.1)
    thick = rng.uniform(0.7, 2.2) * max(1, min(height, width) / 500)
    for turn in turns:
        lay(page, sheets.stripes(height, width, pitch, thick, angle + turn, rng.uniform(0, pitch)), shade)


def _line(page: Page, shade: sheets.Color, pen: float, *points: tuple[float, float]) -> None:
    """A stroke through points, as shares of width and height, that may lie outside the page."""
    height, width = page.shape[:2]
    places = [(x * width, y * height) for x, y in points]
    ink = line_of(places, pen)
    lay(page, ink, shade, *(round(min(place[axis] for place in places) - pen / 2) for axis in (1, 0)))


def _pad(rng: Rng) -> Page:
    """A sheet of a yellow pad: blue lines, a double margin in red."""
    page = sheets.blank(*size(rng, 240, 1000), color(250, 238, 150) * rng.uniform(0.9, 1.02))
    _lined(page, rng, color(120, 150, 190))
    place, pen = rng.uniform(0.08, 0.16), max(1.2, rng.uniform(0.003, 0.006) * page.shape[1])
    for shift in (0, 0.02):
        _line(page, color(215, 80, 80), pen, (place + shift, -0.1), (place + shift, 1.1))
    return page


def _holes(page: Page, rng: Rng) -> None:
    """The holes of a binder along the left edge, with the dark below showing."""
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    reach, place = rng.uniform(0.018, 0.035) * min(height, width), rng.uniform(0.05, 0.09) * width
    shade = color(*[rng.uniform(10, 120)] * 3)
    for row in np.linspace(-0.5, 0.5, int(rng.integers(2, 5)) + 2)[1:-1]:
        far = np.hypot(y - row * height, x + width / 2 - place)
        lay(page, np.clip(reach + 0.5 - far, 0, 1), shade)


def _creases(page: Page, rng: Rng) -> None:
    """Folds: each side of a line a little lighter or darker, fading away from it."""
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    for _ in range(int(rng.integers(2, 7))):
        angle, place = rng.uniform(0, np.pi), rng.uniform(-0.35, 0.35) * min(height, width)
        side = x * np.cos(angle) + y * np.sin(angle) - place
        reach = rng.uniform(0.03, 0.15) * min(height, width)
        page *= (1 + rng.uniform(-0.13, 0.13) * np.sign(side) * np.exp(-np.abs(side) / reach))[:, :, None]


def _words(rng: Rng, letters: int, tall: int) -> Ink:
    """A line of print."""
    said = "".join(chr(int(c)) for c in rng.integers(97, 123, letters))
    said = " ".join(said[i : i + 5] for i in range(0, letters, 5))
    picture = Image.new("L", (8 * len(said), 14))
    ImageDraw.Draw(picture).text((1, 1), said, fill=255)
    picture = picture.crop(picture.getbbox())
    picture = picture.resize((max(picture.width * tall // picture.height, 2), tall), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32) / 255


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _picture(page: Page) -> Image.Image:
    return Image.fromarray(page.round().clip(0, 255).astype(np.uint8))


# --- Paper and boards -----------------------------------------------------------------------------------


def yellow_pad(digit: Digit, rng: Rng) -> bytes:
    """A yellow pad with its margin."""
    page = _pad(rng)
    put(page, digit, rng, ink_color(rng), (0.3, 0.65))
    sheets.lit(page, rng, rng.uniform(0, 0.25))
    return photographed(page, rng)


def blue_on_blue_grid(digit: Digit, rng: Rng) -> bytes:
    """A blue pen on a strong blue grid."""
    page = page_of(rng, 300, 1000)
    _lined(page, rng, page[0, 0] * color(0.5, 0.62, 0.9), (0, np.pi / 2))
    put(page, digit, rng, color(25, 40, 130) + rng.uniform(0, 30), (0.35, 0.7))
    return captured(page, rng)


def pencil_on_squares(digit: Digit, rng: Rng) -> bytes:
    """A pencil not much darker than the squares."""
    page = page_of(rng, 350, 1000)
    paper = page[0, 0].copy()
    _lined(page, rng, paper * rng.uniform(0.82, 0.92), (0, np.pi / 2))
    put(page, digit, rng, paper * rng.uniform(0.35, 0.55), (0.35, 0.7))
    return photographed(page, rng, worst=60, grain=3)


def binder_holes(digit: Digit, rng: Rng) -> bytes:
    """A punched sheet, ruled or not."""
    page = page_of(rng, 250, 1000)
    if rng.random() < 0.5:
        _lined(page, rng, page[0, 0] * color(0.6, 0.7, 0.9))
    put(page, digit, rng, ink_color(rng), (0.35, 0.62))
    _holes(page, rng)
    return photographed(page, rng)


def creased(digit: Digit, rng: Rng) -> bytes:
    """A sheet that was folded, or crumpled."""
    page = page_of(rng, 250, 900)
    put(page, digit, rng, ink_color(rng, 70), (0.35, 0.7))
    _creases(page, rng)
    sheets.lit(page, rng, rng.uniform(0, 0.3))
    return photographed(page, rng)


def chalk(digit: Digit, rng: Rng) -> bytes:
    """Chalk, broken by the board's grain, on a board that was wiped badly."""
    page = sheets.blank(*size(rng, 250, 900), color(40, 62, 50) * rng.uniform(0.5, 1.3))
    height, width = page.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        (x0, y0), (x1, y1) = rng.uniform(0, 1, (2, 2))
        _line(page, page[0, 0] * rng.uniform(1.1, 1.3), rng.uniform(0.05, 0.2) * height, (x0, y0), (x1, y1))
    before = page.copy()
    put(page, digit, rng, color(240, 240, 230) * rng.uniform(0.85, 1), (0.35, 0.7))
    coarse = rng.uniform(0, 1, (height // 2 + 1, width // 2 + 1)) < rng.uniform(0, 0.25)
    broken = np.kron(coarse, np.ones((2, 2)))[:height, :width, None]
    return photographed(page * (1 - broken) + before * broken, rng)


def small_on_a_page(digit: Digit, rng: Rng) -> bytes:
    """A digit of a tenth to a fifth of the page's height, anywhere on it."""
    page = page_of(rng, 600, 1800)
    height, width = page.shape[:2]
    ink = digit.ink(int(rng.uniform(0.09, 0.2) * min(height, width)), rng, rng.uniform(0.07, 0.15))
    top, left = (int(rng.uniform(0.1, 0.9) * (a - b)) for a, b in zip(page.shape, ink.shape, strict=False))
    lay(page, ink, ink_color(rng), top, left)
    return captured(page, rng)


def held_in_a_hand(digit: Digit, rng: Rng) -> bytes:
    """A sheet before a wall that is darker, with a hand at its lower edge."""
    page = page_of(rng, 250, 900)
    put(page, digit, rng, ink_color(rng), (0.3, 0.5))
    page = sheets.on_desk(page, rng, rng.uniform(60, 150, 3).astype(np.float32), "tlr", 0.2)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    for place in rng.uniform(-0.4, 0.4, 2):
        reach = rng.uniform(0.05, 0.09) * width
        far = np.hypot((x - place * width) / reach, (y - 0.5 * height) / (2 * reach))
        lay(page, np.clip((1 - far) * reach, 0, 1).astype(np.float32), color(200, 150, 125))
    return photographed(page, rng)


def show_through(digit: Digit, rng: Rng) -> bytes:
    """Writing on the back that shines through."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        text = _words(rng, 20, max(8, int(rng.uniform(0.04, 0.08) * height)))[:, ::-1]
        top, left = int(rng.uniform(0, 0.9) * height), int(rng.uniform(-0.2, 0.3) * width)
        lay(page, text * rng.uniform(0.05, 0.15), color(60, 60, 70), top, left)
    put(page, digit, rng, ink_color(rng, 70), (0.4, 0.7))
    return photographed(page, rng)


def touching_frame(digit: Digit, rng: Rng) -> bytes:
    """A frame at the edge that the digit's end touches or crosses by a little."""
    page = page_of(rng, 150, 900)
    height, width = page.shape[:2]
    thick = max(1, round(rng.uniform(0.004, 0.012) * min(height, width)))
    lay(page, sheets.box(height, width, 0, thick), color(*[rng.uniform(0, 120)] * 3))
    ink = digit.ink(int(0.7 * height), rng, rng.uniform(0.06, 0.12))
    if ink.shape[1] > 0.8 * width:
        ink = digit.ink(int(0.45 * height), rng, 0.1)
    lay(page, ink, ink_color(rng), height - thick - ink.shape[0] + 1, round((width - ink.shape[1]) / 2))
    return captured(page, rng)


# --- Files ----------------------------------------------------------------------------------------------


def turned_phone(digit: Digit, rng: Rng) -> bytes:
    """A photograph that lies on its side, with the turn in its EXIF data."""
    page = page_of(rng, 800, 1600)
    put(page, digit, rng, ink_color(rng), (0.25, 0.6))
    sheets.lit(page, rng, rng.uniform(0.05, 0.4))
    turn = list(_TURNS)[int(rng.integers(3))]
    exif = Image.Exif()
    exif[_ORIENTATION] = turn
    return _saved(_picture(np.rot90(page, _TURNS[turn])), "JPEG", quality=80, exif=exif.tobytes())


def deep_gray(digit: Digit, rng: Rng) -> bytes:
    """16 bits of gray, of which all are used, or 8, 10 or 12."""
    page = page_of(rng, 100, 700)
    put(page, digit, rng, ink_color(rng), (0.35, 0.7))
    most = 2.0 ** rng.choice([8, 10, 12, 16]) - 1
    gray = page.mean(axis=2).clip(0, 255) * (most / 255)
    return _saved(Image.fromarray(gray.round().astype(np.uint16)), "PNG")


def bits(digit: Digit, rng: Rng) -> bytes:
    """One bit a pixel, or a mask of 0 and 1 in bytes; light on dark or dark on light."""
    page = np.zeros((*size(rng, 60, 700), 3), np.float32)
    put(page, digit, rng, color(1, 1, 1), (0.4, 0.75))
    mask = page[:, :, 0] > 0.5
    mask = mask if rng.random() < 0.5 else ~mask
    one = Image.fromarray(mask) if rng.random() < 0.5 else Image.fromarray(mask.astype(np.uint8))
    return _saved(one, "PNG")


def palette(digit: Digit, rng: Rng) -> bytes:
    """A GIF or PNG of few colors."""
    page = sheets.blank(*size(rng, 100, 700), light_color(rng))
    put(page, digit, rng, ink_color(rng), (0.35, 0.7))
    few = _picture(page).quantize(int(rng.integers(4, 64)))
    return _saved(few, "GIF" if rng.random() < 0.5 else "PNG")


def print_colors(digit: Digit, rng: Rng) -> bytes:
    """A JPEG of four inks."""
    page = page_of(rng, 150, 800)
    put(page, digit, rng, ink_color(rng), (0.35, 0.7))
    return _saved(_picture(page).convert("CMYK"), "JPEG", quality=int(rng.integers(60, 95)))


def clear_ground(digit: Digit, rng: Rng) -> bytes:
    """Gray and alpha, or colors and alpha: ink on nothing, dark or light."""
    page = np.zeros((*size(rng, 100, 700), 3), np.float32)
    put(page, digit, rng, color(1, 1, 1), (0.4, 0.75))
    alpha = Image.fromarray((page[:, :, 0] * 255).astype(np.uint8))
    shade = int(rng.uniform(0, 90)) if rng.random() < 0.5 else int(rng.uniform(180, 255))
    mode = "LA" if rng.random() < 0.5 else "RGBA"
    picture = Image.new(mode[:-1], alpha.size, shade if mode == "LA" else (shade,) * 3)
    picture.putalpha(alpha)
    return _saved(picture, "PNG")


MORE: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            yellow_pad, blue_on_blue_grid, pencil_on_squares, binder_holes, creased, chalk, small_on_a_page,
            held_in_a_hand, show_through, touching_frame, turned_phone, deep_gray, bits, palette,
            print_colors, clear_ground,
        )
    }
)  # fmt: skip


# --- Nothing to know ------------------------------------------------------------------------------------


def two_on_squares(digit: Digit, rng: Rng) -> bytes:
    """Two digits on squared paper."""
    page = page_of(rng, 350, 1000)
    _lined(page, rng, page[0, 0] * color(0.7, 0.8, 0.92), (0, np.pi / 2))
    height, width = page.shape[:2]
    shade, tall = ink_color(rng), rng.uniform(0.3, 0.4) * min(height, width)
    first, second = (one.ink(int(tall), rng, 0.1) for one in (digit, Digit(int(rng.integers(10)))))
    gap = int(tall * rng.uniform(0.2, 0.5))
    left = round((width - first.shape[1] - second.shape[1] - gap) / 2)
    for ink, place in ((first, left), (second, left + first.shape[1] + gap)):
        lay(page, ink, shade, int((height - ink.shape[0]) / 2), place)
    return captured(page, rng)


def crossed_on_lines(digit: Digit, rng: Rng) -> bytes:
    """A digit crossed out by two or three strokes of a right hand, on lined paper."""
    page = page_of(rng, 250, 900)
    _lined(page, rng, page[0, 0] * color(0.7, 0.8, 0.92))
    height, width = page.shape[:2]
    shade = ink_color(rng)
    top, left, tall, wide = put(page, digit, rng, shade, (0.35, 0.6))
    pen, reach = max(1.5, rng.uniform(0.05, 0.09) * tall), max(wide, 0.5 * tall) * rng.uniform(0.65, 0.85)
    rise, count = rng.uniform(0.3, 0.6) * tall, int(rng.integers(2, 4))
    for place in np.linspace(0.35, 0.65, count):
        x, y = left + wide / 2, top + place * tall
        ends = ((x - reach) / width, (y + rise) / height), ((x + reach) / width, (y - rise) / height)
        _line(page, shade, pen, *ends)
    return captured(page, rng)


def scribbled_over(digit: Digit, rng: Rng) -> bytes:
    """A digit under a zigzag of many strokes."""
    page = page_of(rng, 150, 900)
    height, width = page.shape[:2]
    shade = ink_color(rng)
    top, left, tall, wide = put(page, digit, rng, shade, (0.35, 0.6))
    turns = int(rng.integers(5, 9))
    across = np.linspace(-0.15, 1.15, turns)
    points = [
        ((left + x * max(wide, tall / 2)) / width, (top + (1.1 if i % 2 else -0.1) * tall) / height)
        for i, x in enumerate(across)
    ]
    _line(page, shade, max(1.5, rng.uniform(0.04, 0.09) * tall), *points)
    return captured(page, rng)


def blank_pad(_digit: Digit, rng: Rng) -> bytes:
    page = _pad(rng)
    sheets.lit(page, rng, rng.uniform(0, 0.25))
    return photographed(page, rng)


def blank_holes(_digit: Digit, rng: Rng) -> bytes:
    page = page_of(rng, 250, 1000)
    _holes(page, rng)
    return photographed(page, rng)


def blank_creases(_digit: Digit, rng: Rng) -> bytes:
    page = page_of(rng, 250, 900)
    _creases(page, rng)
    return photographed(page, rng)


def blank_print(_digit: Digit, rng: Rng) -> bytes:
    """A page of print."""
    page = page_of(rng, 300, 1000)
    height, width = page.shape[:2]
    tall, shade = max(7, int(rng.uniform(0.02, 0.06) * height)), ink_color(rng)
    for row in np.arange(0.08 * height, 0.9 * height, tall * rng.uniform(1.5, 2.5)):
        text = _words(rng, int(rng.integers(8, 30)), tall)[:, : int(0.86 * width)]
        lay(page, text, shade, int(row), int(0.07 * width))
    return captured(page, rng)


def blank_grain(_digit: Digit, rng: Rng) -> bytes:
    """Noise of a sensor in the dark, or a wall's texture."""
    height, width = size(rng, 100, 900)
    coarse = rng.normal(0, 1, (height // 4 + 2, width // 4 + 2)).astype(np.float32)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    level = rng.uniform(20, 230)
    page = sheets.blank(height, width, color(level, level, level)) + soft[:, :, None] * rng.uniform(1, 14)
    return photographed(page, rng, grain=12)


def blank_table(_digit: Digit, rng: Rng) -> bytes:
    """The lines of a table, of few rows and columns."""
    page = page_of(rng, 200, 900)
    pen = max(1.2, rng.uniform(0.004, 0.012) * min(page.shape[:2]))
    shade = color(*[rng.uniform(0, 130)] * 3)
    rows, columns = (np.sort(rng.uniform(0.1, 0.9, int(rng.integers(2, 5)))) for _ in range(2))
    for row in rows:
        _line(page, shade, pen, (columns[0], row), (columns[-1], row))
    for column in columns:
        _line(page, shade, pen, (column, rows[0]), (column, rows[-1]))
    return captured(page, rng)


def blank_board(_digit: Digit, rng: Rng) -> bytes:
    """A board that was wiped, and its ledge."""
    page = sheets.blank(*size(rng, 200, 900), color(40, 62, 50) * rng.uniform(0.5, 1.3))
    for _ in range(int(rng.integers(1, 6))):
        (x0, y0), (x1, y1) = rng.uniform(0, 1, (2, 2))
        shade, pen = page[0, 0] * rng.uniform(1.1, 1.35), rng.uniform(0.05, 0.2) * page.shape[0]
        _line(page, shade, pen, (x0, y0), (x1, y1))
    page = sheets.blurred(page, 0.03 * page.shape[0])
    if rng.random() < 0.5:
        page = sheets.on_desk(page, rng, color(200, 190, 170), rng.choice(["b", "lr", "t"]))
    return photographed(page, rng)


MORE_NOTHING: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            two_on_squares, crossed_on_lines, scribbled_over, blank_pad, blank_holes, blank_creases,
            blank_print, blank_grain, blank_table, blank_board,
        )
    }
)  # fmt: skip
