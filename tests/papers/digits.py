"""Digits as ink: strokes of a pen along splines, or handwriting from MNIST, both as coverage in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Rng = np.random.Generator
Ink = NDArray[np.float32]  # (H, W), 0 paper to 1 ink
Point = tuple[float, float]

_FINE = 3  # times the resolution, at which strokes are drawn

# Control points (x, y) of each stroke, in a box of height 1; a stroke that starts with "|" has corners.
_LOOP = [
    (0.32, 0.0), (0.12, 0.12), (0.02, 0.42), (0.06, 0.75), (0.28, 1.0), (0.5, 0.82), (0.58, 0.5), (0.5, 0.14),
    (0.32, 0.0),
]  # fmt: skip
_ELEVEN = [(0.02, 0.22), (0.28, 0.0), (0.56, 0.25), (0.4, 0.55), (0.0, 1.0)]
STROKES: dict[int, list[list[tuple[str, list[Point]]]]] = {
    0: [[("~", _LOOP)]],
    1: [
        [("|", [(0.3, 0.0), (0.3, 1.0)])],
        [("|", [(0.36, 0.0), (0.26, 1.0)])],
        [("|", [(0.19, 0.13), (0.3, 0.0), (0.3, 1.0)])],
    ],
    2: [[("~", _ELEVEN), ("|", [(0.0, 1.0), (0.6, 0.98)])]],
    3: [
        [
            ("~", [(0.05, 0.12), (0.32, 0.0), (0.52, 0.22), (0.2, 0.46)]),
            ("~", [(0.2, 0.46), (0.56, 0.68), (0.35, 0.98), (0.0, 0.9)]),
        ],
        [
            ("|", [(0.05, 0.02), (0.52, 0.0), (0.25, 0.4)]),
            ("~", [(0.25, 0.4), (0.57, 0.62), (0.4, 0.97), (0.0, 0.92)]),
        ],
    ],
    4: [
        [("|", [(0.15, 0.0), (0.0, 0.6), (0.65, 0.57)]), ("|", [(0.45, 0.1), (0.4, 1.0)])],
        [("|", [(0.42, 1.0), (0.42, 0.0), (0.0, 0.68), (0.62, 0.68)])],
    ],
    5: [
        [
            ("|", [(0.55, 0.0), (0.12, 0.02), (0.06, 0.42)]),
            ("~", [(0.06, 0.42), (0.36, 0.36), (0.56, 0.65), (0.36, 0.98), (0.0, 0.9)]),
        ]
    ],
    6: [
        [
            (
                "~",
                [
                    (0.45, 0.0),
                    (0.12, 0.3),
                    (0.02, 0.7),
                    (0.28, 1.0),
                    (0.54, 0.76),
                    (0.32, 0.52),
                    (0.06, 0.72),
                ],
            )
        ]
    ],
    7: [
        [("|", [(0.0, 0.02), (0.6, 0.0), (0.2, 1.0)])],
        [("|", [(0.0, 0.02), (0.6, 0.0), (0.22, 1.0)]), ("|", [(0.15, 0.5), (0.56, 0.47)])],
    ],
    8: [
        [
            (
                "~",
                [
                    (0.48, 0.14),
                    (0.28, 0.0),
                    (0.08, 0.2),
                    (0.3, 0.45),
                    (0.55, 0.75),
                    (0.3, 1.0),
                    (0.05, 0.76),
                    (0.3, 0.45),
                    (0.52, 0.2),
                    (0.44, 0.08),
                    (0.28, 0.0),
                ],
            )
        ]
    ],
    9: [
        [
            ("~", [(0.54, 0.2), (0.32, 0.0), (0.06, 0.22), (0.24, 0.48), (0.52, 0.3), (0.55, 0.15)]),
            ("|", [(0.55, 0.12), (0.46, 1.0)]),
        ]
    ],
}


def write(digit: int, height: int, rng: Rng, *, pen: float) -> Ink:
    """A digit in strokes, cropped to its ink: float32 (about height, W).

    :param pen: Width of the pen, as a share of the height.
    """
    variants = STROKES[digit]
    strokes = [
        _bend(points, smooth == "~", rng) for smooth, points in variants[int(rng.integers(len(variants)))]
    ]
    lean, stretch = rng.uniform(-0.22, 0.12), rng.uniform(0.85, 1.15)
    width = max(1.2, pen * height) * _FINE
    scale = (height * _FINE - width) if height * _FINE > 2 * width else height * _FINE / 2
    lines = [
        np.stack([stretch * line[:, 0] - lean * line[:, 1], line[:, 1]], axis=1) * scale for line in strokes
    ]
    return _drawn(lines, width)


def handwriting(image: NDArray[np.uint8], height: int, rng: Rng) -> Ink:
    """A picture of MNIST enlarged so that its ink is this high, with edges as sharp as a pen's."""
    rows, columns = np.flatnonzero((image > 60).any(1)), np.flatnonzero((image > 60).any(0))
    crop = np.pad(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 2)
    scale = height / (crop.shape[0] - 4)
    size = (max(3, round(crop.shape[1] * scale)), max(3, round(crop.shape[0] * scale)))
    big = np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC), np.float32) / 255
    sharp = rng.uniform(0.05, 0.3) + 0.5 / max(scale, 1)
    return trimmed(np.clip((big - 0.42) / min(sharp, 1) + 0.5, 0, 1))


def line_of(points: Sequence[Point], width: float) -> Ink:
    """One stroke through points given in pixels, cropped to its ink."""
    return _drawn([np.array(points, float) * _FINE], width * _FINE)


def trimmed(ink: Ink) -> Ink:
    rows, columns = np.flatnonzero((ink > 0.1).any(1)), np.flatnonzero((ink > 0.1).any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _bend(points: Sequence[Point], smooth: bool, rng: Rng) -> NDArray[np.float64]:
    """Points, each moved a little, and joined by a Catmull-Rom spline where the stroke is smooth."""
    knots = np.array(points, float)
    moved = knots + rng.normal(0, 0.012, knots.shape)
    if np.array_equal(knots[0], knots[-1]):
        moved[-1] = moved[0]
    if not smooth:
        return moved
    p = np.vstack([2 * moved[0] - moved[1], moved, 2 * moved[-1] - moved[-2]])
    if np.array_equal(knots[0], knots[-1]):
        p[0], p[-1] = moved[-2], moved[1]
    t = np.linspace(0, 1, 16)[:, None]
    parts = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        parts.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.vstack(parts)


def _drawn(lines: Sequence[NDArray[np.float64]], width: float) -> Ink:
    """Polylines in fine pixels, drawn with a round pen and reduced."""
    every = np.vstack(lines)
    origin = every.min(axis=0) - width
    side = np.ceil(np.ptp(every, axis=0) + 2 * width).astype(int) + _FINE
    picture = Image.new("L", (int(side[0]), int(side[1])))
    brush = ImageDraw.Draw(picture)
    for line in lines:
        moved = [(float(x), float(y)) for x, y in line - origin]
        brush.line(moved, fill=255, width=round(width), joint="curve")
        for x, y in moved:
            brush.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return trimmed(np.asarray(picture.reduce(_FINE), np.float32) / 255)
