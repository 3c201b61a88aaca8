"""Pictures of bars: easily drawn, easily told apart, and left by simsearch as they are."""

from pathlib import Path

import numpy as np
from PIL import Image

from simsearch.prepare.prepare import prepare_image


def stroke(height: int) -> np.ndarray:
    """A bright bar on black with a notch at this height: different heights are different pictures."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255
    pixels[height, [12, 16]] = 255
    return pixels


def draw(path: Path, height: int = 18, kind: str | None = None) -> np.ndarray:
    """Write a picture without loss and return the pixels that simsearch makes of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(stroke(height)).save(path, kind)
    return prepare_image(stroke(height)).pixels
