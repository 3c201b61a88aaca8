"""Any picture -> 28x28 light ink on dark -> the float32 batch the network sees.

The one preprocessing of simsearch: the command line, the web page and training all call it. It leaves
datasets to `data` and networks to `encode`. `PREPROCESSING_VERSION` changes whenever the same picture would
give other pixels.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.errors import BadImageError
from simsearch.prepare.decode import ANY_PICTURE, check_size, decode_image, pillow_errors, read_image_file
from simsearch.prepare.inputs import ImageInput, Picture
from simsearch.prepare.paper.canvas import MIN_CONTRAST, Canvas, lay_out
from simsearch.prepare.paper.choose import NARROW
from simsearch.prepare.paper.crossed import is_crossed_out
from simsearch.prepare.paper.normalize import SIDE, Gray, Ink, bounds, looks_like_mnist, normalize, resized
from simsearch.prepare.paper.plain import INVERTED, Drawing, find_plain
from simsearch.prepare.paper.steps import ALL, NONE, Steps

if TYPE_CHECKING:
    from simsearch.prepare.paper.page import Found

MEAN = 0.1307
STD = 0.3081
PREPROCESSING_VERSION = 2
READABLE_VERSIONS = (1, 2)  # 1 gave MNIST and plain drawings the same pixels; of pages it saw too much
DIGIT = ImageInput("digit", PREPROCESSING_VERSION, SIDE, SIDE, 1, (MEAN,), (STD,))

_MIN_SIDE = 4  # a picture narrower than this shows no digit
_FORCED = "leave out --invert/--no-invert, or choose the other"
_CONTENT = "pass one digit with a margin around it, clearly darker or lighter than its paper"
_SEVERAL = "cut the picture to one of them"
_CROSSED_OUT = "write it again, without lines through it"

Images = NDArray[np.uint8]  # (N, 28, 28), light ink on dark
Watch = Callable[[str, Gray], None]
Source = bytes | Path | str | Image.Image | NDArray[np.uint8]


def _unwatched(_step: str, _pixels: Gray) -> None:
    """The `watch` of a caller who wants only the result."""


def is_readable(version: int, input: ImageInput) -> bool:
    """Whether pictures that were prepared by a version can be compared with those that are prepared today."""
    return version == input.version or (input.preparation == "digit" and version in READABLE_VERSIONS)


class Preprocess(StrEnum):
    """How a picture becomes 28x28."""

    AUTO = "auto"  # MNIST-like 28x28 pictures pass through untouched, all others as MNIST
    MNIST = "mnist"  # polarity, crop to the ink, longest side to 20, center of mass to 14
    NONE = "none"  # gray, and resized where it is not 28x28


@dataclass(frozen=True)
class PreparedImage:
    """What the network will see, and what was done that the user may not expect."""

    pixels: Gray  # (28, 28), light ink on dark
    notes: tuple[str, ...] = ()


def prepare_image(
    source: Source,
    *,
    preprocess: Preprocess = Preprocess.AUTO,
    invert: bool | None = None,
    steps: Steps = ALL,
    watch: Watch = _unwatched,
) -> PreparedImage:
    """Turn a picture into the 28x28 pixels the network was trained on.

    :param source: An encoded picture, a path, a Pillow image, or uint8 pixels of shape (H, W) gray,
        (H, W, 3) RGB or (H, W, 4) RGBA.
    :param invert: Whether to invert the grays; None decides from the picture, and keeps them for
        `Preprocess.NONE`.
    :param steps: Which steps are taken, for an ablation.
    :param watch: Receives the name and the pixels, uint8 (H, W), of each step that is taken.
    :return: Pixels uint8 (28, 28), and notes for the user.
    :raises BadImageError: If the picture cannot be read, is too large, or shows nothing, or several digits.
    :raises ValueError: If an array has another shape or dtype.
    """
    preprocess = Preprocess(preprocess)
    name = str(source) if isinstance(source, str | Path) else ANY_PICTURE
    notes: list[str] = []
    canvas = _read(source, name, notes, steps)
    gray = canvas.gray  # (H, W)
    if min(gray.shape) < _MIN_SIDE:
        raise _no_digit(name)
    if invert:
        gray = 255 - gray
    if preprocess is Preprocess.NONE:
        if np.ptp(gray) < MIN_CONTRAST:
            raise _no_digit(name)
        if gray.shape != (SIDE, SIDE):
            notes.append(f"resized to {SIDE}x{SIDE}")
        return PreparedImage(np.array(resized(Image.fromarray(gray), (SIDE, SIDE))), tuple(notes))
    if preprocess is Preprocess.AUTO and looks_like_mnist(gray):
        return PreparedImage(gray, tuple(notes))
    if preprocess is Preprocess.AUTO and invert is None and looks_like_mnist(255 - gray):
        return PreparedImage(255 - gray, (*notes, INVERTED))
    return _digit(canvas, gray, None if invert is None else False, name, notes, steps, watch)


def _digit(
    canvas: Canvas, gray: Gray, dark: bool | None, name: str, notes: list[str], steps: Steps, watch: Watch
) -> PreparedImage:
    """The digit of a drawing, of a strip that was cut to an upright 1, or of a page."""
    watch("gray", gray)
    if np.ptp(gray) >= MIN_CONTRAST and steps.plain and (plain := find_plain(gray, dark)):
        return _plain_digit(plain, name, notes, steps, watch)
    is_strip = gray.shape[0] > NARROW * gray.shape[1]
    if (is_strip or steps == NONE) and (plain := find_plain(gray, dark, checked=False)):
        return _plain_digit(plain, name, notes, steps, watch)
    if steps.blurred and np.ptp(gray) >= MIN_CONTRAST:
        from simsearch.prepare.paper.blurred import find_blurred

        if blurred := find_blurred(gray, dark):
            return _plain_digit(blurred, name, notes, steps, watch)
    return _digit_on_page(canvas, gray, dark, name, notes, steps, watch)


def _digit_on_page(
    canvas: Canvas, gray: Gray, dark: bool | None, name: str, notes: list[str], steps: Steps, watch: Watch
) -> PreparedImage:
    """The digit of a page; what looks for it is loaded when the first such picture comes."""
    from simsearch.prepare.paper.color import best_gray
    from simsearch.prepare.paper.page import FULL, find_on_page

    hidden = best_gray(canvas.rgb()) if steps.color and canvas.rgb is not None and dark is None else None
    if hidden is not None:
        gray = hidden
        watch("color", gray)
        notes.append("ink and paper of one gray: told apart by color")
    found = None if np.ptp(gray) < MIN_CONTRAST else find_on_page(gray, dark=dark, steps=steps)
    if found is None:
        raise _no_digit(name, is_forced=dark is not None)
    if watch is not _unwatched:
        _show(found, watch)
    if found.choice.several and steps.several:
        raise BadImageError(f"several digits or drawings side by side in {name}", _SEVERAL)
    top, bottom, left, right = bounds(found.chosen)
    _check_crossed(found.chosen[top:bottom, left:right], name, steps)  # without what is left of rulings
    mask = found.ink > FULL * found.ink.max()
    return PreparedImage(_normalized(found.ink, mask, found.noise, name), (*notes, *found.notes()))


def _plain_digit(plain: Drawing, name: str, notes: list[str], steps: Steps, watch: Watch) -> PreparedImage:
    if watch is not _unwatched:
        watch("digit", plain.ink.clip(0, 255).astype(np.uint8))
    _check_crossed(plain.mask, name, steps)
    pixels = _normalized(plain.ink, plain.mask, plain.noise, name)
    return PreparedImage(pixels, (*notes, *([INVERTED] if plain.dark else [])))


def _check_crossed(mask: NDArray[np.bool_], name: str, steps: Steps) -> None:
    """Refuse a digit, given its ink cropped to it, that is crossed out."""
    if steps.crossed and is_crossed_out(mask):
        raise BadImageError(f"the digit in {name} is crossed out", _CROSSED_OUT)


def _normalized(ink: Ink, mask: NDArray[np.bool_], noise: float, name: str) -> Gray:
    """A digit as MNIST has it."""
    pixels = normalize(ink, mask, noise)
    if pixels is None:
        raise _no_digit(name)
    return pixels


def _show(found: Found, watch: Watch) -> None:
    layer = found.layer
    watch("paper", layer.paper if layer.dark else 255 - layer.paper)
    watch("ink", (255 * layer.share).clip(0, 255).astype(np.uint8))
    if found.lines:
        watch("without lines", np.where(found.cleared, np.uint8(255), np.uint8(0)))
    watch("digit", np.where(found.chosen, np.uint8(255), np.uint8(0)))


def to_batch(images: Images) -> NDArray[np.float32]:
    """Scale pixels to the range the network was trained on.

    :param images: uint8 (N, 28, 28).
    :return: float32 (N, 1, 28, 28): pixels / 255, minus `MEAN`, over `STD`; -0.424 to 2.821.
    :raises ValueError: On another shape or dtype.
    """
    return DIGIT.to_batch(images)


def png_bytes(pixels: Picture) -> bytes:
    """Encode pixels, uint8 (H, W) or (H, W, 3), as a small PNG."""
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ValueError(f"expected uint8 pixels (H, W) or (H, W, 3), not {pixels.dtype} {pixels.shape}")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _no_digit(name: str, *, is_forced: bool = False) -> BadImageError:
    return BadImageError(f"no digit found in {name}", hint=_FORCED if is_forced else _CONTENT)


def _read(source: Source, name: str, notes: list[str], steps: Steps) -> Canvas:
    """Bring any source to upright pixels, at most about 1,000 a side."""
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
        return lay_out(source, notes, eraser=steps.eraser)
