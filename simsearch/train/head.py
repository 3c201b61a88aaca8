"""A learned head on an encoder's features, and both joined: what is trained where an encoder is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from simsearch.errors import BadInputError
from simsearch.train.model import EMBEDDING_DIM
from simsearch.train.networks import Prepare
from simsearch.train.recipes import OF_DIGITS, OF_PHOTOS, Recipe


class HeadNet(nn.Module):
    """The end of EmbeddingNet alone, on features that are centered and scaled alike first.

    `center` and `scale` are of the training images, and are not learned.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, center: Tensor, scale: float) -> None:
        super().__init__()
        self.register_buffer("center", center)  # (D,)
        self.register_buffer("scale", torch.tensor(scale))
        self.linear = nn.Linear(len(center), EMBEDDING_DIM)
        self.norm = nn.BatchNorm1d(EMBEDDING_DIM)

    def forward(self, features: Tensor) -> Tensor:
        """Unit rows, float32 (N, 128), every coordinate >= 0, of features (N, D)."""
        x = (features - self.center) * self.scale  # (N, D)
        return F.normalize(F.relu(self.norm(self.linear(x))))  # (N, 128)


class JoinedHead(nn.Module):
    """Head and centered features side by side: the cosine is `weight` times the head's plus the rest theirs.

    The head knows what it was taught, the features what it was not.
    """

    def __init__(self, head: HeadNet, weight: float) -> None:
        """Join them; `weight` in 0 to below 1."""
        super().__init__()
        self.head, self.weight = head, weight

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return EMBEDDING_DIM + len(self.head.center)

    def forward(self, features: Tensor) -> Tensor:
        """Unit rows, float32 (N, 128 + D), of features (N, D)."""
        centered = F.normalize(features - self.head.center)  # (N, D)
        shares = (math.sqrt(self.weight) * self.head(features), math.sqrt(1 - self.weight) * centered)
        return F.normalize(torch.cat(shares, dim=1))  # (N, 128 + D)


@dataclass(frozen=True, eq=False)
class HeadNetwork:
    """What a run on features trains; see `Network`."""

    center: NDArray[np.float32]  # (D,)
    scale: float

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> HeadNetwork:
        """One for training images with these features (N, D)."""
        center = features.mean(axis=0)
        return cls(center, 1 / max(float(np.std(features - center)), 1e-6))

    @property
    def key(self) -> str:
        """How many features there are."""
        return f"head of {len(self.center)} features"

    def build(self) -> HeadNet:
        """A new one."""
        return HeadNet(torch.from_numpy(self.center).clone(), self.scale)

    def keep(self, images: Any) -> Tensor:
        """Features as float32 (N, D)."""
        return torch.from_numpy(images)

    def enter(self, batch: Tensor) -> Tensor:
        """The features themselves."""
        return batch

    def augmentation(self, recipe: Recipe) -> Prepare:
        """None: features are computed once.

        :raises BadInputError: If the recipe asks for one.
        """
        check_head_recipe(recipe)
        return lambda features, _: features


def check_head_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that augments.

    :raises BadInputError: If it does.
    """
    for field in (*OF_DIGITS, *OF_PHOTOS):
        if getattr(recipe, field):
            raise BadInputError(
                f"{field} of the recipe {recipe.name} changes pictures, and features are computed once",
                hint="train a head with the recipe head-pairs",
            )
