"""Random augmentation of position, form and pen: every image its own, in tensor operations on the batch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from simsearch.prepare.paper.normalize import SIDE
from simsearch.prepare.prepare import MEAN, STD
from simsearch.train.recipes import Recipe

_BACKGROUND = -MEAN / STD  # a black pixel, normalized
_HALF = SIDE / 2  # pixels a unit of grid_sample's coordinates
_PROFILE = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 2.88)  # a Gaussian of 1.2 pixels
_SOFT = (torch.outer(_PROFILE, _PROFILE) / _PROFILE.sum() ** 2).view(1, 1, 5, 5)
_CHANGED = 0.5  # share of the images whose strokes are thickened or thinned; and blurred
_ELASTIC_CELLS = 7  # random displacements a side; between them they are interpolated


@dataclass(frozen=True)
class Augmentation:
    """Bounds of the augmentation; each image draws its own, uniformly within them."""

    rotation: float = 0.0  # degrees, either way
    scale: float = 0.0  # of the logarithm of each side's scale
    shear: float = 0.0  # tangent of the slant
    shift: float = 0.0  # pixels along each axis
    perspective: float = 0.0  # how much nearer than the middle an edge may come
    elastic: float = 0.0  # pixels: the largest standard deviation of local displacements
    thickness: float = 0.0  # share of a pixel by which a stroke's edges move, in every second image
    blur: float = 0.0  # largest share of the blurred picture in a mixture with the sharp one, likewise

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Distort normalized images, float32 (N, 1, H, W); what moves in from outside is background.

        Without any bounds they are left as they are.

        Elastic distortion after Simard, Steinkraus, Platt: "Best Practices for Convolutional Neural
        Networks Applied to Visual Document Analysis", ICDAR 2003, with a coarse field of displacements.
        """
        if not self:
            return images
        count = len(images)
        grid = F.affine_grid(self._matrices(count, generator), list(images.shape), align_corners=False)
        if self.perspective:
            grid = grid / self._depths(grid, generator)  # (N, H, W, 2)
        if self.elastic:
            grid = grid + self._displacements(count, generator)
        ink = F.grid_sample(images - _BACKGROUND, grid.to(images.device), align_corners=False)
        if self.thickness or self.blur:
            ink = self._redraw(ink, generator)
        return ink + _BACKGROUND

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

    def _depths(self, grid: Tensor, generator: torch.Generator) -> Tensor:
        """How far each point of a tilted plane is from the eye, 1 in the middle, float32 (N, H, W, 1)."""
        tilt = (torch.rand(len(grid), 1, 1, 2, generator=generator) * 2 - 1) * self.perspective
        return 1 + (grid * tilt).sum(dim=-1, keepdim=True)

    def _redraw(self, ink: Tensor, generator: torch.Generator) -> Tensor:
        """Thinner or thicker strokes, and softer ones, as dark as before; float32 (N, 1, H, W)."""
        drawn = torch.rand(2, len(ink), 1, 1, 1, generator=generator).to(ink.device)
        chosen = (torch.rand(2, len(ink), 1, 1, 1, generator=generator) < _CHANGED).to(ink)
        growth = chosen[0] * (drawn[0] * 2 - 1) * self.thickness
        softness = chosen[1] * drawn[1] * self.blur
        changed = ink.clone()
        for sign in (1, -1):  # only of the images that are to be thicker, or thinner
            some = (sign * growth > 0).flatten()
            extreme = sign * F.max_pool2d(sign * ink[some], 3, stride=1, padding=1)
            changed[some] += (sign * growth[some]) * (extreme - ink[some])
        some = (softness > 0).flatten()
        soft = F.conv2d(changed[some], _SOFT.to(ink.device), padding=2)
        changed[some] += softness[some] * (soft - changed[some])
        return changed * (ink.amax((2, 3), keepdim=True) / changed.amax((2, 3), keepdim=True).clamp(min=0.1))

    def _displacements(self, count: int, generator: torch.Generator) -> Tensor:
        """A smooth random field for each image, float32 (N, H, W, 2)."""
        coarse = torch.randn(count, 2, _ELASTIC_CELLS, _ELASTIC_CELLS, generator=generator)
        field = F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
        strength = torch.rand(count, 1, 1, 1, generator=generator) * self.elastic / _HALF
        return (field * strength).permute(0, 2, 3, 1)


def augmentation(recipe: Recipe) -> Augmentation:
    """A recipe's augmentation of digits."""
    return Augmentation(**{field.name: getattr(recipe, field.name) for field in fields(Augmentation)})
