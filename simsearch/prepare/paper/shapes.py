"""Shapes that are no drawing of a digit: filled areas, empty boxes, lattices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.paper.components import Mask, find_components
from simsearch.prepare.paper.ranks import framed

_FILLED = 0.36  # of the longer side: a square of this side fits into no pen's stroke
_THICK = 0.45  # nor of this side into any handwriting's
_NEARLY = 0.97  # of that square
_BLOT, _PAGE = 0.8, 0.65  # of the ink, of the bounding box: a filled loop is less
_TALL, _BULKY = 1.15, 0.82  # height over width; of the bounding box
_WAISTED = (0.845, 0.935)  # of its convex hull, that a digit covers whose loops are filled
_SOLID = 0.72  # of the bounding box
_HOLLOW = 0.45  # of the bounding box: the hole of an empty box, or the cells of a table
_CORNERS = 0.84  # how far ink reaches towards the corners: 1 a rectangle, 0.71 an ellipse
_COARSE = 100  # pixels a side, at which areas are looked for
_EDGING = 0.9  # of ink, that runs straight into the picture's edge: what shows beside a page
_PLUS_SIDE = 12  # pixels
_SPANS = 0.97  # of the bounding box, that a stroke of a plus spans
_ARM = 0.05  # of the longer side, up to which ink belongs to it: ticks are as long
_LEFT_OVER = 0.06  # of the ink
_INNER, _AXIS = 0.07, 0.3  # of a side: a 1 stands on its foot, and on the middle of it
_EYE = 0.25  # of the bounding box: the hole of a ring
_OVAL = 0.05  # by which its sides differ
_SECTORS, _ROUND = 36, 0.028  # of the radius: its deviation; that of MNIST's roundest 0 is twice as large
_PLATE = 0.5  # of the bounding box, that a plate fills with what is written on it
_WRITTEN, _STRAIGHT_SIDED = (0.02, 0.15), 0.7  # of the bounding box; of the hole's own
_BENT, _CONVEX = 0.7, 0.88  # of the convex hull: of the hole, of the plate
_HOLES = 3
_HOLE = 0.004  # of the bounding box: smaller holes are chance


def is_border(mask: Mask) -> bool:
    """Whether nearly all ink of a picture, bool (H, W), runs straight into its edge: a desk, a margin."""
    mask = mask[::2, ::2]
    most = sum(
        np.count_nonzero(edge) * len(line)
        for edge, line in ((mask[0], mask), (mask[-1], mask), (mask[:, 0], mask.T), (mask[:, -1], mask.T))
    )
    if most <= _EDGING * np.count_nonzero(mask):
        return False
    attached = np.zeros_like(mask)
    for turned, into in ((mask, attached), (mask.T, attached.T)):
        into |= np.logical_and.accumulate(turned, axis=0)
        into[::-1] |= np.logical_and.accumulate(turned[::-1], axis=0)
    return bool(attached.sum() > _EDGING * mask.sum())


def is_filled(crop: Mask, *, blots: bool = False) -> bool:
    """Whether it fills its bounding box but for a little, and no pen drew it: paper, a desk, a spot.

    :param blots: Whether it may be a digit whose loop is filled, if some of it is strokes.
    """
    step = max(1, max(crop.shape) // _COARSE)
    crop = crop[::step, ::step]
    inked = int(np.count_nonzero(crop))
    if inked < _NEARLY * max(2, round(_FILLED * max(crop.shape))) ** 2:
        return False
    if _opened(crop, _THICK).any():
        much = inked > _PAGE * crop.size
        return not blots or much or int(np.count_nonzero(_opened(crop, _FILLED))) > _BLOT * inked
    return inked > _SOLID * crop.size and bool(_opened(crop, _FILLED).any())


def is_plus(crop: Mask) -> bool:
    """Whether it is one level stroke and one upright one that cross inside, or meet in a corner.

    The axes of a graph are, a plus, an L: none is a digit.
    """
    height, width = crop.shape
    if min(height, width) < _PLUS_SIDE:
        return False
    across, down = (np.count_nonzero(crop, axis=axis) for axis in (1, 0))
    row, column = int(across.argmax()), int(down.argmax())
    if across[row] < _SPANS * width or down[column] < _SPANS * height:
        return False
    rest = crop.copy()
    reach = max(2, round(_ARM * max(crop.shape)))
    rest[max(row - reach, 0) : row + reach + 1] = False
    rest[:, max(column - reach, 0) : column + reach + 1] = False
    if np.count_nonzero(rest) > _LEFT_OVER * np.count_nonzero(crop):
        return False
    inside = _INNER < row / height < 1 - _INNER and _INNER < column / width < 1 - _INNER
    corner = row > (1 - _INNER) * height and not (_AXIS < column / width < 1 - _AXIS)
    return inside or corner


def is_ring(crop: Mask, holes: NDArray[np.int64]) -> bool:
    """Whether it is a circle rounder than any hand draws: what a cup leaves, a hole's rim, a button."""
    height, width = crop.shape
    if len(holes) != 1 or holes[0] < _EYE * crop.size or abs(height - width) > _OVAL * max(height, width):
        return False
    y, x = (place - place.mean() for place in np.nonzero(crop))
    sector = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    radii = np.zeros(_SECTORS)
    np.maximum.at(radii, sector, np.hypot(y, x))
    return float(radii.std()) < _ROUND * float(radii.mean())


