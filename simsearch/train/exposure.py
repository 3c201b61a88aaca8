"""Pictures of no class for training: how many, of which images, and for which classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from simsearch.data.outliers.make import draw_exposed
from simsearch.errors import BadInputError
from simsearch.train.networks import Network
from simsearch.train.recipes import Recipe

_STREAM = 6  # of a run's seed
_SHARE = 4  # as many outliers as a quarter of the training images
DIGITS = frozenset("0123456789")


def draw_outliers(
    recipe: Recipe, images: NDArray[Any], labels: NDArray[np.int64], *, seed: int, network: Network
) -> Tensor | None:
    """What a run puts beside its batches, as its network keeps images; None if the recipe wants nothing.

    :param images: The images to train on, uint8 (N, H, W), of at least two classes.
    :param labels: Their classes, int64 (N,).
    :raises BadInputError: If they are of one class.
    """
    if not recipe.outliers:
        return None
    if len(np.unique(labels)) < 2:
        raise BadInputError("training images of one class: outliers are made of two")
    rng = np.random.default_rng([seed, _STREAM])
    fewest = round(recipe.outliers * recipe.batch_size)
    return network.keep(draw_exposed(images, labels, max(len(images) // _SHARE, fewest), rng))


def check_classes(recipe: Recipe, classes: Iterable[str]) -> None:
    """Refuse outliers, letters among them, for classes that are not digits.

    :param classes: Their names.
    :raises BadInputError: If there are others than the ten digits.
    """
    others = sorted(set(classes) - DIGITS)
    if recipe.outliers and others:
        raise BadInputError(
            f"the recipe {recipe.name} shows letters as what no class is like, and is for the digits 0 to 9,"
            f" not for {others[0]!r}",
            hint="leave them out: --set outliers=0",
        )
