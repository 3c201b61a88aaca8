"""Any picture -> 28x28 light ink on dark -> the float32 batch the network sees.

The one preprocessing of simsearch: the command line, the web page and training all call it. It leaves
datasets to `datasets.py` and networks to `encoder.py`. `PREPROCESSING_VERSION` changes whenever the same
picture would give other pixels.
"""

from __future__ import annotations

import io
import math
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.polynomial.polynomial import polygrid2d, polyvander2d
from numpy.typing import NDArray
from PIL import Image, ImageOps

from simsearch.errors import BadImageError
from simsearch.prepare.decode import ANY_PICTURE, check_size, decode_image, pillow_errors, read_image_file
from simsearch.prepare.inputs import ImageInput

SIDE = 28
MEAN = 0.1307
STD = 0.3081
PREPROCESSING_VERSION = 1

_DIGIT_SIDE = 20  # MNIST scales the longest side of the ink to this
_CENTRE = 14  # and moves its centre of mass to this pixel index
_WORKING_SIDE = 512  # larger pictures are reduced by whole factors, never below this
_MIN_SIDE = 4  # a picture narrower than this shows no digit
_MIN_INK_SIDE = 5  # nor does ink shorter than this: a lit pixel, a speck of dust
_MIN_CONTRAST = 16  # grey levels between paper and ink
_MIN_SIGNAL = 6  # standard deviations of the paper's noise between paper and ink
_INK_SHARE = 0.2  # a pixel is ink above this share of the strongest ink: JPEG noise stays below
_SURFACE = [0, 1, 2, 3, 4, 6]  # 1, x, x^2, y, yx and y^2 among the products of powers up to 2
_SAMPLES = 32  # points a side at which the paper is looked at
_ROUNDS = 4
_THIN = 1.0  # pixels of the 28: MNIST's finest strokes, measured by `_stroke_width` on enlarged digits,
_WIDTH = 2.2  # and the median
_FINE = 4  # times the resolution of the result, at which thin strokes are drawn again
_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 2 to 8 are turned
_CONTENT = "pass one digit with a margin around it, or try the other of --invert/--no-invert"

DIGIT = ImageInput("digit", PREPROCESSING_VERSION, SIDE, SIDE, 1, (MEAN,), (STD,))

Images = NDArray[np.uint8]  # (N, 28, 28), light ink on dark
Grey = NDArray[np.uint8]  # (H, W), 0 black, 255 white
_Pixels = TypeVar("_Pixels", Grey, NDArray[np.bool_])
Ink = NDArray[np.float32]  # (H, W), grey levels above the paper; the paper is 0 plus noise


class Preprocess(StrEnum):
    """How a picture becomes 28x28."""

    AUTO = "auto"  # MNIST-like 28x28 pictures pass through untouched, all others as MNIST
    MNIST = "mnist"  # polarity, crop to the ink, longest side to 20, centre of mass to 14
    NONE = "none"  # grey, and resized where it is not 28x28


@dataclass(frozen=True)
class PreparedImage:
    """What the network will see, and what was done that the user may not expect."""

    pixels: Grey  # (28, 28), light ink on dark
    notes: tuple[str, ...] = ()


def prepare_image(
    source: bytes | Path | str | Image.Image | NDArray[np.uint8],
    *,
    preprocess: Preprocess = Preprocess.AUTO,
    invert: bool | None = None,
) -> PreparedImage:
    """Turn a picture into the 28x28 pixels the network was trained on.

    :param source: An encoded picture, a path, a Pillow image, or uint8 pixels of shape (H, W) grey,
        (H, W, 3) RGB or (H, W, 4) RGBA.
    :param invert: Whether to invert the greys; None decides from the border, and keeps them for
        `Preprocess.NONE`.
    :return: Pixels uint8 (28, 28), and notes for the user.
    :raises BadImageError: If the picture cannot be read, is too large, or shows nothing.
    :raises ValueError: If an array has another shape or dtype.
    """
    preprocess = Preprocess(preprocess)
    name = str(source) if isinstance(source, str | Path) else ANY_PICTURE
    notes: list[str] = []
    grey = _read_grey(source, name, notes)  # (H, W)
    if min(grey.shape) < _MIN_SIDE or np.ptp(grey) < _MIN_CONTRAST:
        raise _no_digit(name)
    if invert:
        grey = 255 - grey
    if preprocess is Preprocess.NONE:
        if grey.shape != (SIDE, SIDE):
            notes.append(f"resized to {SIDE}x{SIDE}")
        return PreparedImage(np.array(_resize(Image.fromarray(grey), (SIDE, SIDE))), tuple(notes))
    if preprocess is Preprocess.AUTO and looks_like_mnist(grey):
        return PreparedImage(grey, tuple(notes))
    paper, noise = _fit_paper(grey)
    ink = grey - paper  # (H, W)
    if invert is None and -ink.min() > ink.max():
        grey, ink = 255 - grey, -ink
        notes.append("dark ink on a light background: inverted")
        if preprocess is Preprocess.AUTO and looks_like_mnist(grey):
            return PreparedImage(grey, tuple(notes))
    return PreparedImage(_normalise(ink, noise, name), tuple(notes))