def is_waisted(crop: Mask) -> bool:
    """Whether a filled shape may be a digit of a very thick pen: upright, and by so much not convex."""
    if crop.shape[0] < _TALL * crop.shape[1]:
        return False
    step = max(1, max(crop.shape) // _COARSE)
    crop = crop[::step, ::step]
    inked = int(np.count_nonzero(crop))
    return inked < _BULKY * crop.size and _WAISTED[0] < inked / hull_area(crop) < _WAISTED[1]


def hull_area(mask: Mask) -> float:
    """The area of the convex hull: chains of the outermost pixels of each row, of which those that bend
    inwards are dropped (Andrew, "Another efficient algorithm for convex hulls in two dimensions",
    Information Processing Letters 9(5), 1979)."""
    rows = np.flatnonzero(mask.any(axis=1))
    left, right = mask.argmax(axis=1)[rows], mask.shape[1] - mask[:, ::-1].argmax(axis=1)[rows]
    area = 0.0
    for outermost in (left, -right):
        chain: list[tuple[float, float]] = []
        for x, y in zip(np.repeat(outermost, 2), np.stack([rows, rows + 1], axis=1).ravel(), strict=True):
            point = float(x), float(y)
            while len(chain) > 1 and _bends_in(chain[-2], chain[-1], point):
                chain.pop()
            chain.append(point)
        x_of, y_of = np.array(chain).T
        area -= float(((x_of[1:] + x_of[:-1]) / 2 * np.diff(y_of)).sum())
    return area


def _bends_in(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]) -> bool:
    """Whether the middle of three points down a left edge lies right of the line through the others."""
    across, down = middle[0] - first[0], middle[1] - first[1]
    return down * (last[0] - first[0]) - across * (last[1] - first[1]) <= 0


def _opened(mask: Mask, share: float) -> Mask:
    """The opening by a square whose side is a share of the longer side: all such squares that are full."""
    side = max(2, round(share * max(mask.shape)))
    if min(mask.shape) < side or not _may_hold_square(mask, side):
        return np.zeros_like(mask)
    inside = _sums(mask, side)
    full = np.zeros((mask.shape[0] + side - 1, mask.shape[1] + side - 1), bool)
    full[side - 1 : mask.shape[0], side - 1 : mask.shape[1]] = inside >= _NEARLY * side * side
    return np.asarray(_sums(full, side) > 0)


def _may_hold_square(mask: Mask, side: int) -> bool:
    """Whether a square of a side may be full: only where half of its rows and columns lack at most twice as
    much as it does in all, which few digits have so many of."""
    least = (2 * _NEARLY - 1) * side
    return all(
        2 * int(np.count_nonzero(np.count_nonzero(mask, axis=axis) >= least)) >= side for axis in (1, 0)
    )


def _sums(mask: Mask, side: int) -> NDArray[np.int32]:
    """The sum over each square of a side that lies inside."""
    total = framed(mask)[:-1, :-1].cumsum(0, np.int32).cumsum(1, np.int32)
    lower, upper = total[side:], total[:-side]
    return np.asarray(lower[:, side:] - upper[:, side:] - lower[:, :-side] + upper[:, :-side])


def find_holes(crop: Mask, pieces: int) -> NDArray[np.int64]:
    """The areas of what a mask, cropped to its ink, encloses: (H,).

    :param pieces: How many components it has.
    """
    if _euler_number(crop) >= pieces:
        return np.zeros(0, np.int64)
    holes = find_components(~framed(crop))
    inner: NDArray[np.int64] = holes.area[holes.contact().sum(axis=1) == 0]
    return inner


def is_lattice(crop: Mask, holes: NDArray[np.int64]) -> bool:
    """Whether it has more holes than any digit."""
    return any(
        np.count_nonzero(holes > share * crop.size) > most
        for share, most in ((_HOLE, _HOLES), (_HOLE / 10, 2 * _HOLES))
    )


def is_plate(crop: Mask, holes: NDArray[np.int64]) -> bool:
    """Whether it is a badge, a sticker or a sign, and what is written on it is its hole.

    A 0 is convex too, but in eight of 10,000 digits of MNIST's, half of them drawn again with a broader pen,
    its hole bends inwards as far as a digit's outline does.
    """
    filled = np.count_nonzero(crop) + holes.sum()
    if not holes.size or filled < _PLATE * crop.size:
        return False
    found = find_components(~framed(crop))
    area = np.where(found.contact().any(axis=1), 0, found.area)
    main = int(area.argmax())
    box = found.height[main] * found.width[main]
    if not _WRITTEN[0] < area[main] / crop.size < _WRITTEN[1] or area[main] > _STRAIGHT_SIDED * box:
        return False
    if area[main] > _BENT * hull_area(found.crop(main)):
        return False
    return bool(filled > _CONVEX * hull_area(crop))


def is_box(crop: Mask, holes: NDArray[np.int64]) -> bool:
    """Whether it is a rectangle drawn around nothing, or a table."""
    if holes.sum() < _HOLLOW * crop.size:
        return False
    y, x = (np.linspace(-0.5, 0.5, side) for side in crop.shape)
    rows, columns = np.nonzero(crop)
    down, up = y[rows] + x[columns], y[rows] - x[columns]
    return float((np.ptp(down) + np.ptp(up)) / 4) > _CORNERS


def _euler_number(mask: Mask) -> int:
    """Components less holes: the corners of its pixels less their edges, and the pixels."""
    wide = framed(mask)
    across, down = wide[:, 1:] | wide[:, :-1], wide[1:] | wide[:-1]
    corners = across[1:] | across[:-1]
    edges = np.count_nonzero(across) + np.count_nonzero(down)
    return int(np.count_nonzero(corners) - edges + np.count_nonzero(mask))
