"""Families written before 0.2.0's last rules were tuned, not looked at while they were, looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from papers import sheets
from papers.digits import Rng, line_of
from papers.families import Digit, Maker, page_of, put, size
from papers.later import clouds, printed
from papers.sheets import Page, captured, color, ink_color, lay, photographed


def staves(page: Page, rng: Rng) -> None:
    """Staves of music: groups of five level lines."""
    height, width = page.shape[:2]
    side = min(height, width)
    shade = page[0, 0] * rng.uniform(0.2, 0.6)
    pitch, pen = rng.uniform(0.022, 0.035) * side, max(1.0, rng.uniform(0.002, 0.004) * side)
    lean = rng.uniform(-0.03, 0.03) * width
    for top in np.arange(rng.uniform(0.02, 0.12), 1, rng.uniform(0.26, 0.4)) * height:
        for line in range(5):
            y = top + line * pitch
            ink = line_of([(0.03 * width, y), (0.97 * width, y + lean)], pen)
            lay(page, ink, shade, round(min(y, y + lean) - pen / 2), round(0.03 * width))


def spiral(page: Page, rng: Rng) -> None:
    """The wire of a notebook along the upper edge: loops through punched holes."""
    height, width = page.shape[:2]
    count, shade = int(rng.integers(9, 20)), color(*[rng.uniform(20, 110)] * 3)
    pitch, tall = width / count, rng.uniform(0.05, 0.09) * height
    y, x = sheets.grid(height, width)
    for place in (np.arange(count) + 0.5) * pitch - width / 2:
        hole = np.clip(0.2 * pitch + 0.5 - np.hypot(x - place, y + height / 2 - tall), 0, 1)
        wire = np.clip(0.07 * pitch + 0.5 - np.abs(x - place), 0, 1) * (y < tall - height / 2)
        lay(page, np.maximum(hole, wire), shade)


def tape(page: Page, rng: Rng) -> None:
    """A strip of clear tape: a little darker, with brighter edges."""
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    angle, place = rng.uniform(0, np.pi), rng.uniform(-0.25, 0.25) * min(height, width)
    far = np.abs(x * np.cos(angle) + y * np.sin(angle) - place) - rng.uniform(0.06, 0.14) * min(height, width)
    page *= (1 - rng.uniform(0.03, 0.12) * (far < 0))[:, :, None]
    page += (rng.uniform(-25, 25) * np.exp(-((far / max(1.0, 0.004 * width)) ** 2)))[:, :, None]


def bricks(height: int, width: int, rng: Rng) -> Page:
    """A wall: courses of bricks, joints between them."""
    page = sheets.blank(height, width, color(165, 90, 70) * rng.uniform(0.7, 1.2))
    tall = rng.uniform(0.07, 0.22) * height
    pen = max(1.5, rng.uniform(0.06, 0.16) * tall)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    course = np.floor(y / tall)
    joint = np.minimum(y % tall, (x + course * 1.1 * tall) % (2.2 * tall)) < pen
    tint = np.sin(course * 12.9 + np.floor((x + course * 1.1 * tall) / (2.2 * tall)) * 78.2)
    page *= (1 + 0.08 * tint)[:, :, None]
    lay(page, joint.astype(np.float32), color(200, 195, 185) * rng.uniform(0.5, 1))
    return page + (4 * clouds(height, width, rng, 3))[:, :, None]


# --- Digits ---------------------------------------------------------------------------------------------


def on_staves(digit: Digit, rng: Rng) -> bytes:
    """Music paper."""
    page = page_of(rng, 250, 900)
    staves(page, rng)
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    return captured(page, rng)


def notebook(digit: Digit, rng: Rng) -> bytes:
    """A page of a spiral notebook, ruled or plain."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    if rng.random() < 0.5:
        pitch = rng.uniform(0.08, 0.16) * height
        lines = sheets.stripes(height, width, pitch, rng.uniform(0.8, 2), rng.uniform(-0.03, 0.03), 0)
        lay(page, lines, page[0, 0] * color(0.65, 0.75, 0.9))
    spiral(page, rng)
    put(page, digit, rng, ink_color(rng), (0.3, 0.55))
    return captured(page, rng)


def taped(digit: Digit, rng: Rng) -> bytes:
    """Clear tape over a part of the page."""
    page = page_of(rng, 200, 900)
    put(page, digit, rng, ink_color(rng), (0.35, 0.65))
    tape(page, rng)
    return captured(page, rng)


