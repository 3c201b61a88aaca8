"""One palette in two themes; the same colors as the HTML report's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.colors import LinearSegmentedColormap, to_rgb


@dataclass(frozen=True)
class Theme:
    """Colors as #rrggbb. Blue and orange stand for right and wrong, same and different, everywhere."""

    name: str
    page: str
    panel: str
    rule: str
    ink: str
    muted: str
    blue: str
    orange: str
    heat: tuple[str, ...]  # shades of a count of errors, few to many
    classes: tuple[str, ...]  # one a class, repeated where there are more


LIGHT = Theme(
    name="light",
    page="#fbfaf7",
    panel="#f1efea",
    rule="#d8d4cc",
    ink="#1c2430",
    muted="#566071",
    blue="#1b5a9e",
    orange="#a24400",
    heat=("#fdf0e3", "#fbe0c8", "#f8cda6", "#f5b982", "#f0a35c"),
    # Paul Tol's "muted" scheme, which color-blind people can tell apart, and a gray.
    classes=(
        "#332288",
        "#88ccee",
        "#44aa99",
        "#117733",
        "#999933",
        "#ddcc77",
        "#cc6677",
        "#882255",
        "#aa4499",
        "#777777",
    ),
)
DARK = Theme(
    name="dark",
    page="#15181d",
    panel="#1e2229",
    rule="#363c47",
    ink="#e8eaee",
    muted="#a5adba",
    blue="#82b6f2",
    orange="#f3a661",
    heat=("#2e2319", "#432d1a", "#59381b", "#70441b", "#874f1a"),
    # The same hues; the three darkest are lighter, to be seen on this sheet.
    classes=(
        "#7d74d8",
        "#88ccee",
        "#44aa99",
        "#3f9e5a",
        "#999933",
        "#ddcc77",
        "#cc6677",
        "#b8497f",
        "#c06fc0",
        "#9a9a9a",
    ),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}

# From red (low) to green (high). Lightness rises all the way, so that the order is also seen by people
# who cannot tell red from green, and in print without color.
SIMILARITY = LinearSegmentedColormap.from_list(
    "similarity", ("#5c0a14", "#a02a1c", "#c65a28", "#cf8f3f", "#bdbf5c", "#9df5b0")
)


def similarity_color(score: float, low: float = 0.0) -> tuple[float, float, float]:
    """The RGB color of a cosine between `low` and 1; beyond the ends that of the end."""
    red, green, blue, _ = SIMILARITY((score - low) / (1 - low) if low < 1 else 1.0)
    return red, green, blue


def text_on(background: str | Sequence[float]) -> str:
    """Black or white, whichever contrasts more with a background (WCAG 2 relative luminance)."""
    return "#000000" if luminance(background) > 0.179 else "#ffffff"


def luminance(color: str | Sequence[float]) -> float:
    """Relative luminance in [0, 1], as WCAG 2 defines it for sRGB."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in to_rgb(color if isinstance(color, str) else (color[0], color[1], color[2]))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
