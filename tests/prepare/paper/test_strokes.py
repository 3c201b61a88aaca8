"""strokes.py, overshoot.py: lines of pixels kept as words of bits are what plain loops over them give."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from simsearch.prepare.paper.overshoot import _reaches_past
from simsearch.prepare.paper.strokes import (
    BOX,
    OFFSETS,
    PLACES,
    SIDE,
    Lines,
    Strokes,
    ink_along_lines,
    lines_of_square,
    pixels,
)


def scribble(seed: int, share: float) -> Lines:
    """Random ink in the box in the middle, in blocks so that there are stretches."""
    rng = np.random.default_rng(seed)
    small = np.zeros((SIDE, SIDE), bool)
    edge = (SIDE - BOX) // 2
    ink = rng.random((BOX // 4, BOX // 4)) < share
    small[edge : edge + BOX, edge : edge + BOX] = ink.repeat(4, 0).repeat(4, 1)
    return ink_along_lines(small)


def stretches_of(line: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of each stretch of true pixels."""
    found, place = [], 0
    for value, group in groupby(line.tolist()):
        length = len(list(group))
        if value:
            found.append((place, place + length))
        place += length
    return found


def test_no_ink_lies_beyond_the_places_of_a_line() -> None:
    whole = np.zeros((SIDE, SIDE), bool)
    edge = (SIDE - BOX) // 2
    whole[edge : SIDE - edge + 1, edge : SIDE - edge + 1] = True  # and a pixel more: fine strokes are widened
    ink = ink_along_lines(whole).ink
    assert not ink[..., :2].any()
    assert not ink[..., -2:].any()
    assert lines_of_square().shape == ink.shape
    assert len(PLACES) == 64


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_words_hold_what_the_lines_do(share: float) -> None:
    along = scribble(1, share)
    bits = (along.words[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    np.testing.assert_array_equal(bits.astype(bool), along.ink)
    np.testing.assert_array_equal(pixels(along.words), along.ink.sum(axis=2))
    counts = [[len(stretches_of(line)) for line in of_angle] for of_angle in along.ink]
    np.testing.assert_array_equal(along.stretches(), counts)
    first, last = along.outermost()
    for angle, inked in enumerate(along.ink.any(axis=1)):
        assert (first[angle], last[angle]) == (np.flatnonzero(inked)[0], np.flatnonzero(inked)[-1])


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_straight_strokes_are_the_longest_of_each_line_with_gaps_of_one_filled(share: float) -> None:
    along = scribble(2, share)
    strokes = along.straight_strokes()
    expected = []
    for angle, of_angle in enumerate(along.ink):
        for offset, line in enumerate(of_angle):
            closed = line.copy()
            closed[1:-1] |= line[:-2] & line[2:]
            found = stretches_of(closed)
            length = max((end - start for start, end in found), default=0)
            if length >= 18:
                start, end = next((start, end) for start, end in found if end - start == length)
                expected.append((angle, offset, start, end))
    assert len(expected) > 20
    ours = zip(
        *(of.tolist() for of in (strokes.angle, strokes.offset, strokes.start, strokes.end)), strict=True
    )
    assert list(ours) == expected


def test_how_far_a_stroke_sticks_out_is_counted_as_by_hand() -> None:
    line = np.zeros((2, 64), bool)
    line[0, 20:40] = True  # 20 pixels of the rest on one line,
    line[1, 25:30] = True  # 5 on another
    words = np.packbits(line, axis=1, bitorder="little").view("<u8").T.repeat(4, axis=0)  # (S, O)
    none = np.zeros(4, np.int64)
    strokes = Strokes(none, none, np.array([13, 14, 13, 13]), np.array([47, 47, 46, 45]))
    #      by 7 at both ends; by 6 at the first; by 6 at the last; by 5 there
    reaches = _reaches_past(strokes, words, np.full(4, 7))
    assert reaches.tolist() == [True, False, False, False]
    assert _reaches_past(strokes, words, np.array([8, 6, 6, 5])).tolist() == [False, True, True, True]
    little = words & np.uint64((1 << 30) - 1 & ~((1 << 22) - 1))  # 13 pixels, of which 2 % is none
    assert len(OFFSETS) > 2
    assert _reaches_past(strokes, little, np.full(4, 7)).tolist() == [True] * 4
    assert _reaches_past(strokes, little & np.uint64((1 << 26) - 1), np.full(4, 7)).tolist() == [False] * 4
