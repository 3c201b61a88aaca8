"""Ink against the paper around it: how much darker than a gray closing, which light and shadow divide out of.

The paper under a stroke is the closing of the gray picture by a square wider than the stroke (Serra, "Image
Analysis and Mathematical Morphology", Academic Press 1982); what lies below it is the black top-hat of Meyer
("Iterative image transformations for an automatic screening of cervical smears", Journal of Histochemistry
and Cytochemistry 27(1), 1979). As a ratio it is the share of the light that ink takes away, in sun and shadow
alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.paper.ranks import framed, median, quantiles

Gray = NDArray[np.uint8]  # (H, W)
Share = NDArray[np.float32]  # (H, W), 0 paper to 1 black


@dataclass(frozen=True, eq=False)
class Layer:
    """A page as ink on paper."""

    view: Gray  # (H, W), the ink dark
    paper: Gray  # (H, W)
    share: Share  # (H, W) of the paper's light that the ink takes
    noise: float  # standard deviation, as a share of the light
    dark: bool  # whether the ink is dark on the page itself


_DARKEST = 0.35  # of the lightest paper: below it, noise would be divided by next to nothing


def closing(gray: Gray, side: int) -> Gray:
    """The gray closing by a square of this side, clipped at the picture's edges."""
    back, ahead = side // 2, side - 1 - side // 2
    lightest = sliding(sliding(gray, back, ahead, np.maximum, 0).T, back, ahead, np.maximum, 0)
    darkest = sliding(lightest, ahead, back, np.minimum, 255)
    return sliding(darkest.T, ahead, back, np.minimum, 255)


def lay_paper(gray: Gray, side: int, dark: bool) -> Layer:
    """Lay paper under the ink by a closing with a square of this side.

    Closed paper lies above the middle of its noise; a low quartile of what is missing, which is that of paper
    even where half of the page is ink, is taken off.
    """
    view = gray if dark else 255 - gray
    paper = closing(view, side)
    missing = (paper - view).astype(np.float32)
    least = np.float32(max(_DARKEST * quantiles(paper[::4, ::4], 0.95)[0], 1))
    missing /= np.maximum(paper, least, dtype=np.float32)
    missing -= np.float32(quantiles(missing[::3, ::3], 0.25)[0])
    np.maximum(missing, 0, out=missing)
    level = max(median(paper[::4, ::4]), float(least))
    return Layer(view, paper, missing, _grain(view) / level, dark)


def _grain(gray: Gray) -> float:
    """The standard deviation of noise, from steps between neighbors; the few large ones are edges."""
    steps = np.abs(np.diff(gray[::3].astype(np.int16), axis=1))[:, ::3]
    return 0.886 * float(np.mean(np.minimum(steps, 3 * median(steps) + 2)))


def mean_of_9(values: Share) -> Share:
    """The mean of each pixel and its eight neighbors."""
    wide = framed(values)
    wide[0], wide[-1] = wide[1], wide[-2]
    wide[:, 0], wide[:, -1] = wide[:, 1], wide[:, -2]
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    mean: Share = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9)
    return mean


def sliding(gray: Gray, back: int, ahead: int, extreme: Callable[..., Gray], outside: int) -> Gray:
    """The extreme of `back` pixels before each to `ahead` pixels after it, along columns: by doubling."""
    length = back + ahead + 1
    found = np.full((len(gray) + back + ahead, gray.shape[1]), outside, gray.dtype)
    found[back : back + len(gray)] = gray
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        found = extreme(found[:-step], found[step:])
        reach += step
    return found
