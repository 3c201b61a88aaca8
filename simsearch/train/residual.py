"""The second network: 3x3 convolutions with residual blocks, for pictures of any size and channels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from simsearch.train.model import EMBEDDING_DIM

_WIDTHS = (24, 56, 96)  # channels at full, half and quarter resolution
_LARGEST = 32  # pixels a side, at most, at full resolution; the stem halves larger pictures


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to what went in.

    He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, channels)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = _convolution(channels, channels)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape, float32 (N, C, H, W)."""
        inner = F.relu(self.norm1(self.conv1(x)))  # (N, C, H, W)
        return F.relu(x + self.norm2(self.conv2(inner)))  # (N, C, H, W)


class ResidualNet(nn.Module):
    """A deeper encoder with the same end as EmbeddingNet; 891,720 parameters for MNIST's pictures.

    There it costs 2.7 times as much as EmbeddingNet. Pictures of more than 32 pixels a side are first halved
    by convolutions of stride 2, as often as it takes, so that its cost grows little with their size.
    """

    def __init__(self, channels: int = 1, height: int = 28, width: int = 28) -> None:
        """Make one for pictures of this size."""
        super().__init__()
        first, second, third = _WIDTHS
        halvings = max(0, (max(height, width) - 1) // _LARGEST).bit_length()
        self.stem = nn.ModuleList(
            nn.Sequential(
                _convolution(channels if step == 0 else first, first, stride=2),
                nn.BatchNorm2d(first),
                nn.ReLU(),
            )
            for step in range(halvings)
        )
        self.conv1 = _convolution(first if halvings else channels, first)
        self.norm1 = nn.BatchNorm2d(first)
        self.conv2 = _convolution(first, first)
        self.norm2 = nn.BatchNorm2d(first)
        self.conv3 = _convolution(first, second)
        self.norm3 = nn.BatchNorm2d(second)
        self.block1 = ResidualBlock(second)
        self.conv4 = _convolution(second, third)
        self.norm4 = nn.BatchNorm2d(third)
        self.block2 = ResidualBlock(third)
        places = (_halved(height, halvings) // 4) * (_halved(width, halvings) // 4)
        self.linear = nn.Linear(third * places, EMBEDDING_DIM)
        self.norm5 = nn.BatchNorm1d(EMBEDDING_DIM)

    def forward(self, images: Tensor) -> Tensor:
        """Embed normalized images; H and W below are their sides after the stem.

        :param images: float32 (N, C, H, W), as `ImageInput.to_batch` makes them.
        :return: Unit rows, float32 (N, 128), every coordinate >= 0.
        """
        x = images
        for halve in self.stem:
            x = halve(x)
        x = F.relu(self.norm1(self.conv1(x)))  # (N, 24, H, W)
        x = F.relu(F.max_pool2d(self.norm2(self.conv2(x)), 2))  # (N, 24, H/2, W/2)
        x = self.block1(F.relu(self.norm3(self.conv3(x))))  # (N, 56, H/2, W/2)
        x = F.max_pool2d(x, 2)  # (N, 56, H/4, W/4)
        x = self.block2(F.relu(self.norm4(self.conv4(x))))  # (N, 96, H/4, W/4)
        x = F.relu(self.norm5(self.linear(x.flatten(1))))  # (N, 128)
        return F.normalize(x)  # (N, 128)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3x3, without a bias: batch normalization follows."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


def _halved(side: int, times: int) -> int:
    for _ in range(times):
        side = (side + 1) // 2
    return side
