"""Ink against the paper around it: how much darker than a grey closing, which light and shadow divide out of.

The paper under a stroke is the closing of the grey picture by a square wider than the stroke (Serra, "Image
Analysis and Mathematical Morphology", Academic Press 1982); what lies below it is the black top-hat of Meyer
("Iterative image transformations for an automatic screening of cervical smears", Journal of Histochemistry
and Cytochemistry 27(1), 1979). As a ratio it is the share of the light that ink takes away, in sun and shadow
alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]  # (H, W)
Share = NDArray[np.float32]  # (H, W), 0 paper to 1 black

_DARKEST = 0.35  # of the lightest paper: below it, noise would be divided by next to nothing


def closing(grey: Grey, side: int) -> Grey:
    """The grey closing by a square of this side, clipped at the picture's edges."""
    back, ahead = side // 2, side - 1 - side // 2
    lightest = sliding(sliding(grey, back, ahead, np.maximum, 0).T, back, ahead, np.maximum, 0)
    darkest = sliding(lightest, ahead, back, np.minimum, 255)
    return sliding(darkest.T, ahead, back, np.minimum, 255)


def ink_share(grey: Grey, paper: Grey) -> tuple[Share, float]:
    """The share of the paper's light that is missing at each pixel, and the standard deviation of its noise.

    The closing lies above the middle of noisy paper; the median of what is missing, which is that of paper,
    is taken off.
    """
    missing = (paper - grey).astype(np.float32)
    least = np.float32(max(_DARKEST * float(np.percentile(paper[::4, ::4], 95)), 1))
    missing /= np.maximum(paper, least, dtype=np.float32)
    steps = np.abs(np.diff(grey[::3].astype(np.int16), axis=1))[:, ::3]
    noise = (
        float(np.mean(np.minimum(steps, 3 * np.median(steps) + 2)))
        * 0.886
        / max(float(np.median(paper[::4, ::4])), float(least))
    )
    missing -= np.percentile(missing[::3, ::3], 25)
    return np.maximum(missing, 0, out=missing), noise


def sliding(grey: Grey, back: int, ahead: int, extreme: Callable[..., Grey], outside: int) -> Grey:
    """The extreme of `back` pixels before each to `ahead` pixels after it, along columns: by doubling."""
    length = back + ahead + 1
    found = np.pad(grey, ((back, ahead), (0, 0)), constant_values=outside)
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        found = extreme(found[:-step], found[step:])
        reach += step
    return found
