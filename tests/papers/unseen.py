"""Families that were kept out of sight while preparation was tuned, and looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from papers import sheets
from papers.digits import Rng, line_of
from papers.families import Digit, Maker, page_of, put, size
from papers.sheets import captured, color, ink_color, lay, light_color, photographed


def sticky_note(digit: Digit, rng: Rng) -> bytes:
    """A colored note on a desk, a marker of another color."""
    notes = [color(250, 230, 110), color(250, 170, 190), color(160, 220, 150), color(150, 200, 240)]
    page = sheets.blank(*size(rng, 200, 900), notes[int(rng.integers(4))])
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    page = sheets.on_desk(page, rng, rng.uniform(30, 200) * color(1, 0.85, 0.7), "tblr", 0.12)
    sheets.lit(page, rng, rng.uniform(0, 0.25))
    return photographed(page, rng)


def dotted_paper(digit: Digit, rng: Rng) -> bytes:
    """Dots in a lattice."""
    page = page_of(rng, 300, 1000)
    height, width = page.shape[:2]
    pitch, angle = rng.uniform(0.05, 0.12) * min(height, width), rng.uniform(-0.1, 0.1)
    y, x = sheets.grid(height, width)
    u, v = y * np.cos(angle) - x * np.sin(angle), x * np.cos(angle) + y * np.sin(angle)
    u, v = (np.abs((w + pitch / 2) % pitch - pitch / 2) for w in (u, v))
    reach = rng.uniform(0.7, 1.6) * max(1, min(height, width) / 500)
    lay(page, np.clip(reach + 0.5 - np.hypot(u, v), 0, 1), color(*[rng.uniform(60, 170)] * 3))
    put(page, digit, rng, ink_color(rng), (0.35, 0.7))
    return captured(page, rng)


def squared_in_shadow(digit: Digit, rng: Rng) -> bytes:
    """Squared paper, half of it in shadow."""
    page = page_of(rng, 300, 900)
    height, width = page.shape[:2]
    pitch, angle = rng.uniform(0.05, 0.12) * min(height, width), rng.uniform(-0.1, 0.1)
    for turn in (0, np.pi / 2):
        lay(
            page,
            sheets.stripes(height, width, pitch, rng.uniform(0.8, 2), angle + turn, rng.uniform(0, pitch)),
            page[0, 0] * color(0.68, 0.78, 0.92),
        )
    put(page, digit, rng, ink_color(rng, 60), (0.35, 0.7))
    sheets.shadow(page, rng, rng.choice([2.0, 0.3 * min(height, width)]), rng.uniform(0.25, 0.55))
    return photographed(page, rng)


def ruled_on_desk(digit: Digit, rng: Rng) -> bytes:
    """A lined sheet on a desk."""
    page = page_of(rng, 300, 900)
    height, width = page.shape[:2]
    pitch = rng.uniform(0.1, 0.2) * min(height, width)
    lay(
        page,
        sheets.stripes(height, width, pitch, rng.uniform(1, 2.5), 0, rng.uniform(0, pitch)),
        page[0, 0] * color(0.6, 0.7, 0.9),
    )
    put(page, digit, rng, ink_color(rng), (0.3, 0.55))
    sides = "".join(side for side in "tblr" if rng.random() < 0.6) or "l"
    return photographed(sheets.on_desk(page, rng, rng.uniform(20, 90) + color(25, 12, 0), sides), rng)


def form(digit: Digit, rng: Rng) -> bytes:
    """One box of a row of boxes, the neighbors cut off at the edge."""
    page = page_of(rng, 200, 800)
    height, width = page.shape[:2]
    thick = max(1.0, rng.uniform(0.004, 0.012) * min(height, width))
    shade = color(*[rng.uniform(0, 130)] * 3)
    y, x = sheets.grid(height, width)
    half = rng.uniform(0.36, 0.44)
    lines = np.minimum(np.abs(np.abs(x) - half * width), np.abs(np.abs(y) - half * height))
    lines = np.where(
        (np.abs(y) < half * height + thick) | (np.abs(np.abs(y) - half * height) < thick), lines, 99
    )
    lay(page, np.clip(thick / 2 + 0.5 - lines, 0, 1), shade)
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    return captured(page, rng)


def stained(digit: Digit, rng: Rng) -> bytes:
    """The ring that a cup left, and a spot."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    side = min(height, width)
    cy, cx = rng.uniform(-0.5, 0.5, 2) * (height, width)
    far = np.hypot(y - cy, x - cx)
    ring = np.clip(1.5 - np.abs(far - rng.uniform(0.25, 0.45) * side) / (0.02 * side), 0, 1)
    lay(page, ring * rng.uniform(0.15, 0.35), color(150, 100, 50))
    lay(page, np.clip(2 - far / (0.1 * side), 0, 1) * 0.2, color(150, 100, 50))
    put(page, digit, rng, ink_color(rng, 60), (0.35, 0.65))
    return photographed(page, rng)


