"""How alike two pictures are, pixel by pixel, at a common size: what a vector alone does not say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.index.bundle import Bundle
from simsearch.prepare.inputs import Picture

SIDE = 32  # pixels a side of what is compared
_FLAT = 1.0  # gray levels; below, a picture has no pattern that could agree

Rows = NDArray[np.int64]
Grays = NDArray[np.float32]  # (n, SIDE, SIDE), of mean 0 and length 1; all 0 for a flat picture


class Agreement(NamedTuple):
    """Correlations of grays of P pairs of pictures, in [-1, 1], float32 (P,)."""

    as_is: NDArray[np.float32]
    mirrored: NDArray[np.float32]  # with one of them turned over


class Comparable:
    """The pictures of some rows of an index, small and gray, ready to be compared."""

    def __init__(self, bundle: Bundle, rows: Rows) -> None:
        """Make small what the index keeps of these rows; they may repeat."""
        self._rows = np.unique(rows)
        self._grays = np.zeros((len(self._rows), SIDE, SIDE), np.uint8)
        for place, row in enumerate(self._rows.tolist()):
            self._grays[place] = _small(bundle.thumbnails[row])

    def grays(self, rows: Rows) -> Grays:
        """Those of these rows, (n, SIDE, SIDE)."""
        grays = self._grays[np.searchsorted(self._rows, rows)].astype(np.float32)
        grays -= grays.mean(axis=(1, 2), keepdims=True)
        deviation = np.sqrt(np.square(grays).mean(axis=(1, 2), keepdims=True))
        return np.where(deviation < _FLAT, 0, grays / (SIDE * np.maximum(deviation, _FLAT)))


def agreement(first: Grays, second: Grays) -> Agreement:
    """How the pictures of P pairs agree."""
    return Agreement(
        np.einsum("pij,pij->p", first, second),
        np.einsum("pij,pij->p", first, second[:, :, ::-1]),
    )


def _small(picture: Picture) -> Picture:
    image = Image.fromarray(picture).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(image)