def envelope(digit: Digit, rng: Rng) -> bytes:
    """Slanting stripes of two colors along the edge."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    rim = np.minimum(height / 2 - np.abs(y), width / 2 - np.abs(x)) < rng.uniform(0.04, 0.08) * min(
        height, width
    )
    step = rng.uniform(0.06, 0.12) * width
    phase = np.floor((x + y) / step) % 4
    lay(page, (rim & (phase == 0)).astype(np.float32), color(190, 40, 50))
    lay(page, (rim & (phase == 2)).astype(np.float32), color(40, 60, 150))
    put(page, digit, rng, ink_color(rng), (0.3, 0.55))
    return captured(page, rng)


def receipt(digit: Digit, rng: Rng) -> bytes:
    """Small print in lines above the digit."""
    page = page_of(rng, 300, 1000)
    height, width = page.shape[:2]
    tall, shade = max(7, round(rng.uniform(0.02, 0.03) * height)), color(*[rng.uniform(30, 110)] * 3)
    for row in range(int(rng.integers(2, 5))):
        said = "".join(chr(int(c)) for c in rng.integers(65, 91, int(rng.integers(8, 18))))
        lay(page, printed(said, tall), shade, round((0.03 + 0.055 * row) * height), round(0.06 * width))
    ink = digit.ink(int(rng.uniform(0.35, 0.5) * height), rng)
    lay(page, ink, ink_color(rng), round(0.4 * height), max(0, round((width - ink.shape[1]) / 2)))
    return captured(page, rng)


def glare(digit: Digit, rng: Rng) -> bytes:
    """A dark slate with the glare of a lamp."""
    page = sheets.blank(*size(rng, 200, 900), color(45, 55, 60) * rng.uniform(0.5, 1.2))
    put(page, digit, rng, color(240, 240, 235), (0.35, 0.65))
    y, x = sheets.grid(*page.shape[:2])
    height, width = page.shape[:2]
    far = np.hypot(x - rng.uniform(-0.5, 0.5) * width, y - rng.uniform(-0.5, 0.5) * height)
    page += (rng.uniform(30, 110) * np.exp(-((far / (rng.uniform(0.15, 0.4) * width)) ** 2)))[:, :, None]
    return photographed(page, rng)


def two_pens(digit: Digit, rng: Rng) -> bytes:
    """A digit in ink over pencil notes that are fainter and smaller."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    faint = page[0, 0] * rng.uniform(0.72, 0.88)
    for _ in range(int(rng.integers(1, 4))):
        words = printed("".join(chr(int(c)) for c in rng.integers(97, 123, 6)), max(8, round(0.05 * height)))
        lay(page, words, faint, round(rng.uniform(0.02, 0.9) * height), round(rng.uniform(0, 0.5) * width))
    put(page, digit, rng, ink_color(rng, 60), (0.4, 0.65))
    return captured(page, rng)


def brush(digit: Digit, rng: Rng) -> bytes:
    """Watercolor: strokes whose strength varies along them, on grained paper."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    cover = np.zeros((height, width, 1), np.float32)
    canvas = np.repeat(cover, 3, axis=2)
    put(canvas, digit, rng, color(1, 1, 1), (0.4, 0.7))
    strength = np.clip(0.8 + 0.13 * clouds(height, width, rng, 0.1 * width), 0.4, 1)
    page += canvas * strength[:, :, None] * (ink_color(rng, 80) - page)
    page *= (1 + 0.012 * clouds(height, width, rng, 3))[:, :, None]
    return captured(page, rng)


def ticket(digit: Digit, rng: Rng) -> bytes:
    """Two colors of paper: the digit on one, a band of the other below."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    band = round(rng.uniform(0.1, 0.25) * height)
    page[height - band :] = rng.uniform(60, 220, 3)
    ink = digit.ink(int(rng.uniform(0.4, 0.6) * (height - band)), rng)
    lay(page, ink, ink_color(rng, 50), round(0.2 * (height - band)), max(0, (width - ink.shape[1]) // 2))
    return captured(page, rng)


def sideways_light(digit: Digit, rng: Rng) -> bytes:
    """The shadows of window bars: parallel soft bands across the sheet."""
    page = page_of(rng, 250, 900)
    put(page, digit, rng, ink_color(rng, 50), (0.35, 0.65))
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(0.25, 0.6) * min(height, width)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / pitch)
    page *= (1 - rng.uniform(0.15, 0.4) / (1 + np.exp(-rng.uniform(3, 9) * wave)))[:, :, None]
    return photographed(page, rng)


FRESH: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            on_staves, notebook, taped, envelope, receipt, glare, two_pens, brush, ticket, sideways_light,
        )
    }
)  # fmt: skip


# --- Nothing to know ------------------------------------------------------------------------------------


def blank_staves(_digit: Digit, rng: Rng) -> bytes:
    """Music paper alone."""
    page = page_of(rng, 250, 900)
    staves(page, rng)
    return captured(page, rng)


def blank_spiral(_digit: Digit, rng: Rng) -> bytes:
    """A notebook's page alone."""
    page = page_of(rng, 250, 900)
    spiral(page, rng)
    return captured(page, rng)


