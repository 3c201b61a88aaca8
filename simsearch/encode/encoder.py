"""The contract of encoders: pictures in, unit vectors out, and what it is computed by named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BrokenModelError
from simsearch.prepare.inputs import ImageInput, Pictures

Vectors: TypeAlias = NDArray[np.float32]  # (N, D), unit rows

MAX_MODEL_BYTES = 2**31 - 1  # of Protocol Buffers; a ViT-B has 343 MB, a ViT-L 1.2 GB


@dataclass(frozen=True)
class VectorOutput:
    """How vectors are read off what a graph makes.

    `name` is the output's, empty for the only one. A row of tokens a picture (N, T, D) becomes one vector by
    its first token (`cls`) or the mean of all (`mean`); maps (N, C, H, W) by their mean over both sides.
    """

    name: str = ""
    pool: Literal["none", "cls", "mean"] = "none"
    normalize: bool = False  # whether vectors are brought to length 1 here; the graph does it otherwise


AS_IS = VectorOutput()


class Encoder(Protocol):
    """Anything that embeds images, named by a fingerprint of what it computes."""

    @property
    def input(self) -> ImageInput:
        """What pictures it takes, and how they are prepared."""

    @property
    def dim(self) -> int:
        """Length of each vector."""

    @property
    def fingerprint(self) -> str:
        """Equal for encoders that give equal vectors; stored with every index."""

    def encode(self, images: Pictures, *, on_progress: Callable[[int], None] = ...) -> Vectors:
        """Embed images.

        :param images: uint8 (N, *input.picture_shape), as `simsearch.prepare` makes them.
        :param on_progress: Called with the number of images of each finished batch.
        :return: Unit rows, float32 (N, D).
        :raises BadImageError: If an image has no vector: it is not finite, or has no direction.
        :raises BrokenModelError: If no image has.
        """


def any_picture(input: ImageInput) -> Pictures:
    """A picture that is gray nearly everywhere, which every encoder gives a vector: uint8 (1, ...)."""
    shape = (1, *input.picture_shape)
    return np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)


def check_unit_rows(vectors: Vectors) -> None:
    """Check that every row is finite and of length 1, to the precision of float32 arithmetic.

    :raises BrokenModelError: Naming the first row that is not.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))  # also catches NaN
    if len(wrong):
        raise BrokenModelError(
            f"the encoder gave no unit vector for image {wrong[0]} (length {lengths[wrong[0]]:.4g})",
            hint="the model is damaged or the image is empty; `simsearch doctor` checks the installation",
        )
