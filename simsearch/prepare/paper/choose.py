"""Which of the components of a page is the digit: what lies at the edge, around it and beside it is left out.

Nothing here is learned: rules on bounding boxes, areas and contacts, tried on drawings of many kinds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.paper.components import Components, Mask, find_components
from simsearch.prepare.paper.normalize import stroke_width
from simsearch.prepare.paper.shapes import hull_area, is_border

_STRENGTH = 0.6  # of the digit's ink: weaker is no part of it
_SPECK = 0.07  # of the digit's longer side: dust, crumbs of a ruling
_PART = 0.2  # of the digit's side, from which on what is near belongs to it wherever it is
_CRUMBS = 3  # small pieces that a digit may have
_EQUAL = 0.6  # of the digit's height, from which on another thing is a digit too
_LEAST = 0.035  # of the picture's shorter side: smaller things are not looked at
_CUT = 0.3  # of an edge, that a digit cut off by it covers
_WHOLE_EDGE = 0.9
NARROW = 2.2  # height over width
_ENDS = 7  # more strokes than these end at the edge of no digit cut close
_ONLY = 0.97  # of all ink, is what reaches the edge
_ALONG = 0.96  # of an edge, that a frame's line covers
_REACHING = 0.5  # of a side: what is smaller is no drawing cut close
_STRAIGHT = 1.25  # times a straight stroke's ink
_UPRIGHT = 1.5  # height over width
_FINE = 0.05  # of the picture's diagonal: the stroke of a 1 that is cut close is broader
_TIP = 0.85  # of the stroke's width: a tip touches the edge with less
_FEW_ENDS = 5  # at the edge: of more, some are rulings
_CONVEX = 0.92  # of its hull, that a frame encloses
_DOT, _DOT_GAP = (0.07, 0.32), 0.4  # of the digit's height: a dot below it, and how far
_DOT_FILL = 0.55  # of the square around it: 0.79 of a circle's
_DOT_STRENGTH, _DOT_STROKE = 0.75, 0.8  # of the digit's ink, of its stroke's width
_FRAMING = 0.7  # of an edge, that what lies along it covers


@dataclass(frozen=True, eq=False)
class Choice:
    """The digit among the components, or why there is none."""

    mask: Mask | None
    box: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right, ends exclusive
    alone: float = 0.0  # share of all ink that belongs to it
    explained: float = 0.0  # share of the ink that belongs to it, not counting frames
    cut: bool = False  # it touches the edge
    pieces: int = 0  # that it consists of
    second: float = 0.0  # the side of the second largest, as a share of the largest's
    several: bool = False  # things of one size side by side
    edge: bool = False  # something at the edge was left out
    around: bool = False  # something around the digit
    beside: bool = False  # something beside it


class Pieces:
    """The components of a mask of ink, and what is known of them whatever is chosen."""

    def __init__(self, mask: Mask, strength: NDArray[np.float32] | None = None) -> None:
        """Find them.

        :param mask: bool (H, W).
        :param strength: How strong the ink is, float32 (H, W); None where it is the same everywhere.
        """
        self.mask, self.found = mask, find_components(mask)
        found = self.found
        self.side = np.maximum(found.height, found.width)
        self.weight = found.area.astype(np.float64) if strength is None else found.sums(strength)
        self.large = self.side >= max(_LEAST * min(found.shape), 4)
        self.framing, self.touching = _at_edge(found)
        self._around: dict[bool, NDArray[np.bool_]] = {}

    def around(self, frames: bool) -> NDArray[np.bool_]:
        """Which of them enclose another of some size: (C,)."""
        if frames not in self._around:
            inner = self.large & ~self.framing if frames else self.large
            self._around[frames] = _around(self.found, inner)
        return self._around[frames]


def choose(pieces: Pieces, *, cut: bool = False, frames: bool = True, parts: bool = True) -> Choice:
    """Choose the digit among the pieces of a mask of ink.

    :param cut: Whether the digit may touch the edge: it does where a picture was cut close to it.
    :param parts: Whether what lies at the edge, around and beside is left out; or all ink is the digit.
    :param frames: Whether what runs along the edge is left out; a 7 cut close runs along two sides.
    """
    found, mask = pieces.found, pieces.mask
    if not len(found):
        return Choice(None)
    if not parts:
        everything = np.ones(len(found), bool)
        return Choice(mask, _box(found, everything), alone=1.0, explained=1.0, pieces=len(found))
    height, width = found.shape
    tall, wide, side = found.height, found.width, pieces.side
    weight, large, touching = pieces.weight, pieces.large, pieces.touching
    frames = frames and height <= NARROW * width  # cut to an upright 1: no frame is so narrow
    framing = pieces.framing & frames
    around = pieces.around(frames)
    flat = wide > 3.2 * tall
    usable = large & ~framing & ~around & ~flat
    if cut:
        usable &= ~touching | _may_be_cut(found, mask)
    else:
        usable &= ~touching
    if not usable.any():
        return Choice(None, edge=bool((framing | touching)[large].any()))
    score = side * (weight / np.maximum(found.area, 1)) ** 2
    main = int(np.argmax(np.where(usable, score, -1)))
    below = flat & (found.top > found.bottom[main] - 0.05 * tall[main])  # an underline, not the flag of a 5
    near = ~framing & ~around & ~below & (~touching | cut)
    members, several = _members(found, main, near, weight)
    counted = ~framing & ~around & (~touching | members)
    if _has_dot_below(pieces, main, near):
        return Choice(None, beside=True)
    return Choice(
        found.mask(members),
        _box(found, members),
        alone=float(weight[members].sum() / max(weight.sum(), 1e-6)),
        explained=float(weight[members].sum() / max(weight[counted].sum(), 1e-6)),
        pieces=int(members.sum()),
        second=float(np.sort(side[members])[-2] / side[main]) if members.sum() > 1 else 0.0,
        cut=bool(touching[members].any()),
        several=several,
        edge=bool((framing | touching)[large & ~members].any()),
        around=bool(around.any()),
        beside=bool((large & ~members & counted).any()),
    )


def choose_reaching(pieces: Pieces) -> Choice:
    """Choose what reaches the edge, on two sides or three: a drawing whose picture was cut too close.

    It must be nearly all ink that there is, and neither run along a whole edge, as frames do, nor go from
    edge to edge as a line does; an upright stroke may, if it ends in tips.
    """
    found = pieces.found
    if not len(found):
        return Choice(None)
    main = int(np.argmax(pieces.weight))
    only = np.arange(len(found)) == main
    alone = float(pieces.weight[main] / max(pieces.weight.sum(), 1e-6))
    height, width = found.shape
    tall, wide = int(found.height[main]), int(found.width[main])
    contact = found.contact()[main]
    along = (contact / np.array([width, width, height, height])).max()
    if alone < _ONLY or along > _ALONG or max(tall / height, wide / width) < _REACHING:
        return Choice(None, edge=True)
    from simsearch.prepare.paper.rulings import remove_rulings  # few pictures are cut so close

    if _ends(pieces.mask) > _FEW_ENDS or remove_rulings(pieces.mask)[1]:
        return Choice(None, edge=True)
    mask, box = found.mask(only), _box(found, only)
    if _runs_out(mask, box) or (is_border(mask) and not is_straight(mask, box)):
        return Choice(None, edge=True)
    if is_straight(mask, box) and tall < _UPRIGHT * wide:
        return Choice(None, edge=True)
    return Choice(mask, box, alone=alone, explained=alone, cut=True, pieces=1)


def is_straight(mask: Mask, box: tuple[int, int, int, int]) -> bool:
    """Whether the ink in the box is one straight stroke from corner to corner."""
    top, bottom, left, right = box
    crop = mask[top:bottom, left:right]
    return int(np.count_nonzero(crop)) < _STRAIGHT * _stroke(crop) * math.hypot(*crop.shape)


def is_crossing_line(mask: Mask, box: tuple[int, int, int, int]) -> bool:
    """Whether it is a fine straight stroke that runs out of the picture: a fold, a wire, no 1 cut close."""
    top, bottom, left, right = box
    fine = _FINE * math.hypot(*mask.shape)
    return _stroke(mask[top:bottom, left:right]) < fine and _runs_out(mask, box)


def _runs_out(mask: Mask, box: tuple[int, int, int, int]) -> bool:
    """Whether it is a straight stroke that runs out of the picture on two sides, not ending in a tip."""
    top, bottom, left, right = box
    ends = [np.count_nonzero(edge) for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])]
    touched = [end for end in ends if end]
    if len(touched) < 2 or not is_straight(mask, box):
        return False
    return bool(max(touched) >= _TIP * _stroke(mask[top:bottom, left:right]))


def _stroke(crop: Mask) -> float:
    return stroke_width(crop.astype(np.float32))


def _box(found: Components, members: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The first and last row and column of these components."""
    top, bottom = found.top[members].min(), found.bottom[members].max()
    return int(top), int(bottom), int(found.left[members].min()), int(found.right[members].max())


