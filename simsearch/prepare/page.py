"""A digit anywhere on a page -> its ink alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from simsearch.prepare.choose import Choice, choose
from simsearch.prepare.components import Mask, find_components, grown
from simsearch.prepare.normalize import stroke_width
from simsearch.prepare.rulings import remove_rulings
from simsearch.prepare.shapes import is_drawing
from simsearch.prepare.steps import ALL, Steps
from simsearch.prepare.tophat import Grey, Share, closing, ink_share, sliding

_WIDTHS = (0.13, 0.22, 0.36, 0.6, 1.0)  # of the closing's square, as shares of the shorter side
_STRONG = 0.42  # of the strongest ink
_NOISES = 5
_SUPPORT = 0.75
_CLEAR = 2.0
_MOST = 0.6  # of the ink is the digit: rulings are not looked for
_FAINTEST = 0.09
_LARGE = 560  # pixels of the longer side: larger pictures are reduced
_SMALL = 112  # pixels of the shorter side: smaller pictures are enlarged


@dataclass(frozen=True, eq=False)
class Found:
    """A digit's ink and how it was found."""

    ink: Share  # (h, w) cropped
    noise: float
    dark: bool
    choice: Choice
    rulings: float  # thickness of the lines that were taken out
    score: float
    share: Share
    paper: Grey
    support: float
    clear: float  # how much stronger than what is left over
    sure: bool


