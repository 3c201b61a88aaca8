"""Whether paper is the same on both sides of a stroke: at a fold or the end of a shadow it is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.paper.components import Mask, find_runs
from simsearch.prepare.paper.ranks import median
from simsearch.prepare.paper.surface import Gray

_AWAY = 3  # pixels from a stroke, where there is paper
_LONGEST = 2  # times the stroke's width: longer runs go along it
_DEEP = 0.4  # of the paper's light: no fold takes so much
_FEW = 12  # runs: fewer say nothing


def evenness(view: Gray, inked: Mask, width: float) -> float:
    """The median, over runs across strokes, of the ink's depth under the darker side, as a share of its depth
    under the lighter: 1 where both are alike or ink is much darker than both, 0 at a mere edge.

    :param view: The ink dark, uint8 (H, W).
    :param inked: The ink, bool (H, W).
    :param width: Of its strokes, in pixels.
    """
    shares = np.concatenate([_across(view, inked, width), _across(view.T, inked.T, width)])
    return median(shares) if len(shares) >= _FEW else 1.0


def _across(view: Gray, inked: Mask, width: float) -> NDArray[np.float32]:
    """The shares of runs along rows that have paper on both sides."""
    rows, starts, ends = find_runs(inked)
    before, after = starts - _AWAY, ends - 1 + _AWAY
    fits = (ends - starts <= _LONGEST * width + 1) & (before >= 0) & (after < view.shape[1])
    rows, starts, ends, before, after = (of[fits] for of in (rows, starts, ends, before, after))
    free = ~inked[rows, before] & ~inked[rows, after]
    rows, middle, before, after = (of[free] for of in (rows, (starts + ends) // 2, before, after))
    ink, one, other = (view[rows, column].astype(np.float32) for column in (middle, before, after))
    darker = np.minimum(one, other)
    shares: NDArray[np.float32] = (darker - ink) / np.maximum(np.maximum(one, other) - ink, 1)
    return np.where(darker - ink > _DEEP * darker, np.float32(1), shares)
