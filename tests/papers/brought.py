"""What else people bring: screens in the dark, faxes, combs of boxes, plates, walls of notes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from papers import sheets
from papers.digits import Rng, line_of
from papers.families import Digit, Maker, page_of, put, size
from papers.later import clouds, printed
from papers.sheets import Page, captured, color, ink_color, lay, photographed


def _words(rng: Rng, letters: int, tall: int) -> sheets.Ink:
    return printed("".join(chr(int(letter)) for letter in rng.integers(97, 123, letters)), tall)


def _line(page: Page, shade: sheets.Color, pen: float, *points: tuple[float, float]) -> None:
    """A stroke through points in pixels."""
    ink = line_of(points, pen)
    lay(
        page,
        ink,
        shade,
        round(min(y for _, y in points) - pen / 2),
        round(min(x for x, _ in points) - pen / 2),
    )


def _bar(page: Page, rng: Rng) -> None:
    """A bar of icons along the upper edge of a screen, a little lighter than it."""
    tall = max(6, round(rng.uniform(0.05, 0.1) * page.shape[0]))
    shade = page[0, 0].copy()
    page[:tall] = shade + rng.uniform(12, 40)
    for place in range(int(rng.integers(3, 9))):
        side = max(2, round(0.4 * tall))
        icon = np.ones((side, side), np.float32)
        lay(
            page,
            icon,
            color(*[rng.uniform(110, 230)] * 3),
            round(0.3 * tall),
            round((0.4 + 1.3 * place) * tall),
        )


def _comb(page: Page, rng: Rng, cells: int) -> tuple[float, float, float]:
    """A row of square cells whose lines they share; the left, the top and the side of the first one."""
    height, width = page.shape[:2]
    side = rng.uniform(0.8, 0.94) * width / cells
    left, top = (width - cells * side) / 2, (height - side) / 2
    shade, pen = page[0, 0] * color(*rng.uniform(0.3, 0.85, 3)), max(1.0, rng.uniform(0.012, 0.04) * side)
    for end in (top, top + side):
        _line(page, shade, pen, (left, end), (left + cells * side, end))
    for cell in range(cells + 1):
        _line(page, shade, pen, (left + cell * side, top), (left + cell * side, top + side))
    return left, top, side


def _faxed(page: Page, rng: Rng) -> bytes:
    """One bit a pixel, with salt and pepper, turned a little, and at times a line of dirt down the page."""
    height, width = page.shape[:2]
    gray = Image.fromarray(page.mean(axis=2).clip(0, 255).astype(np.uint8))
    gray = gray.rotate(rng.uniform(-3, 3), Image.Resampling.BILINEAR, fillcolor=255)
    levels = np.asarray(gray, np.float32) + rng.normal(0, rng.uniform(10, 45), (height, width))
    black = levels < rng.uniform(110, 150)
    black ^= rng.random((height, width)) < rng.uniform(0, 0.004)
    if rng.random() < 0.4:
        black[:, int(rng.uniform(0.04, 0.15) * width)] |= rng.random(height) < 0.9
    buffer = io.BytesIO()
    Image.fromarray(~black).save(buffer, "PNG")
    return buffer.getvalue()


def _screen(page: Page, rng: Rng) -> Page:
    """The rows and columns of a screen's pixels, seen by a camera: a moire."""
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    for turn in (0.0, np.pi / 2):
        angle, pitch = turn + rng.uniform(-0.25, 0.25), rng.uniform(3, 14)
        bend = 0.004 * clouds(height, width, rng, 0.4 * height)
        wave = np.sin(2 * np.pi * ((y * np.cos(angle) - x * np.sin(angle)) / pitch + bend * height))
        page = page * (1 + rng.uniform(0.01, 0.06) * wave)[:, :, None]
    return page


def _window(page: Page, rng: Rng) -> None:
    """The window of an envelope: a rounded rectangle, grayer inside, a bright and a dark rim."""
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    tall, wide, corner = 0.36 * height, 0.42 * width, 0.06 * height
    far = (
        np.hypot(np.maximum(np.abs(y) - tall + corner, 0), np.maximum(np.abs(x) - wide + corner, 0)) - corner
    )
    page *= (1 - rng.uniform(0.04, 0.16) * (far < 0))[:, :, None]
    rim = np.exp(-((far / max(1.0, 0.004 * height)) ** 2))
    page += (rng.uniform(-70, 25) * rim)[:, :, None]


