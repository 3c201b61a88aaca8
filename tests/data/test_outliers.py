"""Pictures of no class: what each kind is made of, and that those of training are of every kind."""

import numpy as np
import pytest
from PIL import Image

from simsearch.data.outliers import mixtures, scenes
from simsearch.data.outliers.kinds import CANVAS
from simsearch.data.outliers.letters import STROKES, draw_letter, letter
from simsearch.data.outliers.make import EXPOSED, draw_exposed

SIDE = 28
BAR, RING = np.zeros((2, SIDE, SIDE), np.uint8)
BAR[4:24, 12:16] = 255
RING[6:22, 6:22] = 200
RING[9:19, 9:19] = 0
IMAGES, LABELS = np.stack([BAR, RING]), np.array([1, 0])
ALONE = IMAGES[:1]  # the bar


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def small(picture: Image.Image) -> np.ndarray:
    """What was enlarged, at its own size again."""
    width, height = picture.size
    return np.asarray(picture.resize((width // 6, height // 6), Image.Resampling.BOX)).astype(int)


def test_halves_are_of_two_classes_and_meet_in_the_middle() -> None:
    for seed in range(12):
        mixed = small(mixtures.halves(IMAGES, LABELS, rng(seed)))
        beside = [np.hstack([a[:, :14], b[:, 14:]]) for a, b in ((BAR, RING), (RING, BAR))]
        above = [np.vstack([a[:14], b[14:]]) for a, b in ((BAR, RING), (RING, BAR))]
        assert min(np.abs(mixed - made).max() for made in beside + above) <= 90  # the enlarging's overshoot
        assert np.abs(mixed - BAR).max() > 150
        assert np.abs(mixed - RING).max() > 150


def test_a_piece_has_from_a_third_to_three_fifths_of_a_digit() -> None:
    for seed in range(40):
        inked = (small(mixtures.piece(ALONE, LABELS[:1], rng(seed))) > 127).sum()
        assert 0.25 * 80 <= inked <= 0.75 * 80  # of 20 by 4, cut along either side


def test_a_piece_of_an_empty_picture_is_empty() -> None:
    empty = np.zeros((1, SIDE, SIDE), np.uint8)
    assert not np.asarray(mixtures.piece(empty, LABELS[:1], rng(0))).any()


def test_a_row_has_two_to_four_digits_beside_or_two_above_each_other() -> None:
    counted = set()
    for seed in range(60):
        picture = small(mixtures.row(ALONE, LABELS[:1], rng(seed))) > 127
        across = int((np.diff(np.pad(picture.any(axis=0), 1).astype(int)) == 1).sum())
        down = int((np.diff(np.pad(picture.any(axis=1), 1).astype(int)) == 1).sum())
        counted.add((across, down))
    assert counted == {(2, 1), (3, 1), (4, 1), (1, 2)}


def test_a_frame_lies_at_the_edge_and_a_ruling_everywhere() -> None:
    inner = slice(CANVAS // 4, -CANVAS // 4)
    for seed in range(20):
        framed = np.asarray(scenes.framed(ALONE, LABELS[:1], rng(seed))) > 60
        border = framed.copy()
        border[50:-50, 50:-50] = False
        assert border.any()
        assert framed[inner, inner].any()  # the digit
        ruled = np.asarray(scenes.ruled(ALONE * 0, LABELS[:1], rng(seed))) > 40
        assert ruled.any(axis=0).mean() > 0.95  # lines from side to side


def test_what_surrounds_a_sheet_reaches_its_edge() -> None:
    for seed in range(20):
        around = np.asarray(scenes.surrounded(ALONE * 0, LABELS[:1], rng(seed)))
        edge = np.concatenate([around[0], around[-1], around[:, 0], around[:, -1]])
        assert (edge >= 120).mean() > 0.2


def test_a_digit_is_crossed_by_two_or_three_strokes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one a 7 would be a 7 still."""
    drawn: list[tuple[np.ndarray, np.ndarray]] = []

    class Pen:
        def line(self, ends: list[float], *, fill: int, width: int) -> None:
            assert fill == 255
            assert 6 <= width < 22
            drawn.append((np.array(ends[:2]), np.array(ends[2:])))

    monkeypatch.setattr(scenes, "_scene", lambda *_: (Image.new("L", (CANVAS, CANVAS)), Pen()))
    counts = set()
    for seed in range(40):
        drawn.clear()
        scenes.crossed(ALONE, LABELS[:1], rng(seed))
        counts.add(len(drawn))
        for start, end in drawn:
            assert 140 <= np.linalg.norm(end - start) <= 260
            assert (np.abs((start + end) / 2 - CANVAS / 2) <= 25).all()  # through the digit
    assert counts == {2, 3}


@pytest.mark.parametrize("name", STROKES)
def test_every_letter_is_in_the_picture_whole(name: str) -> None:
    for seed in range(5):
        ink = np.asarray(draw_letter(STROKES[name], rng(seed)))
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        assert rows[-1] - rows[0] > 40
        assert columns[-1] - columns[0] > 20
        edges = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
        assert not edges.any()


def test_strokes_that_meet_in_a_corner_meet_still() -> None:
    """A Y, drawn loosely: all three of its strokes end in one corner, so the ink is of one piece."""
    from scipy import ndimage

    for seed in range(30):
        ink = np.asarray(draw_letter(STROKES["Y"], rng(seed))) > 0
        assert ndimage.label(ink, np.ones((3, 3)))[1] == 1
    assert letter(IMAGES, LABELS, rng(3)).tobytes() == letter(IMAGES, LABELS, rng(3)).tobytes()


def test_training_is_shown_every_kind_as_often_as_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = draw_exposed(IMAGES, LABELS, 60, rng(0))
    assert made.shape == (60, SIDE, SIDE)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, draw_exposed(IMAGES, LABELS, 60, rng(0)))
    assert (draw_exposed(IMAGES, LABELS, 60, rng(1)) != made).any()

    from simsearch.data.outliers import make

    counts = dict.fromkeys(EXPOSED, 0)

    def count(maker, *_: object) -> np.ndarray:
        counts[maker] += 1
        return BAR

    monkeypatch.setattr(make, "_prepared", count)
    draw_exposed(IMAGES, LABELS, 16_000, rng(2))
    total = sum(EXPOSED.values())
    for maker, weight in EXPOSED.items():
        assert counts[maker] == pytest.approx(16_000 * weight / total, rel=0.15)
