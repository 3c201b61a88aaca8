"""Encoders that were read and checked before, by the SHA-256 of their files: they need not be checked again.

Checking a graph takes as long as an answer. The files that ship with simsearch are the same everywhere, so
what `reading.py` says of them is written here; a test compares the two.
"""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """What `reading.py` found in a graph."""

    takes: str  # name of the input
    dtype: str  # of the input's numbers
    gives: str  # name of the output that holds the vectors
    dim: int
    parameters: int
    batch: int  # how many pictures are given at once
    fixed: int | None  # how many must be
    checked: range  # batch sizes whose cost lies within the budget


# Of digits as they are prepared here, read as they are; see `OnnxEncoder`. The first two ship, the last did.
KNOWN = {
    "541ba9452c96789e3e6f20093da30d62582b2ef2e90216a884b93b1f1a4bac68": Reading(
        "images", "float32", "vectors", 128, 453_637, 64, None, range(1, 65)
    ),
    "f31983b6fc7abad890e758f79149b834bce152b64254840a433f7fec04374440": Reading(
        "images", "float32", "vectors", 128, 890_965, 64, None, range(1, 65)
    ),
    "b1c1818cf7a64241dbf491f24f9cea4347164038d40f9e1fbca41117c305a423": Reading(
        "images", "float32", "vectors", 128, 453_637, 64, None, range(1, 65)
    ),
}
