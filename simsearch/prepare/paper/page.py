"""A digit anywhere on a page -> its ink alone: paper, ink, rulings and components, for both polarities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from simsearch.prepare.paper.choose import Choice, Pieces, choose
from simsearch.prepare.paper.components import Mask, grown
from simsearch.prepare.paper.crossed import is_crossed_out
from simsearch.prepare.paper.evidence import Evidence, lighter_beside, supported, weigh
from simsearch.prepare.paper.normalize import Ink, bounds, stroke_width
from simsearch.prepare.paper.plain import INVERTED
from simsearch.prepare.paper.ranks import median, quantiles
from simsearch.prepare.paper.rulings import remove_rulings
from simsearch.prepare.paper.shapes import is_border, is_drawing, is_filled
from simsearch.prepare.paper.steps import ALL, Steps
from simsearch.prepare.paper.tophat import Gray, Layer, lay_paper, mean_of_9

_WIDTHS = (0.13, 0.22, 0.36, 0.6, 1.0)  # of the closing's square, as shares of the shorter side
_LARGE = 560  # pixels of the longer side: larger pages are reduced
_COARSE = 300  # at which it is looked for first, and
_ENOUGH = 64  # pixels of the digit that suffice
_SMALL = 112  # pixels of the shorter side: smaller ones are enlarged
_STRONG = 0.42  # of the strongest ink: what is weaker is a ruling, a shadow
_NOISES = 5  # standard deviations of the noise, and
_FAINTEST = 0.12  # of the paper's light: ink takes more than these
_LOOKS = 3  # each at what the ones before left over
_MOST = 0.6  # of the ink: where the digit is more, rulings are not looked for
_SURE, _GOES_ON = 0.9, 0.85  # and so much that the other polarity need not be tried
_IN_SHADOW, _GOOD = 0.42, 0.25  # the same where paper in a shadow is no lighter than ink in the light
_DARK_PAGE = 96  # gray: where half of the page is darker, light ink is looked for first
_WIDE = 2.5  # times the stroke's width: a closing this wide sees the paper under it
_WHOLE_RIM = 0.96
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
            "uneven light evened out": self.dark and low < _SHADE * high,
            "lines across the page left out": bool(self.lines),
            "what lies at the edge left out": self.choice.edge,
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
    if steps.coarse and max(gray.shape) > _COARSE:
        found = _find_either(_to_size(gray, _COARSE), dark, steps)
        if found and found.sure and max(found.ink.shape) >= _ENOUGH:
            return found
    return _find_either(_to_size(gray, _LARGE), dark, steps)


def _find_either(gray: Gray, dark: bool | None, steps: Steps) -> Found | None:
    """Of both polarities, the one that explains the page better."""
    light_first = steps.polarity and median(gray[::4, ::4]) < _DARK_PAGE
    found = []
    for inked in ((False, True) if light_first else (True, False)) if dark is None else (dark,):
        one = _find(gray, inked, steps)
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


def _find(gray: Gray, dark: bool, steps: Steps) -> Found | None:
    """With wider and wider closings, until one is wide enough for the stroke."""
    best: Found | None = None
    for width in _WIDTHS if steps.closing else _WIDTHS[-1:]:
        side = max(3, round(width * min(gray.shape))) | 1
        found = _look(lay_paper(gray, side, dark), steps)
        if found is None:
            continue
        if best is None or found.score > best.score * 1.05:
            best = found
        if found.evidence.support > _WHOLE_RIM and _WIDE * stroke_width(found.ink) < side:
            break
    return best


def _look(layer: Layer, steps: Steps) -> Found | None:
    """Look for a digit in the strongest ink; where it is a frame or the like, in what is left over."""
    strength = mean_of_9(layer.share)
    least = max(_FAINTEST, _NOISES * layer.noise)
    left, gone = strength, np.zeros(strength.shape, bool)
    for _ in range(_LOOKS):
        peak = float(left.max())
        if peak < least:
            return None
        mask = left > max(least, _STRONG * peak)
        lines, cleared, pieces = 0.0, mask, [Pieces(mask, strength)]
        first = choose(pieces[0], parts=steps.parts)
        if steps.rulings and (first.mask is None or first.edge or first.alone < _MOST):
            cleared, lines = remove_rulings(mask)
            pieces += [Pieces(cleared, strength)] if lines else []
        for cut in (False, True):
            choices = (choose(one, cut=cut, parts=steps.parts) for one in pieces)
            found = max(
                _seen(layer, choices, mask, cleared, gone, lines, steps),
                key=lambda one: one.score,
                default=None,
            )
            if found:
                return found
        gone |= grown(mask, 3)
        left = np.where(gone, 0, left)
    return None


def _seen(
    layer: Layer, choices: Iterator[Choice], mask: Mask, cleared: Mask, gone: Mask, lines: float, steps: Steps
) -> Iterator[Found]:
    """Those choices that look like a digit, and for which there is evidence."""
    for choice in choices:
        if choice.mask is None:
            continue
        if steps.shapes and not _is_drawn(choice.mask, choice, steps):
            continue
        rim = lighter_beside(layer, choice, gone)
        chosen = supported(choice, rim) if steps.support else choice.mask
        evidence = weigh(layer, choice, chosen, rim, mask, cleared, lines)
        if not steps.support or evidence.suffices(choice, evidence.score(choice, mask.shape, layer.dark)):
            ink = _ink_of(layer, chosen, mask)
            yield Found(ink, 255 * layer.noise, layer, mask, chosen, choice, evidence, lines, cleared)


def _is_drawn(mask: Mask, choice: Choice, steps: Steps) -> bool:
    """Whether it may be a digit, or one that was crossed out, which has more holes."""
    top, bottom, left, right = choice.box
    crop = mask[top:bottom, left:right]
    if choice.cut and is_border(mask):
        return False
    return is_drawing(crop) or (steps.crossed and not is_filled(crop) and is_crossed_out(crop))


def _ink_of(layer: Layer, chosen: Mask, mask: Mask) -> Ink:
    """The chosen ink with its blurred edges, and without what else is ink; cropped to it."""
    own = grown(chosen, 2)
    own &= ~grown(mask & ~chosen, 1) | chosen
    ink = np.where(own, 255 * layer.share, np.float32(0))
    top, bottom, left, right = bounds(ink > FULL * ink.max())
    return ink[top:bottom, left:right]
