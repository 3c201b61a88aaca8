"""The steps that take a digit off a page, each of which can be left out to measure what it is worth.

The modules that take them name where their methods were published; `tests/benchmarks/paper.py --ablation`
leaves each out in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Steps:
    """Which steps are taken."""

    plain: bool = (
        True  # one thing on level paper is decided first, and fast: plain.py, surface.py (Otsu 1979)
    )
    blurred: bool = True  # as is one thing out of focus: blurred.py (Pentland 1987)
    coarse: bool = True  # a page is looked at in a smaller size first, which often suffices: page.py
    color: bool = True  # ink is looked for in color where gray hides it: color.py (Pearson 1901)
    eraser: bool = True  # white strokes on nothing are an eraser's: canvas.py
    closing: bool = True  # paper is what lies around ink: tophat.py (Meyer 1979, Serra 1982)
    polarity: bool = True  # both polarities are tried, and compared: page.py
    rulings: bool = (
        True  # straight lines across the page go: rulings.py (Duda and Hart 1972, Dalitz et al. 2008)
    )
    parts: bool = True  # what lies at the edge, around and beside goes: choose.py (Rosenfeld and Pfaltz 1966)
    several: bool = True  # things of one size side by side are refused: choose.py
    shapes: bool = True  # filled areas, empty boxes, lattices and margins are no digits: shapes.py
    crossed: bool = True  # what is crossed out is refused: crossed.py (Duda and Hart 1972)
    support: bool = True  # ink must end at lighter paper, and stand out: evidence.py


ALL = Steps()
NONE = Steps(**{field.name: False for field in fields(Steps)})  # ink is all that differs from smooth paper
