"""Pairs: how many of each kind, of what, and how evenly."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simsearch.stats.pairs import draw_pairs

UNEQUAL = np.array([5, 1, 9, 5, 9, 9, 5, 9, 1, 9, 9, 9])  # two 1s, three 5s, seven 9s


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("count", "same"), [(0, 0), (1, 1), (2, 1), (3, 2), (7, 4), (1000, 500)])
def test_half_of_the_pairs_rounded_up_are_of_one_class(count, same):
    table = draw_pairs(UNEQUAL, count, rng())

    assert len(table) == len(table.first) == len(table.second) == len(table.same) == count
    assert int(table.same.sum()) == same


def test_arrays_have_the_promised_dtypes():
    table = draw_pairs(UNEQUAL, 10, rng())

    assert (table.first.dtype, table.second.dtype, table.same.dtype) == (np.int64, np.int64, np.bool_)


@st.composite
def label_arrays(draw):
    """Any labels of at least two classes with at least two images each, in any order."""
    sizes = draw(st.lists(st.integers(2, 6), min_size=2, max_size=5))
    classes = draw(st.lists(st.integers(-9, 99), min_size=len(sizes), max_size=len(sizes), unique=True))
    labels = draw(st.permutations(np.repeat(classes, sizes).tolist()))
    return np.array(labels, np.int64)


@given(labels=label_arrays(), count=st.integers(0, 60), seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_every_pair_is_of_two_images_and_says_truly_whether_their_classes_agree(labels, count, seed):
    table = draw_pairs(labels, count, rng(seed))

    assert (table.first != table.second).all()
    assert ((table.first >= 0) & (table.first < len(labels))).all()
    assert ((table.second >= 0) & (table.second < len(labels))).all()
    assert np.array_equal(labels[table.first] == labels[table.second], table.same)
    assert int(table.same.sum()) == (count + 1) // 2


def test_one_seed_gives_one_table_and_another_seed_another():
    once, again, other = (draw_pairs(UNEQUAL, 50, rng(seed)) for seed in (3, 3, 4))

    for name in ("first", "second", "same"):
        assert np.array_equal(getattr(once, name), getattr(again, name))
    assert not np.array_equal(once.first, other.first)


def test_the_two_kinds_come_in_random_order():
    same = draw_pairs(UNEQUAL, 1000, rng()).same

    assert 200 < int(same[:500].sum()) < 300  # unshuffled: 500
    assert 400 < int((same[1:] != same[:-1]).sum()) < 600  # unshuffled: 1; in turns: 999


def chi_square(found, expected):
    return float(((found - expected) ** 2 / expected).sum())


def test_every_possible_pair_is_as_likely_as_the_docstring_says():
    count = 120_000
    table = draw_pairs(UNEQUAL, count, rng(7))
    size = {label: UNEQUAL.tolist().count(label) for label in UNEQUAL.tolist()}
    drawn = np.zeros((2, 12, 12), int)
    np.add.at(drawn, (table.same.astype(int), table.first, table.second), 1)

    found, expected = {True: [], False: []}, {True: [], False: []}
    for first, second in permutations(range(12), 2):
        same = bool(UNEQUAL[first] == UNEQUAL[second])
        own = size[int(UNEQUAL[first])]
        partners = own - 1 if same else 12 - own
        found[same].append(drawn[int(same), first, second])
        expected[same].append(count / 2 / 12 / partners)

    for same in (True, False):  # 50 and 82 cells: means of 50 and 82, deviations of 10 and 13
        assert sum(found[same]) == count / 2
        assert chi_square(np.array(found[same]), np.array(expected[same])) < len(found[same]) * 1.8


@pytest.mark.parametrize(
    "labels", [[], [1], [1, 2], [1, 1], [3, 3, 3, 3], [1, 1, 2], [1, 1, 2, 2, 3]], ids=str
)
def test_labels_that_leave_an_image_without_a_partner_are_refused(labels):
    with pytest.raises(ValueError, match=r"^pairs need at least two classes, and two images in each$"):
        draw_pairs(np.array(labels, np.int64), 4, rng())
