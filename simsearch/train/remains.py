"""What preparation may leave beside a digit or take from it, drawn into training images.

A line of the paper that was taken for ink, an edge of a frame, a side that was cut away, strokes that came
out too thick: the faults that `tests/benchmarks/paper.py --save` shows.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_KINDS = 4  # a line, an edge of a frame, a cut, thick strokes: equally often
_SMALLEST = 0.6  # beside remains a digit is as small as this, for they count for its size
_ASIDE = 4.0  # pixels that it is moved by, each way
_ALONG = math.radians(8)  # lines are upright or level, but for this turn


def leave_remains(ink: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Give so many of the images, at random, one of the faults.

    :param ink: float32 (N, 1, H, W), 0 where there is none.
    :param share: From 0 to 1.
    """
    chosen = torch.rand(len(ink), generator=generator) < share
    kinds = torch.randint(_KINDS, (len(ink),), generator=generator)
    changed = ink.clone()
    for kind, fault in enumerate((_line, _edge, _cut, _thicken)):
        rows = (chosen & (kinds == kind)).to(ink.device)
        if rows.any():
            changed[rows] = fault(ink[rows], generator)
    return changed


def _line(ink: Tensor, generator: torch.Generator) -> Tensor:
    """A piece of a straight line anywhere, and the digit smaller."""
    side = ink.shape[-1] / 2
    return _with_stroke(ink, _uniform(ink, -side, side, generator), generator)


def _edge(ink: Tensor, generator: torch.Generator) -> Tensor:
    """A piece of a straight line near an edge of the picture, and the digit smaller."""
    side = ink.shape[-1] / 2
    return _with_stroke(ink, _uniform(ink, 0.7 * side, side, generator), generator)


def _cut(ink: Tensor, generator: torch.Generator) -> Tensor:
    """Nothing beyond a straight line that goes through the digit's outer half."""
    side = ink.shape[-1] / 2
    across, _ = _axes(ink, generator)
    kept = (_uniform(ink, 0.35 * side, 0.7 * side, generator) - across + 0.5).clamp(0, 1)
    return ink * kept


def _thicken(ink: Tensor, generator: torch.Generator) -> Tensor:
    """Strokes up to a pixel broader on either side."""
    broad = F.max_pool2d(ink, 3, stride=1, padding=1)
    return torch.lerp(ink, broad, _uniform(ink, 0.3, 1, generator))


def _with_stroke(ink: Tensor, distance: Tensor, generator: torch.Generator) -> Tensor:
    across, along = _axes(ink, generator)
    half = _uniform(ink, 0.3, 1.1, generator)  # of its width
    reach = ink.shape[-1] / 2
    start = _uniform(ink, -reach, 0.7 * reach, generator)
    length = _uniform(ink, 0.2 * reach, 2 * reach, generator)
    drawn = (half + 0.5 - (across - distance).abs()).clamp(0, 1)
    drawn = drawn * ((along > start) & (along < start + length))
    strength = ink.amax((2, 3), keepdim=True) * _uniform(ink, 0.3, 1, generator)
    return torch.maximum(_moved_aside(ink, generator), drawn * strength)


def _moved_aside(ink: Tensor, generator: torch.Generator) -> Tensor:
    scale = 1 / _uniform(ink, _SMALLEST, 1, generator).flatten()  # (N,), of output to input
    shift = (torch.rand(len(ink), 2, generator=generator).to(ink) * 2 - 1) * _ASIDE * 2 / ink.shape[-1]
    matrices = torch.cat([torch.diag_embed(scale[:, None].expand(-1, 2)), shift[..., None]], dim=2)
    grid = F.affine_grid(matrices, list(ink.shape), align_corners=False)
    return F.grid_sample(ink, grid, align_corners=False)


def _axes(ink: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pixels from the middle across and along a direction that each image draws, both (N, 1, H, W)."""
    quarter = torch.randint(4, (len(ink), 1, 1, 1), generator=generator).to(ink) * (math.pi / 2)
    angle = quarter + _uniform(ink, -_ALONG, _ALONG, generator)
    rows, columns = (torch.arange(size, device=ink.device) - (size - 1) / 2 for size in ink.shape[-2:])
    x, y = columns[None, None, None, :], rows[None, None, :, None]
    return x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()


def _uniform(ink: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """A number for each image, (N, 1, 1, 1)."""
    return low + (high - low) * torch.rand(len(ink), 1, 1, 1, generator=generator).to(ink)