def blank_tape(_digit: Digit, rng: Rng) -> bytes:
    """One or two strips of tape."""
    page = page_of(rng, 200, 900)
    for _ in range(int(rng.integers(1, 3))):
        tape(page, rng)
    return photographed(page, rng)


def blank_bricks(_digit: Digit, rng: Rng) -> bytes:
    """A wall of bricks."""
    page = bricks(*size(rng, 200, 900), rng)
    return photographed(page, rng)


def blank_curtain(_digit: Digit, rng: Rng) -> bytes:
    """Upright folds of cloth."""
    height, width = size(rng, 200, 900)
    x = sheets.grid(height, width)[1]
    bend = clouds(height, width, rng, 0.4 * height)
    wave = np.sin(2 * np.pi * (x / (rng.uniform(0.08, 0.35) * width)) + 0.7 * bend)
    page = sheets.blank(height, width, rng.uniform(60, 220, 3).astype(np.float32))
    page *= (1 + rng.uniform(0.1, 0.35) * wave)[:, :, None]
    return photographed(page, rng)


def blank_gravel(_digit: Digit, rng: Rng) -> bytes:
    """Pebbles: patches of many grays."""
    height, width = size(rng, 200, 700)
    count = int(rng.integers(30, 200))
    places, shades = rng.uniform(0, 1, (count, 2)) * (height, width), rng.uniform(60, 210, count)
    y, x = np.mgrid[:height:2, :width:2].astype(np.float32)
    far = np.stack([np.hypot(y - row, x - column) for row, column in places])
    order = np.partition(far, 1, axis=0)
    gray = shades[far.argmin(axis=0)] * np.clip((order[1] - order[0]) / 8 + 0.35, 0, 1)
    page = np.asarray(Image.fromarray(gray.astype(np.float32)).resize((width, height)), np.float32)
    return photographed(np.repeat(page[:, :, None], 3, axis=2), rng)


def blank_envelope(_digit: Digit, rng: Rng) -> bytes:
    """The back of an envelope: two flaps that meet in a V, and a stamp's square."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    edge = y / height + 0.5 - rng.uniform(0.4, 0.7) * (1 - 2 * np.abs(x) / width)
    page *= (1 - rng.uniform(0.03, 0.15) * (edge > 0))[:, :, None]
    page *= (1 - rng.uniform(0.1, 0.4) * np.exp(-((edge * height / max(1.5, 0.006 * height)) ** 2)))[
        :, :, None
    ]
    return photographed(page, rng)


def blank_blinds(_digit: Digit, rng: Rng) -> bytes:
    """The shadows of a blind on a blank sheet."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    angle, pitch = rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.6) * height
    wave = np.sin(2 * np.pi * (y * np.cos(angle) + x * np.sin(angle)) / pitch)
    page *= (1 - rng.uniform(0.15, 0.5) / (1 + np.exp(-rng.uniform(2, 12) * wave)))[:, :, None]
    return photographed(page, rng)


def three_struck(digit: Digit, rng: Rng) -> bytes:
    """A digit struck through by three wavy strokes."""
    page = page_of(rng, 150, 900)
    shade = ink_color(rng)
    top, left, tall, wide = put(page, digit, rng, shade, (0.35, 0.55))
    pen = max(1.5, rng.uniform(0.05, 0.09) * tall)
    reach = max(wide, 0.5 * tall)
    for place in (0.25, 0.5, 0.75):
        waves = rng.normal(0, 0.03, 5) * tall + top + place * tall
        xs = np.linspace(left + wide / 2 - 0.75 * reach, left + wide / 2 + 0.75 * reach, 5)
        line = line_of(list(zip(xs.tolist(), waves.tolist(), strict=True)), pen)
        lay(page, line, shade, round(float(waves.min()) - pen / 2), round(float(xs[0]) - pen / 2))
    return captured(page, rng)


def other_ink(digit: Digit, rng: Rng) -> bytes:
    """A digit canceled by a large X in another color."""
    page = page_of(rng, 150, 900)
    top, left, tall, wide = put(page, digit, rng, ink_color(rng), (0.35, 0.55))
    pen, reach = max(1.5, rng.uniform(0.05, 0.1) * tall), 0.65 * max(wide, 0.6 * tall)
    middle = left + wide / 2
    for sign in (1, -1):
        y0, y1 = (top + tall * (0.5 - sign * 0.6), top + tall * (0.5 + sign * 0.6))
        line = line_of([(middle - reach, y0), (middle + reach, y1)], pen)
        lay(page, line, color(200, 25, 35), round(min(y0, y1) - pen / 2), round(middle - reach - pen / 2))
    return captured(page, rng)


FRESH_NOTHING: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            blank_staves, blank_spiral, blank_tape, blank_bricks, blank_curtain, blank_gravel, blank_envelope,
            blank_blinds, three_struck, other_ink,
        )
    }
)  # fmt: skip
