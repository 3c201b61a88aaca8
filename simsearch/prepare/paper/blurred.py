"""A drawing out of focus: smooth paper and blurred strokes explain all that is seen; no page is searched.

Ink and its blur are fitted together. The blur is taken for Gaussian, as that of a lens out of focus was by
Pentland, "A New Sense for Depth of Field", IEEE Transactions on Pattern Analysis and Machine Intelligence
9(4), 1987. Rulings, shadows and print are sharper than the strokes, or are left over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from simsearch.prepare.paper.components import Mask
from simsearch.prepare.paper.normalize import bounds
from simsearch.prepare.paper.plain import Drawing, choose_one, ink_box, is_drawing
from simsearch.prepare.paper.ranks import quantiles
from simsearch.prepare.paper.surface import Gray, Levels, Surface, fit_paper, places, surface_terms, two_grays

_SIDE = 112  # pixels a side at which it is looked for
_SHARP = 0.36  # of the contrast, from one pixel to the next: a blur is less steep
_BLURS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # standard deviations, in pixels
_BLURRED = 1.5  # from this one on
_ROUNDS = 3
_LEAST = 40  # gray levels between paper and ink
_MOST = 0.09  # of the ink's longer side: of what is blurred more, no digit can be read
_LEFT = 0.1  # of the ink's strength: the deviation that may be left over,
_LEFT_BESIDE = 0.25  # and nearly all of it on paper
_HOPELESS = 0.2  # so much is never left over at first where a drawing is found
_NEARLY_ALL = 0.98  # of the paper
_STRONG = 0.75  # of its strength: loops that blur has filled are open
_INK = 0.5  # of its strength: where a blurred edge was before,
_SKIRT, _NOISE = 0.3, 0.1  # what still counts for the digit's size, and what does not count at all

_Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Paper, and strokes of one strength and blur, that come nearest to a picture."""

    blur: float
    strength: float  # gray levels; negative where the ink is darker than the paper
    paper: Surface
    ink: Levels  # (h, w), 1 where the ink is as strong as that
    rest: float  # the standard deviation of what is left over, as a share of the strength
    beside: float  # what is left over beside the ink is less nearly everywhere

    @property
    def explains(self) -> bool:
        """Whether next to nothing is left over."""
        return abs(self.strength) >= _LEAST and self.rest <= _LEFT and self.beside <= _LEFT_BESIDE


def find_blurred(gray: Gray, dark: bool | None) -> Drawing | None:
    """Find one thing that is drawn out of focus; None if there are several, or anything else is seen.

    What reaches the picture's edge is a gleam, a wiped board, the corner of a shadow.

    :param dark: Whether the ink is darker than the paper; None decides by what differs more from the paper.
    """
    small = np.asarray(Image.fromarray(gray).reduce(max(1, -(-max(gray.shape) // _SIDE))))
    if _is_sharp(small):
        return None
    fit = _fitted(small, dark)
    if fit is None or not fit.explains:
        return None
    mask = fit.ink > _INK
    if not mask.any():
        return None
    top, bottom, left, right = box = bounds(mask)
    if fit.blur > _MOST * max(bottom - top, right - left):
        return None
    choice = choose_one(mask, box, gray)
    if choice is None or choice.cut or not is_drawing(choice, fit.ink > _STRONG, blots=True):
        return None
    return _drawing(gray, fit)


def _is_sharp(gray: Gray) -> bool:
    """Whether grays change within a pixel or two."""
    levels = gray.astype(np.int16)
    steps = max(int(np.abs(np.diff(levels, axis=axis)).max(initial=0)) for axis in (0, 1))
    return steps > _SHARP * int(np.ptp(gray))


def _fitted(gray: Gray, dark: bool | None) -> _Fit | None:
    """Fit paper and ink by turns with what is ink, from where Otsu's threshold leaves it."""
    ink = gray - fit_paper(gray)[0]
    if dark is None:
        dark = bool(-ink.min() > ink.max())
    if dark:
        ink = -ink
    scaled = (ink * (255 / max(float(ink.max()), 1.0))).clip(0, 255).astype(np.uint8)
    mask = scaled > sum(two_grays(scaled)) / 2
    terms = surface_terms(*places(gray.shape)).T.copy()  # (6, S)
    products, grays = np.einsum("is,js->ij", terms, terms), gray.ravel().astype(np.float64)
    fit = None
    for _ in range(_ROUNDS):
        if not mask.any() or mask.all():
            return None
        fit = _best(gray, grays, terms, products, mask)
        if fit.blur < _BLURRED or (fit.strength < 0) != dark or fit.rest > _HOPELESS:
            return None
        mask = fit.ink > _INK
    return fit


def _best(gray: Gray, grays: _Values, terms: _Values, products: _Values, mask: Mask) -> _Fit:
    """The blur of a mask with which it and a surface come nearest to a picture: by the normal equations.

    Sums are taken without BLAS, whose threads cost more than they save here.

    :param grays: The picture, (S,).
    :param terms: Of surfaces, (6, S).
    :param products: Of these with one another, (6, 6).
    """
    inked = Image.fromarray(mask.view(np.uint8) * np.uint8(255))
    sums, square = np.einsum("is,s->i", terms, grays), float(np.einsum("s,s->", grays, grays))
    best: tuple[float, float, _Values, _Values] | None = None
    for blur in _BLURS:
        spread = np.asarray(inked.filter(ImageFilter.GaussianBlur(blur)), np.float64).ravel() / 255
        matrix, right = np.empty((7, 7)), np.append(sums, np.einsum("s,s->", spread, grays))
        matrix[:6, :6] = products
        matrix[6, :6] = matrix[:6, 6] = np.einsum("is,s->i", terms, spread)
        matrix[6, 6] = np.einsum("s,s->", spread, spread)
        found = np.linalg.lstsq(matrix, right)[0]
        left = square - float(found @ right)  # the squares that are left over
        if best is not None and left >= best[0]:
            break  # blurs beyond the best are worse
        best = (left, blur, found, spread)
    assert best is not None
    left, blur, found, spread = best
    paper, strength = Surface(found[:6]), float(found[6])
    away = (grays - np.einsum("is,i->s", terms, found[:6])) / (strength or 1.0)  # (S,)
    over = np.abs(away - spread)
    beside = quantiles(over[~mask.ravel()], _NEARLY_ALL)[0]
    rest = float(np.sqrt(max(left, 0.0) / len(grays))) / max(abs(strength), 1e-3)
    return _Fit(blur, strength, paper, away.reshape(gray.shape).astype(np.float32), rest, beside)


def _drawing(gray: Gray, fit: _Fit) -> Drawing:
    """The ink in full size, cropped to it."""
    dark, most = fit.strength < 0, abs(fit.strength)
    ink = gray - fit.paper.at(*places(gray.shape))
    if dark:
        ink = -ink
    mask = ink > _SKIRT * most
    top, bottom, left, right = ink_box(mask)
    return Drawing(ink[top:bottom, left:right], mask[top:bottom, left:right], _NOISE * most, dark)
