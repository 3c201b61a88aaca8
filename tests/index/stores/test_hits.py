import numpy as np

from simsearch.index.stores.base import NOTHING, Hits
from simsearch.index.stores.hits import join, leave_out, widen

NAN = float("nan")


def hits(*rows: list[tuple[float, int]]) -> Hits:
    return Hits(
        np.array([[score for score, _ in row] for row in rows], np.float32),
        np.array([[item for _, item in row] for row in rows], np.int64),
    )


def same(found: Hits, expected: Hits) -> None:
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert (found.scores.dtype, found.ids.dtype) == (np.float32, np.int64)


def test_a_query_s_own_item_is_left_out_and_the_others_cut() -> None:
    found = hits(
        [(1.0, 5), (0.9, 7), (0.8, 1)],  # itself first
        [(0.9, 7), (0.9, 9), (0.8, 5)],  # itself last
        [(0.7, 1), (0.6, 2), (0.5, 3)],  # itself not among them
        [(0.7, 1), (0.6, 2), (0.5, 3)],  # nothing to leave out
    )
    items = np.array([5, 5, 5, NOTHING])
    expected = hits([(0.9, 7), (0.8, 1)], [(0.9, 7), (0.9, 9)], [(0.7, 1), (0.6, 2)], [(0.7, 1), (0.6, 2)])
    same(leave_out(found, items, 2), expected)


def test_a_small_gallery_leaves_empty_places_only_to_who_was_left_out() -> None:
    found = hits([(1.0, 0), (0.5, 1)], [(1.0, 1), (0.5, 0)])
    same(
        leave_out(found, np.array([0, NOTHING]), 3),
        hits([(0.5, 1), (NAN, NOTHING), (NAN, NOTHING)], [(1.0, 1), (0.5, 0), (NAN, NOTHING)]),
    )


def test_answers_are_joined_by_score_then_id_each_item_once() -> None:
    first = hits([(0.9, 4), (0.5, 2), (0.4, 8)])
    second = hits([(0.9, 1), (0.5, 2), (NAN, NOTHING)])
    same(join(first, second, 3), hits([(0.9, 1), (0.9, 4), (0.5, 2)]))
    same(
        join(first, second, 6),
        hits([(0.9, 1), (0.9, 4), (0.5, 2), (0.4, 8), (NAN, NOTHING), (NAN, NOTHING)]),
    )


def test_hits_are_widened_only_where_they_are_narrow() -> None:
    same(widen(hits([(0.5, 1)]), 3), hits([(0.5, 1), (NAN, NOTHING), (NAN, NOTHING)]))
    same(widen(hits([(0.5, 1)]), 1), hits([(0.5, 1)]))
