"""Pictures that are no digits, to measure with: none of them is looked at when anything is fitted or chosen.

Letters are drawn with the fonts of this machine, so figures depend on which are installed; Fashion-MNIST is
the Debian package `dataset-fashion-mnist`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from simsearch.data.idx import read_idx
from simsearch.errors import BadImageError
from simsearch.prepare.prepare import SIDE, Images, Preprocess, prepare_image

FONTS = Path("/usr/share/fonts")
FASHION = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
LOOK_ALIKES = frozenset("oliszbgqOLISZBGQ")
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Their letters are ornaments, keys of a keyboard, or not there.
_NO_LETTERS = ("LinBiolinum_K", "LinLibertine_I", "DejaVuMathTeXGyre", "D050000L", "StandardSymbols")
_CANVAS = 280


def fonts() -> list[Path]:
    """Every scalable font of this machine that has letters, by name."""
    found = [path for path in FONTS.rglob("*") if path.suffix.lower() in (".ttf", ".otf")]
    return sorted(path for path in found if not path.name.startswith(_NO_LETTERS))


def letters(characters: str, count: int) -> Images:
    """Characters in fonts, drawn at random without repetition: dark on light, 120 points high."""
    drawn = [(path, character) for path in fonts() for character in characters]
    order = np.random.default_rng(10).permutation(len(drawn))[:count]

    def draw() -> Iterator[Image.Image]:
        for path, character in (drawn[row] for row in order):
            font = ImageFont.truetype(str(path), 120)
            picture = Image.new("L", (_CANVAS, _CANVAS), 255)
            ImageDraw.Draw(picture).text((140, 140), character, fill=0, font=font, anchor="mm")
            yield picture

    return prepared(draw())


def fashion(preprocess: Preprocess, count: int) -> Images:
    """The first test pictures of Fashion-MNIST (Xiao et al. 2017)."""
    pictures = read_idx(FASHION)[:count]
    return prepared((Image.fromarray(picture) for picture in pictures), preprocess)


def scribbles(count: int) -> Images:
    """Long strokes of a wandering pen: a random walk with inertia."""
    rng = np.random.default_rng(11)

    def draw() -> Iterator[Image.Image]:
        for _ in range(count):
            picture = Image.new("L", (_CANVAS, _CANVAS), 255)
            place, speed = rng.uniform(60, 220, 2), rng.normal(0, 12, 2)
            line = [place]
            for _ in range(int(rng.integers(15, 60))):
                speed = 0.8 * speed + rng.normal(0, 14, 2)
                place = np.clip(place + speed, 15, 265)
                line.append(place)
            pen, width = ImageDraw.Draw(picture), int(rng.integers(8, 24))
            pen.line([(float(x), float(y)) for x, y in line], fill=0, width=width, joint="curve")
            yield picture

    return prepared(draw())


def noise(count: int) -> Images:
    """Grain and clouds in turn."""
    rng = np.random.default_rng(12)

    def draw() -> Iterator[Image.Image]:
        for number in range(count):
            picture = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8))
            if number % 2:
                picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(1, 3)))
                low, high = picture.getextrema()
                picture = picture.point(lambda gray, low=low, high=high: (gray - low) * 255 // (high - low))
            yield picture

    return prepared(draw())


def prepared(pictures: Iterator[Image.Image], preprocess: Preprocess = Preprocess.AUTO) -> Images:
    """The 28x28 pixels of those in which something is found: the others are refused, which is right too."""
    found: list[NDArray[np.uint8]] = []
    for picture in pictures:
        try:
            found.append(prepare_image(picture, preprocess=preprocess).pixels)
        except BadImageError:
            continue
    return np.stack(found)


KINDS: dict[str, Callable[[int], Images]] = {
    "letters": lambda count: letters("".join(c for c in ALPHABET if c not in LOOK_ALIKES), count),
    "look-alikes (o l i s z b g q)": lambda count: letters("".join(sorted(LOOK_ALIKES)), count),
    "Fashion-MNIST, --preprocess auto": lambda count: fashion(Preprocess.AUTO, count),
    "Fashion-MNIST, --preprocess none": lambda count: fashion(Preprocess.NONE, count),
    "scribbles": scribbles,
    "noise": noise,
}