def find_on_page(grey: Grey, *, dark: bool | None = None, steps: Steps = ALL) -> Found | None:
    """Find the digit: of both polarities, the one that explains the picture better."""
    if min(grey.shape) < _SMALL:
        factor = -(-_SMALL // min(grey.shape))
        size = (grey.shape[1] * factor, grey.shape[0] * factor)
        grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))
    factor = -(-max(grey.shape) // _LARGE)
    if factor > 1:
        grey = np.asarray(Image.fromarray(grey).reduce(factor))
    first = None if dark is False else _find(grey, True, steps)
    if dark or (first and first.sure):
        return first
    second = _find(grey, False, steps)
    return max((one for one in (first, second) if one), key=lambda one: one.score, default=None)


def _find(grey: Grey, dark: bool, steps: Steps) -> Found | None:
    view = grey if dark else 255 - grey
    shorter = min(grey.shape)
    best = None
    for width in _WIDTHS:
        k = max(3, round(width * shorter)) | 1
        paper = closing(view, k)
        share, noise = ink_share(view, paper)
        found = _find_in(view, share, noise, dark, paper, steps)
        if found is None:
            continue
        if best is None or found.score > best.score * 1.05:
            best = found
        if found.support > 0.96 and 2.5 * stroke_width(found.ink) < k:
            break
    return best


def _find_in(view: Grey, share: Share, noise: float, dark: bool, paper: Grey, steps: Steps) -> Found | None:
    smooth = box3(share)
    least = max(_FAINTEST, _NOISES * noise)
    taken, gone = smooth, np.zeros(share.shape, bool)
    for _ in range(3):
        peak = float(taken.max())
        if peak < least:
            return None
        strong = max(least, _STRONG * peak)
        mask = taken > strong
        choice = choose(mask, smooth)
        lines = 0.0
        tries = [choice]
        if steps.rulings and (choice.mask is None or choice.edge or choice.alone < _MOST):
            cleared, lines = remove_rulings(mask)
            if lines:
                tries.append(choose(cleared, smooth))
        found = None
        for one in tries:
            if good(one, share.shape):
                made = _made(view, share, noise, dark, paper, one, lines, mask, gone)
                if (
                    made.support > _SUPPORT
                    and made.clear > _CLEAR
                    and (found is None or made.score > found.score)
                ):
                    found = made
        if found:
            return found
        for one in [choose(mask, smooth, cut=True), *([choose(cleared, smooth, cut=True)] if lines else [])]:
            if good(one, share.shape):
                made = _made(view, share, noise, dark, paper, one, lines, mask, gone)
                if (
                    made.support > _SUPPORT
                    and made.clear > _CLEAR
                    and (found is None or made.score > found.score)
                ):
                    found = made
        if found:
            return found
        # what was found is a frame or the like: look for fainter ink
        gone |= grown(mask, 3)
        taken = np.where(gone, 0, taken)
    return None


def good(choice: Choice, shape: tuple[int, int]) -> bool:
    if choice.mask is None:
        return False
    top, bottom, left, right = choice.box
    crop = choice.mask[top:bottom, left:right]
    return is_drawing(crop)


def _made(
    view: Grey,
    share: Share,
    noise: float,
    dark: bool,
    paper: Grey,
    choice: Choice,
    lines: float,
    mask: Mask,
    gone: Mask,
) -> Found:
    top, bottom, left, right = choice.box
    margin = 6
    height, width = share.shape
    cut = (
        slice(max(top - margin, 0), min(bottom + margin, height)),
        slice(max(left - margin, 0), min(right + margin, width)),
    )
    assert choice.mask is not None
    inside = choice.mask[cut]
    if choice.pieces > 1:
        inside = _supported(view[cut], paper[cut], inside, gone[cut])
    own = grown(inside, 2)
    others = mask[cut] & ~inside
    own &= ~grown(others, 1) | inside
    ink = np.where(own, share[cut], 0).astype(np.float32)
    paper_share = 1 - float(mask.mean())
    side = max(bottom - top, right - left) / max(share.shape)
    support = edge_support(view[cut], paper[cut], inside, gone[cut])
    score = (
        paper_share**2
        * choice.explained
        * np.sqrt(side)
        * support**4
        * (1.2 if dark else 1)
        * (0.7 if choice.cut else 1)
    )
    rest = share[::3, ::3][~grown(mask, 2)[::3, ::3]]
    usual, most = np.percentile(rest, (80, 98)) if rest.size else (0, 0)
    mean = float(share[cut][inside].mean())
    clear = max(mean / max(most, 1e-3), mean / max(2 * usual, 1e-3))
    if (
        lines
        and stroke_width(inside.astype(np.float32)) < 1.4 * lines
        and inside.sum() < 2 * lines * max(inside.shape)
    ):
        clear = 0.0  # a piece of a line that was not taken out
    sure = (
        support > 0.9
        and not choice.cut
        and not choice.several
        and lighter_around(view, paper, choice, mask) > 0.85
    )
    return Found(ink, noise, dark, choice, lines, float(score), share, paper, support, clear, sure)


def _supported(view: Grey, paper: Grey, inside: Mask, gone: Mask) -> Mask:
    """The largest piece, and those others that end at lighter paper."""
    parts = find_components(inside)
    keep = parts.area == parts.area.max()
    for piece in np.flatnonzero(~keep):
        only = np.zeros(len(parts), bool)
        only[piece] = True
        keep[piece] = edge_support(view, paper, parts.mask(only), gone) > 0.85
    return parts.mask(keep)


def lighter_around(view: Grey, paper: Grey, choice: Choice, mask: Mask) -> float:
    """The share of a band around the digit, half its size away, that is lighter than the ink: paper goes on there."""
    assert choice.mask is not None
    top, bottom, left, right = choice.box
    reach = round(0.4 * max(bottom - top, right - left))
    height, width = view.shape
    y0, y1, x0, x1 = (
        max(top - reach, 0),
        min(bottom + reach, height) - 1,
        max(left - reach, 0),
        min(right + reach, width) - 1,
    )
    band = [(y0, slice(x0, x1)), (y1, slice(x0, x1)), (slice(y0, y1), x0), (slice(y0, y1), x1)]
    greys, inked = (np.concatenate([of[place] for place in band]) for of in (view, mask))
    if inked.mean() > 0.5:
        return 0.0
    ink, around = (float(np.mean(of[choice.mask])) for of in (view, paper))
    return float(np.mean(greys[~inked] > (ink + around) / 2))


def edge_support(view: Grey, paper: Grey, inside: Mask, gone: Mask) -> float:
    """The share of the surroundings of ink that is lighter than it, and not merely cut off by the closing."""
    reach = 7
    darkest = sliding(sliding(view, reach, reach, np.minimum, 255).T, reach, reach, np.minimum, 255).T
    lightest = sliding(sliding(paper, reach, reach, np.maximum, 0).T, reach, reach, np.maximum, 0).T
    ring = grown(inside, 3) & ~grown(inside, 2)
    if not ring.any():
        return 0.0
    low = darkest[ring].astype(np.float32)
    return float(np.mean((view[ring] > low + 0.4 * (lightest[ring] - low)) & ~gone[ring]))


def box3(values: Share) -> Share:
    """The mean of each pixel and its eight neighbors."""
    framed = np.pad(values, 1, mode="edge")
    rows = framed[:-2] + framed[1:-1] + framed[2:]
    mean: Share = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9)
    return mean
