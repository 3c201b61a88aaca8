"""The plain case: one thing drawn on paper that is level or lit smoothly. Most are; it is decided fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from simsearch.prepare.paper.canvas import MIN_CONTRAST
from simsearch.prepare.paper.cells import coverage, means
from simsearch.prepare.paper.choose import Choice, Pieces, choose, choose_reaching, is_crossing_line
from simsearch.prepare.paper.components import Mask, grown
from simsearch.prepare.paper.normalize import Ink, bounds
from simsearch.prepare.paper.ranks import framed
from simsearch.prepare.paper.shapes import (
    find_holes,
    is_box,
    is_filled,
    is_lattice,
    is_plate,
    is_plus,
    is_ring,
    is_waisted,
)
from simsearch.prepare.paper.surface import Gray, fit_paper

INVERTED = "dark ink on a light background: inverted"  # told to the user

_MIN_SIGNAL = 6  # standard deviations of the paper's noise between paper and ink
_MIN_INK_SIDE = 5  # ink shorter than this is a lit pixel, a speck of dust
_INK_SHARE = 0.2  # a pixel is ink above this share of the strongest ink: JPEG noise stays below
_OTHER = 0.35  # of the strongest ink: so strong, the other way, the paper is not level
_OTHER_SHARE = 0.002  # of all pixels
_FAINT, _FAINT_SHARE = 0.1, 0.03  # of the strongest ink: where more of the paper is so dark, it is not level
_TRACE, _TRACE_SHARE = 0.04, 0.35
_DRAWN = 8  # different grays: no photograph has so few
_WHOLE = 0.92  # of the picture: cut to the ink, it shows too little paper to judge
_WEAK, _WEAK_SHARE = 0.5, 0.35  # of the strongest ink; of what is not edge
_CORE = 60  # cells, to say anything
_CLEAR = 80  # levels of 255 between paper and ink: shadows, folds and smudges have fewer
_FULL = 253  # of 255 of a cell: all of it is ink
_AWAY = 8  # cells from the ink, beyond which no blurred edge reaches
_CRUMB = 0.2  # of the digit's side: a larger second piece may be a frame or print beside it
_CHECKED_SIDE = 112  # pixels a side at which it is checked that there is one thing
_COVERED = 41  # of 255 of a cell, from which on it is ink
_NEARLY_ALL = 0.99
_WIDER = 0.3  # of the digit's side: no stroke is as wide
_GLOW, _GLOW_SHARE = 0.08, 0.1  # of the strongest ink, in so much of the box
_SLACK = 0.04  # of the digit's side, between its box and that of all ink
_ALONE = 0.97  # of all ink


@dataclass(frozen=True, eq=False)
class Drawing:
    """The ink of one digit, cropped to it."""

    ink: Ink  # (h, w), levels of 255
    mask: Mask  # (h, w)
    noise: float
    dark: bool  # whether the ink is darker than the paper


def find_plain(gray: Gray, dark: bool | None, *, checked: bool = True) -> Drawing | None:
    """Find the one thing that is drawn; None if there are several, or the paper is not level.

    Faint ink must be about as strong everywhere. That of a drawing that is blurred or noisy is not, which may
    stand out clearly instead.

    :param dark: Whether the ink is darker than the paper; None decides by what differs more from the paper.
    :param checked: Whether it must be one thing on level paper.
    """
    paper, noise = fit_paper(gray)
    ink = np.subtract(gray, paper, out=paper)  # (H, W)
    lowest, highest = float(ink.min()), float(ink.max())
    if dark is None:
        dark = -lowest > highest
    if dark:
        np.negative(ink, out=ink)
    peak, other = (-lowest, highest) if dark else (highest, -lowest)
    if peak < max(MIN_CONTRAST, _MIN_SIGNAL * noise):
        return None
    uneven = checked and other > _OTHER * peak  # seldom: counted only then
    if uneven and np.count_nonzero(ink < -_OTHER * peak) > _OTHER_SHARE * ink.size:
        return None
    mask = ink > max(_INK_SHARE * peak, 5 * noise)
    top, bottom, left, right = box = ink_box(mask)
    if max(bottom - top, right - left) < _MIN_INK_SIDE:
        return None
    drawing = Drawing(ink[top:bottom, left:right], mask[top:bottom, left:right], noise, dark)
    if not checked:
        return drawing
    cell = max(1, max(mask.shape) // _CHECKED_SIDE)
    covered, strength = coverage(mask, cell), means(ink, cell) / np.float32(peak)
    inked = covered >= _COVERED
    choice = choose_one(inked, [edge / cell for edge in box], gray)
    if choice is None or choice.second > _CRUMB or not is_drawing(choice, strength > _WEAK, blots=not noise):
        return None
    if noise and ((peak < _CLEAR and not _is_one_strength(strength, covered)) or _glows(strength, choice)):
        return None
    whole = bottom - top > _WHOLE * mask.shape[0] and right - left > _WHOLE * mask.shape[1]
    return drawing if whole or _is_level(strength, inked, noise / peak) else None


def _is_level(strength: Ink, mask: Mask, noise: float) -> bool:
    """Whether the paper away from the ink differs from the surface by next to nothing."""
    away = ~grown(mask, _AWAY)
    rest = np.abs(strength[away])
    faint, trace = (np.count_nonzero(rest > least) for least in (_FAINT, max(_TRACE, 3 * noise)))
    return bool(faint <= _FAINT_SHARE * away.size and trace <= _TRACE_SHARE * away.size)


def _is_one_strength(strength: Ink, covered: Gray) -> bool:
    """Whether the ink is as strong in most places: where it is not, half of it may be a shadow."""
    core = covered >= _FULL
    core &= ~grown(~core, 1)
    weak = strength[core] < _WEAK
    return bool(weak.sum() <= _WEAK_SHARE * max(core.sum(), _CORE))


def _glows(strength: Ink, choice: Choice) -> bool:
    """Whether something wider than a stroke lies behind the digit: light on a board, a smudge."""
    from simsearch.prepare.paper.tophat import closing  # what a program drew has no noise, and needs none

    top, bottom, left, right = choice.box
    wider = round(_WIDER * max(bottom - top, right - left)) | 1
    above, before = max(0, top - wider), max(0, left - wider)
    around = strength[above : bottom + wider, before : right + wider]
    wide = 255 - closing(np.clip((1 - around) * 255, 0, 255).astype(np.uint8), wider)
    behind = wide[top - above :, left - before :][: bottom - top, : right - left]
    return bool(np.count_nonzero(behind > 255 * _GLOW) > _GLOW_SHARE * behind.size)


def choose_one(mask: Mask, box: Sequence[float], gray: Gray) -> Choice | None:
    """Choose what is drawn; None if that is not all the ink that there is in the box.

    :param box: Top, bottom, left, right, in cells.
    :param gray: The picture; if no camera took it, no desk shows at its edge.
    """
    pieces = Pieces(mask)
    choice = choose(pieces)
    if choice.edge or choice.mask is None:
        choice = choose(pieces, cut=True, frames=not _is_drawn(gray))
        if choice.mask is None or (choice.edge and choice.alone < _NEARLY_ALL):
            choice = choose_reaching(pieces)
    if choice.mask is None or choice.several or choice.around or choice.alone < _ALONE:
        return None
    top, bottom, left, right = choice.box
    slack = 1 + _SLACK * max(bottom - top, right - left)
    if any(abs(ours - theirs) > slack for ours, theirs in zip(choice.box, box, strict=True)):
        return None
    return None if choice.cut and is_crossing_line(choice.mask, choice.box) else choice


def is_drawing(choice: Choice, strong: Mask, *, blots: bool) -> bool:
    """Whether the chosen ink may be a drawing of a digit.

    :param strong: The half that is stronger, without blurred edges.
    :param blots: Whether loops may be filled.
    """
    assert choice.mask is not None
    top, bottom, left, right = choice.box
    crop = choice.mask[top:bottom, left:right]
    holes = find_holes(crop, choice.pieces)
    filled = is_filled(crop & strong[top:bottom, left:right], blots=blots and not len(holes))
    if filled and not is_waisted(crop):
        return False
    if is_box(crop, holes) or is_ring(crop, holes) or is_lattice(crop, holes) or is_plus(crop):
        return False
    return not is_plate(crop, holes)


def _is_drawn(gray: Gray) -> bool:
    """Whether a program drew the picture."""
    return sum(map(bool, Image.fromarray(gray).histogram())) <= _DRAWN


def ink_box(mask: Mask) -> tuple[int, int, int, int]:
    """Bounds of the ink without specks of dust.

    On a grid of about 64 cells a side, the box is that of the ink in cells where there is, with the cells
    around, an eighth as much as where there is most.
    """
    cell = max(mask.shape) // 64
    if cell > 1:
        near = framed(coverage(mask, cell).astype(np.int32), 2)
        near = near[:-2] + near[1:-1] + near[2:]
        near = (near[:, :-2] + near[:, 1:-1] + near[:, 2:])[
            1:-1, 1:-1
        ]  # the sum of each cell and those around
        top, bottom, left, right = (cell * edge for edge in bounds(near >= near.max() / 8))
        inner = bounds(mask[top:bottom, left:right])
        return top + inner[0], top + inner[1], left + inner[2], left + inner[3]
    return bounds(mask)
