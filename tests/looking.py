"""What a figure shows, and whether it shows it tidily: read off the figure's own artists."""

from __future__ import annotations

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from numpy.typing import NDArray

_TOUCH = 0.5  # pixels by which boxes may meet


def shown_texts(figure: Figure) -> list[Text]:
    """Every text that is drawn; ticks only where they lie inside their axes."""
    figure.draw_without_rendering()
    ticks = {}
    for axis in figure.findobj(Axis):
        assert isinstance(axis, Axis)
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            for label in (tick.label1, tick.label2):
                ticks[label] = low - 1e-9 <= tick.get_loc() <= high + 1e-9
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [
        text for text in found if text.get_visible() and text.get_text().strip() and ticks.get(text, True)
    ]


def texts(figure: Figure) -> list[str]:
    """What is written on a figure."""
    return [text.get_text() for text in shown_texts(figure)]


def pictures(figure: Figure) -> list[AxesImage]:
    """The pictures of 28x28 pixels, in the order in which they were put."""
    found = [image for image in figure.findobj(AxesImage) if isinstance(image, AxesImage)]
    return [image for image in found if image.get_array().shape == (28, 28)]


def untidy(figure: Figure) -> list[str]:
    """What is wrong with a figure's texts: cut off, on each other or on a picture."""
    shown = shown_texts(figure)
    names = [text.get_text() for text in shown]
    boxes = np.array([text.get_window_extent().extents for text in shown])  # (T, 4): x0, y0, x1, y1
    outside = (boxes[:, :2] < -_TOUCH) | (boxes[:, 2:] > np.array(figure.bbox.size) + _TOUCH)
    wrong = [f"cut: {names[place]!r}" for place in np.flatnonzero(outside.any(axis=1))]
    meeting = np.argwhere(np.triu(_overlap(boxes, boxes), 1))
    wrong += [f"{names[a]!r} on {names[b]!r}" for a, b in meeting]
    images = pictures(figure)
    if images:
        covered = _overlap(boxes, np.array([image.get_window_extent().extents for image in images]))
        wrong += [f"{names[place]!r} on a picture" for place in np.flatnonzero(covered.any(axis=1))]
    return wrong


def smallest_text(figure: Figure) -> float:
    """The size in points of the smallest text."""
    return min(text.get_fontsize() for text in shown_texts(figure))


def _overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes (A, 4) lie on which others (B, 4): bool (A, B)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return ((high - low) > _TOUCH).all(axis=2)
