"""The pictures of photos.md: drawings made here, an index of them, and figures of it.

    python docs/photo_pictures.py --model models/efficientnet-lite0

Eight kinds of things are drawn in random colors, sizes and places, so that nobody's pictures are needed. The
folder stays where --out says, to try commands on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 160
EACH = 30
Color = tuple[int, int, int]
Draw = Callable[[ImageDraw.ImageDraw, np.random.Generator, float, float, float], None]


def color(rng: np.random.Generator, low: int = 20, high: int = 235) -> Color:
    """Any color between two levels."""
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


def balloon(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    pen.line([(x, y + r), (x - 0.2 * r, y + 1.5 * r), (x + 0.1 * r, y + 2.2 * r)], fill=(60, 60, 60), width=2)
    pen.polygon([(x, y + r), (x - 0.15 * r, y + 1.2 * r), (x + 0.15 * r, y + 1.2 * r)], fill=(80, 80, 80))
    pen.ellipse((x - 0.8 * r, y - r, x + 0.8 * r, y + r), fill=color(rng))
    pen.ellipse((x - 0.5 * r, y - 0.7 * r, x - 0.2 * r, y - 0.2 * r), fill=(255, 255, 255))


def boat(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    pen.rectangle((0, y + 0.8 * r, SIDE, SIDE), fill=(70, 130, int(rng.integers(180, 230))))
    pen.line((x, y + 0.5 * r, x, y - r), fill=(90, 60, 30), width=3)
    pen.polygon([(x + 3, y - r), (x + 3, y + 0.3 * r), (x + r, y + 0.3 * r)], fill=color(rng, 150, 255))
    pen.polygon([(x - r, y + 0.5 * r), (x + r, y + 0.5 * r), (x + 0.6 * r, y + r), (x - 0.6 * r, y + r)],
                fill=color(rng, 20, 140))  # fmt: skip


def fish(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    body = color(rng)
    pen.polygon([(x + 0.6 * r, y), (x + 1.2 * r, y - 0.5 * r), (x + 1.2 * r, y + 0.5 * r)], fill=body)
    pen.ellipse((x - r, y - 0.5 * r, x + 0.8 * r, y + 0.5 * r), fill=body)
    pen.ellipse((x - 0.75 * r, y - 0.25 * r, x - 0.5 * r, y), fill=(255, 255, 255))
    pen.ellipse((x - 0.68 * r, y - 0.18 * r, x - 0.58 * r, y - 0.06 * r), fill=(0, 0, 0))


def flower(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    pen.line((x, y, x, y + 1.6 * r), fill=(40, 130, 40), width=5)
    petals, count = color(rng, 120, 255), int(rng.integers(5, 9))
    for number in range(count):
        angle = 2 * np.pi * number / count
        at, up = x + 0.6 * r * np.cos(angle), y + 0.6 * r * np.sin(angle)
        pen.ellipse((at - 0.38 * r, up - 0.38 * r, at + 0.38 * r, up + 0.38 * r), fill=petals)
    pen.ellipse((x - 0.35 * r, y - 0.35 * r, x + 0.35 * r, y + 0.35 * r), fill=(250, 200, 40))


def house(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    pen.rectangle((x - 0.8 * r, y - 0.2 * r, x + 0.8 * r, y + r), fill=color(rng, 120, 250))
    pen.polygon([(x - r, y - 0.2 * r), (x, y - r), (x + r, y - 0.2 * r)], fill=color(rng, 60, 180))
    pen.rectangle((x - 0.2 * r, y + 0.4 * r, x + 0.2 * r, y + r), fill=(90, 60, 40))
    pen.rectangle((x + 0.35 * r, y + 0.1 * r, x + 0.6 * r, y + 0.35 * r), fill=(200, 225, 250))


def star(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    points = int(rng.integers(5, 8))
    corners = []
    for number in range(2 * points):
        reach, angle = (r, 0.45 * r)[number % 2], np.pi * number / points - np.pi / 2
        corners.append((x + reach * np.cos(angle), y + reach * np.sin(angle)))
    pen.polygon(corners, fill=color(rng, 100, 255))


def target(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    inks, rings = (color(rng, 20, 160), (250, 250, 250)), int(rng.integers(4, 7))
    for number in range(rings):
        reach = r * (1 - number / rings)
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=inks[number % 2])


def tree(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    pen.rectangle((x - 0.12 * r, y + 0.4 * r, x + 0.12 * r, y + 1.2 * r), fill=(100, 70, 40))
    green = (int(rng.integers(10, 70)), int(rng.integers(90, 170)), int(rng.integers(20, 80)))
    for number in range(3):
        top, wide = y - r + 0.5 * number * r, (0.5 + 0.2 * number) * r
        pen.polygon([(x, top), (x - wide, top + 0.8 * r), (x + wide, top + 0.8 * r)], fill=green)


THINGS: Mapping[str, Draw] = {
    thing.__name__: thing for thing in (balloon, boat, fish, flower, house, star, target, tree)
}


def draw_all(folder: Path) -> None:
    """A folder a thing, the same pictures each time."""
    rng = np.random.default_rng(8)
    for name, thing in THINGS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(EACH):
            paper = color(rng, 170, 256)
            large = Image.new("RGB", (SIDE, SIDE), paper)
            x, y = rng.uniform(0.4, 0.6, 2) * SIDE
            thing(ImageDraw.Draw(large), rng, x, y - 0.08 * SIDE, rng.uniform(0.2, 0.34) * SIDE)
            picture = large.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC, fillcolor=paper)
            picture.save(folder / name / f"{number}.png")


def main() -> None:
    """Draw, build and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of an imported encoder")
    parser.add_argument(
        "--out", type=Path, default=Path("things"), help="folder of the drawings and the index"
    )
    wanted = parser.parse_args()
    draw_all(wanted.out / "drawings")
    where = ["--index-dir", str(wanted.out)]
    run("build-index", "--dataset", str(wanted.out / "drawings"), "--name", "things", "--replace", *where,
        "--model", str(wanted.model))  # fmt: skip
    pictures = Path(__file__).parent / "pictures"
    for kind, options in (("retrieval", ("--count", "4", "-k", "6")), ("embedding", ("--pictures", "50"))):
        output = str(pictures / f"photos-{kind}.png")
        run("figure", kind, "-o", output, "--index", "things", *where, "--dpi", "80", *options)


def run(*arguments: str) -> None:
    """A command of simsearch."""
    subprocess.run([sys.executable, "-m", "simsearch", *arguments], check=True)


if __name__ == "__main__":
    main()
