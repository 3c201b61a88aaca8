"""Shapes that are no drawing of a digit: filled areas, empty boxes, lattices."""

from __future__ import annotations

import numpy as np

from simsearch.prepare.paper.components import Mask, find_components
from simsearch.prepare.paper.ranks import framed

_FILLED = 0.36  # of the longer side: a square of this side fits into no pen's stroke
_THICK = 0.45  # nor of this side into any handwriting's
_SOLID = 0.72  # of the bounding box
_HOLLOW = 0.45  # of the bounding box: the hole of an empty box
_CORNERS = 0.84  # how far ink reaches towards the corners: 1 a rectangle, 0.71 an ellipse
_COARSE = 100  # pixels a side, at which areas are looked for
_EDGING = 0.9  # of ink, that runs straight into the picture's edge: what shows beside a page
_HOLES = 3
_HOLE = 0.004  # of the bounding box: smaller holes are chance


def is_drawing(crop: Mask) -> bool:
    """Whether a mask, cropped to its ink, may be a digit's strokes."""
    return not (is_filled(crop) or is_hollow(crop))


def is_border(mask: Mask) -> bool:
    """Whether nearly all ink of a picture, bool (H, W), runs straight into its edge: a desk, a margin."""
    mask = mask[::2, ::2]
    attached = np.zeros_like(mask)
    for turned, into in ((mask, attached), (mask.T, attached.T)):
        into |= np.logical_and.accumulate(turned, axis=0)
        into[::-1] |= np.logical_and.accumulate(turned[::-1], axis=0)
    return bool(attached.sum() > _EDGING * mask.sum())


def is_filled(crop: Mask) -> bool:
    """Whether it fills its bounding box but for a little, and no pen drew it: paper, a desk, a spot."""
    step = max(1, max(crop.shape) // _COARSE)
    crop = crop[::step, ::step]
    total = framed(crop.astype(np.int32))[:-1, :-1].cumsum(0).cumsum(1)

    def holds(share: float) -> bool:
        side = max(2, round(share * max(crop.shape)))
        if min(crop.shape) < side:
            return False
        inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
        return bool(inside.max() >= 0.97 * side * side)

    return holds(_THICK) or (float(crop.mean()) > _SOLID and holds(_FILLED))


def is_hollow(crop: Mask) -> bool:
    """Whether it is a rectangle drawn around nothing, or has more holes than any digit."""
    holes = find_components(~framed(crop))
    areas = holes.area[holes.contact().sum(axis=1) == 0]
    if (areas > _HOLE * crop.size).sum() > _HOLES or (areas > _HOLE * crop.size / 10).sum() > 2 * _HOLES:
        return True
    if not len(areas) or areas.max() < _HOLLOW * crop.size:
        return False
    y, x = (np.linspace(-0.5, 0.5, side) for side in crop.shape)
    rows, columns = np.nonzero(crop)
    down, up = y[rows] + x[columns], y[rows] - x[columns]
    return float((np.ptp(down) + np.ptp(up)) / 4) > _CORNERS
