"""Confident learning over neighbors: every number worked by hand."""

import numpy as np
import pytest

from simsearch.stats.label_errors import NONE, count_votes, find_label_errors, find_overlaps

# Three items of each class; two of each item's three neighbors count, for no class has more others.
LABELS = np.array([0, 0, 0, 1, 1, 1])
NEIGHBORS = np.array([[0, 0, 1], [0, 1, 0], [1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 1, 0]])


def test_shares_are_of_the_neighbors_that_count() -> None:
    votes = count_votes(LABELS, NEIGHBORS)
    assert votes.own.tolist() == [1, 0.5, 0, 1, 0.5, 1]
    assert votes.shares.tolist() == [[1, 1, 0], [0.5, 0.5, 0], [1, 1, 0], [1, 1, 0], [0.5, 0.5, 0], [1, 1, 0]]
    assert votes.neighbors[:, 2].tolist() == [NONE] * 6
    assert votes.judged.all()


def test_an_error_is_confident_from_the_mean_share_of_the_other_class_on() -> None:
    found = find_label_errors(count_votes(LABELS, NEIGHBORS))
    # Mean own shares are 1/2 and 5/6. Items 2 and 4 reach the other, item 1 does not.
    assert found.is_confident.tolist() == [False, False, True, False, True, False]
    assert found.suggested.tolist() == [NONE, 1, 1, NONE, 0, NONE]
    assert found.suggested_share.tolist() == [0, 0.5, 1, 0, 0.5, 0]
    assert found.margin.tolist() == [1, 0, -1, 1, 0, 1]
    assert found.estimated == pytest.approx(2)  # one of three counted in each class of three


def test_the_estimate_scales_what_was_counted_to_the_class() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    mixed = [[1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 1, 2]]  # the last reaches no threshold: 3/4 of class 0 do
    near = np.array([*mixed, [1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]])
    found = find_label_errors(count_votes(np.append(labels, 2), np.vstack([near, [0, 0, 0]])))
    # Thresholds: (0 + 1 + 1 + 1/3) / 4 = 7/12 and 1. Counted in class 0 are items 0, 1, 2; item 0 is off.
    assert found.is_confident.tolist() == [True] + [False] * 8
    assert found.estimated == pytest.approx(4 * 1 / 3)


def test_an_item_alone_in_its_class_is_not_judged() -> None:
    votes = count_votes(np.array([0, 0, 1]), np.array([[0, 1], [1, 0], [0, 0]]))
    assert votes.judged.tolist() == [True, True, False]
    found = find_label_errors(votes)
    assert np.isnan(found.margin[2])
    assert not found.is_confident.any()  # item 1's neighbor is of class 1, which has no threshold
    assert found.suggested.tolist() == [NONE, 1, NONE]


def test_missing_neighbors_count_for_nothing() -> None:
    votes = count_votes(np.array([0, 0, 0]), np.array([[0, NONE], [NONE, NONE], [0, 0]]))
    assert votes.own[[0, 2]].tolist() == [1, 1]
    assert votes.judged.tolist() == [True, False, True]


def test_overlaps_are_mean_shares_both_ways_most_first() -> None:
    found = find_overlaps(count_votes(LABELS, NEIGHBORS))
    assert (found.first.tolist(), found.second.tolist()) == ([0], [1])
    assert found.of_first == pytest.approx([0.5])  # (0 + 1/2 + 1) / 3
    assert found.of_second == pytest.approx([1 / 6])
    assert found.mean == pytest.approx([1 / 3])
    apart = find_overlaps(count_votes(np.array([0, 0, 1, 1]), np.array([[0], [0], [1], [1]])))
    assert apart.first.tolist() == []
