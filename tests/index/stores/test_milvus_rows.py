"""Which rows of a collection are items, worked out by hand; no server is needed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from simsearch.index.stores.milvus.candidates import Candidates
from simsearch.index.stores.milvus.rows import ABSENT, Rows


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_without_changes_rows_are_ids_up_to_the_last():
    rows = Rows(5)
    assert rows.is_plain
    assert rows.are_live(ids(0, 5, 6)).tolist() == [True, True, False]
    assert rows.ids_of(ids(3, 1)).tolist() == [3, 1]
    assert rows.rows_of(ids(-1, 0, 5, 6)).tolist() == [ABSENT, 0, 5, ABSENT]


def test_what_was_removed_or_revised_is_found_in_its_row_or_not_at_all():
    rows = Rows(5).changed(8, left=ids(), gone=ids(4), revised=ids(1, 3), rows=ids(7, 6))
    assert_array_equal(rows.removed, ids(1, 3, 4))
    assert rows.are_live(np.arange(10)).tolist() == [
        True,
        False,
        True,
        False,
        False,
        True,
        True,
        True,
        True,
        False,
    ]
    assert rows.ids_of(ids(0, 7, 6, 8)).tolist() == [0, 1, 3, 8]
    assert rows.rows_of(ids(0, 1, 3, 4, 6, 7, 8, 9)).tolist() == [0, 7, 6, ABSENT, ABSENT, ABSENT, 8, ABSENT]


def test_an_item_that_is_revised_again_or_removed_leaves_its_row():
    once = Rows(5).changed(7, left=ids(), gone=ids(), revised=ids(1, 3), rows=ids(6, 7))
    twice = once.changed(8, left=ids(), gone=ids(1), revised=ids(3), rows=ids(8))
    assert_array_equal(twice.removed, ids(1, 3, 6, 7))
    assert twice.rows_of(ids(1, 3, 7, 8)).tolist() == [ABSENT, 8, ABSENT, ABSENT]
    assert twice.ids_of(ids(8)).tolist() == [3]


def test_what_a_killed_writer_left_never_counts():
    rows = Rows(5).changed(9, left=ids(6, 8), gone=ids(), revised=ids(), rows=ids())
    assert_array_equal(rows.removed, ids(6, 8))
    assert rows.rows_of(ids(5, 6, 7, 8, 9)).tolist() == [5, ABSENT, 7, ABSENT, 9]


def test_candidates_are_the_best_only_if_none_that_counts_can_lie_behind_them():
    east, north = [1.0, 0.0], [0.0, 1.0]
    rough = np.array([1, 1, 1, 0.5], np.float32)
    found = Candidates(rough, ids(1, 2, 6, 9), np.array([east, east, east, north], np.float32))
    live = found.live(Rows(7).changed(7, left=ids(), gone=ids(2), revised=ids(4), rows=ids(6)))
    assert live.ids.tolist() == [1, 4]  # 2 is gone, 6 is item 4's, 9 is not committed
    assert found.holds_the_best(2, 4, live)
    assert not found.holds_the_best(3, 4, live)  # more than four might be asked for
    assert found.holds_the_best(3, 5, live)  # five were, and there are no more
    hits = live.ordered(np.array(east, np.float32), 2)
    assert hits.ids.tolist() == [1, 4]
    plain = found.live(Rows(9))
    assert plain is found
    assert not found.holds_the_best(4, 4, plain)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_tie_at_the_end_of_the_candidates_may_go_on_behind_it(k: int):
    found = Candidates(np.ones(3, np.float32), ids(3, 5, 7), np.ones((3, 1), np.float32))
    assert not found.holds_the_best(k, 3, found.live(Rows(9)))
