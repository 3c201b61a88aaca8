"""A digit anywhere on a page -> its ink alone: paper, ink, rulings and components, for both polarities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from simsearch.prepare.paper.choose import Choice, Pieces, choose, is_crossing_line
from simsearch.prepare.paper.components import Mask, grown
from simsearch.prepare.paper.crossed import is_crossed_out
from simsearch.prepare.paper.evidence import (
    Evidence,
    is_even,
    is_soft,
    lighter_beside,
    may_suffice,
    supported,
    weigh,
)
from simsearch.prepare.paper.normalize import Ink, bounds, stroke_width
from simsearch.prepare.paper.plain import INVERTED
from simsearch.prepare.paper.ranks import median, quantiles
from simsearch.prepare.paper.rulings import remove_rulings
from simsearch.prepare.paper.shapes import (
    find_holes,
    is_border,
    is_box,
    is_filled,
    is_lattice,
    is_plate,
    is_plus,
    is_ring,
)
from simsearch.prepare.paper.steps import ALL, Steps
from simsearch.prepare.paper.tophat import Gray, Layer, Share, lay_paper, mean_of_9

_WIDTHS = (0.13, 0.22, 0.36, 0.6, 1.0)  # of the closing's square, as shares of the shorter side
_LARGE = 560  # pixels of the longer side: larger pages are reduced
_COARSE = 300  # at which it is looked for first, and
_ENOUGH = 64  # pixels of the digit that suffice
_SMALL = 112  # pixels of the shorter side: smaller ones are enlarged
_STRONG = 0.42  # of the strongest ink: what is weaker is a ruling, a shadow
_NOISES = 5  # standard deviations of the noise, and
_FAINTEST = 0.12  # of the paper's light: ink takes more than these
_LOOKS = 3  # each at what the ones before left over
_LATER_LOOKS = 2  # with a wider closing, where those were in vain
_MOST = 0.6  # of the ink: where the digit is more, rulings are not looked for
_SURE, _GOES_ON = 0.9, 0.85  # and so much that the other polarity need not be tried
_IN_SHADOW, _GOOD = 0.42, 0.25  # the same where paper in a shadow is no lighter than ink in the light
_DARK_PAGE = 96  # gray: where half of the page is darker, light ink is looked for first
_WIDE = 2.5  # times the stroke's width: a closing this wide sees the paper under it
_WHOLE_RIM = 0.96
_DIFFERENT = 0.02  # of the ink: so little of it changes nothing
_CROPPED = 0.9  # of both sides: a picture of which this much is inked was cropped to its ink
_SHADE = 0.75  # of the lightest paper: darker paper lies in a shadow, or is a desk
FULL = 0.2  # of the strongest ink: what is weaker does not count for the size


@dataclass(frozen=True, eq=False)
class Found:
    """A digit and how it was found."""

    ink: Ink  # (h, w), cropped to it, levels of 255
    noise: float
    layer: Layer
    mask: Mask  # (H, W), all ink
    chosen: Mask  # (H, W), the digit
    choice: Choice
    evidence: Evidence
    lines: float  # thickness of rulings that were taken out, in pixels; 0 without any
    cleared: Mask  # (H, W), all ink without rulings

    @property
    def dark(self) -> bool:
        """Whether the ink is darker than the paper."""
        return self.layer.dark

    def notes(self) -> tuple[str, ...]:
        """What was done that the user may not expect."""
        paper = self.layer.paper[::4, ::4]
        low, high = quantiles(paper if self.dark else 255 - paper, 0.05, 0.95)
        said = {
            INVERTED: self.dark,
            "a shadow or uneven light evened out": self.dark and low < _SHADE * high,
            "lines across the page left out": bool(self.lines),
            "a frame or what else lies at the edge left out": self.choice.edge,
            "what is drawn around the digit left out": self.choice.around,
            "what lies beside the digit left out": self.choice.beside,
        }
        return tuple(note for note, holds in said.items() if holds)

    @property
    def score(self) -> float:
        """How well it explains the page."""
        return self.evidence.score(self.choice, self.mask.shape, self.dark)

    @property
    def sure(self) -> bool:
        """Whether the other polarity need not be tried."""
        plain = not self.choice.cut and not self.choice.several and self.evidence.support > _SURE
        good, goes_on = self.score > _GOOD, self.evidence.goes_on
        if self.dark:
            return plain and (goes_on > _GOES_ON or (good and goes_on > _IN_SHADOW))
        return plain and good and goes_on > _GOES_ON


def find_on_page(gray: Gray, *, dark: bool | None = None, steps: Steps = ALL) -> Found | None:
    """Find the digit: of both polarities, the one that explains the page better.

    :param gray: uint8 (H, W), of any size.
    :param dark: Whether the ink is darker than the paper, if that is known.
    """
    widths: Sequence[float] = _WIDTHS
    if steps.coarse and max(gray.shape) > _COARSE:
        found = _find_either(_to_size(gray, _COARSE), dark, steps, widths)
        if found and found.sure and max(found.ink.shape) >= _ENOUGH:
            return found
        if not found:  # thick strokes would have been: what is left are fine ones
            widths = _WIDTHS[:1]
    return _find_either(_to_size(gray, _LARGE), dark, steps, widths)


def _find_either(gray: Gray, dark: bool | None, steps: Steps, widths: Sequence[float]) -> Found | None:
    """Of both polarities, the one that explains the page better."""
    light_first = steps.polarity and median(gray[::4, ::4]) < _DARK_PAGE
    found = []
    for inked in ((False, True) if light_first else (True, False)) if dark is None else (dark,):
        one = _find(gray, inked, steps, widths)
        if one and (one.sure or not steps.polarity):
            return one
        found += [one] if one else []
    return max(found, key=lambda one: one.score, default=None)


def _to_size(gray: Gray, most: int) -> Gray:
    if min(gray.shape) < _SMALL:
        factor = -(-_SMALL // min(gray.shape))
        size = (gray.shape[1] * factor, gray.shape[0] * factor)
        gray = np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BICUBIC))
    factor = -(-max(gray.shape) // most)
    return np.asarray(Image.fromarray(gray).reduce(factor)) if factor > 1 else gray


def _find(gray: Gray, dark: bool, steps: Steps, widths: Sequence[float]) -> Found | None:
    """With wider and wider closings, until one is wide enough for the stroke."""
    best: Found | None = None
    in_vain: Mask | None = None  # the ink in which nothing was found
    for width in widths if steps.closing else _WIDTHS[-1:]:
        side = max(3, round(width * min(gray.shape))) | 1
        layer = lay_paper(gray, side, dark)
        strength = mean_of_9(layer.share)
        mask = _strongest(layer, strength)
        if mask is None or (in_vain is not None and _are_alike(mask, in_vain)):
            continue
        found = _look(layer, strength, mask, steps, _LOOKS if in_vain is None else _LATER_LOOKS)
        if found is None:
            in_vain = mask
            continue
        if best is None or found.score > best.score * 1.05:
            best = found
        if found.evidence.support > _WHOLE_RIM and _WIDE * stroke_width(found.ink) < side:
            break
    return best


def _are_alike(mask: Mask, other: Mask) -> bool:
    """Whether two masks differ in next to nothing."""
    return bool(np.count_nonzero(mask ^ other) <= _DIFFERENT * np.count_nonzero(other))


def _strongest(layer: Layer, strength: Share) -> Mask | None:
    """The strongest ink, bool (H, W); None where all is paper."""
    peak, least = float(strength.max()), max(_FAINTEST, _NOISES * layer.noise)
    return strength > max(least, _STRONG * peak) if peak >= least else None


def _look(layer: Layer, strength: Share, mask: Mask | None, steps: Steps, looks: int) -> Found | None:
    """Look for a digit in the strongest ink; where it is a frame or the like, in what is left over."""
    left, gone = strength, np.zeros(strength.shape, bool)
    for _ in range(looks):
        if mask is None:
            return None
        lines, cleared, pieces = 0.0, mask, [Pieces(mask, strength)]
        first = choose(pieces[0], parts=steps.parts)
        if steps.rulings and (first.mask is None or first.edge or first.alone < _MOST):
            cleared, lines = remove_rulings(mask)
            pieces += [Pieces(cleared, strength)] if lines else []
        tried: set[tuple[object, ...]] = set()
        for cut in (False, True):
            choices = _new((choose(one, cut=cut, parts=steps.parts) for one in pieces), tried)
            found = max(
                _seen(layer, choices, mask, cleared, gone, lines, steps),
                key=lambda one: one.score,
                default=None,
            )
            if found:
                return found
        gone |= grown(mask, 3)
        left = np.where(gone, 0, left)
        mask = _strongest(layer, left)
    return None


def _new(choices: Iterable[Choice], tried: set[tuple[object, ...]]) -> Iterator[Choice]:
    """Those that were not tried before, which they are then."""
    for choice in choices:
        if choice.mask is None:
            continue
        key = (*choice.box, choice.pieces, choice.explained, np.count_nonzero(choice.mask))
        if key not in tried:
            tried.add(key)
            yield choice


def _seen(
    layer: Layer, choices: Iterable[Choice], mask: Mask, cleared: Mask, gone: Mask, lines: float, steps: Steps
) -> Iterator[Found]:
    """Those choices that look like a digit, and for which there is evidence."""
    paper = 1 - float(mask.mean())
    for choice in choices:
        assert choice.mask is not None
        if steps.support and not may_suffice(choice, paper, mask.shape, layer.dark):
            continue
        if steps.shapes and not _is_drawn(choice.mask, choice, steps):
            continue
        rim = lighter_beside(layer, choice, gone)
        chosen = supported(choice, rim) if steps.support else choice.mask
        evidence = weigh(layer, choice, chosen, rim, mask, cleared, lines)
        suffices = evidence.suffices(choice, mask.shape, layer.dark) and is_even(layer, choice, chosen)
        if suffices or not steps.support:
            ink = _ink_of(layer, chosen, mask)
            if steps.support and _is_cut_off(choice, mask.shape) and is_soft(ink):
                continue
            yield Found(ink, 255 * layer.noise, layer, mask, chosen, choice, evidence, lines, cleared)


def _is_cut_off(choice: Choice, shape: tuple[int, ...]) -> bool:
    """Whether it runs into the picture's edge, and the picture is not one that was cropped to it."""
    top, bottom, left, right = choice.box
    return choice.cut and (bottom - top < _CROPPED * shape[0] or right - left < _CROPPED * shape[1])


def _is_drawn(mask: Mask, choice: Choice, steps: Steps) -> bool:
    """Whether it may be a digit, or one that was crossed out, which has more holes."""
    top, bottom, left, right = choice.box
    crop = mask[top:bottom, left:right]
    if choice.cut and (is_border(mask) or is_crossing_line(mask, choice.box)):
        return False
    if is_filled(crop):
        return False
    holes = find_holes(crop, choice.pieces)
    if is_box(crop, holes) or is_ring(crop, holes) or is_plus(crop) or is_plate(crop, holes):
        return False
    return not is_lattice(crop, holes) or (steps.crossed and is_crossed_out(crop))


def _ink_of(layer: Layer, chosen: Mask, mask: Mask) -> Ink:
    """The chosen ink with its blurred edges, and without what else is ink; cropped to it."""
    own = grown(chosen, 2)
    own &= ~grown(mask & ~chosen, 1) | chosen
    ink = np.where(own, 255 * layer.share, np.float32(0))
    top, bottom, left, right = bounds(ink > FULL * ink.max())
    return ink[top:bottom, left:right]
