"""In what two pictures can be the same."""

from __future__ import annotations

from enum import StrEnum


class CopyKind(StrEnum):
    """How two pictures are the same, surest first."""

    FILE = "file"  # in every byte
    PIXELS = "pixels"  # in every pixel that the network saw
    NEAR = "near"  # but for size, compression, color or brightness
    MIRRORED = "mirrored"
    EDITED = "edited"  # but for a border, a cut or a small turn
