import re

import numpy as np
import pytest
from conftest import ROOT
from matplotlib.colors import to_rgb

from simsearch.show.figures.theme import DARK, LIGHT, SIMILARITY, Theme, luminance, similarity_color, text_on

# Machado, Oliveira, Fernandes: "A physiologically-based model for simulation of color vision deficiency",
# IEEE TVCG 2009, at full severity, for linear RGB.
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
NORMAL = np.eye(3).tolist()


def seen(colors: np.ndarray, deficiency: list[list[float]]) -> np.ndarray:
    """CIELAB coordinates (N, 3) of sRGB colors (N, 3), as someone with this deficiency sees them."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(deficiency).T, 0, 1)
    xyz = linear @ np.array(
        [
            [0.4124564, 0.2126729, 0.0193339],
            [0.3575761, 0.7151522, 0.1191920],
            [0.1804375, 0.0721750, 0.9503041],
        ]
    )
    scaled = xyz / (0.95047, 1.0, 1.08883)
    root = np.where(scaled > 216 / 24389, np.cbrt(scaled), (24389 / 27 * scaled + 16) / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("deficiency", [NORMAL, *DEFICIENCIES.values()], ids=["none", *DEFICIENCIES])
def test_a_higher_similarity_is_lighter_for_everyone(deficiency: list[list[float]]) -> None:
    lightness = seen(SIMILARITY(np.linspace(0, 1, 41))[:, :3], deficiency)[:, 0]
    assert (np.diff(lightness) > 0.9).all()
    assert lightness[-1] - lightness[0] > 60


def test_similarity_runs_from_red_to_green() -> None:
    low, high = similarity_color(0.0), similarity_color(1.0)
    assert low[0] > 3 * max(low[1:])
    assert high[1] > max(high[0], high[2]) + 0.2
    assert similarity_color(-0.5) == low
    assert similarity_color(-1.0, -1.0) == low
    assert similarity_color(0.0, -1.0) == pytest.approx(SIMILARITY(0.5)[:3])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("deficiency", [NORMAL, *DEFICIENCIES.values()], ids=["none", *DEFICIENCIES])
def test_right_and_wrong_can_be_told_apart(theme: Theme, deficiency: list[list[float]]) -> None:
    blue, orange, page = seen(
        np.array([to_rgb(c) for c in (theme.blue, theme.orange, theme.page)]), deficiency
    )
    for a, b in ((blue, orange), (blue, page), (orange, page)):
        assert np.linalg.norm(a - b) > 20


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("deficiency", [NORMAL, DEFICIENCIES["protanopia"], DEFICIENCIES["deuteranopia"]])
def test_neighboring_class_colors_differ(theme: Theme, deficiency: list[list[float]]) -> None:
    colors = seen(np.array([to_rgb(color) for color in theme.classes]), deficiency)
    assert len(theme.classes) == 10
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=2) + 1000 * np.eye(10)
    # Classes of one marker are every other one: those must be told apart by color alone.
    for first in (0, 1):
        assert apart[first::2, first::2].min() > 8


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_texts_have_enough_contrast(theme: Theme) -> None:
    def contrast(a: str, b: str) -> float:
        light, dark = sorted((luminance(a), luminance(b)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for background in (theme.page, theme.panel):
        for ink in (theme.ink, theme.muted, theme.blue, theme.orange):
            assert contrast(ink, background) >= 4.5
    for shade in (*theme.heat, *theme.classes):
        assert contrast(text_on(shade), shade) >= 4.5


def test_the_palette_is_that_of_the_report_and_the_page() -> None:
    css = (ROOT / "simsearch" / "show" / "html" / "palette.css").read_text("utf-8")
    blocks = dict(zip(("light", "dark"), re.findall(r":root \{(.*?)\}", css, re.DOTALL), strict=True))
    for theme in (LIGHT, DARK):
        values = dict(re.findall(r"--(\w+): (#\w+);", blocks[theme.name]))
        own = {
            name: getattr(theme, name) for name in ("page", "panel", "rule", "ink", "muted", "blue", "orange")
        }
        own |= {f"heat{place}": shade for place, shade in enumerate(theme.heat, start=1)}
        assert values == own
