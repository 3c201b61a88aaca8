"""Splits of arrays of pixels -> the pixels that an input takes, as pictures in folders are prepared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simsearch.data.collection import Skipped
from simsearch.data.splits import Split
from simsearch.errors import BadDatasetError, BadImageError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.pictures import prepare_picture


def fit_split(split: Split, input: ImageInput) -> Split:
    """Bring the images of a split to what an input takes; those of that size already are left as they are.

    Images that cannot be, such as pictures without a digit where one is wanted, are left out and listed.

    :raises BadDatasetError: If none is left.
    """
    if split.images.shape[1:] == input.picture_shape:
        return split
    images = np.empty((len(split), *input.picture_shape), np.uint8)
    kept: list[int] = []
    skipped = list(split.skipped)
    for row, picture in enumerate(split.images):
        try:
            images[len(kept)] = prepare_picture(picture, input).pixels
        except BadImageError as error:
            skipped.append(Skipped(split.sources[row], error.message))
        else:
            kept.append(row)
    if not kept:
        raise BadDatasetError(
            f"{split.name} holds no image that the model takes ({skipped[-1].reason})",
            hint="choose a model of other pictures: --model",
        )
    if len(kept) < len(split):
        split = split.take(kept)
    return replace(split, images=images[: len(kept)], skipped=tuple(skipped))
