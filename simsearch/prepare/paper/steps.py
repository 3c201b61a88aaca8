"""The steps that take a digit off a page, each of which can be left out to measure what it is worth."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Steps:
    """Which steps are taken."""

    plain: bool = True  # one thing on level paper is decided first, and fast
    coarse: bool = True  # a page is looked at in a smaller size first, which often suffices
    color: bool = True  # ink is looked for in color where grey hides it
    eraser: bool = True  # white strokes on nothing are an eraser's
    closing: bool = True  # paper is what lies around ink, not one smooth surface
    polarity: bool = True  # both polarities are tried, and compared
    rulings: bool = True  # straight lines across the page are taken out
    parts: bool = True  # what lies at the edge, around and beside the digit is left out
    several: bool = True  # things of one size side by side are refused
    shapes: bool = True  # filled areas, empty boxes and lattices are no digits
    crossed: bool = True  # what is crossed out is refused
    support: bool = True  # ink must end at lighter paper


ALL = Steps()
NONE = Steps(**{field.name: False for field in fields(Steps)})  # ink is all that differs from smooth paper
