"""Random affine and elastic distortion of a batch: every image its own, all in one tensor operation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from simsearch.images import MEAN, SIDE, STD

_BACKGROUND = -MEAN / STD  # a black pixel, normalised
_HALF = SIDE / 2  # pixels a unit of grid_sample's coordinates
_ELASTIC_CELLS = 7  # random displacements a side; between them they are interpolated


@dataclass(frozen=True)
class Augmentation:
    """Bounds of the distortions; each image draws its own, uniformly within them."""

    rotation: float = 0.0  # degrees, either way
    scale: float = 0.0  # of the logarithm of each side's scale
    shear: float = 0.0  # tangent of the slant
    shift: float = 0.0  # pixels along each axis
    elastic: float = 0.0  # pixels: the largest standard deviation of local displacements

    def __bool__(self) -> bool:
        return any((self.rotation, self.scale, self.shear, self.shift, self.elastic))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Distort normalised images, float32 (N, 1, 28, 28); what moves in from outside is background.

        Elastic distortion after Simard, Steinkraus, Platt: "Best Practices for Convolutional Neural
        Networks Applied to Visual Document Analysis", ICDAR 2003, with a coarse field of displacements.
        """
        grid = F.affine_grid(self._matrices(len(images), generator), list(images.shape), align_corners=False)
        if self.elastic:
            grid = grid + self._displacements(len(images), generator)  # (N, 28, 28, 2)
        ink = images - _BACKGROUND
        return F.grid_sample(ink, grid.to(images.device), align_corners=False) + _BACKGROUND

    def _matrices(self, count: int, generator: torch.Generator) -> Tensor:
        """Affine maps from output to input coordinates, float32 (N, 2, 3)."""

        def uniform(bound: float) -> Tensor:
            return (torch.rand(count, generator=generator) * 2 - 1) * bound

        angle = uniform(math.radians(self.rotation))
        across, up = torch.exp(uniform(self.scale)), torch.exp(uniform(self.scale))
        shear = uniform(self.shear)
        cos, sin = torch.cos(angle), torch.sin(angle)
        rows = (
            torch.stack([cos / across, (shear * cos - sin) / across, uniform(self.shift / _HALF)], dim=1),
            torch.stack([sin / up, (cos + shear * sin) / up, uniform(self.shift / _HALF)], dim=1),
        )
        return torch.stack(rows, dim=1)

    def _displacements(self, count: int, generator: torch.Generator) -> Tensor:
        """A smooth random field for each image, float32 (N, 28, 28, 2)."""
        coarse = torch.randn(count, 2, _ELASTIC_CELLS, _ELASTIC_CELLS, generator=generator)
        field = F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
        strength = torch.rand(count, 1, 1, 1, generator=generator) * self.elastic / _HALF
        return (field * strength).permute(0, 2, 3, 1)