def looks_like_mnist(grey: Grey) -> bool:
    """Tell whether a picture is already light ink on dark, sized and centred the MNIST way.

    True for all 70,000 MNIST images, whose centres of mass lie in 13.48 to 14.50.
    """
    if grey.shape != (SIDE, SIDE) or grey.max() < 128 or _border(grey).mean() > 16:
        return False
    if not all(_CENTRE - 1 <= centre <= _CENTRE + 1 for centre in _centre_of_mass(grey)):
        return False
    top, bottom, left, right = _bounds(grey > 25)
    return 16 <= max(bottom - top, right - left) <= 24


def to_batch(images: Images) -> NDArray[np.float32]:
    """Scale pixels to the range the network was trained on.

    :param images: uint8 (N, 28, 28).
    :return: float32 (N, 1, 28, 28): pixels / 255, minus `MEAN`, over `STD`; -0.424 to 2.821.
    :raises ValueError: On another shape or dtype.
    """
    return DIGIT.to_batch(images)


def png_bytes(pixels: Grey) -> bytes:
    """Encode grey pixels, uint8 (H, W), as a small PNG."""
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError(f"expected uint8 pixels (H, W), not {pixels.dtype} {pixels.shape}")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _no_digit(name: str) -> BadImageError:
    return BadImageError(f"no digit found in {name}", hint=_CONTENT)


def _read_grey(
    source: bytes | Path | str | Image.Image | NDArray[np.uint8], name: str, notes: list[str]
) -> Grey:
    """Bring any source to upright grey pixels, at most about 1,000 a side."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or (source.ndim != 2 and source.shape[2:] not in ((3,), (4,))):
            message = "expected uint8 pixels (H, W), (H, W, 3) or (H, W, 4)"
            raise ValueError(f"{message}, not {source.dtype} {source.shape}")
        if source.size == 0:
            raise _no_digit(name)
        source = Image.fromarray(source)
    elif isinstance(source, str | Path):
        source = decode_image(read_image_file(Path(source)), name)
    elif isinstance(source, bytes):
        source = decode_image(source, name)
    with pillow_errors(name):
        check_size(source, name)
        return np.array(_to_grey(source, notes))


def _to_grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """Apply the EXIF rotation, flatten transparency, convert to 8-bit grey, and reduce what is large."""
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a photo with its preview
        notes.append("animated: first frame used")
    with suppress(Exception):  # broken EXIF says nothing about the pixels
        if image.getexif().get(_ORIENTATION) in range(2, 9):
            image = ImageOps.exif_transpose(image)
            notes.append("rotated as its EXIF data say")
    if image.mode.startswith("I"):  # 16 bits, which convert("L") would clip
        pixels = np.asarray(image).astype(np.float32) / 257
        image = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    image = image.convert("RGBA" if image.has_transparency_data else "L")
    factor = max(image.size) // _WORKING_SIDE
    if factor > 1:
        image = image.reduce(factor)
    return _flatten(image, notes) if image.mode == "RGBA" else image


def _flatten(image: Image.Image, notes: list[str]) -> Image.Image:
    """RGBA to grey: over the picture's own background, or alpha itself where it alone draws the shape."""
    grey, alpha = image.convert("L"), image.getchannel("A")
    mask = np.asarray(alpha)
    visible = np.asarray(grey)[mask >= 64]  # the colour of faint pixels is mostly rounding
    if mask.min() == 255:
        return grey
    if visible.size == 0 or np.ptp(visible) < _MIN_CONTRAST:
        notes.append("drawn in transparency only: opaque used as ink")
        return alpha
    level = int(np.median(visible))
    if visible.size < mask.size / 2:  # ink on nothing: the backdrop that shows it best
        level = 0 if level > 127 else 255
    backdrop = Image.new("L", image.size, level)
    backdrop.paste(grey, mask=alpha)
    return backdrop


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """BOX shrinks an enlarged MNIST digit back to its own pixels, and is the best on photographs."""
    shrinks = size[0] < image.width or size[1] < image.height
    return image.resize(size, Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)


