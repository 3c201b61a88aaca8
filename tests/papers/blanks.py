"""More pictures with nothing to know: what lies on desks, walls, and in pages without a digit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from papers import sheets
from papers.digits import Rng, line_of
from papers.families import Digit, Maker, page_of, size
from papers.later import clouds, printed
from papers.sheets import Page, blurred, captured, color, ink_color, lay, photographed

Cover = NDArray[np.float32]  # (H, W), 0 to 1


def _shaded(page: Page, share: Cover) -> None:
    page *= (1 - share)[:, :, None]


def coffee_ring(_digit: Digit, rng: Rng) -> bytes:
    """The rings that a cup leaves: darker at their rim, washed out in places."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    brown = color(150, 100, 55)
    for _ in range(int(rng.integers(1, 4))):
        y0, x0 = rng.uniform(-0.3, 0.3, 2) * (height, width)
        far, reach = np.hypot(x - x0, y - y0), rng.uniform(0.15, 0.4) * min(height, width)
        thick = rng.uniform(0.015, 0.07) * min(height, width)
        ring = np.exp(-(((far - reach) / thick) ** 2)) + 0.7 * np.exp(
            -(((far - reach - thick) / max(0.2 * thick, 0.8)) ** 2)
        )
        patchy = np.clip(0.6 + 0.5 * clouds(height, width, rng, 0.2 * width), 0, 1)
        lay(page, np.clip(ring * patchy * rng.uniform(0.2, 0.6), 0, 1).astype(np.float32), brown)
    return captured(page, rng)


def staples(_digit: Digit, rng: Rng) -> bytes:
    """Staples, paper clips and punched holes."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    side = min(height, width)
    shade = color(*[rng.uniform(60, 140)] * 3)
    for _ in range(int(rng.integers(1, 4))):
        y, x, angle = rng.uniform(0.1, 0.8) * height, rng.uniform(0.1, 0.8) * width, rng.uniform(-0.7, 0.7)
        long, pen = rng.uniform(0.05, 0.14) * side, max(1.5, rng.uniform(0.006, 0.014) * side)
        run = [(x, y), (x + long * np.cos(angle), y + long * np.sin(angle))]
        lay(page, line_of(run, pen), shade, round(min(run[0][1], run[1][1])), round(x))
    if rng.random() < 0.5:
        grid_y, grid_x = sheets.grid(height, width)
        for place in (-0.15, 0.15):
            far = np.hypot(grid_y - place * height, grid_x + 0.42 * width)
            lay(page, np.clip(0.025 * side - far, 0, 1), color(30, 30, 30))
    return captured(page, rng)


def corner_shadow(_digit: Digit, rng: Rng) -> bytes:
    """The shadow of a head or a hand in a corner of a blank sheet."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    y0, x0 = rng.choice([-0.5, 0.5]) * height, rng.choice([-0.5, 0.5]) * width
    far = np.hypot(y - y0, x - x0) + 0.05 * height * clouds(height, width, rng, 0.3 * width)
    soft = rng.uniform(0.005, 0.08) * width
    inside = 1 / (1 + np.exp(np.clip((far - rng.uniform(0.25, 0.7) * width) / soft, -40, 40)))
    _shaded(page, rng.uniform(0.15, 0.6) * inside)
    return photographed(page, rng)