def _may_be_cut(found: Components, mask: Mask) -> NDArray[np.bool_]:
    """Which components may be a digit that the edge cuts: all of the picture, or little of one side."""
    height, width = found.shape
    contact = found.contact() / np.array([width, width, height, height])
    whole = (found.height >= 0.8 * height) & (found.width >= 0.8 * width) & (_ends(mask) <= _ENDS)
    large = np.maximum(found.height, found.width) >= 0.25 * min(height, width)
    little: NDArray[np.bool_] = ((contact > 0).sum(1) == 1) & (contact.sum(1) < _CUT) & large
    return whole | little


def _ends(mask: Mask) -> int:
    """How many separate stretches of the picture's edge are ink."""
    around = np.concatenate((mask[0], mask[:, -1], mask[-1, ::-1], mask[::-1, 0]))
    return int((around & ~np.roll(around, 1)).sum())


def _at_edge(parts: Components) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What runs along an edge of the picture or across it, and what touches one at all: (C,), (C,)."""
    height, width = parts.shape
    touching = (parts.top == 0) | (parts.left == 0) | (parts.bottom == height) | (parts.right == width)
    if not touching.any():
        return touching, touching
    share = parts.contact() / np.array([width, width, height, height])  # (C, 4)
    full = share >= _WHOLE_EDGE
    corner = full[:, :2].any(axis=1) & full[:, 2:].any(axis=1)
    framing = corner | np.greater_equal(share.mean(axis=1), _FRAMING)
    return np.asarray(framing), touching


def _around(parts: Components, inner: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What encloses another thing of some size: a box, a circle."""
    found = np.zeros(len(parts), bool)
    candidates = np.flatnonzero(inner)
    if len(candidates) < 2:
        return found
    edges = np.stack([-parts.top, parts.bottom, -parts.left, parts.right])[:, candidates]
    inside = np.logical_and.reduce(edges[:, :, None] > edges[:, None, :], axis=0)  # of the other's box
    holds = np.logical_or.reduce(inside, axis=1)
    for outer in candidates[holds]:
        top, bottom = parts.top[outer], parts.bottom[outer]
        left, right = parts.left[outer], parts.right[outer]
        within = (
            inner & (parts.top > top) & (parts.bottom < bottom) & (parts.left > left) & (parts.right < right)
        )
        within &= np.maximum(parts.height, parts.width) >= 0.25 * (bottom - top)
        if not within.any():
            continue
        only = np.zeros(len(parts), bool)
        only[outer] = True
        mask = parts.mask(only)[top:bottom, left:right]
        for one in np.flatnonzero(within):
            rows = np.linspace(parts.top[one], parts.bottom[one] - 1, 7).astype(int) - top
            columns = np.linspace(parts.left[one], parts.right[one] - 1, 7).astype(int) - left
            sides = (
                mask[rows, : columns[0]].any(axis=1),
                mask[rows, columns[-1] + 1 :].any(axis=1),
                mask[: rows[0], columns].any(axis=0),
                mask[rows[-1] + 1 :, columns].any(axis=0),
            )
            if sum(float(one_side.mean()) for one_side in sides) >= 3.2:
                first = int(np.argmax(parts.of_run == one))  # its first run
                place = int(parts.rows[first] - top), int(parts.starts[first] - left)
                found[outer] = _is_convex_inside(mask, place)
                break
    return found