def _wall(rng: Rng) -> tuple[Page, tuple[int, int, int]]:
    """A wall of sticky notes: one whole, its neighbors cut by the edges; its top, left and side."""
    height, width = size(rng, 250, 900)
    page = sheets.blank(height, width, rng.uniform(120, 235) + rng.uniform(-12, 12, 3).astype(np.float32))
    side = round(rng.uniform(0.5, 0.66) * min(height, width))
    gap = round(rng.uniform(0.03, 0.12) * side)
    top, left = (height - side) // 2, (width - side) // 2
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            shade = color(*rng.permutation([rng.uniform(80, 190), 225, 245]))
            y0, x0 = top + row * (side + gap), left + column * (side + gap)
            y = sheets.grid(side, side)[0]
            curl = 1 - rng.uniform(0.02, 0.25) * np.clip(2 * y / side, 0, 1) ** 3
            y1, x1 = max(y0, 0), max(x0, 0)
            part = (curl[:, :, None] * shade)[y1 - y0 : height - y0, x1 - x0 : width - x0]
            if (row or column) and rng.random() < 0.25:
                continue
            page[y1 : y1 + part.shape[0], x1 : x1 + part.shape[1]] = part
    return page, (top, left, side)


# --- Digits ---------------------------------------------------------------------------------------------


def dark_mode(digit: Digit, rng: Rng) -> bytes:
    """A note on a tablet in the dark: a bright thin pen on nearly black, with a bar of icons or without."""
    page = sheets.blank(*size(rng, 150, 1500), rng.uniform(8, 42) + color(0, 1, 4))
    if rng.random() < 0.5:
        _bar(page, rng)
    shade = np.clip(rng.uniform(120, 255, 3), 0, 255).astype(np.float32)
    put(page, digit, rng, shade, (0.3, 0.6))
    return sheets.png(page) if rng.random() < 0.7 else photographed(page, rng, worst=60, grain=0)


def comb(digit: Digit, rng: Rng) -> bytes:
    """One digit in a row of cells, all others empty."""
    height, width = size(rng, 200, 700)
    page = sheets.blank(height, round(1.6 * width), sheets.light_color(rng))
    cells = int(rng.integers(3, 6))
    left, top, side = _comb(page, rng, cells)
    ink = digit.ink(max(10, int(rng.uniform(0.45, 0.7) * side)), rng)
    cell = int(rng.integers(cells))
    x = left + cell * side + (side - ink.shape[1]) / 2
    lay(page, ink, ink_color(rng), round(top + (side - ink.shape[0]) / 2), round(x))
    return captured(page, rng)


def fax(digit: Digit, rng: Rng) -> bytes:
    """A fax, or a scan of one bit."""
    page = sheets.blank(*size(rng, 150, 900), color(255, 255, 255) * rng.uniform(0.75, 1))
    put(page, digit, rng, color(20, 20, 20), (0.35, 0.65))
    return _faxed(page, rng)


def over_gray_print(digit: Digit, rng: Rng) -> bytes:
    """A marker over printed lines of gray text."""
    page = page_of(rng, 300, 900)
    height, width = page.shape[:2]
    tall, shade = max(8, round(rng.uniform(0.03, 0.06) * height)), page[0, 0] * rng.uniform(0.6, 0.85)
    for top in np.arange(0.03 * height, height - tall, rng.uniform(1.5, 2.4) * tall):
        left = 0.05 * width
        while left < 0.85 * width:
            word = _words(rng, int(rng.integers(2, 8)), tall)
            lay(page, word[:, : max(1, round(0.95 * width - left))], shade, round(top), round(left))
            left += word.shape[1] + 0.6 * tall
    put(page, digit, rng, ink_color(rng, 60), (0.45, 0.7))
    return captured(page, rng)


