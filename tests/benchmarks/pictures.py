"""How many pictures of each kind are recognized: held-out digits, drawn and photographed in many ways.

    python tests/benchmarks/pictures.py --images 1000

Each of MNIST's held-out training images is turned into a picture of each kind, prepared by `prepare_image`
like anyone's, and asked about among the other 55,000 training images (`mnist:kept`). Printed for each kind:
the share that was refused as showing no digit, and P@1, in which a refused picture counts as wrong.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from simsearch.data.corruptions import corrupt
from simsearch.data.datasets import load_named
from simsearch.encode.model_folder import PRETRAINED, open_model
from simsearch.errors import BadImageError
from simsearch.index.stores.faiss import FaissStore
from simsearch.prepare.prepare import prepare_image

Digit = NDArray[np.uint8]  # (28, 28) or larger, light ink on dark
Rng = np.random.Generator
_MARGIN = 40


def enlarged(digit: Digit) -> Digit:
    """Ten times as large."""
    return np.asarray(Image.fromarray(digit).resize((280, 280), Image.Resampling.BICUBIC))


def tight(gray: Digit) -> Digit:
    """Cropped to the ink."""
    rows, columns = np.flatnonzero((gray > 128).any(1)), np.flatnonzero((gray > 128).any(0))
    return gray[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def pen(width: int) -> Callable[[Digit, Rng], Digit]:
    """Drawn with a line of this width on 504 x 504 pixels."""

    def draw(digit: Digit, _: Rng) -> Digit:
        line = skeleton(np.asarray(Image.fromarray(digit).resize((168, 168), Image.Resampling.BICUBIC)) > 128)
        canvas = Image.new("L", (504, 504))
        brush = ImageDraw.Draw(canvas)
        for y, x in np.argwhere(line):
            brush.point((3 * x, 3 * y), 255)
            for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
                if y + dy < 168 and 0 <= x + dx < 168 and line[y + dy, x + dx]:
                    brush.line((3 * x, 3 * y, 3 * (x + dx), 3 * (y + dy)), 255, width)
        return np.asarray(canvas)

    return draw


def skeleton(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin ink to lines of one pixel (Zhang and Suen, "A fast parallel algorithm for thinning", 1984)."""
    ink = np.pad(ink, 1)
    while True:
        before = ink.sum()
        for first in (True, False):
            shifts = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
            ring = np.stack([np.roll(ink, (-dy, -dx), (0, 1)) for dy, dx in shifts])  # clockwise from the top
            count = ring.sum(0)
            changes = (~ring & np.roll(ring, -1, 0)).sum(0)
            top, right, bottom, left = ring[0], ring[2], ring[4], ring[6]
            if first:
                clear = ~(top & right & bottom) & ~(right & bottom & left)
            else:
                clear = ~(top & right & left) & ~(top & bottom & left)
            ink = ink & ~((count >= 2) & (count <= 6) & (changes == 1) & clear)
        if ink.sum() == before:
            return ink[1:-1, 1:-1]


def on_paper(gray: Digit, rng: Rng, *, darkness: float = 0.7, fall: float = 60, grain: float = 4) -> Digit:
    """Dark ink on paper lit from one side, with the camera's noise and JPEG."""
    y, x = np.mgrid[-0.5 : 0.5 : gray.shape[0] * 1j, -0.5 : 0.5 : gray.shape[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = 180 + fall * (x * np.cos(angle) + y * np.sin(angle))
    shade = light * (1 - darkness * gray / 255) + rng.normal(0, grain, gray.shape)
    buffer = io.BytesIO()
    Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer).convert("L"))


def shadowed(gray: Digit, rng: Rng) -> Digit:
    """On paper across which the edge of a soft shadow falls."""
    y, x = np.mgrid[-0.5 : 0.5 : gray.shape[0] * 1j, -0.5 : 0.5 : gray.shape[1] * 1j]
    angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    edge = 1 / (1 + np.exp(-(x * np.cos(angle) + y * np.sin(angle) - place) / 0.06))
    shade = (120 + 90 * edge) * (1 - 0.7 * gray / 255) + rng.normal(0, 3, gray.shape)
    return shade.clip(0, 255).astype(np.uint8)


def soft(gray: Digit) -> Digit:
    """Drawn with antialiasing."""
    return np.asarray(Image.fromarray(gray).filter(ImageFilter.GaussianBlur(1)))


def margin(gray: Digit) -> Digit:
    return np.pad(gray, _MARGIN)


KINDS: dict[str, Callable[[Digit, Rng], Digit | Image.Image]] = {
    "light ink, margin": lambda digit, _: margin(enlarged(digit)),
    "dark ink, margin": lambda digit, _: 255 - margin(enlarged(digit)),
    "light ink, cropped to it": lambda digit, _: tight(enlarged(digit)),
    "dark ink, cropped to it": lambda digit, _: 255 - tight(enlarged(digit)),
    "dark ink on paper, cropped": lambda digit, rng: on_paper(tight(enlarged(digit)), rng),
    "pen of 1 in 504 pixels": lambda digit, rng: 255 - pen(1)(digit, rng),
    "pen of 2 in 504 pixels": lambda digit, rng: 255 - pen(2)(digit, rng),
    "pen of 5 in 504 pixels": lambda digit, rng: 255 - pen(5)(digit, rng),
    "pen of 10 in 504 pixels": lambda digit, rng: 255 - pen(10)(digit, rng),
    "pen of 20 in 504 pixels": lambda digit, rng: 255 - pen(20)(digit, rng),
    "light pen of 2, cropped": lambda digit, rng: tight(pen(2)(digit, rng)),
    "pen of 2, photographed": lambda digit, rng: on_paper(soft(pen(2)(digit, rng)), rng),
    "uneven light": lambda digit, rng: on_paper(margin(enlarged(digit)), rng, fall=100),
    "faint pencil, uneven light": lambda digit, rng: on_paper(margin(enlarged(digit)), rng, darkness=0.25),
    "a shadow's edge": lambda digit, rng: shadowed(margin(enlarged(digit)), rng),
    "mnist:corrupted": corrupt,
}


def measure(count: int, wanted: list[str], save: Path | None) -> None:
    """Print a line for each kind."""
    model = open_model(PRETRAINED)
    gallery, queries = load_named("mnist:kept"), load_named("mnist:held-out")
    assert gallery.labels is not None
    assert queries.labels is not None
    store = FaissStore.build(model.encoder.encode(gallery.images), np.arange(len(gallery)))
    print(f"{'kind':<30}{'refused':>9}{'P@1':>9}")
    for kind in wanted:
        pictures, labels, refused = [], [], 0
        for row in range(count):
            rng = np.random.default_rng([0, row])
            try:
                pictures.append(prepare_image(KINDS[kind](queries.images[row], rng)).pixels)
                labels.append(queries.labels[row])
            except BadImageError:
                refused += 1
        hits = store.search(model.encoder.encode(np.stack(pictures)), 1)
        right = (gallery.labels[hits.ids[:, 0]] == labels).sum()
        print(f"{kind:<30}{refused / count:>9.4f}{right / count:>9.4f}", flush=True)
        if save:
            sheet = np.vstack([np.hstack(pictures[i : i + 20]) for i in range(0, 100, 20)])
            Image.fromarray(sheet).save(save / f"{kind.replace(' ', '-').replace(':', '-')}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--save", type=Path, help="Folder for a sheet of 100 prepared pictures of each kind.")
    options = parser.parse_args()
    measure(options.images, options.kinds, options.save)