def paper_edge(_digit: Digit, rng: Rng) -> bytes:
    """Two sheets, one on the other: an edge with its shadow, straight or torn."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3) * min(height, width)
    side = x * np.cos(angle) + y * np.sin(angle) - place
    if rng.random() < 0.5:  # torn
        side = side + 0.012 * width * clouds(height, width, rng, 0.03 * width)
    soft = rng.uniform(0.004, 0.03) * width
    _shaded(page, (side > 0) * (rng.uniform(0.1, 0.5) * np.exp(-np.maximum(side, 0) / soft)))
    page *= np.where(side > 0, rng.uniform(0.7, 1), 1.0)[:, :, None]
    return photographed(page, rng)


def fabric(_digit: Digit, rng: Rng) -> bytes:
    """Woven cloth, jeans, a carpet: fine crossing threads and soft folds."""
    height, width = size(rng, 200, 900)
    y, x = sheets.grid(height, width)
    page = sheets.blank(height, width, rng.uniform(40, 230, 3).astype(np.float32))
    pitch = rng.uniform(2.2, 14)
    angle = rng.uniform(0, np.pi)
    weave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / pitch)
    weave += np.sin(2 * np.pi * (x * np.sin(angle) - y * np.cos(angle)) / pitch)
    page *= (1 + rng.uniform(0.03, 0.15) * weave)[:, :, None]
    page *= (1 + rng.uniform(0, 0.12) * clouds(height, width, rng, rng.uniform(0.1, 0.3) * width))[:, :, None]
    return photographed(page, rng)


def wall(_digit: Digit, rng: Rng) -> bytes:
    """Plaster with a crack or a scratch, tiles, or the switch on it."""
    height, width = size(rng, 200, 900)
    page = sheets.blank(height, width, rng.uniform(130, 245) - rng.uniform(0, 20, 3).astype(np.float32))
    page += (rng.uniform(1, 6) * clouds(height, width, rng, rng.uniform(2, 8)))[:, :, None]
    sheets.lit(page, rng, rng.uniform(0, 0.4))
    kind, side = int(rng.integers(3)), min(height, width)
    if kind == 0:  # a crack
        xs = np.linspace(rng.uniform(-0.1, 0.4), rng.uniform(0.6, 1.1), 9) * width
        ys = (rng.uniform(0.2, 0.8) + np.cumsum(rng.normal(0, 0.05, 9))) * height
        if rng.random() < 0.5:
            xs, ys = ys * width / height, xs * height / width
        crack = line_of(list(zip(xs.tolist(), ys.tolist(), strict=True)), rng.uniform(1, 0.008 * side + 1))
        lay(page, crack, page[0, 0] * 0.5, round(float(ys.min())), round(float(xs.min())))
    elif kind == 1:  # tiles
        pitch = rng.uniform(0.2, 0.6) * side
        for turn in (0, np.pi / 2):
            joint = sheets.stripes(height, width, pitch, rng.uniform(1.5, 0.03 * side), turn, 0.3 * pitch)
            lay(page, joint, page[0, 0] * rng.uniform(0.5, 0.8))
    else:  # a switch
        y, x = sheets.grid(height, width)
        near = np.maximum(np.abs(y), np.abs(x)) / side
        _shaded(page, 0.35 * (np.abs(near - 0.2) < 0.006) + 0.3 * (np.abs(near - 0.12) < 0.006))
    return photographed(page, rng)


def keyboard(_digit: Digit, rng: Rng) -> bytes:
    """Keys in rows, empty or with letters that cannot be read."""
    height, width = size(rng, 250, 900)
    dark = rng.random() < 0.6
    page = sheets.blank(height, width, color(25, 25, 28) if dark else color(190, 190, 195))
    pitch = rng.uniform(0.14, 0.4) * min(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    row = np.floor(y / pitch)
    key = np.maximum(np.abs(y % pitch - pitch / 2), np.abs((x + row * 0.4 * pitch) % pitch - pitch / 2))
    face = np.clip((0.43 * pitch - key) / 2, 0, 1)
    lay(page, face, color(55, 55, 60) if dark else color(240, 240, 240))
    sheets.lit(page, rng, rng.uniform(0, 0.4))
    return photographed(page, rng)


def text_out_of_focus(_digit: Digit, rng: Rng) -> bytes:
    """A page of print, too blurred to read."""
    page = page_of(rng, 250, 900)
    height, width = page.shape[:2]
    tall = max(6, round(rng.uniform(0.02, 0.09) * height))
    for top in np.arange(0.04, 0.95, tall / height * rng.uniform(1.5, 2)) * height:
        said = "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(6, 50))))
        said = " ".join(said[i : i + 5] for i in range(0, len(said), 5))
        lay(
            page,
            printed(said, tall)[:, : round(0.92 * width)],
            color(30, 30, 30),
            round(top),
            round(0.05 * width),
        )
    return photographed(blurred(page, rng.uniform(0.2, 1.2) * tall), rng)


def axes(_digit: Digit, rng: Rng) -> bytes:
    """The axes of a graph with ticks, and at times a curve."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    pen, shade = max(1.2, rng.uniform(0.003, 0.012) * min(height, width)), ink_color(rng)
    y0, x0 = rng.uniform(0.5, 0.9) * height, rng.uniform(0.1, 0.5) * width
    strokes = [
        [(0.05 * width, y0), (0.95 * width, y0)],
        [(x0, 0.05 * height), (x0, 0.95 * height)],
        *(
            [(x, y0 - 3 * pen), (x, y0 + 3 * pen)]
            for x in np.linspace(0.15, 0.9, int(rng.integers(2, 9))) * width
        ),
    ]
    if rng.random() < 0.5:
        xs = np.linspace(0.1, 0.9, 30)
        ys = 0.4 + 0.3 * np.sin(rng.uniform(2, 9) * xs + rng.uniform(0, 6))
        strokes.append([(x * width, y * height) for x, y in zip(xs, ys, strict=True)])
    for points in strokes:
        top, left = min(y for _, y in points) - pen / 2, min(x for x, _ in points) - pen / 2
        lay(page, line_of(points, pen), shade, round(top), round(left))
    return captured(page, rng)


