"""Outliers that are letters, as a hand draws them: each time with other corners, another slant and pen.

Those that can pass for a digit (o l i s z b g q, and their capitals but for G and Q) are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from simsearch.data.outliers.kinds import CANVAS, Picture, Rng, sheet
from simsearch.prepare.prepare import Images

# The strokes of each letter, through points of a grid of five by five that are named row by row,
#   a b c d e
#   f g h i j
#   k l m n o
#   p q r s t
#   u v w x y
# straight from point to point, or after a ~ along a smooth curve.
STROKES: Mapping[str, str] = MappingProxyType(
    {
        "A": "ucy ln", "C": "~jcfkpwt", "D": "au ~abdjotxvu", "E": "eauy km", "F": "eau km",
        "G": "~jcfkpwtom", "H": "au ey ko", "J": "~eotwvp", "K": "au ek ly", "M": "uamey", "N": "uaye",
        "P": "ua ~acejnmk", "Q": "~cfkpwtojc ry", "R": "ua ~acejnmk my", "T": "ae cw", "U": "~akpwtoe",
        "V": "awe", "W": "avhxe", "X": "ay eu", "Y": "am em mw",
        "a": "~jhgkqwt jy", "a of print": "~bdjoy ~omlqwt", "c": "~jhgkqwt", "d": "~ohkqwt ey",
        "e": "~kojcfkpvxt", "f": "~ecgqv fi", "h": "au ~khioy", "j": "~irvp", "k": "au ok ly",
        "m": "fu ~kghrw ~mijty", "n": "fu ~kgijty", "p": "fu ~fhjotrp", "r": "fu ~kgij", "t": "~bqvx fi",
        "u": "~fkpvwtj jy", "v": "fwj", "w": "fvmxj", "x": "fy ju", "y": "fm ju", "E with arcs": "~jcglmlqwt",
    }
)  # fmt: skip
_GRID = 5
_STEPS = 8  # straight pieces of a curve between two points
_CURVED = 0.25  # share of the straight strokes that are drawn as curves too


def letter(_images: Images, _labels: NDArray[np.int64], rng: Rng) -> Picture:
    """One letter."""
    return draw_letter(STROKES[str(rng.choice(list(STROKES)))], rng)


def draw_letter(strokes: str, rng: Rng) -> Picture:
    """A letter of these strokes, its corners, proportions, slant and pen at random."""
    picture, pen = sheet()
    size = np.array([rng.uniform(60, 180), rng.uniform(110, 200)])
    slant, turn = rng.uniform(-0.1, 0.35), rng.normal(0, 0.08)
    loose, width = rng.uniform(0.05, 0.3), int(rng.integers(8, 32))
    corners = _corners() + rng.normal(0, loose, (_GRID**2, 2))  # where strokes meet, they meet still
    matrix = _rotation(turn) @ np.array([[1, -slant], [0, 1]]) @ np.diag(size / (_GRID - 1))
    for stroke in strokes.split():
        places = [ord(name) - ord("a") for name in stroke.removeprefix("~")]
        points = corners[places] + rng.normal(0, loose / 3, (len(places), 2))
        if len(points) > 2 and (stroke.startswith("~") or rng.random() < _CURVED):
            points = _smooth(points)
        line = [(float(x), float(y)) for x, y in CANVAS / 2 + points @ matrix.T]
        pen.line(line, fill=255, width=width, joint="curve")
        for x, y in (line[0], line[-1]):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return picture


def _corners() -> NDArray[np.float64]:
    """The points of the grid around its middle, (25, 2) as x and y."""
    places = np.arange(_GRID**2)
    return np.stack([places % _GRID, places // _GRID], axis=1).astype(np.float64) - (_GRID - 1) / 2


def _rotation(angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve through points, (N, 2): Catmull and Rom, "A class of local interpolating splines", 1974."""
    before, after = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    padded = np.concatenate([[before], points, [after]])
    t = np.linspace(0, 1, _STEPS, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * (b - c) + d - a) * t**3)
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.concatenate([*pieces, points[-1:]])
