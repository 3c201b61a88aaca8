"""Families of pictures of one digit, and of pictures with nothing to know.

Each is drawn from a digit and a generator alone; sizes, pens, colors and all else vary widely.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from papers import sheets
from papers.digits import Ink, Rng, handwriting, line_of, write
from papers.sheets import Page, captured, color, ink_color, lay, light_color, photographed


@dataclass(frozen=True)
class Digit:
    """A digit to draw: as strokes, or as the handwriting of a picture of MNIST."""

    label: int
    image: NDArray[np.uint8] | None = None  # (28, 28)

    def ink(self, height: int, rng: Rng, pen: float | None = None) -> Ink:
        if self.image is not None:
            return handwriting(self.image, height, rng)
        return write(self.label, height, rng, pen=rng.uniform(0.035, 0.15) if pen is None else pen)


Maker = Callable[[Digit, Rng], bytes]


def size(rng: Rng, least: int = 100, most: int = 900) -> tuple[int, int]:
    """Height and width, spread evenly over orders of magnitude, from 3:4 to 4:3."""
    side = np.exp(rng.uniform(np.log(least), np.log(most)))
    stretch = rng.uniform(0.87, 1.15)
    return int(side * stretch), int(side / stretch)


def put(
    page: Page, digit: Digit, rng: Rng, shade: sheets.Color, share: tuple[float, float] = (0.35, 0.7)
) -> tuple[int, int, int, int]:
    """Write the digit somewhere inside the page; where: top, left, height, width."""
    height, width = page.shape[:2]
    tall = int(rng.uniform(*share) * min(height, width))
    ink = digit.ink(max(tall, 12), rng)
    free_y, free_x = max(height - ink.shape[0], 0), max(width - ink.shape[1], 0)
    top, left = (round(free * rng.uniform(0.3, 0.7)) for free in (free_y, free_x))
    lay(page, ink, shade, top, left)
    return top, left, *ink.shape


def page_of(rng: Rng, least: int = 100, most: int = 900) -> Page:
    return sheets.blank(*size(rng, least, most), light_color(rng))


# --- Clean ----------------------------------------------------------------------------------------------


def clean(digit: Digit, rng: Rng) -> bytes:
    """Dark ink on light paper, as a drawing program saves it."""
    page = page_of(rng, 60, 1500)
    put(page, digit, rng, ink_color(rng), (0.3, 0.8))
    return sheets.png(page)


def board(digit: Digit, rng: Rng) -> bytes:
    """Light ink on a dark board."""
    page = sheets.blank(*size(rng, 60, 1200), rng.uniform(0, 70) + color(0, 10, 5))
    put(page, digit, rng, color(255, 255, 255) - rng.uniform(0, 60), (0.3, 0.8))
    return captured(page, rng)


def tight(digit: Digit, rng: Rng) -> bytes:
    """Cropped to the ink, with a thick pen, of either polarity."""
    ink = digit.ink(int(np.exp(rng.uniform(np.log(60), np.log(900)))), rng, rng.uniform(0.1, 0.21))
    ink = np.pad(ink, [(int(v), int(w)) for v, w in rng.integers(0, 4, (2, 2))])
    paper, shade = light_color(rng), ink_color(rng)
    if ink.mean() > 0.6:  # a bar without paper shows no digit
        ink = np.pad(ink, ((0, 0), (ink.shape[0] // 8, ink.shape[0] // 8)))
    page = sheets.blank(*ink.shape, paper if rng.random() < 0.7 else shade)
    lay(page, ink, shade if page[0, 0, 0] == paper[0] and page[0, 0, 1] == paper[1] else paper)
    return sheets.png(page) if rng.random() < 0.6 else photographed(page, rng, worst=50)


def photo(digit: Digit, rng: Rng) -> bytes:
    """A sheet photographed in uneven light."""
    page = page_of(rng, 200, 1200)
    put(page, digit, rng, ink_color(rng), (0.3, 0.75))
    sheets.lit(page, rng, rng.uniform(0.05, 0.5))
    return photographed(page * rng.uniform(0.55, 1), rng, grain=7)


def pencil(digit: Digit, rng: Rng) -> bytes:
    """A faint pencil in uneven light."""
    page = page_of(rng, 200, 900)
    paper = page[0, 0].copy()
    put(page, digit, rng, paper * rng.uniform(0.45, 0.72), (0.35, 0.75))
    sheets.lit(page, rng, rng.uniform(0, 0.25))
    return photographed(page, rng, worst=50, grain=3)


# --- Around the digit -----------------------------------------------------------------------------------


def frame(digit: Digit, rng: Rng) -> bytes:
    """A frame at the edge or a little inside, of any gray and width."""
    page = page_of(rng)
    height, width = page.shape[:2]
    side = min(height, width)
    inset = 0 if rng.random() < 0.6 else rng.uniform(0.01, 0.09) * side
    thick = max(1, round(rng.uniform(0.003, 0.035) * side))
    put(page, digit, rng, ink_color(rng), (0.35, 0.62))
    lay(page, sheets.box(height, width, round(inset), thick), color(*[rng.uniform(0, 150)] * 3))
    return captured(page, rng)


def part_frame(digit: Digit, rng: Rng) -> bytes:
    """A cell cut out of a form: lines on one to three sides, not quite straight."""
    page = page_of(rng)
    put(page, digit, rng, ink_color(rng), (0.35, 0.62))
    height, width = page.shape[:2]
    lines = np.zeros((height, width), np.float32)
    for side in rng.choice(4, int(rng.integers(1, 4)), replace=False):
        thick = max(1.0, rng.uniform(0.004, 0.03) * min(height, width))
        angle, reach = rng.uniform(-0.05, 0.05), rng.uniform(0.02, 0.1)
        y, x = sheets.grid(height, width)
        u, span = (y + angle * x, height) if side < 2 else (x + angle * y, width)
        place = (reach - 0.5) * span * (1 if side % 2 else -1)
        np.maximum(lines, np.clip(thick / 2 + 0.5 - np.abs(u - place), 0, 1), out=lines)
    lay(page, lines, ink_color(rng))
    return captured(page, rng)


def desk(digit: Digit, rng: Rng) -> bytes:
    """A turned sheet with some of a dark desk around it."""
    page = page_of(rng, 200, 1000)
    put(page, digit, rng, ink_color(rng), (0.3, 0.55))
    sides = "".join(side for side in "tblr" if rng.random() < 0.65) or "b"
    wood = rng.uniform(15, 110) + rng.uniform(0, 35) * color(1, 0.6, 0.3)
    page = sheets.on_desk(page, rng, wood, sides)
    sheets.lit(page, rng, rng.uniform(0, 0.2))
    return photographed(page, rng)


def squared(digit: Digit, rng: Rng) -> bytes:
    """Squared paper, turned by up to 8 degrees."""
    page = page_of(rng, 240, 1000)
    height, width = page.shape[:2]
    pitch = rng.uniform(0.04, 0.13) * min(height, width)
    thick = rng.uniform(0.6, 2.2) * max(1, min(height, width) / 500)
    angle = rng.uniform(-0.14, 0.14) if rng.random() < 0.6 else 0.0
    shade = (
        page[0, 0]
        * (color(0.72, 0.8, 0.92) if rng.random() < 0.6 else color(0.72, 0.72, 0.72))
        * rng.uniform(0.8, 1)
    )
    skew = rng.uniform(-0.08, 0.08)
    for turn in (0, np.pi / 2):
        lay(
            page,
            sheets.stripes(height, width, pitch, thick, angle + turn, rng.uniform(0, pitch), skew),
            shade,
        )
    put(page, digit, rng, ink_color(rng), (0.3, 0.7))
    sheets.lit(page, rng, rng.uniform(0, 0.15))
    return captured(page, rng)


def ruled(digit: Digit, rng: Rng) -> bytes:
    """Lined paper, with a margin's line or without."""
    page = page_of(rng, 240, 1000)
    height, width = page.shape[:2]
    pitch = rng.uniform(0.08, 0.25) * min(height, width)
    thick = rng.uniform(0.8, 3) * max(1, min(height, width) / 500)
    angle = rng.uniform(-0.14, 0.14)
    shade = page[0, 0] * color(0.55, 0.65, 0.85) * rng.uniform(0.7, 1.1)
    lay(
        page,
        sheets.stripes(height, width, pitch, thick, angle, rng.uniform(0, pitch), rng.uniform(-0.1, 0.1)),
        shade,
    )
    if rng.random() < 0.4:
        y, x = sheets.grid(height, width)
        place = (x * np.cos(angle) + y * np.sin(angle)) + 0.36 * width
        lay(page, np.clip(thick / 2 + 0.5 - np.abs(place), 0, 1), color(220, 90, 90))
    put(page, digit, rng, ink_color(rng), (0.3, 0.7))
    sheets.lit(page, rng, rng.uniform(0, 0.15))
    return captured(page, rng)