def ruler(_digit: Digit, rng: Rng) -> bytes:
    """A ruler across the page: long and short ticks along an edge."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    top, tall = rng.uniform(0.1, 0.6) * height, rng.uniform(0.12, 0.3) * height
    page[round(top) : round(top + tall)] = color(235, 215, 150) * rng.uniform(0.6, 1)
    pitch, pen = rng.uniform(0.012, 0.04) * width, max(1, round(rng.uniform(0.002, 0.005) * width))
    for number, x in enumerate(np.arange(0, width, pitch).astype(int)):
        long = (0.5, 0.2, 0.2, 0.2, 0.2, 0.35, 0.2, 0.2, 0.2, 0.2)[number % 10] * tall
        page[round(top) : round(top + long), x : x + pen] = 30
    return captured(page, rng)


def checkboxes(_digit: Digit, rng: Rng) -> bytes:
    """Empty boxes and lines to write on, one to four of them."""
    page = page_of(rng, 150, 900)
    height, width = page.shape[:2]
    shade, side = ink_color(rng), round(rng.uniform(0.1, 0.28) * min(height, width))
    thick = max(1, round(rng.uniform(0.03, 0.1) * side))
    for row in range(int(rng.integers(1, 4))):
        top, left = round((0.08 + 0.3 * row) * height), round(rng.uniform(0.08, 0.15) * width)
        lay(page, sheets.box(side, side, 0, thick), shade, top, left)
        if rng.random() < 0.6:
            page[top + side - thick : top + side, left + 2 * side : round(0.9 * width)] = shade
    return captured(page, rng)


def barcode(_digit: Digit, rng: Rng) -> bytes:
    """Upright bars of four widths."""
    page = page_of(rng, 150, 900)
    height, width = page.shape[:2]
    unit = max(1, round(rng.uniform(0.004, 0.012) * width))
    x, top, bottom = round(rng.uniform(0.1, 0.25) * width), round(0.25 * height), round(0.75 * height)
    while x < rng.uniform(0.75, 0.9) * width:
        bar = unit * int(rng.integers(1, 5))
        page[top:bottom, x : x + bar] = 20
        x += bar + unit * int(rng.integers(1, 5))
    return captured(page, rng)


def smudges(_digit: Digit, rng: Rng) -> bytes:
    """Smears of graphite, and fingerprints."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    for _ in range(int(rng.integers(1, 5))):
        y0, x0, angle = *(rng.uniform(-0.35, 0.35, 2) * (height, width)), rng.uniform(0, np.pi)
        along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
        across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
        long = rng.uniform(0.05, 0.25) * width
        blob = np.exp(-((along / long) ** 2) - ((across / (rng.uniform(0.2, 0.6) * long)) ** 2))
        if rng.random() < 0.4:
            blob = blob * (0.6 + 0.4 * np.sin(np.hypot(along, across * 1.5) / rng.uniform(1.2, 3)))
        _shaded(page, rng.uniform(0.1, 0.5) * blob)
    return photographed(page, rng)


def ink_spill(_digit: Digit, rng: Rng) -> bytes:
    """Blots with splashes around them."""
    page = page_of(rng, 150, 900)
    height, width = page.shape[:2]
    y, x = sheets.grid(height, width)
    shade, cover = ink_color(rng), np.zeros((height, width), np.float32)
    y0, x0 = rng.uniform(-0.2, 0.2, 2) * (height, width)
    turn = np.arctan2(y - y0, x - x0)
    reach = rng.uniform(0.1, 0.3) * min(height, width)
    edge = reach * (1 + sum(rng.uniform(0, 0.18) * np.sin(k * turn + rng.uniform(0, 6)) for k in range(2, 8)))
    cover = np.clip(edge - np.hypot(y - y0, x - x0), 0, 1)
    for _ in range(int(rng.integers(0, 12))):
        far, angle = rng.uniform(1.1, 2) * reach, rng.uniform(0, 2 * np.pi)
        drop = np.hypot(y - y0 - far * np.sin(angle), x - x0 - far * np.cos(angle))
        cover = np.maximum(cover, np.clip(rng.uniform(0.02, 0.12) * reach - drop, 0, 1))
    lay(page, cover.astype(np.float32), shade)
    return captured(page, rng)


