"""What speaks for a piece of a page being ink: where it ends, what goes on around it, how it stands out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simsearch.prepare.paper.choose import Choice
from simsearch.prepare.paper.components import Mask, find_components, grown
from simsearch.prepare.paper.normalize import Ink, stroke_width
from simsearch.prepare.paper.ranks import quantiles
from simsearch.prepare.paper.sides import evenness
from simsearch.prepare.paper.tophat import Gray, Layer, sliding

_SUPPORT, _CLEAR, _LEVELS, _SCORE = 0.9, 2.0, 12.0, 0.12  # the least evidence of ink
_SUPPORT_CUT, _SCORE_CUT, _SCORE_WHOLE = 0.74, 0.1, 0.025  # the same where the edge cuts it, or all around
_CONTRAST = 0.1  # of the light
_EVEN = 0.72  # of the ink's depth under the lighter side of strokes, that under the darker is
_WHOLE = 0.8  # of the picture's sides
_SOFT = 6.0  # pixels of an edge, from which on it is a gleam's or a shadow's
_PIECES = 8  # of no digit are there more
_RIM = 3  # pixels from the ink, at which there must be paper again
_NEAR = 7  # pixels within which the ink's gray and the paper's are looked up
_LIGHTER = 0.4  # of the way from the ink's gray to the paper's
_PIECE = 0.85  # of a piece's rim is paper, or it belongs to something else
_LEAST_AROUND = 0.2  # cut close, nothing is seen around it
_BANDS = (0.4, 0.2)  # of the digit's side: how far away paper must go on, nearer where the first is ink


@dataclass(frozen=True)
class Evidence:
    """On one choice of ink."""

    support: float  # share of its rim that is lighter
    clear: float  # times that it is as strong as what is left over
    goes_on: float  # share of a band around it that is lighter
    paper: float  # share of the page that is not ink
    levels: float  # gray levels between it and the paper
    contrast: float  # the same, as a share of the lighter of both

    def suffices(self, choice: Choice, shape: tuple[int, int], dark: bool) -> bool:
        """Whether it is enough to take a choice for ink; cut close, it shows less of its rim."""
        support = _SUPPORT_CUT if choice.cut else _SUPPORT
        if choice.pieces > _PIECES or self.score(choice, shape, dark) < _least(choice, shape):
            return False
        if not choice.cut and self.goes_on <= _LEAST_AROUND:
            return False
        return self.support > support and self.clear > _CLEAR and self.is_seen

    @property
    def is_seen(self) -> bool:
        """Whether it stands out: a gleam on light paper is next to no lighter than that."""
        return self.levels > _LEVELS and self.contrast > _CONTRAST

    def score(self, choice: Choice, shape: tuple[int, int], dark: bool) -> float:
        """How well a choice explains a page: what is large, ends at paper, and leaves little over."""
        around = max(self.goes_on, _LEAST_AROUND)
        return _most(choice, self.paper, shape, dark) * self.support**8 * around


def may_suffice(choice: Choice, paper: float, shape: tuple[int, int], dark: bool) -> bool:
    """Whether a choice is worth gathering evidence for."""
    return choice.pieces <= _PIECES and _most(choice, paper, shape, dark) >= _least(choice, shape)


def _least(choice: Choice, shape: tuple[int, int]) -> float:
    """The score that a choice needs: less where a picture was cut to the digit, and shows little paper."""
    if not choice.cut:
        return _SCORE
    top, bottom, left, right = choice.box
    whole = bottom - top >= _WHOLE * shape[0] and right - left >= _WHOLE * shape[1]
    return _SCORE_WHOLE if whole else _SCORE_CUT


def _most(choice: Choice, paper: float, shape: tuple[int, int], dark: bool) -> float:
    """The score of a choice for which all speaks that lies around it.

    :param paper: Share of the page that is not ink.
    """
    top, bottom, left, right = choice.box
    side = max(bottom - top, right - left) / max(shape)
    usual = (1.2 if dark else 1.0) * (0.7 if choice.cut else 1.0)  # dark ink, away from the edge
    return float(paper**2 * choice.explained * np.sqrt(side) * usual)


def weigh(
    layer: Layer, choice: Choice, inside: Mask, rim: Mask, mask: Mask, cleared: Mask, lines: float
) -> Evidence:
    """Gather the evidence.

    :param inside: The chosen ink, bool (H, W).
    :param mask: All ink.
    :param cleared: All ink without rulings.
    :param rim: What is lighter beside the choice: `lighter_beside`.
    :param lines: The thickness of rulings, in pixels; 0 without any.
    """
    cut = around(choice, mask.shape)
    inked = inside[cut]
    rest = layer.share[::3, ::3][~grown(mask, 2)[::3, ::3]]
    usual, most = quantiles(rest, 0.8, 0.98) if rest.size else (0.0, 0.0)
    mean = float(layer.share[cut][inked].mean())
    ink, paper = (float(np.mean(of[cut][inked])) for of in (layer.view, layer.paper))
    clear = max(mean / max(most, 1e-3), mean / max(2 * usual, 1e-3))
    if lines and _is_piece_of_line(inked, (mask & ~cleared)[cut], lines):
        clear = 0.0
    return Evidence(
        support=edge_support(inked, rim),
        clear=clear,
        goes_on=_lighter_around(layer.view, layer.paper, choice, mask),
        paper=1 - float(mask.mean()),
        levels=paper - ink,
        contrast=(paper - ink) / max(paper if layer.dark else 255 - ink, 1.0),
    )


def is_even(layer: Layer, choice: Choice, inside: Mask) -> bool:
    """Whether the paper is alike on both sides of the strokes of a choice: no fold, no end of a shadow.

    :param inside: The chosen ink, bool (H, W).
    """
    cut = around(choice, inside.shape)
    inked = inside[cut]
    return evenness(layer.view[cut], inked, stroke_width(inked.astype(np.float32))) > _EVEN


def is_soft(ink: Ink) -> bool:
    """Whether ink, cropped to it, takes many pixels from a quarter of its strength to three quarters.

    What is cut off by the edge of the picture and as soft as that is a gleam, a fold, dust on a wiped board.
    """
    share = ink / ink.max()
    inked, between = share > 0.5, (share > 0.25) & (share < 0.75)
    changes = np.count_nonzero(inked[1:] != inked[:-1]) + np.count_nonzero(inked[:, 1:] != inked[:, :-1])
    return bool(np.count_nonzero(between) > _SOFT * changes)


def around(choice: Choice, shape: tuple[int, ...], margin: int = _NEAR) -> tuple[slice, slice]:
    """The rows and columns of a choice, and a few more."""
    top, bottom, left, right = choice.box
    return (
        slice(max(top - margin, 0), min(bottom + margin, shape[0])),
        slice(max(left - margin, 0), min(right + margin, shape[1])),
    )


def supported(choice: Choice, rim: Mask) -> Mask:
    """The chosen ink without those of its pieces that do not end at paper, bool (H, W)."""
    assert choice.mask is not None
    if choice.pieces < 2:
        return choice.mask
    cut = around(choice, choice.mask.shape)
    parts = find_components(choice.mask[cut])
    keep = parts.area == parts.area.max()
    for piece in np.flatnonzero(~keep):
        only = np.zeros(len(parts), bool)
        only[piece] = True
        keep[piece] = edge_support(parts.mask(only), rim) > _PIECE
    inside = np.zeros_like(choice.mask)
    inside[cut] = parts.mask(keep)
    return inside


def lighter_beside(layer: Layer, choice: Choice, gone: Mask) -> Mask:
    """Where around a choice it is lighter than ink that is near, and not merely cut off by the closing.

    :param gone: What was looked at before and left out: no paper, bool (H, W).
    :return: bool, of the rows and columns of `around`.
    """
    cut = around(choice, gone.shape)
    view, paper = layer.view[cut], layer.paper[cut]
    darkest = sliding(sliding(view, _NEAR, _NEAR, np.minimum, 255).T, _NEAR, _NEAR, np.minimum, 255).T
    lightest = sliding(sliding(paper, _NEAR, _NEAR, np.maximum, 0).T, _NEAR, _NEAR, np.maximum, 0).T
    lighter: Mask = view > darkest + np.float32(_LIGHTER) * (lightest - darkest)
    return lighter & ~gone[cut]


def edge_support(inside: Mask, lighter: Mask) -> float:
    """The share of the surroundings of ink that is lighter than it."""
    near = grown(inside, _RIM - 1)
    rim = grown(near, 1) & ~near
    return float(np.mean(lighter[rim])) if rim.any() else 0.0


def _lighter_around(view: Gray, paper: Gray, choice: Choice, mask: Mask) -> float:
    """The share of a band around the digit, some way off, that is lighter than the ink: paper goes on."""
    assert choice.mask is not None
    top, bottom, left, right = choice.box
    for share in _BANDS:
        rows, columns = around(choice, view.shape, round(share * max(bottom - top, right - left)))
        y0, y1, x0, x1 = rows.start, rows.stop - 1, columns.start, columns.stop - 1
        band = [(y0, columns), (y1, columns), (rows, x0), (rows, x1)]
        grays, inked = (np.concatenate([of[place] for place in band]) for of in (view, mask))
        if inked.mean() <= 0.5:
            ink, beside = (float(np.mean(of[choice.mask])) for of in (view, paper))
            return float(np.mean(grays[~inked] > (ink + beside) / 2))
    return 0.0


def _is_piece_of_line(inside: Mask, removed: Mask, lines: float) -> bool:
    """Whether it is as thin as the rulings, as straight, and goes on where they were taken out."""
    if not (grown(inside, _RIM) & removed).any():
        return False
    width = stroke_width(inside.astype(np.float32))
    return width < 1.4 * lines and int(inside.sum()) < 1.3 * width * max(inside.shape)