def behind_a_window(digit: Digit, rng: Rng) -> bytes:
    """A digit seen through the window of an envelope."""
    page = page_of(rng, 250, 900)
    height = page.shape[0]
    put(page, digit, rng, ink_color(rng), (0.3, 0.5))
    _window(page, rng)
    return captured(page, rng) if height < 300 else photographed(page, rng)


def house_number(digit: Digit, rng: Rng) -> bytes:
    """An enamel plate on a wall: white on blue or black on white, a rim, two screws."""
    height, width = size(rng, 200, 800)
    page = sheets.blank(height, width, rng.uniform(90, 200, 3).astype(np.float32))
    page *= (1 + 0.06 * clouds(height, width, rng, 4))[:, :, None]
    ground, ink = color(25, 45, 120), color(240, 240, 240)
    if rng.random() < 0.4:
        ground, ink = color(235, 232, 225), color(15, 15, 20)
    y0, x0 = round(rng.uniform(0.05, 0.14) * height), round(rng.uniform(0.05, 0.14) * width)
    plate = page[y0 : height - y0, x0 : width - x0]
    plate[:] = ground
    inner = sheets.box(*plate.shape[:2], rng.uniform(0.02, 0.04) * height, max(1, round(0.012 * height)))
    lay(plate, inner, ink)
    for side in (0.5, plate.shape[0] / height - 0.5):
        y, x = sheets.grid(*plate.shape[:2])
        place = (0.38 if side == 0.5 else -0.38) * plate.shape[0]
        lay(plate, np.clip(0.02 * height + 0.5 - np.hypot(y - place, x), 0, 1), color(120, 120, 120))
    put(plate, digit, rng, ink, (0.4, 0.6))
    sheets.lit(page, rng, rng.uniform(0, 0.3))
    return photographed(page, rng)


def wall_of_notes(digit: Digit, rng: Rng) -> bytes:
    """A sticky note among others."""
    page, (top, left, side) = _wall(rng)
    ink = digit.ink(int(rng.uniform(0.5, 0.7) * side), rng)
    lay(page, ink, ink_color(rng, 60), top + (side - ink.shape[0]) // 2, left + (side - ink.shape[1]) // 2)
    return photographed(page, rng)


def off_a_screen(digit: Digit, rng: Rng) -> bytes:
    """A screen photographed: its grid of pixels, brighter in the middle."""
    dark = rng.random() < 0.4
    page = sheets.blank(*size(rng, 250, 900), color(30, 32, 36) if dark else color(225, 232, 240))
    put(page, digit, rng, color(235, 235, 235) if dark else ink_color(rng), (0.35, 0.65))
    page = _screen(page, rng)
    sheets.lit(page, rng, rng.uniform(0.05, 0.35))
    return photographed(page, rng, worst=40)


def isometric(digit: Digit, rng: Rng) -> bytes:
    """Paper with lines in three directions."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    pitch, shade = rng.uniform(0.04, 0.12) * height, page[0, 0] * color(*rng.uniform(0.62, 0.9, 3))
    for angle in (np.pi / 2, np.pi / 6, -np.pi / 6):
        lay(page, sheets.stripes(height, width, pitch, rng.uniform(0.8, 1.6), angle, 0), shade)
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    return captured(page, rng)


def wiped_board(digit: Digit, rng: Rng) -> bytes:
    """A green board wiped with a sponge: broad bows of chalk dust, and yesterday's words still to be seen."""
    page = sheets.blank(*size(rng, 250, 1000), color(38, 70, 58) * rng.uniform(0.6, 1.3))
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    for _ in range(int(rng.integers(2, 5))):
        far = np.hypot(y - rng.uniform(-1, 1) * height, x - rng.uniform(-1, 1) * width)
        bow = np.exp(-(((far - rng.uniform(0.5, 1.1) * width) / (rng.uniform(0.05, 0.15) * width)) ** 2))
        page += (rng.uniform(8, 35) * bow * (1 + 0.2 * clouds(height, width, rng, 3)))[:, :, None]
    words = _words(rng, 7, max(10, round(0.09 * height)))
    lay(page, words * rng.uniform(0.06, 0.2), color(235, 235, 230), round(0.1 * height), round(0.1 * width))
    grain = np.clip(0.85 + 0.16 * clouds(height, width, rng, 1.5), 0, 1)[:, :, None]
    cover = np.zeros_like(page)
    put(cover, digit, rng, color(1, 1, 1), (0.35, 0.6))
    page += cover * grain * (color(240, 240, 232) - page)
    return photographed(page, rng)


BROUGHT: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            dark_mode, comb, fax, over_gray_print, behind_a_window, house_number, wall_of_notes, off_a_screen,
            isometric, wiped_board,
        )
    }
)  # fmt: skip


