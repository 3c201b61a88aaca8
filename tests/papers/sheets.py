"""What a digit is written on, and how it was captured: colors, rulings, light, a desk, noise, encoding.

A page is float32 RGB in 0 to 255, (H, W, 3), changed in place by what is laid on it.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from papers.digits import Ink, Rng

Page = NDArray[np.float32]  # (H, W, 3), 0 to 255
Color = NDArray[np.float32]  # (3,)


def color(*levels: float) -> Color:
    return np.array(levels, np.float32)


def light_color(rng: Rng) -> Color:
    """White, or paper tinted a little."""
    return (
        color(255, 255, 255)
        if rng.random() < 0.3
        else rng.uniform(215, 255) - rng.uniform(0, 22, 3).astype(np.float32)
    )


def ink_color(rng: Rng, most: float = 90) -> Color:
    """Black, blue, or any other dark color."""
    kinds = [color(0, 0, 0), color(20, 25, 110), color(35, 35, 40), color(130, 20, 30), color(20, 90, 50)]
    chosen = kinds[int(rng.integers(len(kinds)))]
    return np.minimum(chosen + rng.uniform(0, 25, 3), max(most, 130)).astype(np.float32)


def blank(height: int, width: int, shade: Color) -> Page:
    return np.broadcast_to(shade, (height, width, 3)).astype(np.float32)


def lay(page: Page, cover: Ink, shade: Color, top: int = 0, left: int = 0) -> None:
    """Lay ink of a color on the page; what lies outside is cut off."""
    height, width = page.shape[:2]
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + cover.shape[0], height), min(left + cover.shape[1], width)
    if y1 <= y0 or x1 <= x0:
        return
    part = cover[y0 - top : y1 - top, x0 - left : x1 - left, None]
    page[y0:y1, x0:x1] += part * (shade - page[y0:y1, x0:x1])


def grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows and columns of every pixel, from the middle."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return y - height / 2, x - width / 2


def stripes(
    height: int, width: int, pitch: float, thick: float, angle: float, offset: float, skew: float = 0
) -> Ink:
    """Parallel lines at an angle (0 horizontal), a pitch apart; `skew` makes them run together."""
    y, x = grid(height, width)
    across = (y * np.cos(angle) - x * np.sin(angle)) * (1 + skew * x / width) + offset
    distance = np.abs((across + pitch / 2) % pitch - pitch / 2)
    return np.clip(thick / 2 + 0.5 - distance, 0, 1) * min(thick, 1)


def box(height: int, width: int, inset: float, thick: float) -> Ink:
    """A frame of a width, some way in from the edge."""
    y, x = grid(height, width)
    inner = np.minimum(height / 2 - np.abs(y + 0.5), width / 2 - np.abs(x + 0.5)) - inset
    return ((inner >= 0) & (inner < thick)).astype(np.float32)


def shadow(page: Page, rng: Rng, soft: float, depth: float) -> None:
    """Darken one side of a line through the middle region; `soft` is the width of its edge in pixels."""
    y, x = grid(*page.shape[:2])
    angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.22, 0.22) * min(page.shape[:2])
    side = (x * np.cos(angle) + y * np.sin(angle) - place) / max(soft, 0.7)
    page *= (1 - depth / (1 + np.exp(-np.clip(side * 4, -40, 40))))[:, :, None]


def lit(page: Page, rng: Rng, fall: float) -> None:
    """Light from one side, and less in the corners."""
    y, x = grid(*page.shape[:2])
    y, x, angle = y / page.shape[0], x / page.shape[1], rng.uniform(0, 2 * np.pi)
    page *= (1 - fall / 2 + fall * (x * np.cos(angle) + y * np.sin(angle)) - fall * (x * x + y * y))[
        :, :, None
    ]


def on_desk(page: Page, rng: Rng, desk: Color, sides: str, most: float = 0.16) -> Page:
    """The page as a turned sheet on a desk that shows on some sides (of "tblr")."""
    height, width = page.shape[:2]
    gaps = {side: rng.uniform(0.04, most) if side in sides else -0.08 for side in "tblr"}
    turn = rng.uniform(-0.03, 0.03, 8)
    corners = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], float)  # of the picture, in the page's coordinates
    left, right = -gaps["l"] / (1 - gaps["l"]), 1 + gaps["r"]
    top, bottom = -gaps["t"] / (1 - gaps["t"]), 1 + gaps["b"]
    places = np.where(corners == 0, [left, top], [right, bottom]) + turn.reshape(4, 2)
    quad = tuple((places * (width, height)).ravel())
    sheet = Image.fromarray(page.clip(0, 255).astype(np.uint8))
    cover = Image.new("L", (width, height), 255)
    warp = Image.Transform.QUAD
    moved = np.asarray(sheet.transform(sheet.size, warp, quad, Image.Resampling.BICUBIC), np.float32)
    mask = np.asarray(cover.transform(cover.size, warp, quad, Image.Resampling.BILINEAR), np.float32) / 255
    mask = (mask > 0.99).astype(np.float32)[:, :, None]
    return moved * mask + desk * (1 - mask)


def blurred(page: Page, radius: float) -> Page:
    picture = Image.fromarray(page.clip(0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32)


def png(page: Page) -> bytes:
    return _saved(page, "PNG")


def photographed(page: Page, rng: Rng, *, worst: int = 30, grain: float = 4) -> bytes:
    """With the camera's noise, a little out of focus, as a JPEG."""
    if min(page.shape[:2]) > 200:
        page = blurred(page, rng.uniform(0, 1.2))
    noise = rng.normal(0, rng.uniform(0, grain), page.shape[:2])[:, :, None]
    return _saved(page + noise, "JPEG", quality=int(rng.integers(worst, 96)))


def captured(page: Page, rng: Rng) -> bytes:
    """Photographed, or a drawing saved as it is."""
    return photographed(page, rng) if rng.random() < 0.65 else png(page)


def _saved(page: Page, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(page.round().clip(0, 255).astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()
