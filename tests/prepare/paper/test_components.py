"""components.py: every pixel belongs to the component that a flood fill would give it."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.prepare.paper.components import find_components, grown


def flooded(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """The 8-connected components, filled one pixel after the other, in the order of their first pixels."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    for start in sorted(left):
        if start not in left:
            continue
        filled, edge = {start}, [start]
        left.discard(start)
        while edge:
            y, x = edge.pop()
            for near in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                if near in left:
                    left.discard(near)
                    filled.add(near)
                    edge.append(near)
        found.append(filled)
    return found


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.41, 0.6, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (23, 31)])
def test_components_are_those_of_a_flood_fill(share: float, shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(3).random(shape) < share
    parts, expected = find_components(mask), flooded(mask)
    assert parts.area.tolist() == [len(pixels) for pixels in expected]
    values = np.random.default_rng(4).random(shape).astype(np.float32)
    for number, pixels in enumerate(expected):
        rows, columns = [y for y, _ in pixels], [x for _, x in pixels]
        box = (parts.top[number], parts.bottom[number], parts.left[number], parts.right[number])
        assert box == (min(rows), max(rows) + 1, min(columns), max(columns) + 1)
        chosen = np.arange(len(parts)) == number
        assert {(int(y), int(x)) for y, x in np.argwhere(parts.mask(chosen))} == pixels
        assert parts.sums(values)[number] == pytest.approx(values[rows, columns].sum(), abs=1e-4)
        edges = (rows.count(0), rows.count(shape[0] - 1), columns.count(0), columns.count(shape[1] - 1))
        assert tuple(parts.contact()[number]) == edges


def test_pixels_that_touch_at_a_corner_belong_together_and_across_the_edge_do_not() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    assert find_components(mask).area.tolist() == [2, 1, 1]


def test_a_mask_grows_by_squares() -> None:
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    assert np.argwhere(grown(mask, 1)).tolist() == [[y, x] for y in (1, 2, 3) for x in (2, 3, 4)]
    assert grown(mask, 2).sum() == 25


def test_a_component_alone_is_cropped_to_it() -> None:
    mask = np.array([[0, 1, 0, 0, 1], [0, 1, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
    found = find_components(mask)
    np.testing.assert_array_equal(found.crop(0), [[1, 0], [1, 1]])
    np.testing.assert_array_equal(found.crop(1), [[1], [1]])
