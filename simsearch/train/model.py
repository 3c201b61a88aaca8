"""The Siamese network: EmbeddingNet turns an image into a unit vector, SimilarityModel compares two."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING_DIM = 128


class EmbeddingNet(nn.Module):
    """A small convolutional encoder; 454,080 parameters for MNIST's pictures.

    The last ReLU makes every coordinate non-negative, so cosines between embeddings lie in [0, 1].
    Each convolution's ReLU stands behind its pooling, not before it: the largest of four values, then
    ReLU, is the largest of four ReLUs, and a training step takes a seventh less time.
    """

    def __init__(self, channels: int = 1, height: int = 28, width: int = 28) -> None:
        """Make one for pictures of this size, by default MNIST's."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, kernel_size=5, padding=2)
        self.norm1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=5, padding=2)
        self.norm2 = nn.BatchNorm2d(64)
        self.linear = nn.Linear(64 * (height // 4) * (width // 4), EMBEDDING_DIM)
        self.norm3 = nn.BatchNorm1d(EMBEDDING_DIM)

    def forward(self, images: Tensor) -> Tensor:
        """Embed normalized images.

        The shapes below are those of MNIST's pictures.

        :param images: float32 (N, C, H, W), as `ImageInput.to_batch` makes them.
        :return: Unit rows, float32 (N, 128), every coordinate >= 0.
        """
        x = F.relu(F.max_pool2d(self.norm1(self.conv1(images)), 2))  # (N, 32, 14, 14)
        x = F.relu(F.max_pool2d(self.norm2(self.conv2(x)), 2))  # (N, 64, 7, 7)
        x = F.relu(self.norm3(self.linear(x.flatten(1))))  # (N, 128)
        return F.normalize(x)  # (N, 128)


class SimilarityModel(nn.Module):
    """One network on both images, their cosine, and a learnable projection of it to a logit.

    Bromley et al., "Signature Verification using a 'Siamese' Time Delay Neural Network", NeurIPS 1993.
    The projection starts positive: started at random, every second run would begin by learning that
    similar images are different.
    """

    def __init__(
        self,
        projection_weight: float = 10.0,
        projection_bias: float = -5.0,
        embedding: nn.Module | None = None,
    ) -> None:
        """Put a network, by default an EmbeddingNet, into both towers."""
        super().__init__()
        self.embedding = EmbeddingNet() if embedding is None else embedding
        self.projection = nn.Linear(1, 1)
        nn.init.constant_(self.projection.weight, projection_weight)
        nn.init.constant_(self.projection.bias, projection_bias)

    def get_raw_similarity(self, img1: Tensor, img2: Tensor) -> Tensor:
        """Cosine similarity of each pair, float32 (N,), in [0, 1]."""
        return F.cosine_similarity(self.embedding(img1), self.embedding(img2))  # (N,)

    def forward(self, img1: Tensor, img2: Tensor) -> Tensor:
        """Logit that each pair shows the same class, float32 (N,); its sigmoid is the probability."""
        similarity = self.get_raw_similarity(img1, img2)  # (N,)
        return self.project(similarity)

    def project(self, similarity: Tensor) -> Tensor:
        """The learned logit of each cosine similarity; any shape in, the same shape out."""
        logit: Tensor = self.projection(similarity.unsqueeze(-1)).squeeze(-1)
        return logit
