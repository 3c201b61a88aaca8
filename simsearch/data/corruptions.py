"""Handwriting that MNIST never saw, made of MNIST's own: other pens, slants, scanners, cameras and papers.

Each picture is enlarged, put through a few random corruptions of the kinds that real pictures suffer,
and prepared by `images.prepare_image` like anyone's picture. How many was set so that a network trained
without augmentation (`siamese-pairs`) does about as badly on them as on other people's real handwriting: its
P@1 is 0.83 on the digits of UCI.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from simsearch.errors import BadImageError
from simsearch.prepare.paper.normalize import SIDE
from simsearch.prepare.prepare import Images, prepare_image

_ENLARGED = 6  # times the side
_MARGIN = 45  # pixels of background around the enlarged picture
_FORM = (4, 6)  # how many corruptions of the ink's form a picture gets, at least and at most
_CAPTURE = (3, 4)  # and of the way it was captured

Gray = Image.Image  # light ink on dark, until the paper is drawn
Rng = np.random.Generator


def corrupt_images(images: Images, *, seed: int = 0) -> Images:
    """Corrupt every image its own way; the same seed gives the same pictures.

    :param images: uint8 (N, H, W), light ink on dark.
    :return: uint8 (N, H, W), as `prepare_image` gives them. A picture in which it finds no digit is
        only scaled down, so that every image has one.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = pool.map(lambda row: _corrupt_and_prepare(images[row], seed, row), range(len(images)))
        return np.stack(list(rows)) if len(images) else images.copy()


def _corrupt_and_prepare(image: NDArray[np.uint8], seed: int, row: int) -> NDArray[np.uint8]:
    picture = corrupt(image, np.random.default_rng([seed, row]))
    try:
        return prepare_image(picture).pixels
    except BadImageError:
        return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def corrupt(image: NDArray[np.uint8], rng: Rng) -> Gray:
    """One corrupted picture of an image: gray, about 260 pixels a side, of either polarity."""
    side = SIDE * _ENLARGED
    picture = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    picture = ImageOps.expand(picture, _MARGIN)
    for kinds, (least, most) in ((FORM, _FORM), (CAPTURE, _CAPTURE)):
        count = int(rng.integers(least, most + 1))
        for name in sorted(rng.choice(list(kinds), count, replace=False)):
            picture = kinds[name](picture, rng)
    return picture


def slant(picture: Gray, rng: Rng) -> Gray:
    """Writing that leans by up to 22 degrees."""
    lean = rng.uniform(-0.4, 0.4)
    return picture.transform(
        picture.size, Image.Transform.AFFINE, (1, lean, -lean * picture.height / 2, 0, 1, 0), _BILINEAR
    )


def perspective(picture: Gray, rng: Rng) -> Gray:
    """Paper seen at an angle: each corner moves by up to 14 % of the side."""
    width, height = picture.size
    corners = np.array([[0, 0], [0, height], [width, height], [width, 0]], float)
    moved = corners + rng.uniform(-0.14, 0.14, (4, 2)) * (width, height)
    return picture.transform(picture.size, Image.Transform.QUAD, tuple(moved.ravel()), _BILINEAR)


def thin(picture: Gray, rng: Rng) -> Gray:
    """A finer pen; never so fine that the stroke is gone."""
    finer = picture.filter(ImageFilter.MinFilter(int(rng.choice([3, 5, 7]))))
    return finer if np.asarray(finer).max() > 128 else picture


def thicken(picture: Gray, rng: Rng) -> Gray:
    """A broader pen, or a marker."""
    return picture.filter(ImageFilter.MaxFilter(int(rng.choice([5, 9, 11]))))


def turn(picture: Gray, rng: Rng) -> Gray:
    """Paper turned by up to 20 degrees."""
    return picture.rotate(rng.uniform(-20, 20), _BILINEAR)


def stretch(picture: Gray, rng: Rng) -> Gray:
    """Writing narrower or wider by up to 40 %."""
    width = round(picture.width * np.exp(rng.uniform(-0.34, 0.34)))
    return picture.resize((width, picture.height), _BILINEAR)


def low_resolution(picture: Gray, rng: Rng) -> Gray:
    """A small or bad scan: 20 to 36 pixels for the whole picture."""
    side = int(rng.integers(20, 37))
    return picture.resize((side, side), Image.Resampling.BOX).resize(picture.size, Image.Resampling.BICUBIC)


def blur(picture: Gray, rng: Rng) -> Gray:
    """A picture out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(2, 7)))


def noise(picture: Gray, rng: Rng) -> Gray:
    """A grainy sensor, and a JPEG file that saves space."""
    pixels = np.asarray(picture, np.float32) + rng.normal(0, rng.uniform(4, 16), picture.size[::-1])
    grainy = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    grainy.save(buffer, "JPEG", quality=int(rng.integers(15, 50)))
    return Image.open(buffer).convert("L")


def paper(picture: Gray, rng: Rng) -> Gray:
    """Dark ink on gray paper that is lit from one side."""
    ink = np.asarray(picture, np.float32) / 255
    angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 70)
    y, x = np.mgrid[-0.5 : 0.5 : ink.shape[0] * 1j, -0.5 : 0.5 : ink.shape[1] * 1j]
    light = rng.uniform(150, 235) + fall * (x * np.cos(angle) + y * np.sin(angle))
    shade = light * (1 - ink * rng.uniform(0.6, 0.9))
    return Image.fromarray(shade.round().clip(0, 255).astype(np.uint8))


def cropped(picture: Gray, rng: Rng) -> Gray:
    """A picture cut close to the ink, 3 to 22 pixels away on each side."""
    box = Image.fromarray(np.asarray(picture) > 100).getbbox()
    if box is None:
        return picture
    left, top, right, bottom = (int(edge) for edge in np.array(box) + rng.integers(3, 23, 4) * (-1, -1, 1, 1))
    return picture.crop((max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height)))


FORM: dict[str, Callable[[Gray, Rng], Gray]] = {
    "perspective": perspective,
    "slant": slant,
    "stretch": stretch,
    "thick": thicken,
    "thin": thin,
    "turn": turn,
}
CAPTURE: dict[str, Callable[[Gray, Rng], Gray]] = {  # applied in the order of their names
    "blur": blur,
    "crop": cropped,
    "low resolution": low_resolution,
    "noise": noise,
    "paper": paper,
}
_BILINEAR = Image.Resampling.BILINEAR