def _border(grey: _Pixels) -> _Pixels:
    """The outermost pixels, (2W + 2H,): top, bottom, left, right."""
    return np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))


def _fit_paper(grey: Grey) -> tuple[Ink, float]:
    """Fit a quadratic surface to the paper, so that a page lit unevenly is level afterwards.

    The paper is first taken to be all that lies near the border's median; then, because a picture cropped to
    the ink has much ink there, what lies very near one of the picture's two greys: the one with more of the
    border and of the whole. Of the two surfaces, the one that has more of both near it is returned.

    :return: The paper's grey levels, float32 (H, W), and the standard deviation of its noise.
    """
    step = max(1, max(grey.shape) // _SAMPLES)
    median, (dark, light) = np.median(_border(grey)), _two_greys(grey)

    def share(of: NDArray[np.bool_]) -> float:
        return float(_border(of).mean() + of[::step, ::step].mean()) / 2

    residuals = np.abs(grey[::step, ::step] - median)
    common = light if share(grey > (dark + light) / 2) > 0.5 else dark
    first = _fit_surface(grey, median, max(residuals.max() / 2, np.median(residuals)))
    second = _fit_surface(grey, common, (light - dark) / 4)
    return max(first, second, key=lambda fit: share(np.abs(grey - fit[0]) < np.ptp(grey) / 8))


def _fit_surface(grey: Grey, level: float, limit: float) -> tuple[Ink, float]:
    """Fit a quadratic surface to the greys within a limit of a level; each round drops what lies far from it.

    :return: The surface, float32 (H, W), and the standard deviation of what is near it.
    """
    step = max(1, max(grey.shape) // _SAMPLES)
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in grey.shape)
    samples = grey[::step, ::step].astype(np.float64).ravel()  # (S,)
    powers = polyvander2d(*np.meshgrid(y[::step], x[::step], indexing="ij"), [2, 2])  # (H', W', 9)
    terms = powers.reshape(-1, 9)[:, _SURFACE]  # (S, 6)
    residuals, noise = np.abs(samples - level), 0.0
    limit = max(limit, float(residuals.min()))  # never leaves nothing
    coefficients = np.zeros(9, np.float32)
    for _ in range(_ROUNDS):
        near, levels = terms[residuals <= limit], samples[residuals <= limit]
        surface = np.linalg.lstsq(near.T @ near, near.T @ levels)[0]  # the normal equations are small
        noise = 1.4826 * float(np.median(np.abs(levels - near @ surface)))
        residuals, limit = np.abs(samples - terms @ surface), 3 * noise + 0.5
    coefficients[_SURFACE] = surface
    return polygrid2d(y, x, coefficients.reshape(3, 3)), noise


def _two_greys(grey: Grey) -> tuple[float, float]:
    """Mean greys of the dark and the light class, at the threshold of Otsu ("A threshold selection method
    from gray-level histograms", 1979)."""
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    below, sums = counts.cumsum()[:-1], (counts * np.arange(256)).cumsum()  # of greys up to each threshold
    above, rest = counts.sum() - below, sums[-1] - sums[:-1]
    split = (below > 0) & (above > 0)
    dark, light = (
        np.divide(a, b, out=np.zeros(255), where=split) for a, b in ((sums[:-1], below), (rest, above))
    )
    best = int(np.argmax(below * above * (light - dark) ** 2))
    return float(dark[best]), float(light[best])


def _normalise(ink: Ink, noise: float, name: str) -> Grey:
    """Ink (H, W) -> (28, 28): cropped, longest side 20, no thin strokes, maximum 255, centred by mass."""
    peak = float(ink.max())
    if peak < max(_MIN_CONTRAST, _MIN_SIGNAL * noise):
        raise _no_digit(name)
    mask = ink > max(_INK_SHARE * peak, 5 * noise)
    top, bottom, left, right = _ink_box(mask)
    height, width = bottom - top, right - left
    if max(height, width) < _MIN_INK_SIDE:
        raise _no_digit(name)
    crop = ink[top:bottom, left:right]
    digit = _shrunk(crop, _DIGIT_SIDE)
    stroke = np.where(mask[top:bottom, left:right], crop, 0)
    thickness = _stroke_width(stroke) * _DIGIT_SIDE / max(height, width)
    if thickness < _THIN:
        digit = _thickened(stroke, thickness)
    if digit.max() <= noise:
        raise _no_digit(name)
    digit = np.where(digit > noise, digit * (255 / digit.max()), 0)
    return _centred(digit.round().astype(np.uint8))


def _shrunk(ink: Ink, side: int) -> Ink:
    """Resize so that the longer side is this long."""
    height, width = ink.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(_resize(Image.fromarray(ink), size))


def _stroke_width(ink: Ink) -> float:
    """Width of the strokes in pixels, whatever their strength: twice the ink over the length of its edge."""
    framed = np.pad(ink, 1)
    edges = np.hypot(np.diff(framed, axis=0)[:, 1:], np.diff(framed, axis=1)[1:]).sum()
    return float(2 * ink.sum() / edges)


def _thickened(ink: Ink, thickness: float) -> Ink:
    """Draw thin strokes again with a broader pen: a disc along them, as strong in the middle everywhere.

    :param thickness: Width of the strokes in pixels of the result.
    :return: Of the size that `_shrunk` to 20 gives, within rounding.
    """
    radius = (_WIDTH - thickness) / 2 * _FINE
    reach = math.ceil(radius)
    fine = np.pad(_shrunk(ink, _DIGIT_SIDE * _FINE - 2 * reach).clip(0), 2 * reach)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    height, width = (side - 2 * reach for side in fine.shape)
    drawn = np.zeros((height, width), np.float32)
    for (row, column), weight in np.ndenumerate(disc):
        drawn += weight * fine[row : row + height, column : column + width]
    middle = (drawn * drawn).sum() / drawn.sum()
    return _shrunk((drawn / middle).clip(0, 1) * 255, _DIGIT_SIDE)


def _centred(digit: Grey) -> Grey:
    """Paste a digit of at most 20x20 so that its centre of mass falls on pixel (14, 14), if it fits."""
    height, width = digit.shape
    y, x = _centre_of_mass(digit)
    top = min(max(round(_CENTRE - y), 0), SIDE - height)
    left = min(max(round(_CENTRE - x), 0), SIDE - width)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[top : top + height, left : left + width] = digit
    return pixels


def _centre_of_mass(grey: Grey) -> tuple[float, float]:
    """Row and column, in pixel indices, of the mean ink."""
    rows, columns = grey.sum(1, dtype=np.int64), grey.sum(0, dtype=np.int64)
    total = int(rows.sum())
    return float(rows @ np.arange(len(rows))) / total, float(columns @ np.arange(len(columns))) / total


def _bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the true pixels, ends exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _ink_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Bounds of the ink without specks of dust.

    On a grid of about 64 cells a side, the box is that of the ink in cells where there is, with the cells
    around, an eighth as much as where there is most.
    """
    cell = max(mask.shape) // 64
    if cell > 1:
        cells = np.asarray(Image.fromarray(mask.astype(np.float32)).reduce(cell))
        framed = np.pad(cells, 1)
        near = sliding_window_view(framed, (3, 3)).sum((2, 3))
        top, bottom, left, right = (cell * edge for edge in _bounds(near >= near.max() / 8))
        inner = _bounds(mask[top:bottom, left:right])
        return top + inner[0], top + inner[1], left + inner[2], left + inner[3]
    return _bounds(mask)
