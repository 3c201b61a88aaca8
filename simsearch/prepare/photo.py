"""Photographs and other pictures in gray or color -> the size and channels that a network takes.

Unlike digits, pictures are taken as they are: turned upright, laid on a background where they are
transparent, and brought to size. Nothing is looked for in them, so none is refused for what it shows.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from PIL import Image, ImageOps

from simsearch.prepare.inputs import ImageInput, Picture

PHOTO_VERSION = 1
_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 2 to 8 are turned
_REDUCING_GAP = 3.0  # reduce by whole factors first, down to three times the size: the same to the eye


def prepare_photo(image: Image.Image, input: ImageInput) -> tuple[Picture, tuple[str, ...]]:
    """Bring a decoded picture to what an input takes.

    :return: uint8 of `input.picture_shape`, and notes for the user.
    """
    notes: list[str] = []
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a photo with its preview
        notes.append("animated: first frame used")
    upright = _upright(image)
    if upright is not image:
        notes.append("rotated as its EXIF data say")
    flat = _flatten(_eight_bits(upright), "L" if input.channels == 1 else "RGB", input.background)
    return np.array(_fit(flat, input)), tuple(notes)


def _upright(image: Image.Image) -> Image.Image:
    with suppress(Exception):  # broken EXIF says nothing about the pixels
        if image.getexif().get(_ORIENTATION) in range(2, 9):
            return ImageOps.exif_transpose(image)
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray as 8-bit gray, which `convert` would clip; values that need only 8 bits as they are."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.float64)
    scale = 1.0 if values.max(initial=0) <= 255 else 257.0
    return Image.fromarray((values / scale).round().clip(0, 255).astype(np.uint8))


def _flatten(image: Image.Image, mode: str, background: int) -> Image.Image:
    """The picture in this mode, on a gray background where it is transparent."""
    if not image.has_transparency_data:
        return image.convert(mode)
    layer = image.convert("RGBA")
    backdrop = Image.new("RGBA", layer.size, (background,) * 3 + (255,))
    return Image.alpha_composite(backdrop, layer).convert(mode)


def _fit(image: Image.Image, input: ImageInput) -> Image.Image:
    """The picture in the input's size: within it on a background, cut to it, or stretched."""
    size = (input.width, input.height)
    if image.size == size:
        return image
    if input.fit == "stretch":
        return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
    ratios = (input.width / image.width, input.height / image.height)
    ratio = min(ratios) if input.fit == "letterbox" else max(ratios)
    inner = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    if input.fit == "letterbox":
        inner = (min(inner[0], input.width), min(inner[1], input.height))
        scaled = image.resize(inner, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
        canvas = Image.new(image.mode, size, (input.background,) * len(image.getbands()))
        canvas.paste(scaled, ((input.width - inner[0]) // 2, (input.height - inner[1]) // 2))
        return canvas
    # What would be cut away is left out before scaling: a strip of 1 x 20,000 pixels would otherwise grow.
    kept = (input.width / ratio, input.height / ratio)
    left, top = (image.width - kept[0]) / 2, (image.height - kept[1]) / 2
    box = (max(0.0, left), max(0.0, top), min(image.width, left + kept[0]), min(image.height, top + kept[1]))
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=_REDUCING_GAP)
