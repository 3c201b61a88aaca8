"""A sheet to draw on, measured in inches from its top left corner; a text can be measured before it is put.

Every figure is designed at one size. Asked for another size, everything on it grows or shrinks together, so
that nothing comes to overlap; what is left over on one side becomes room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Polygon
from matplotlib.text import Text
from numpy.typing import NDArray

from simsearch.show.figures.fonts import families, readable
from simsearch.show.figures.theme import LIGHT, Theme
from simsearch.show.names import distinct, without_middle

MARGIN = 0.35  # inches
TITLE = 15.0  # points
BODY = 11.0
HEADER = 0.95  # inches that title and subtitle take

Weight = Literal["normal", "bold"]
LineStyle = Literal["solid", "dashed", "dotted"]
Color = str | Sequence[float]
LINE_STYLES: Mapping[LineStyle, Any] = MappingProxyType(
    {"solid": "solid", "dashed": (0, (4, 2)), "dotted": (0, (1, 1.5))}
)


@dataclass(frozen=True)
class Style:
    """How a figure is wanted: its theme, and its size in inches; None leaves a side to the figure."""

    theme: Theme = LIGHT
    width: float | None = None
    height: float | None = None

    def __post_init__(self) -> None:
        """Refuse a size that is no size."""
        for side in (self.width, self.height):
            if side is not None and not 0.5 <= side <= 100:
                raise ValueError(f"a side must be from 0.5 to 100 inches, not {side:g}")


PLAIN = Style()


class Sheet:
    """One figure being drawn; `figure` is the result. Coordinates are inches of the design, y downwards."""

    def __init__(self, style: Style, width: float, height: float) -> None:
        """Start a sheet whose design measures `width` by `height` inches, or more to fill the wanted size."""
        self.theme = style.theme
        scales = [
            wanted / own
            for wanted, own in ((style.width, width), (style.height, height))
            if wanted is not None
        ]
        self.scale = min(scales, default=1.0)
        wide, high = style.width or width * self.scale, style.height or height * self.scale
        self.width, self.height = wide / self.scale, high / self.scale
        self.figure = Figure(figsize=(wide, high), facecolor=self.theme.page)
        self._order = 0
        self._renderer = FigureCanvasAgg(self.figure).get_renderer()  # type: ignore[no-untyped-call]
        self.stage = self.figure.add_axes((0, 0, 1, 1))
        self.stage.set(xlim=(0, self.width), ylim=(self.height, 0))
        self.stage.set_axis_off()
        self.stage.set_zorder(1)  # above charts

    def _next(self) -> int:
        """A higher place for what is drawn later."""
        self._order += 1
        return self._order

    def header(self, title: str, subtitle: str) -> None:
        """The title and the line below it, each smaller or else shortened where it is too wide."""
        room = self.width - 2 * MARGIN
        self._heading(0.42, title, room, TITLE, "bold", self.theme.ink)
        self._heading(0.72, subtitle, room, BODY, "normal", self.theme.muted)

    def _heading(self, y: float, text: str, room: float, size: float, weight: Weight, color: Color) -> None:
        size *= max(0.85, min(1.0, room / max(self.text_width(text, size, weight), 0.01)))
        shown = self.fit(text, room, size, weight)
        self.text(MARGIN, y, shown, size=size, weight=weight, color=color, va="center")

    def font(self, size: float = BODY, weight: Weight = "normal", color: Color = "") -> dict[str, Any]:
        """Properties of a text: families, size in points, weight and color. Dollars are dollars."""
        return {
            "family": list(families()),
            "size": size * self.scale,
            "weight": weight,
            "color": color or self.theme.ink,
            "parse_math": False,
        }

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = BODY,
        weight: Weight = "normal",
        color: Color = "",
        ha: Literal["left", "center", "right"] = "left",
        va: Literal["top", "center", "bottom", "baseline"] = "baseline",
        rotation: float = 0,
    ) -> Text:
        """Put one line of text at a point."""
        font = self.font(size, weight, color)
        return self.stage.text(
            x, y, readable(text), ha=ha, va=va, rotation=rotation, zorder=self._next(), **font
        )

    def text_width(self, text: str, size: float = BODY, weight: Weight = "normal") -> float:
        """How wide a line of text is, in inches."""
        artist = self.figure.text(0, 0, readable(text), **self.font(size, weight))
        width = artist.get_window_extent(self._renderer).width
        artist.remove()
        return float(width / self.figure.dpi / self.scale)

    def fit(self, text: str, width: float, size: float = BODY, weight: Weight = "normal") -> str:
        """The text, its middle left out where it is wider than `width`; both ends tell names apart."""
        text = readable(text)
        if len(text) > 400:
            text = f"{text[:200]}…{text[-200:]}"
        return without_middle(text, lambda shown: self.text_width(shown, size, weight) <= width)

    def fit_apart(
        self, names: Mapping[str, str], width: float, size: float = BODY, weight: Weight = "normal"
    ) -> dict[str, str]:
        """Names by key, each cut to `width` as `fit` does, no two different ones alike."""
        return distinct(names, lambda name: self.fit(name, width, size, weight))

    def picture(
        self, x: float, y: float, side: float, pixels: NDArray[Any], *, most: float = 255
    ) -> AxesImage:
        """Put gray pixels, 0 to `most`, into a square whose top left corner is here."""
        image = AxesImage(
            self.stage,
            cmap="gray",
            interpolation="none",
            extent=(x, x + side, y + side, y),
            origin="upper",
            zorder=self._next(),
        )
        image.set_data(np.asarray(pixels))
        image.set_clim(0, most)
        self.stage.add_image(image)
        return image

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: Color = "none",
        edge: Color = "none",
        line: float = 1.0,
        rounding: float = 0.0,
        dashed: bool = False,
    ) -> FancyBboxPatch:
        """A rectangle, with its top left corner here, `line` points thick."""
        style = f"round,pad=0,rounding_size={rounding}" if rounding else "square,pad=0"
        patch = FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle=style,
            facecolor=fill,
            edgecolor=edge,
            linewidth=line * self.scale,
            linestyle=(0, (3, 1.5)) if dashed else "solid",
            zorder=self._next(),
        )
        self.stage.add_artist(patch)
        return patch

    def polygon(
        self, corners: Sequence[tuple[float, float]], fill: Color, edge: Color, line: float = 0.8
    ) -> Polygon:
        """A filled polygon."""
        patch = Polygon(
            corners,
            closed=True,
            facecolor=fill,
            edgecolor=edge,
            linewidth=line * self.scale,
            joinstyle="round",
            zorder=self._next(),
        )
        self.stage.add_artist(patch)
        return patch

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        color: Color = "",
        line: float = 1.2,
        style: LineStyle = "solid",
    ) -> Line2D:
        """A line through points."""
        (drawn,) = self.stage.plot(
            xs,
            ys,
            color=color or self.theme.muted,
            linewidth=line * self.scale,
            linestyle=LINE_STYLES[style],
            zorder=self._next(),
        )
        return drawn

    def cells(self, shapes: NDArray[np.float64], colors: NDArray[np.float64]) -> None:
        """Many polygons (N, corners, 2), each of its color, without edges."""
        self.stage.add_collection(
            PolyCollection(
                list(shapes),
                facecolors=colors,
                edgecolors=colors,
                linewidths=0.3 * self.scale,
                zorder=self._next(),
            )
        )

    def arrow(self, start: tuple[float, float], end: tuple[float, float], color: Color = "") -> None:
        """A straight arrow."""
        self.stage.annotate(
            "",
            xy=end,
            xytext=start,
            arrowprops={
                "arrowstyle": "-|>",
                "color": color or self.theme.muted,
                "linewidth": 1.3 * self.scale,
                "mutation_scale": 10 * self.scale,
                "shrinkA": 0,
                "shrinkB": 0,
                "zorder": self._next(),
            },
        )

    def legend(self, y: float, entries: Sequence[tuple[str, Color, LineStyle]]) -> None:
        """Keys from the left margin, in as many rows as they need: text, color and style of each line."""
        x = MARGIN
        for text, color, style in entries:
            width = 0.4 + self.text_width(text)
            if x > MARGIN and x + width > self.width - MARGIN:
                x, y = MARGIN, y + 0.25
            self.line([x, x + 0.32], [y, y], color, 2.2, style)
            self.text(x + 0.4, y, text, va="center", color=self.theme.muted)
            x += width + 0.3

    def chart(
        self, left: float, top: float, right: float, bottom: float, *, x: str = "", y: str = ""
    ) -> Axes:
        """Axes that leave these inches free on each side: a grid, no box, muted ticks, both axes named."""
        axes = self.figure.add_axes(
            (
                left / self.width,
                bottom / self.height,
                (self.width - left - right) / self.width,
                (self.height - top - bottom) / self.height,
            )
        )
        axes.set_facecolor(self.theme.page)
        axes.grid(color=self.theme.rule, linewidth=0.8 * self.scale)
        axes.set_axisbelow(True)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set(color=self.theme.muted, linewidth=0.8 * self.scale)
        axes.tick_params(
            colors=self.theme.muted, labelsize=10 * self.scale, length=0, pad=5 * self.scale, which="both"
        )
        axes.tick_params(axis="x", pad=9 * self.scale)  # clear of the lowest tick of the other axis
        font = self.font(BODY, color=self.theme.muted)
        axes.set_xlabel(x, labelpad=5 * self.scale, **font)
        axes.set_ylabel(y, labelpad=7 * self.scale, **font)
        return axes