def hairs(_digit: Digit, rng: Rng) -> bytes:
    """One to five hairs: long fine curves."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    for _ in range(int(rng.integers(1, 6))):
        t = np.linspace(0, 1, 40)
        start, heading = rng.uniform(0.1, 0.9, 2), rng.uniform(0, 2 * np.pi)
        bend = heading + rng.normal(0, 1.5) * t + rng.normal(0, 1.5) * t**2
        step = rng.uniform(0.2, 0.8) / 40
        xs, ys = (start[:, None] + np.cumsum(np.stack([np.cos(bend), np.sin(bend)]), axis=1) * step) * [
            [width],
            [height],
        ]
        pen = rng.uniform(0.8, 1.8)
        hair = line_of(list(zip(xs.tolist(), ys.tolist(), strict=True)), pen)
        lay(
            page,
            hair * rng.uniform(0.4, 1),
            color(50, 35, 25),
            round(float(ys.min())),
            round(float(xs.min())),
        )
    return captured(page, rng)


def emblem(_digit: Digit, rng: Rng) -> bytes:
    """A printed mark: triangles, stars, hearts, arrows, filled or outlined."""
    page = page_of(rng, 120, 900)
    height, width = page.shape[:2]
    kind, side = int(rng.integers(6)), rng.uniform(0.3, 0.7) * min(height, width)
    turn = np.linspace(0, 2 * np.pi, 61) - np.pi / 2
    if kind == 0:
        turn = turn[::20]
        points = np.stack([np.cos(turn), np.sin(turn)], 1)
    elif kind == 1:
        turn = turn[::6]
        points = np.stack([np.cos(turn), np.sin(turn)], 1) * np.where(np.arange(11) % 2, 0.42, 1)[:, None]
    elif kind == 2:
        t = turn + np.pi / 2
        heart = np.stack([16 * np.sin(t) ** 3, -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t))], 1)
        points = heart / 17
    elif kind == 3:
        points = np.array(
            [(-1, -0.2), (0.2, -0.2), (0.2, -0.6), (1, 0), (0.2, 0.6), (0.2, 0.2), (-1, 0.2), (-1, -0.2)]
        )
    elif kind == 4:
        points = np.array([(0, -1), (0.7, 0), (0, 1), (-0.7, 0), (0, -1)])
    else:
        turn = turn[::10]
        points = np.stack([np.cos(turn), np.sin(turn)], 1)
    places = [(float(x), float(y)) for x, y in points * side / 2 + np.array([width, height]) / 2]
    picture = Image.new("L", (3 * width, 3 * height))
    brush = ImageDraw.Draw(picture)
    corners = [(3 * x, 3 * y) for x, y in places]
    if rng.random() < 0.5:
        brush.polygon(corners, fill=255)
    else:
        brush.line(corners, fill=255, width=max(3, round(3 * rng.uniform(0.03, 0.1) * side)), joint="curve")
    lay(page, np.asarray(picture.reduce(3), np.float32) / 255, ink_color(rng, 120))
    return captured(page, rng)


def stains(_digit: Digit, rng: Rng) -> bytes:
    """Grease and water: patches with a soft rim, a little darker."""
    page = page_of(rng, 200, 900)
    height, width = page.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        hills = clouds(height, width, rng, rng.uniform(0.2, 0.5) * width)
        level = rng.uniform(0.3, 1.2)
        inside = 1 / (1 + np.exp(-np.clip((hills - level) * rng.uniform(10, 60), -40, 40)))
        rim = np.exp(-(((hills - level) * 12) ** 2))
        _shaded(page, rng.uniform(0.02, 0.2) * inside + rng.uniform(0, 0.25) * rim)
    return photographed(page, rng)


def foliage(_digit: Digit, rng: Rng) -> bytes:
    """A photograph of something else: textured patches of all sizes."""
    height, width = size(rng, 200, 900)
    page = sheets.blank(height, width, rng.uniform(60, 190, 3).astype(np.float32))
    for scale in (0.5, 0.2, 0.08, 0.03):
        for channel in range(3):
            page[:, :, channel] += rng.uniform(5, 30) * clouds(height, width, rng, scale * width)
    return photographed(page, rng)


def skyline(_digit: Digit, rng: Rng) -> bytes:
    """Two areas that meet in an edge that is not straight: a roof, hills, a face against a wall."""
    height, width = size(rng, 200, 900)
    y, x = sheets.grid(height, width)
    page = sheets.blank(height, width, rng.uniform(150, 250, 3).astype(np.float32))
    edge = sum(rng.uniform(0, 0.2) * np.sin(k * 3 * x / width + rng.uniform(0, 6)) for k in range(1, 7))
    below = (y / height > edge + rng.uniform(-0.2, 0.2)).astype(np.float32)
    lay(page, below, rng.uniform(20, 130, 3).astype(np.float32))
    picture = Image.fromarray(page.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        picture = picture.rotate(90 * int(rng.integers(1, 4)), expand=True)
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 4)))
    return photographed(np.asarray(picture, np.float32), rng)


BLANKS: Mapping[str, Maker] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            coffee_ring, staples, corner_shadow, paper_edge, fabric, wall, keyboard, text_out_of_focus, axes,
            ruler, checkboxes, barcode, smudges, ink_spill, hairs, emblem, stains, foliage, skyline,
        )
    }
)  # fmt: skip