def in_a_square(digit: Digit, rng: Rng) -> bytes:
    """A small digit in one square of the paper."""
    page = page_of(rng, 350, 1000)
    height, width = page.shape[:2]
    pitch = rng.uniform(0.12, 0.24) * min(height, width)
    thick = rng.uniform(0.8, 2.0) * max(1, min(height, width) / 500)
    shade = page[0, 0] * (color(0.7, 0.8, 0.92) if rng.random() < 0.6 else color(0.65, 0.65, 0.65))
    row, column = (int(0.5 * side / pitch) for side in (height, width))
    for turn, span in ((0, height), (np.pi / 2, width)):  # a line every pitch from the top left corner
        lay(
            page,
            sheets.stripes(height, width, pitch, thick, turn, span / 2 if turn == 0 else -span / 2),
            shade,
        )
    ink = digit.ink(max(12, int(pitch * rng.uniform(0.5, 0.75))), rng, rng.uniform(0.07, 0.14))
    top = round((row + 0.5) * pitch - ink.shape[0] / 2)
    left = round((column + 0.5) * pitch - ink.shape[1] / 2)
    lay(page, ink, ink_color(rng), top, left)
    return captured(page, rng)


def hard_shadow(digit: Digit, rng: Rng) -> bytes:
    """Half of the page in a shadow with a sharp edge."""
    page = page_of(rng, 200, 1000)
    put(page, digit, rng, ink_color(rng, 60), (0.35, 0.75))
    sheets.shadow(page, rng, rng.uniform(0.5, 4), rng.uniform(0.3, 0.62))
    return photographed(page, rng)


