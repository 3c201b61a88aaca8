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
from simsearch.train.remains import leave_remains

_BACKGROUND = -MEAN / STD  # a black pixel, normalized
_HALF = SIDE / 2  # pixels a unit of grid_sample's coordinates
_CHANGED = 0.5  # share of the images whose strokes are thickened or thinned; and blurred
_ELASTIC_CELLS = 7  # random displacements a side; between them they are interpolated


def _plane() -> Tensor:
    """x, y and 1 of every pixel, row by row, float32 (3, H * W)."""
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, SIDE, SIDE], align_corners=False).view(-1, 2)
    return torch.cat([grid, torch.ones(len(grid), 1)], dim=1).T.contiguous()


def _spread() -> Tensor:
    """The bicubic interpolation of the cells' values to pixels, as a matrix (cells, H * W)."""
    cells = torch.eye(_ELASTIC_CELLS**2).view(-1, 1, _ELASTIC_CELLS, _ELASTIC_CELLS)
    return F.interpolate(cells, size=(SIDE, SIDE), mode="bicubic", align_corners=False).flatten(1)


def _soften() -> Tensor:
    """A Gaussian of 1.2 pixels, cut after two, along one side, as a matrix (H, H)."""
    away = (torch.arange(SIDE)[:, None] - torch.arange(SIDE)).abs()
    weights = torch.exp(-(away**2) / 2.88) * (away <= 2)
    return weights / weights[2].sum()


def _coarsen() -> Tensor:
    """A side of pixels averaged to 9 to 16 of them and interpolated again, as matrices (8, H, H)."""
    single = torch.eye(SIDE)[:, None]  # (H, 1, H)
    averaged = [F.adaptive_avg_pool1d(single, side) for side in range(9, 17)]
    return torch.stack(
        [F.interpolate(few, size=SIDE, mode="linear", align_corners=False)[:, 0].T for few in averaged]
    )


_PLANE, _SPREAD, _SOFT, _COARSE = _plane(), _spread(), _soften(), _coarsen()


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
    coarse: float = 0.0  # share of the images that lose resolution
    remains: float = 0.0  # share of the images with a fault of preparation: see remains.py

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
        grid = self._grid(len(images), generator)
        ink = F.grid_sample(images - _BACKGROUND, grid.to(images.device), align_corners=False)
        if self.thickness or self.blur:
            ink = self._redraw(ink, generator)
        if self.coarse:
            ink = self._lose_resolution(ink, generator)
        if self.remains:
            ink = leave_remains(ink, self.remains, generator)
        return ink + _BACKGROUND

    def _grid(self, count: int, generator: torch.Generator) -> Tensor:
        """Where in its image each pixel is taken from, in coordinates from -1 to 1; float32 (N, H, W, 2).

        Both coordinates are rows of one matrix, so that each step is one product, and a tenth of the cost.
        """
        grid = (self._matrices(count, generator).view(-1, 3) @ _PLANE).view(count, 2, -1)  # (N, 2, H * W)
        if self.perspective:
            grid = grid / self._depths(grid, generator)
        if self.elastic:
            grid = grid + self._displacements(count, generator)
        return grid.view(count, 2, SIDE, SIDE).permute(0, 2, 3, 1)

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
        """How far each point of a tilted plane is from the eye, 1 in the middle, float32 (N, 1, H * W)."""
        tilt = (torch.rand(len(grid), 1, 2, generator=generator) * 2 - 1) * self.perspective
        return 1 + tilt @ grid

    def _redraw(self, ink: Tensor, generator: torch.Generator) -> Tensor:
        """Thinner or thicker strokes, and softer ones, as dark as before; float32 (N, 1, H, W)."""
        drawn = torch.rand(2, len(ink), 1, 1, 1, generator=generator).to(ink.device)
        chosen = (torch.rand(2, len(ink), 1, 1, 1, generator=generator) < _CHANGED).to(ink)
        growth = chosen[0] * (drawn[0] * 2 - 1) * self.thickness
        softness = chosen[1] * drawn[1] * self.blur
        changed = ink.clone()
        for sign in (1, -1):  # only of the images that are to be thicker, or thinner
            some = (sign * growth > 0).flatten()
            extreme = sign * _largest_around(sign * ink[some])
            changed[some] += (sign * growth[some]) * (extreme - ink[some])
        some = (softness > 0).flatten()
        soften = _SOFT.to(ink.device)
        soft = soften @ changed[some] @ soften
        changed[some] += softness[some] * (soft - changed[some])
        return _as_dark(changed, ink)

    def _lose_resolution(self, ink: Tensor, generator: torch.Generator) -> Tensor:
        """Some images as a scanner of 9 to 16 pixels a side saw them, as dark as before; (N, 1, H, W)."""
        some = (torch.rand(len(ink), generator=generator) < self.coarse).to(ink.device)
        drawn = torch.randint(len(_COARSE), (int(some.sum()),), generator=generator)
        coarse = _COARSE[drawn].to(ink.device)[:, None]
        changed = ink.clone()
        changed[some] = _as_dark(coarse @ ink[some] @ coarse.mT, ink[some])
        return changed

    def _displacements(self, count: int, generator: torch.Generator) -> Tensor:
        """A smooth random field for each image, float32 (N, 2, H * W)."""
        coarse = torch.randn(count, 2, _ELASTIC_CELLS**2, generator=generator)
        strength = torch.rand(count, 1, 1, generator=generator) * self.elastic / _HALF
        return (coarse * strength) @ _SPREAD


def _as_dark(changed: Tensor, ink: Tensor) -> Tensor:
    """Each image with its largest value as before."""
    return changed * (ink.amax((2, 3), keepdim=True) / changed.amax((2, 3), keepdim=True).clamp(min=0.1))


def _largest_around(pixels: Tensor) -> Tensor:
    """The largest of each pixel's 3x3 surroundings within the picture, (N, 1, H, W).

    As `max_pool2d`, which takes twenty times as long: it also looks for where the largest is.
    """
    tall = F.pad(pixels, (0, 0, 1, 1), value=-math.inf)
    tall = torch.maximum(torch.maximum(tall[..., :-2, :], tall[..., 1:-1, :]), tall[..., 2:, :])
    wide = F.pad(tall, (1, 1), value=-math.inf)
    return torch.maximum(torch.maximum(wide[..., :-2], wide[..., 1:-1]), wide[..., 2:])


def augmentation(recipe: Recipe) -> Augmentation:
    """A recipe's augmentation of digits."""
    return Augmentation(**{field.name: getattr(recipe, field.name) for field in fields(Augmentation)})
