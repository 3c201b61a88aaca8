"""Which training images are held out, for every choice that must not be made on the test split."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HELD_OUT_IMAGES = 5_000
_SEED = 60_000


class HoldOut(NamedTuple):
    """Two disjoint sets of rows, int64, each ascending; together they are all rows."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def hold_out(total: int, count: int = HELD_OUT_IMAGES) -> HoldOut:
    """Split rows 0..total-1 at random, the same way for every run, recipe and seed.

    :raises ValueError: If nothing would be left on one side.
    """
    if not 0 < count < total:
        raise ValueError(f"cannot hold out {count} of {total} images")
    order = np.random.default_rng(_SEED).permutation(total)
    return HoldOut(train=np.sort(order[count:]), held_out=np.sort(order[:count]))


def rows_sha256(rows: NDArray[np.int64]) -> str:
    """How a model's card names the rows that its training held out."""
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()
