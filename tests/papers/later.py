"""Families kept out of sight until the last: written after `unseen.py` had been looked at, looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from papers import sheets
from papers.digits import Rng, line_of
from papers.families import Digit, Maker, page_of, put, size
from papers.sheets import Page, captured, color, ink_color, lay, photographed


def printed(text: str, tall: int) -> NDArray[np.float32]:
    """Letters in Pillow's own font, so many pixels high."""
    picture = Image.new("L", (12 * len(text), 14))
    ImageDraw.Draw(picture).text((1, 1), text, fill=255)
    picture = picture.crop(picture.getbbox())
    wide = max(2, picture.width * tall // picture.height)
    return np.asarray(picture.resize((wide, tall), Image.Resampling.BICUBIC), np.float32) / 255


def clouds(height: int, width: int, rng: Rng, cell: float) -> NDArray[np.float32]:
    """Smooth noise of mean 0 and deviation 1, with hills of about a cell's size."""
    small = rng.normal(0, 1, (max(2, int(height / cell)), max(2, int(width / cell)))).astype(np.float32)
    big = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(big, np.float32)


def wood(height: int, width: int, rng: Rng) -> Page:
    """The grain of a desk."""
    shade = color(150, 105, 65) * rng.uniform(0.4, 1.2)
    grain = clouds(height, max(2, width // 20), rng, rng.uniform(4, 12))
    streaks = np.asarray(Image.fromarray(grain).resize((width, height), Image.Resampling.BILINEAR))
    return sheets.blank(height, width, shade) * (1 + rng.uniform(0.04, 0.12) * streaks)[:, :, None]


def calendar_cell(digit: Digit, rng: Rng) -> bytes:
    """A framed cell with a small printed number in a corner."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    side = min(height, width)
    put(page, digit, rng, ink_color(rng), (0.35, 0.5))
    inset, shade = rng.uniform(0, 0.05) * side, color(*[rng.uniform(0, 140)] * 3)
    lay(page, sheets.box(height, width, round(inset), max(1, round(rng.uniform(0.004, 0.02) * side))), shade)
    number = printed(str(int(rng.integers(1, 31))), max(6, int(rng.uniform(0.05, 0.09) * side)))
    lay(page, number, shade, round(0.1 * height), round(0.1 * width))
    return captured(page, rng)


def napkin(digit: Digit, rng: Rng) -> bytes:
    """Rough paper, crumpled a little."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    put(page, digit, rng, ink_color(rng, 60), (0.35, 0.7))
    page *= (1 + rng.uniform(0.01, 0.05) * clouds(height, width, rng, rng.uniform(0.08, 0.3) * width))[
        :, :, None
    ]
    page += (rng.uniform(2, 6) * clouds(height, width, rng, 2.5))[:, :, None]
    return photographed(page, rng)


def kraft(digit: Digit, rng: Rng) -> bytes:
    """Brown paper, with a black pen or a white one."""
    page = sheets.blank(*size(rng, 200, 900), color(178, 136, 94) * rng.uniform(0.7, 1.15))
    put(page, digit, rng, color(245, 245, 240) if rng.random() < 0.5 else color(20, 20, 20), (0.35, 0.7))
    page += (rng.uniform(2, 7) * clouds(*page.shape[:2], rng, 3))[:, :, None]
    sheets.lit(page, rng, rng.uniform(0, 0.25))
    return photographed(page, rng)


def folded(digit: Digit, rng: Rng) -> bytes:
    """A sheet that was folded twice: four shades that meet in a cross."""
    page = page_of(rng, 250, 900)
    put(page, digit, rng, ink_color(rng, 60), (0.35, 0.7))
    y, x = sheets.grid(*page.shape[:2])
    for away, far in ((y + rng.uniform(-0.2, 0.2) * x, y.max()), (x + rng.uniform(-0.2, 0.2) * y, x.max())):
        place = rng.uniform(-0.3, 0.3) * far
        page *= np.where(away > place, 1.0, rng.uniform(0.75, 0.95))[:, :, None]
        page *= (1 - rng.uniform(0.05, 0.25) * np.exp(-(((away - place) / (0.006 * far)) ** 2)))[:, :, None]
    return photographed(page, rng)


def punched(digit: Digit, rng: Rng) -> bytes:
    """A ruled sheet with the holes of a binder along one side."""
    page = page_of(rng, 300, 1000)
    height, width = page.shape[:2]
    pitch = rng.uniform(0.09, 0.2) * min(height, width)
    lines = sheets.stripes(height, width, pitch, rng.uniform(0.8, 2.2), rng.uniform(-0.05, 0.05), pitch / 3)
    lay(page, lines, page[0, 0] * color(0.6, 0.7, 0.9))
    put(page, digit, rng, ink_color(rng), (0.3, 0.55))
    y, x = sheets.grid(height, width)
    for place in np.linspace(-0.35, 0.35, int(rng.integers(2, 5))):
        far = np.hypot(y - place * height, x + rng.uniform(0.43, 0.45) * width)
        lay(page, np.clip(0.022 * min(height, width) - far, 0, 1), color(*[rng.uniform(10, 90)] * 3))
    return captured(page, rng)


def highlighted(digit: Digit, rng: Rng) -> bytes:
    """A marker's broad pale stroke behind the digit."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    shades = [color(255, 245, 90), color(255, 170, 205), color(160, 245, 170)]
    y = height * rng.uniform(0.45, 0.55)
    stroke = line_of(
        [(0.1 * width, y), (0.9 * width, y * rng.uniform(0.95, 1.05))], rng.uniform(0.3, 0.5) * height
    )
    lay(page, stroke, shades[int(rng.integers(3))], round(y - stroke.shape[0] / 2), round(0.05 * width))
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    return captured(page, rng)


def fine_pen(digit: Digit, rng: Rng) -> bytes:
    """A ballpoint that is fine for the digit's size."""
    page = page_of(rng, 300, 1000)
    height, width = page.shape[:2]
    ink = digit.ink(int(rng.uniform(0.4, 0.7) * min(height, width)), rng, rng.uniform(0.015, 0.03))
    lay(page, ink, ink_color(rng), (height - ink.shape[0]) // 2, (width - ink.shape[1]) // 2)
    sheets.lit(page, rng, rng.uniform(0, 0.25))
    return photographed(page, rng, worst=50)


def steep_ruled(digit: Digit, rng: Rng) -> bytes:
    """Lined paper held askew, by 10 to 35 degrees."""
    page = page_of(rng, 300, 900)
    height, width = page.shape[:2]
    pitch = rng.uniform(0.1, 0.2) * min(height, width)
    angle = rng.choice([-1, 1]) * rng.uniform(0.17, 0.6)
    lines = sheets.stripes(height, width, pitch, rng.uniform(0.8, 2.2), angle, 0)
    lay(page, lines, page[0, 0] * color(0.6, 0.7, 0.9))
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    return captured(page, rng)


def on_wood(digit: Digit, rng: Rng) -> bytes:
    """A sheet on a desk with a grain."""
    page = page_of(rng, 250, 900)
    put(page, digit, rng, ink_color(rng), (0.3, 0.5))
    desk = wood(*page.shape[:2], rng)
    mask = sheets.on_desk(
        np.full_like(page, 255), rng, color(0, 0, 0), rng.choice(["tblr", "tl", "br", "lr"])
    )
    cover = mask[:, :, :1] / 255
    return photographed(page * cover + desk * (1 - cover), rng)


LATER: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            calendar_cell, napkin, kraft, folded, punched, highlighted, fine_pen, steep_ruled, on_wood,
        )
    }
)  # fmt: skip


def blank_fold(_digit: Digit, rng: Rng) -> bytes:
    """A folded sheet without a digit."""
    page = page_of(rng, 250, 900)
    y, x = sheets.grid(*page.shape[:2])
    away = y * rng.uniform(-1, 1) + x * rng.uniform(-1, 1)
    page *= np.where(away > 0, 1.0, rng.uniform(0.7, 0.95))[:, :, None]
    page *= (1 - rng.uniform(0.1, 0.4) * np.exp(-((away / (0.006 * max(page.shape))) ** 2)))[:, :, None]
    return photographed(page, rng)


def blank_napkin(_digit: Digit, rng: Rng) -> bytes:
    """Rough crumpled paper without a digit."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    page *= (1 + rng.uniform(0.02, 0.1) * clouds(height, width, rng, rng.uniform(0.05, 0.3) * width))[
        :, :, None
    ]
    page += (rng.uniform(2, 8) * clouds(height, width, rng, 2.5))[:, :, None]
    return photographed(page, rng)


def blank_wood(_digit: Digit, rng: Rng) -> bytes:
    """A desk alone."""
    page = wood(*size(rng, 200, 900), rng)
    sheets.lit(page, rng, rng.uniform(0, 0.4))
    return photographed(page, rng)


def blank_blur(_digit: Digit, rng: Rng) -> bytes:
    """A room out of focus: soft patches of a few colors."""
    height, width = size(rng, 200, 700)
    patches = rng.uniform(20, 240, (int(rng.integers(2, 6)), int(rng.integers(2, 6)), 3)).astype(np.uint8)
    picture = Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(2, 20)))
    return photographed(np.asarray(picture, np.float32), rng)


def scribbled_out(digit: Digit, rng: Rng) -> bytes:
    """A digit under a zigzag."""
    page = page_of(rng, 150, 900)
    shade = ink_color(rng)
    top, left, tall, wide = put(page, digit, rng, shade, (0.35, 0.6))
    turns = int(rng.integers(5, 11))
    ends = np.where(np.arange(turns) % 2, 1.15, -0.15) * max(wide, tall // 2)
    points = [(float(x), float(y)) for x, y in zip(ends, np.linspace(0.1, 0.9, turns) * tall, strict=True)]
    zigzag = line_of(points, max(1.5, rng.uniform(0.04, 0.09) * tall))
    lay(page, zigzag, shade, round(top + tall * 0.1), round(left - 0.15 * max(wide, tall // 2)))
    return captured(page, rng)


def struck_level(digit: Digit, rng: Rng) -> bytes:
    """A digit with two level strokes through it."""
    page = page_of(rng, 150, 900)
    shade = ink_color(rng)
    top, left, tall, wide = put(page, digit, rng, shade, (0.35, 0.6))
    reach = max(wide, tall // 2)
    for share in (rng.uniform(0.3, 0.42), rng.uniform(0.55, 0.7)):
        slope = rng.uniform(-0.08, 0.08) * reach
        line = line_of([(0, 0), (1.6 * reach, slope)], max(1.5, rng.uniform(0.04, 0.09) * tall))
        lay(page, line, shade, round(top + share * tall), round(left + wide / 2 - 0.8 * reach))
    return captured(page, rng)


def word(_digit: Digit, rng: Rng) -> bytes:
    """Three to six printed letters."""
    page = page_of(rng, 150, 900)
    height, width = page.shape[:2]
    text = "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(3, 7))))
    drawn = printed(text, max(10, int(rng.uniform(0.12, 0.2) * min(height, width))))[:, : width - 8]
    lay(page, drawn, ink_color(rng), (height - drawn.shape[0]) // 2, (width - drawn.shape[1]) // 2)
    return captured(page, rng)


LATER_NOTHING: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (blank_fold, blank_napkin, blank_wood, blank_blur, scribbled_out, struck_level, word)
    }
)
