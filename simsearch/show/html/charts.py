"""Line charts as inline SVG: axes, grid, labels; the lines themselves are the caller's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LEFT, RIGHT, TOP, BOTTOM = 64, 388, 24, 226  # the plotting area of a 400 x 270 drawing

# Ticks of precision on a log scale of 1 - precision; all above the last is drawn there.
PRECISIONS = (0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999)


@dataclass(frozen=True)
class Axis:
    """A range of data, what it is of, and the text at each tick."""

    label: str
    low: float
    high: float
    ticks: Mapping[float, str]

    def across(self, value: float) -> float:
        """The horizontal coordinate of a value in the drawing."""
        return LEFT + (RIGHT - LEFT) * (value - self.low) / (self.high - self.low)

    def up(self, value: float) -> float:
        """The vertical coordinate of a value in the drawing."""
        return BOTTOM - (BOTTOM - TOP) * (value - self.low) / (self.high - self.low)


def nines(precision: float) -> float:
    """Where a precision lies on a log scale of 1 - precision: 0.9 at 1, 0.99 at 2, at most 4."""
    return -math.log10(max(1 - precision, 1 - PRECISIONS[-1]))


def precision_range(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest of `PRECISIONS` between which these lie, or nearly."""
    low = max(tick for tick in PRECISIONS[:-1] if tick <= min(values))
    high = next((tick for tick in PRECISIONS if tick > low and tick >= max(values)), PRECISIONS[-1])
    return low, high


def svg_points(points: Iterable[tuple[float, float]], x: Axis, y: Axis) -> str:
    """The `points` attribute of a line through these data."""
    return " ".join(f"{x.across(a):.1f},{y.up(b):.1f}" for a, b in points)


def svg_chart(name: str, title: str, x: Axis, y: Axis, body: str, keys: Mapping[str, str]) -> str:
    """A figure with title, axes and grid around an SVG body; `keys` maps a line's class to its meaning."""
    key = "".join(
        '<span><svg class="key" viewBox="0 0 26 10" aria-hidden="true">'
        f'<path class="line {kind}" d="M1 5H25"/></svg> {text}</span>\n'
        for kind, text in keys.items()
    )
    return (
        f"<figure>\n<figcaption><strong>{title}</strong>\n{key}</figcaption>\n"
        f'<svg class="chart" viewBox="0 0 400 270" role="img" aria-labelledby="{name}-title">\n'
        f'<title id="{name}-title">{title}: {y.label} against {x.label}</title>\n'
        f"{_grid(x, y)}{body}</svg>\n</figure>\n"
    )


def _grid(x: Axis, y: Axis) -> str:
    lines = [f'<path class="grid" d="M{LEFT} {y.up(value):.1f}H{RIGHT}"/>\n' for value in y.ticks]
    lines += [f'<path class="grid" d="M{x.across(value):.1f} {BOTTOM}v4"/>\n' for value in x.ticks]
    lines += [svg_label(LEFT - 6, y.up(value) + 4, text, "end") for value, text in y.ticks.items()]
    lines += [svg_label(x.across(value), BOTTOM + 17, text) for value, text in x.ticks.items()]
    lines += [f'<path class="base" d="M{LEFT} {BOTTOM}H{RIGHT}"/>\n']
    middle = f"translate(11 {(TOP + BOTTOM) / 2:.1f}) rotate(-90)"
    lines += [svg_label((LEFT + RIGHT) / 2, 264, x.label)]
    lines += [f'<text transform="{middle}" text-anchor="middle">{y.label}</text>\n']
    return "".join(lines)


def svg_label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    """One line of text at a point of the drawing."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>\n'