# --- Nothing to know ------------------------------------------------------------------------------------


def blank_comb(_digit: Digit, rng: Rng) -> bytes:
    """A row of empty cells."""
    height, width = size(rng, 200, 700)
    page = sheets.blank(height, round(1.6 * width), sheets.light_color(rng))
    _comb(page, rng, int(rng.integers(3, 6)))
    return captured(page, rng)


def blank_fax(_digit: Digit, rng: Rng) -> bytes:
    """A fax of an empty sheet."""
    return _faxed(sheets.blank(*size(rng, 150, 900), color(255, 255, 255) * rng.uniform(0.75, 1)), rng)


def blank_window(_digit: Digit, rng: Rng) -> bytes:
    """An envelope with nothing in its window."""
    page = page_of(rng, 250, 900)
    _window(page, rng)
    return photographed(page, rng)


def blank_notes(_digit: Digit, rng: Rng) -> bytes:
    """Empty sticky notes on a wall."""
    return photographed(_wall(rng)[0], rng)


def blank_screen(_digit: Digit, rng: Rng) -> bytes:
    """A screen in the dark: a bar of icons and nothing else, at times photographed."""
    page = sheets.blank(*size(rng, 150, 900), rng.uniform(8, 42) + color(0, 1, 4))
    _bar(page, rng)
    return sheets.png(page) if rng.random() < 0.5 else photographed(_screen(page, rng), rng)


def blank_wiped(_digit: Digit, rng: Rng) -> bytes:
    """A wiped board."""
    page = sheets.blank(*size(rng, 250, 900), color(38, 70, 58) * rng.uniform(0.6, 1.3))
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    for _ in range(int(rng.integers(2, 5))):
        far = np.hypot(y - rng.uniform(-1, 1) * height, x - rng.uniform(-1, 1) * width)
        bow = np.exp(-(((far - rng.uniform(0.5, 1.1) * width) / (rng.uniform(0.03, 0.15) * width)) ** 2))
        page += (rng.uniform(8, 45) * bow)[:, :, None]
    return photographed(page, rng)


def sign(_digit: Digit, rng: Rng) -> bytes:
    """A tick, an arrow, a plus, an equals sign or a percent sign, of a pen."""
    page = page_of(rng, 120, 900)
    side, pen = 0.5 * min(page.shape[:2]), rng.uniform(0.04, 0.12)
    marks: list[list[list[tuple[float, float]]]] = [
        [[(0, 0.55), (0.35, 0.95), (1, 0)]],
        [[(0, 0.5), (1, 0.5)], [(0.65, 0.2), (1, 0.5), (0.65, 0.8)]],
        [[(0.5, 0), (0.5, 1)], [(0, 0.5), (1, 0.5)]],
        [[(0, 0.3), (1, 0.3)], [(0, 0.7), (1, 0.7)]],
        [[(0, 1), (1, 0)], [(0.1, 0.1), (0.12, 0.12)], [(0.9, 0.9), (0.88, 0.88)]],
    ]
    shade, top, left = ink_color(rng), 0.25 * page.shape[0], 0.25 * page.shape[1]
    for stroke in marks[int(rng.integers(len(marks)))]:
        moved = [
            (left + (x + rng.normal(0, 0.02)) * side, top + (y + rng.normal(0, 0.02)) * side)
            for x, y in stroke
        ]
        _line(page, shade, max(1.5, pen * side), *moved)
    return captured(page, rng)


BROUGHT_NOTHING: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (blank_comb, blank_fax, blank_window, blank_notes, blank_screen, blank_wiped, sign)
    }
)  # fmt: skip
