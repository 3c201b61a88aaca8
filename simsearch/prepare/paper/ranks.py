"""What NumPy is slow at: medians and quantiles, which load `numpy.ma` in 9 ms, and frames of zeros."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def median(values: NDArray[np.generic]) -> float:
    """The middle value, or the mean of the two in the middle."""
    return quantiles(values, 0.5)[0]


def quantiles(values: NDArray[np.generic], *shares: float) -> tuple[float, ...]:
    """Values below which shares of all lie, between two values in proportion, as `np.quantile`'s default.

    :param values: At least one, of any shape.
    :param shares: In 0 to 1.
    """
    last = values.size - 1
    places = [share * last for share in shares]
    lows = [int(place) for place in places]
    ranks = sorted({rank for low in lows for rank in (low, min(low + 1, last))})
    ordered = np.partition(values, ranks, axis=None)
    return tuple(
        float(ordered[low]) + (place - low) * (float(ordered[min(low + 1, last)]) - float(ordered[low]))
        for place, low in zip(places, lows, strict=True)
    )


def framed(values: NDArray[Number], margin: int = 1) -> NDArray[Number]:
    """A picture, (H, W), within so many rows and columns of zeros; `np.pad` takes five times as long."""
    height, width = values.shape
    wide = np.zeros((height + 2 * margin, width + 2 * margin), values.dtype)
    wide[margin:-margin, margin:-margin] = values
    return wide
