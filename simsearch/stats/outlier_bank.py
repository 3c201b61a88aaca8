"""Vectors of pictures of no class: a query that lies near them is novel. Pure numpy.

A gallery's items say how near a vector lies to what is known, not where an encoder puts what it does not
know: that is learned from outliers (Hendrycks, Mazeika, Dietterich, "Deep Anomaly Detection with Outlier
Exposure", ICLR 2019), and stored with the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BANK_FEATURE = "outliers"

_NEAREST = 5

_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class OutlierBank:
    """Unit rows, kept as float16 row by row, as files keep them."""

    dim: int
    vectors: bytes  # (S, D)

    def __post_init__(self) -> None:
        """Refuse what is no such table, or holds what is no number."""
        if self.dim <= 0 or not self.vectors or len(self.vectors) % (2 * self.dim):
            raise ValueError("the calibration cannot be used: its outliers have another size than it says")
        if not np.isfinite(self._table).all():
            raise ValueError("the calibration cannot be used: its outliers are no finite numbers")

    @classmethod
    def of(cls, vectors: _Floats) -> OutlierBank:
        """Keep unit rows, float32 (S, D), S >= 1."""
        return cls(vectors.shape[1], vectors.astype("<f2").tobytes())

    def feature(self, vectors: _Floats) -> _Floats:
        """Minus the mean cosine with the five nearest outliers, (Q,): higher is more familiar.

        :param vectors: Unit rows, float32 (Q, D).
        """
        cosines = -np.sort(-(vectors @ self._table.T), axis=1)[:, :_NEAREST]
        mean: _Floats = cosines.mean(axis=1)
        return -mean

    @cached_property
    def _table(self) -> _Floats:
        return np.frombuffer(self.vectors, "<f2").astype(np.float32).reshape(-1, self.dim)
