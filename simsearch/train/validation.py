"""How good a run's weights are, on its validation images: the loss of fixed pairs, and MAP@R."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from simsearch.train.model import SimilarityModel
from simsearch.train.networks import DIGIT_NETWORK, Network
from simsearch.train.objectives import draw_training_pairs
from simsearch.train.recipes import Recipe
from simsearch.train.retrieval import judge_scores

_BATCH = 256  # images embedded at once
_PAIR_STREAM = 0  # of seed 0, whatever the run's: every run is judged on the same pairs
_GALLERY_STREAM = 4
_MOST_GALLERY, _MOST_QUERIES = 10_000, 2_000  # of MAP@R


@dataclass(frozen=True)
class LossAndAccuracy:
    """Mean binary cross-entropy, and the share of pairs on the right side of probability 0.5."""

    loss: float
    accuracy: float


class Validation:
    """The validation images of a run, as its network keeps them, and the pairs that they are judged by."""

    def __init__(
        self,
        recipe: Recipe,
        images: Tensor,
        labels: NDArray[np.int64],
        *,
        device: torch.device,
        network: Network = DIGIT_NETWORK,
    ) -> None:
        """Draw the pairs, the same for every run on these images.

        :param labels: Class of each image, int64 (N,).
        :raises BadInputError: If they cannot be paired.
        """
        self.images, self._labels = images.to(device), labels
        self._device, self._network = device, network
        rng = np.random.default_rng([0, _PAIR_STREAM])
        self.pairs = draw_training_pairs(labels, recipe.validation_pairs, rng, "validation")

    def judge(self, model: SimilarityModel) -> LossAndAccuracy:
        """Loss and accuracy on the fixed pairs, embedding each validation image once."""
        vectors = embed(model, self.images, self._network)  # (5000, 128)
        first, second = vectors[self.pairs.first], vectors[self.pairs.second]  # (P, 128)
        same = torch.from_numpy(self.pairs.same).to(self._device, torch.float32)  # (P,)
        with torch.inference_mode():
            logits = model.project(F.cosine_similarity(first, second))  # (P,)
            loss = F.binary_cross_entropy_with_logits(logits, same)
        return LossAndAccuracy(float(loss), float(((logits > 0) == (same > 0)).float().mean()))

    def map_at_r(self, model: SimilarityModel, gallery: Tensor, labels: NDArray[np.int64]) -> float:
        """MAP@R of at most 2,000 validation images, each queried against at most 10,000 others as they are.

        :param gallery: Images to find, as the network keeps them: the training images.
        :param labels: Class of each, int64 (N,).
        """
        drawn = np.random.default_rng([0, _GALLERY_STREAM]).permutation(len(labels))
        rows, asked = np.sort(drawn[:_MOST_GALLERY]), slice(_MOST_QUERIES)
        images = (self.images[asked], gallery[torch.from_numpy(rows)])
        queries, items = (embed(model, part.to(self._device), self._network).cpu().numpy() for part in images)
        return judge_scores(queries @ items.T, self._labels[asked], labels[rows]).map_at_r


def embed(model: SimilarityModel, images: Tensor, network: Network = DIGIT_NETWORK) -> Tensor:
    """Unit vectors, float32 (N, 128), of images as their network keeps them, in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        parts = torch.split(images, _BATCH)
        return torch.cat([model.embedding(network.enter(part)) for part in parts])