def _is_convex_inside(mask: Mask, place: tuple[int, int]) -> bool:
    """Whether what ink encloses around a place is convex: a box and a circle are, an outlined 6 is not."""
    cavities = find_components(~mask)
    open_ = cavities.contact().any(axis=1)
    for cavity in np.flatnonzero(~open_).tolist():
        if cavities.mask(np.arange(len(cavities)) == cavity)[place]:
            return bool(cavities.area[cavity] >= _CONVEX * hull_area(cavities.crop(cavity)))
    return True  # it is not closed


def _has_dot_below(pieces: Pieces, main: int, near: NDArray[np.bool_]) -> bool:
    """Whether one dot stands straight below, as of a question mark or an exclamation mark.

    It is as broad as the stroke, and as strong. That after a digit stands to its right.
    """
    parts, side = pieces.found, pieces.side
    if len(parts) < 2:
        return False
    tall, bottom = parts.height[main], parts.bottom[main]
    below = near & (parts.top > bottom - _DOT[0] * tall) & (parts.top < bottom + _DOT_GAP * tall)
    below &= (side > _DOT[0] * tall) & (parts.bottom > bottom)
    below[main] = False
    if np.count_nonzero(below) != 1:
        return False
    dot = int(below.argmax())
    strength = pieces.weight / np.maximum(parts.area, 1)
    if side[dot] > _DOT[1] * tall or strength[dot] < _DOT_STRENGTH * strength[main]:
        return False
    if parts.area[dot] < _DOT_FILL * side[dot] ** 2:
        return False
    low = (parts.of_run == main) & (parts.rows >= bottom - max(1, tall // 6))  # its last stretch
    left, right = int(parts.starts[low].min()), int(parts.ends[low].max())
    if not left - side[dot] / 2 < (parts.left[dot] + parts.right[dot]) / 2 < right + side[dot] / 2:
        return False
    return bool(side[dot] >= _DOT_STROKE * _stroke(parts.crop(main)))


def _members(
    parts: Components, main: int, usable: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], bool]:
    """The pieces of the digit, and whether there is another thing of its size."""
    members = np.zeros(len(parts), bool)
    members[main] = True
    tall = parts.height
    side = np.maximum(tall, parts.width)
    mean = weight / np.maximum(parts.area, 1)
    usable = usable & (mean > _STRENGTH * mean[main]) & (side >= _SPECK * side[main])
    several, part, equal = False, float(_PART * side[main]), float(_EQUAL * tall[main])
    top, bottom, left, right = (
        int(edge[main]) for edge in (parts.top, parts.bottom, parts.left, parts.right)
    )
    others = np.flatnonzero(usable & ~members)
    others = others[np.argsort(-side[others], kind="stable")]
    boxes = (
        of[others].tolist()
        for of in (np.arange(len(parts)), side, parts.top, parts.bottom, parts.left, parts.right)
    )
    for other, long, above, below, first, last in zip(*boxes, strict=True):
        reach = max(bottom - top, right - left)
        across, down = max(first - right, left - last), max(above - bottom, top - below)  # negative: overlap
        if below - above >= equal and across > 0.03 * reach and down < 0:
            several = True
        elif max(across, down) < (0.2 if long >= _PART * reach else 0.08) * reach:
            members[other] = True
            if long >= part:  # crumbs do not lead to more crumbs
                top, bottom = min(top, above), max(bottom, below)
                left, right = min(left, first), max(right, last)
    crumbs = members & (side < _PART * side[main])
    if crumbs.sum() > _CRUMBS:  # print beside the digit, what is left of a ruling
        members &= ~crumbs
    return members, several