def soft_shadow(digit: Digit, rng: Rng) -> bytes:
    """A shadow whose edge is a tenth to a half of the page wide."""
    page = page_of(rng, 200, 1000)
    put(page, digit, rng, ink_color(rng, 60), (0.35, 0.75))
    sheets.shadow(page, rng, rng.uniform(0.1, 0.5) * min(page.shape[:2]), rng.uniform(0.3, 0.65))
    return photographed(page, rng)


def equal_gray(digit: Digit, rng: Rng) -> bytes:
    """Ink and paper of clearly different colors that are the same gray."""
    weights = color(0.299, 0.587, 0.114)
    while True:
        paper, shade = rng.uniform(20, 235, (2, 3)).astype(np.float32)
        shade += weights @ (paper - shade)
        if shade.min() >= 0 and shade.max() <= 255 and np.abs(paper - shade).max() > 70:
            break
    page = sheets.blank(*size(rng, 100, 800), paper)
    put(page, digit, rng, shade, (0.35, 0.75))
    return sheets.png(page) if rng.random() < 0.6 else photographed(page, rng, worst=60, grain=2)


def colored(digit: Digit, rng: Rng) -> bytes:
    """Ink and paper of any two colors that differ."""
    while True:
        paper, shade = rng.uniform(0, 255, (2, 3)).astype(np.float32)
        if np.abs(paper - shade).max() > 90:
            break
    page = sheets.blank(*size(rng, 100, 800), paper)
    put(page, digit, rng, shade, (0.35, 0.75))
    return captured(page, rng)


