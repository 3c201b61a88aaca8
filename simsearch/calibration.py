"""From scores to probabilities. Pure numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Projection:
    """The learned map from a cosine similarity to the logit of "both images show the same class"."""

    weight: float
    bias: float

    def __post_init__(self) -> None:
        """Refuse a projection that would make every probability meaningless."""
        if not (math.isfinite(self.weight) and math.isfinite(self.bias)):
            raise ValueError("the projection must be finite")

    def logit(self, scores: ArrayLike) -> NDArray[np.float64]:
        """`weight * score + bias`, float64, in the shape of `scores`."""
        return self.weight * np.asarray(scores, np.float64) + self.bias

    def probability(self, scores: ArrayLike) -> NDArray[np.float64]:
        """The sigmoid of the logit: in [0, 1], float64, in the shape of `scores`."""
        return 0.5 * (1 + np.tanh(self.logit(scores) / 2))  # a sigmoid that cannot overflow
