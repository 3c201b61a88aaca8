"""What a network takes, as data: size, channels and preparation of its pictures, and how pixels are scaled.

A model's card and an index's manifest hold one of these, so that training, indexing, querying and the page
prepare pictures alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BadInputError

Pictures: TypeAlias = NDArray[np.uint8]  # (N, H, W) gray or (N, H, W, 3) RGB
Picture: TypeAlias = NDArray[np.uint8]  # (H, W) or (H, W, 3)

MAX_SIDE = 1_024  # pixels; no encoder of today looks at more
_GREY, _RGB = 1, 3


@dataclass(frozen=True)
class ImageInput:
    """The input of an encoder.

    `mean` and `std` are those of pixels in [0, 1], one a channel. `fit` says how a picture of another shape
    is brought to this one: laid on a background (`letterbox`), cut (`crop`) or stretched. `background` is the
    gray, 0 to 255, that stands behind what is transparent and around what is letterboxed.
    """

    preparation: Literal["digit", "photo", "plain"]
    version: int  # of the preparation: the same picture gives the same pixels
    width: int
    height: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: Literal["letterbox", "crop", "stretch"] = "letterbox"
    background: int = 255
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    def __post_init__(self) -> None:
        """Refuse what no picture can be brought to.

        :raises ValueError: Saying what.
        """
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise ValueError(f"an input of {self.width}x{self.height} pixels is not within 1 to {MAX_SIDE}")
        if self.channels not in (_GREY, _RGB):
            raise ValueError(f"an input has 1 or 3 channels, not {self.channels}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} values, one a channel")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and min(self.std) > 0):
            raise ValueError("mean and std must be finite, std positive")
        if not 0 <= self.background <= 255 or self.version < 1:
            raise ValueError("the background must lie in 0 to 255, the version from 1 on")

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """The shape of one prepared picture: (H, W), or (H, W, 3)."""
        size = (self.height, self.width)
        return size if self.channels == _GREY else (*size, self.channels)

    @property
    def tensor_shape(self) -> tuple[int, int, int]:
        """The shape of one picture as the network takes it: (C, H, W), or (H, W, C)."""
        if self.layout == "NCHW":
            return (self.channels, self.height, self.width)
        return (self.height, self.width, self.channels)

    def to_batch(self, pictures: Pictures) -> NDArray[np.float32]:
        """Scale pixels to the range that the network was trained on.

        :param pictures: uint8 (N, *picture_shape).
        :return: float32 (N, *tensor_shape): pixels / 255, minus `mean`, over `std`.
        :raises ValueError: On another shape or dtype.
        """
        if pictures.dtype != np.uint8 or pictures.shape[1:] != self.picture_shape or pictures.ndim < 3:
            expected = ", ".join(map(str, self.picture_shape))
            raise ValueError(f"expected uint8 images (N, {expected}), not {pictures.dtype} {pictures.shape}")
        batch = pictures.reshape(len(pictures), self.height, self.width, self.channels).astype(np.float32)
        batch /= 255
        batch -= np.array(self.mean, np.float32)
        batch /= np.array(self.std, np.float32)
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2)) if self.layout == "NCHW" else batch


def parse_size(text: str) -> tuple[int, int]:
    """Width and height as users write them: `224`, or `224x160`.

    :raises BadInputError: If it is no size.
    """
    sides = text.lower().split("x")
    if not all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides) or len(sides) > 2:
        raise BadInputError(f"{text!r} is no size", hint="give a side, such as 224, or 224x160")
    return int(sides[0]), int(sides[-1])
