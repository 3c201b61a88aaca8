"""Any picture -> what an input takes: the function that every caller uses, whatever the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.errors import BadImageError
from simsearch.prepare.decode import (
    ANY_PICTURE,
    DRAFT_SIDE,
    check_size,
    decode_image,
    pillow_errors,
    read_image_file,
)
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import PreparedImage, Preprocess, prepare_image

DIGITS = "digit"


@dataclass(frozen=True, eq=False)
class Reading:
    """How a picture of a digit was read, also where none was found."""

    steps: tuple[tuple[str, NDArray[np.uint8]], ...]  # the name and the pixels, (H, W), of each
    notes: tuple[str, ...] = ()
    refused: BadImageError | None = None


def read_steps(
    source: bytes | Path, *, preprocess: Preprocess = Preprocess.AUTO, invert: bool | None = None
) -> Reading:
    """Prepare a picture of a digit and keep what each step saw: paper, ink, lines, digit, and 28x28 pixels.

    :raises BadImageError: If the picture cannot be read at all.
    """
    seen: list[tuple[str, NDArray[np.uint8]]] = []
    try:
        prepared = prepare_image(
            source,
            preprocess=preprocess,
            invert=invert,
            watch=lambda name, pixels: seen.append((name, pixels)),
        )
    except BadImageError as error:
        if not seen:
            raise
        return Reading(tuple(seen), refused=error)
    return Reading((*seen, ("prepared", prepared.pixels)), prepared.notes)


def prepare_picture(
    source: bytes | Path | str | Image.Image | NDArray[np.uint8],
    input: ImageInput,
    *,
    preprocess: Preprocess = Preprocess.AUTO,
    invert: bool | None = None,
) -> PreparedImage:
    """Turn a picture into the pixels that a network takes.

    :param source: An encoded picture, a path, a Pillow image, or uint8 pixels of shape (H, W) gray,
        (H, W, 3) RGB or (H, W, 4) RGBA.
    :param preprocess: How a picture of a digit is prepared; other preparations have no choice.
    :param invert: Whether to invert a digit's grays; None decides from the picture.
    :return: Pixels uint8 of `input.picture_shape`, and notes for the user.
    :raises BadImageError: If the picture cannot be read or is too large; for digits, if it shows none.
    :raises ValueError: If an array has another shape or dtype.
    """
    if input.preparation == DIGITS:
        return prepare_image(source, preprocess=preprocess, invert=invert)
    from simsearch.prepare.photo import prepare_photo

    name = str(source) if isinstance(source, str | Path) else ANY_PICTURE
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.shape[2:] not in ((), (3,), (4,)) or not source.size:
            message = "expected uint8 pixels (H, W), (H, W, 3) or (H, W, 4)"
            raise ValueError(f"{message}, not {source.dtype} {source.shape}")
        image = Image.fromarray(source)
    elif isinstance(source, Image.Image):
        image = source
    else:
        data = source if isinstance(source, bytes) else read_image_file(Path(source))
        image = decode_image(data, name, side=max(DRAFT_SIDE, input.width, input.height), reduce=True)
    with pillow_errors(name):
        check_size(image, name)
        return PreparedImage(*prepare_photo(image, input))