def eraser(digit: Digit, rng: Rng) -> bytes:
    """Ink on a transparent canvas, corrected with white strokes."""
    height, width = size(rng, 150, 800)
    page, alpha = sheets.blank(height, width, color(0, 0, 0)), np.zeros((height, width), np.float32)
    place = np.zeros((height, width, 3), np.float32)
    put(place, digit, rng, color(1, 1, 1), (0.4, 0.7))
    ink = place[:, :, 0]
    page[:] = ink_color(rng)
    alpha = np.maximum(alpha, ink)
    for _ in range(int(rng.integers(1, 4))):
        x0, y0, x1, y1 = rng.uniform(0, 1, 4) * (width, height, width, height)
        cover = line_of([(x0, y0), (x1, y1)], rng.uniform(0.04, 0.2) * min(height, width))
        whole = np.zeros((height, width, 3), np.float32)
        lay(whole, cover, color(1, 1, 1), int(min(y0, y1)), int(min(x0, x1)))
        stroke = whole[:, :, 0] * (ink < 0.02)  # the ink was drawn again over it
        page += stroke[:, :, None] * (255 - page)
        alpha = np.maximum(alpha, stroke)
    buffer = io.BytesIO()
    pixels = np.dstack([page, alpha * 255]).round().clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def small_cell(digit: Digit, rng: Rng) -> bytes:
    """A cell of 28 to 56 pixels, with remains of its lines or without."""
    side = 28 if rng.random() < 0.6 else int(rng.integers(28, 57))
    fine = sheets.blank(side * 6, side * 6, light_color(rng))
    put(fine, digit, rng, ink_color(rng), (0.5, 0.75))
    sheets.lit(fine, rng, rng.uniform(0, 0.1))
    picture = Image.fromarray(fine.clip(0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BOX)
    page = np.array(picture, np.float32)
    if rng.random() < 0.6:
        lines = np.zeros((side, side), np.float32)
        for edge in rng.choice(4, int(rng.integers(1, 5)), replace=False):
            np.rot90(lines, edge)[: int(rng.integers(1, 3))] = rng.uniform(0.4, 1)
        lay(page, lines, color(*[rng.uniform(0, 120)] * 3))
    return sheets.png(page) if rng.random() < 0.7 else photographed(page, rng, worst=60, grain=3)


def phone(digit: Digit, rng: Rng) -> bytes:
    """A photograph of 5 to 12 megapixels, the digit small on it or large."""
    width = int(rng.integers(2600, 4033))
    page = sheets.blank(width * 3 // 16, width // 4, light_color(rng))
    put(page, digit, rng, ink_color(rng), (0.2, 0.7))
    sheets.lit(page, rng, rng.uniform(0.05, 0.4))
    page += rng.normal(0, 2, page.shape[:2])[:, :, None]
    big = Image.fromarray((page * rng.uniform(0.7, 1)).clip(0, 255).astype(np.uint8))
    big = big.resize((width, width * 3 // 4), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    big.save(buffer, "JPEG", quality=int(rng.integers(50, 93)))
    return buffer.getvalue()


def thumb(digit: Digit, rng: Rng) -> bytes:
    """A thumb that holds the sheet at its edge."""
    page = page_of(rng, 250, 1000)
    height, width = page.shape[:2]
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    y, x = sheets.grid(height, width)
    turn = rng.uniform(-0.5, 0.5) + rng.choice([0, np.pi / 2, np.pi, -np.pi / 2])
    along = (
        x * np.cos(turn)
        + y * np.sin(turn)
        - rng.uniform(0.42, 0.48) * abs(width * np.cos(turn))
        - rng.uniform(0.42, 0.48) * abs(height * np.sin(turn))
    )
    across = y * np.cos(turn) - x * np.sin(turn) + rng.uniform(-0.15, 0.15) * width
    reach = rng.uniform(0.07, 0.13) * min(height, width)
    inside = np.clip(
        1.5 * (1 - np.hypot(np.minimum(along / (1.6 * reach), 0), across / reach)) * reach / 3, 0, 1
    )
    lay(page, inside.astype(np.float32), color(205, 150, 120) * rng.uniform(0.45, 1))
    sheets.lit(page, rng, rng.uniform(0, 0.2))
    return photographed(page, rng)


# --- Beside the digit -----------------------------------------------------------------------------------


def text_beside(digit: Digit, rng: Rng) -> bytes:
    """Small print near an edge of the page."""
    page = page_of(rng, 250, 1000)
    height, width = page.shape[:2]
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    letters = "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(4, 14))))
    picture = Image.new("L", (12 * len(letters), 14))
    ImageDraw.Draw(picture).text((1, 1), letters, fill=255)
    picture = picture.crop(picture.getbbox())
    tall = max(6, int(rng.uniform(0.03, 0.07) * min(height, width)))
    wide = min(picture.width * tall // picture.height, width - 4)
    text = np.asarray(picture.resize((max(wide, 2), tall), Image.Resampling.BICUBIC), np.float32) / 255
    top = round(height * (rng.uniform(0.02, 0.08) if rng.random() < 0.5 else rng.uniform(0.86, 0.92)))
    lay(page, text, ink_color(rng), top, round(rng.uniform(0.02, 0.98) * (width - wide)))
    return captured(page, rng)


def underlined(digit: Digit, rng: Rng) -> bytes:
    """One or two lines drawn under the digit, which they do not touch."""
    page = page_of(rng, 150, 1000)
    shade = ink_color(rng)
    top, left, tall, wide = put(page, digit, rng, shade, (0.35, 0.6))
    span = max(wide, tall // 2)
    for _ in range(int(rng.integers(1, 3))):
        start = left + wide / 2 - span * rng.uniform(0.55, 0.9)
        end = left + wide / 2 + span * rng.uniform(0.55, 0.9)
        drop = rng.uniform(-0.08, 0.08) * (end - start)
        pen = max(1.5, rng.uniform(0.03, 0.1) * tall)
        line = line_of([(start, 0), (end, drop)], pen)
        top_of_line = round(top + tall * rng.uniform(1.07, 1.13) + pen / 2)
        lay(page, line, shade, top_of_line, round(start))
        top = round(top_of_line + line.shape[0] + 1 - tall)
    return captured(page, rng)


def circled(digit: Digit, rng: Rng) -> bytes:
    """A circle drawn around the digit."""
    page = page_of(rng, 150, 1000)
    shade = ink_color(rng)
    top, left, tall, wide = put(page, digit, rng, shade, (0.3, 0.5))
    t = np.linspace(0, 2 * np.pi * rng.uniform(0.97, 1.05), 60) + rng.uniform(0, 2 * np.pi)
    reach = np.hypot(tall, wide) / 2 * rng.uniform(1.2, 1.45) * (1 + 0.03 * np.sin(2 * t + rng.uniform(0, 6)))
    points = np.stack([reach * np.cos(t) * rng.uniform(0.92, 1.05), reach * np.sin(t)], axis=1)
    ring = line_of([(float(x), float(y)) for x, y in points], max(1.5, rng.uniform(0.03, 0.1) * tall))
    lay(
        page,
        ring,
        shade,
        round(top + tall / 2 - ring.shape[0] / 2),
        round(left + wide / 2 - ring.shape[1] / 2),
    )
    return captured(page, rng)


def dusty(digit: Digit, rng: Rng) -> bytes:
    """Specks, and a short stray stroke."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    shade = ink_color(rng)
    put(page, digit, rng, shade, (0.4, 0.65))
    for _ in range(int(rng.integers(3, 15))):
        reach = rng.uniform(0.002, 0.008) * min(height, width)
        speck = line_of([(0, 0), (reach, reach)], max(1.2, reach))
        lay(page, speck, shade, *(int(v) for v in rng.uniform(0, 1, 2) * (height - 2, width - 2)))
    return captured(page, rng)


FAMILIES: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            clean, board, tight, photo, pencil, frame, part_frame, desk, squared, ruled, in_a_square,
            hard_shadow, soft_shadow, equal_gray, colored, eraser, small_cell, phone, thumb, text_beside,
            underlined, circled, dusty,
        )
    }
)  # fmt: skip
CLEAN = ("clean", "board", "tight")


# --- Nothing to know ------------------------------------------------------------------------------------


def blank_page(_digit: Digit, rng: Rng) -> bytes:
    page = page_of(rng)
    sheets.lit(page, rng, rng.uniform(0, 0.4))
    return captured(page, rng)


def blank_ruling(_digit: Digit, rng: Rng) -> bytes:
    page = page_of(rng, 240, 1000)
    height, width = page.shape[:2]
    pitch, angle = rng.uniform(0.04, 0.2) * min(height, width), rng.uniform(-0.14, 0.14)
    for turn in (0, np.pi / 2) if rng.random() < 0.6 else (0,):
        lay(
            page,
            sheets.stripes(height, width, pitch, rng.uniform(0.8, 3), angle + turn, 0),
            page[0, 0] * rng.uniform(0.3, 0.8),
        )
    return captured(page, rng)


def blank_frame(_digit: Digit, rng: Rng) -> bytes:
    page = page_of(rng)
    height, width = page.shape[:2]
    inset = rng.choice([0, rng.uniform(0.01, 0.15) * min(height, width)])
    lay(
        page,
        sheets.box(height, width, round(inset), max(1, rng.uniform(0.004, 0.04) * min(height, width))),
        color(0, 0, 0),
    )
    return captured(page, rng)


def blank_desk(_digit: Digit, rng: Rng) -> bytes:
    page = sheets.on_desk(
        page_of(rng, 200, 900),
        rng,
        rng.uniform(15, 120) + color(20, 10, 0),
        rng.choice(["tblr", "lb", "b", "tr", "l"]),
    )
    return photographed(page, rng)


def blank_shadow(_digit: Digit, rng: Rng) -> bytes:
    page = page_of(rng, 200, 900)
    sheets.shadow(
        page, rng, rng.choice([2.0, rng.uniform(0.1, 0.4) * min(page.shape[:2])]), rng.uniform(0.3, 0.65)
    )
    return photographed(page, rng)


def two_digits(digit: Digit, rng: Rng) -> bytes:
    """Two digits side by side."""
    page = page_of(rng, 150, 900)
    height, width = page.shape[:2]
    shade, tall = ink_color(rng), rng.uniform(0.3, 0.42) * min(height, width)
    other = Digit(int(rng.integers(10)))
    first, second = digit.ink(int(tall), rng), other.ink(int(tall * rng.uniform(0.85, 1.15)), rng)
    gap = max(3, int(tall * rng.uniform(0.15, 0.5)))
    left = round((width - first.shape[1] - second.shape[1] - gap) * rng.uniform(0.3, 0.7))
    lay(page, first, shade, int((height - first.shape[0]) / 2), left)
    lay(page, second, shade, int((height - second.shape[0]) / 2), left + first.shape[1] + gap)
    return captured(page, rng)


def crossed_out(digit: Digit, rng: Rng) -> bytes:
    """A digit with an X or several strokes through it."""
    page = page_of(rng, 150, 900)
    shade = ink_color(rng)
    top, left, tall, wide = put(page, digit, rng, shade, (0.35, 0.6))
    pen = max(1.5, rng.uniform(0.04, 0.1) * tall)
    reach = max(wide, 0.5 * tall)
    for sign in (1, -1) if rng.random() < 0.6 else (1, 1):
        slope = sign * rng.uniform(0.6, 1) * tall / 2
        x0, x1 = (
            left + wide / 2 - reach * rng.uniform(0.55, 0.75),
            left + wide / 2 + reach * rng.uniform(0.55, 0.75),
        )
        middle = top + tall * rng.uniform(0.4, 0.6)
        line = line_of([(x0, middle - slope), (x1, middle + slope)], pen)
        lay(page, line, shade, round(middle - abs(slope)), round(x0))
    return captured(page, rng)


NOTHING: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (blank_page, blank_ruling, blank_frame, blank_desk, blank_shadow, two_digits, crossed_out)
    }
)
