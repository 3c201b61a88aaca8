"""A decoded picture -> upright pixels of a working size, transparency laid on what shows the ink."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.prepare.paper.components import Mask
from simsearch.prepare.paper.ranks import median
from simsearch.prepare.paper.surface import Gray, two_grays

RGB = NDArray[np.uint8]  # (H, W, 3)

MIN_CONTRAST = 16  # gray levels between paper and ink
_WORKING_SIDE = 512  # larger pictures are reduced by whole factors, never below this
_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 2 to 8 are turned
_OPAQUE = 64  # alpha from which on a color is more than rounding
_ERASED = 235  # gray of strokes that cover like an eraser
_APART = 64  # gray levels between an eraser's strokes and ink
_SHARE_OF_RIM = 0.1


@dataclass(frozen=True)
class Canvas:
    """The pixels of a picture in gray, and in color where it has any."""

    gray: Gray
    rgb: Callable[[], RGB] | None  # made when it is asked for


def lay_out(image: Image.Image, notes: list[str], *, eraser: bool = True) -> Canvas:
    """Turn as EXIF says, scale deep pixels to 8 bits, reduce what is large, flatten transparency.

    :param notes: Receives what was done that the user may not expect.
    :param eraser: Whether white strokes beside dark ones on nothing are taken for an eraser's.
    """
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a photo with its preview
        notes.append("animated: first frame used")
    with suppress(Exception):  # broken EXIF says nothing about the pixels
        if image.getexif().get(_ORIENTATION) in range(2, 9):
            from PIL import ImageOps

            image = ImageOps.exif_transpose(image)
            notes.append("rotated as its EXIF data say")
    image = _in_8_bits(image)
    if image.has_transparency_data:
        return _flattened(_reduced(image.convert("RGBA")), notes, eraser)
    color = None
    if image.mode not in ("1", "L", "LA"):
        color = lambda: np.asarray(_reduced(image.convert("RGB")))  # noqa: E731
    return Canvas(np.array(_reduced(image if image.mode == "L" else image.convert("L"))), color)


def _reduced(image: Image.Image) -> Image.Image:
    factor = max(image.size) // _WORKING_SIDE
    return image.reduce(factor) if factor > 1 else image


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Deep gray, which `convert("L")` would clip, and masks of 0 and 1: by the fewest bits that hold them."""
    if image.mode.startswith(("I", "F")):
        pixels = np.nan_to_num(np.asarray(image).astype(np.float32)).clip(0)
        most = float(pixels.max(initial=0))
        full = next((2.0**bits - 1 for bits in (1, 8, 10, 12, 14, 16) if most < 2**bits), most)
        return Image.fromarray((pixels * (255 / full)).round().clip(0, 255).astype(np.uint8))
    if image.mode == "L" and image.getpixel((0, 0)) in (0, 1) and image.getextrema() == (0, 1):
        return image.point(lambda level: 255 * level)
    return image


def _flattened(image: Image.Image, notes: list[str], eraser: bool) -> Canvas:
    """RGBA over the picture's own background, or alpha itself where it alone draws the shape."""
    gray, alpha = image.convert("L"), image.getchannel("A")
    mask = np.asarray(alpha)
    if mask.min(initial=255) == 255:
        return Canvas(np.array(gray), lambda: np.asarray(image.convert("RGB")))
    opaque = mask >= _OPAQUE  # the color of faint pixels is mostly rounding
    visible = np.asarray(gray)[opaque]
    if visible.size == 0 or np.ptp(visible) < MIN_CONTRAST:
        notes.append("drawn in transparency only: opaque used as ink")
        return Canvas(np.array(alpha), None)
    level = int(median(visible))
    if eraser and _is_erased(np.asarray(gray), opaque):
        level = 255
        notes.append("white strokes on nothing: taken for an eraser's")
    elif visible.size < mask.size / 2:  # ink on nothing: the backdrop that shows it best
        level = 0 if level > 127 else 255
    backdrop = Image.new("RGB", image.size, (level,) * 3)
    backdrop.paste(image.convert("RGB"), mask=alpha)
    plain = Image.new("L", image.size, level)
    plain.paste(gray, mask=alpha)
    return Canvas(np.array(plain), lambda: np.asarray(backdrop))


def _is_erased(gray: Gray, opaque: Mask) -> bool:
    """Whether both white strokes and dark ones end at nothing."""
    dark, light = two_grays(gray[opaque])
    if light < _ERASED or light - dark < _APART:
        return False
    beside = np.zeros(opaque.shape, bool)  # opaque pixels beside transparent ones
    beside[1:] |= ~opaque[:-1]
    beside[:-1] |= ~opaque[1:]
    beside[:, 1:] |= ~opaque[:, :-1]
    beside[:, :-1] |= ~opaque[:, 1:]
    rim = gray[beside & opaque]
    if not rim.size:
        return False
    share = float(np.mean(rim > (dark + light) / 2))
    return _SHARE_OF_RIM < share < 1 - _SHARE_OF_RIM