def whiteboard(digit: Digit, rng: Rng) -> bytes:
    """A marker on a board that shines and was wiped badly."""
    page = sheets.blank(*size(rng, 250, 1000), color(215, 220, 222))
    height, width = page.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        points = rng.uniform(0, 1, (4, 2)) * (width, height)
        smear = line_of(
            [(float(a), float(b)) for a, b in points], rng.uniform(0.03, 0.1) * min(height, width)
        )
        lay(
            page,
            smear * rng.uniform(0.03, 0.1),
            color(60, 60, 90),
            int(points[:, 1].min()),
            int(points[:, 0].min()),
        )
    put(page, digit, rng, ink_color(rng, 110), (0.35, 0.7))
    y, x = sheets.grid(height, width)
    cy, cx = rng.uniform(-0.5, 0.5, 2) * (height, width)
    page += (60 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (0.15 * min(height, width)) ** 2))[:, :, None]
    return photographed(page, rng)


def screenshot(digit: Digit, rng: Rng) -> bytes:
    """A drawing program: a bar along the top with buttons, a gray surround."""
    page = sheets.blank(*size(rng, 250, 1000), light_color(rng))
    height = page.shape[0]
    put(page, digit, rng, ink_color(rng), (0.35, 0.6))
    bar = max(6, int(rng.uniform(0.05, 0.1) * height))
    page[:bar] = rng.uniform(40, 225)
    for button in range(int(rng.integers(3, 9))):
        page[bar // 4 : 3 * bar // 4, int((button + 0.5) * bar) : int((button + 0.5) * bar) + bar // 2] = (
            rng.uniform(0, 255, 3)
        )
    page[:, : int(rng.integers(0, 6))] = page[-int(rng.integers(1, 6)) :] = rng.uniform(90, 200)
    return sheets.png(page)


def two_shadows(digit: Digit, rng: Rng) -> bytes:
    """The shadows of a hand and of a telephone."""
    page = page_of(rng, 200, 900)
    put(page, digit, rng, ink_color(rng, 60), (0.35, 0.7))
    sheets.shadow(page, rng, rng.uniform(1, 12), rng.uniform(0.2, 0.4))
    sheets.shadow(page, rng, rng.uniform(0.05, 0.3) * min(page.shape[:2]), rng.uniform(0.2, 0.4))
    return photographed(page, rng)


def colored_frame(digit: Digit, rng: Rng) -> bytes:
    """A colored frame, and paper of another color."""
    page = sheets.blank(*size(rng), rng.uniform(150, 255, 3).astype(np.float32))
    height, width = page.shape[:2]
    put(page, digit, rng, ink_color(rng, 60), (0.35, 0.6))
    thick = max(1, round(rng.uniform(0.005, 0.05) * min(height, width)))
    lay(page, sheets.box(height, width, 0, thick), rng.uniform(0, 255, 3).astype(np.float32))
    return captured(page, rng)


def board_with_ledge(digit: Digit, rng: Rng) -> bytes:
    """Chalk on a board, with the light wall or ledge at its edge."""
    page = sheets.blank(*size(rng, 200, 900), color(35, 60, 45) * rng.uniform(0.6, 1.3))
    put(page, digit, rng, color(235, 235, 225) * rng.uniform(0.8, 1), (0.3, 0.55))
    page = sheets.on_desk(
        page, rng, color(200, 190, 170) * rng.uniform(0.8, 1.2), rng.choice(["b", "lr", "tblr", "t"])
    )
    return photographed(page, rng)


UNSEEN: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            sticky_note, dotted_paper, squared_in_shadow, ruled_on_desk, form, stained, whiteboard,
            screenshot, two_shadows, colored_frame, board_with_ledge,
        )
    }
)  # fmt: skip


def blank_desk_with_note(_digit: Digit, rng: Rng) -> bytes:
    """An empty colored note on a desk."""
    page = sheets.blank(*size(rng, 200, 900), rng.uniform(120, 250, 3).astype(np.float32))
    return photographed(sheets.on_desk(page, rng, rng.uniform(30, 120, 3).astype(np.float32), "tblr"), rng)


def three_digits(digit: Digit, rng: Rng) -> bytes:
    """Three digits in a row."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    tall, shade = rng.uniform(0.2, 0.32) * min(height, width), ink_color(rng)
    left = 0.08 * width
    for one in (digit, Digit(int(rng.integers(10))), Digit(int(rng.integers(10)))):
        ink = one.ink(max(12, int(tall)), rng)
        lay(page, ink, shade, int(height / 2 - ink.shape[0] / 2), int(left))
        left += ink.shape[1] + max(4, tall * rng.uniform(0.2, 0.4))
    return captured(page, rng)


def blank_dots(_digit: Digit, rng: Rng) -> bytes:
    """Dotted paper without a digit."""
    page = page_of(rng, 300, 1000)
    height, width = page.shape[:2]
    pitch = rng.uniform(0.05, 0.12) * min(height, width)
    y, x = (np.abs((w + pitch / 2) % pitch - pitch / 2) for w in sheets.grid(height, width))
    lay(page, np.clip(rng.uniform(1, 2.5) - np.hypot(y, x), 0, 1), color(*[rng.uniform(60, 170)] * 3))
    return captured(page, rng)


UNSEEN_NOTHING: Mapping[str, Maker] = MappingProxyType(
    {make.__name__: make for make in (blank_desk_with_note, three_digits, blank_dots)}
)
