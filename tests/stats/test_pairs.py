"""Pairs: how many of each kind, of what, how evenly; and what is measured on them, by hand."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simsearch.index.stores.base import gather
from simsearch.search.searcher import Searcher
from simsearch.stats.calibration import PlattScaling
from simsearch.stats.pairs import draw_pairs, equal_error_rate, roc_auc, verify_pairs
from simsearch.stats.reliability import measure_reliability, share_interval

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


@pytest.mark.parametrize("labels", [[], [1], [1, 2], [1, 1], [3, 3, 3, 3], [5, 6, 7]], ids=str)
def test_labels_that_give_no_pairs_of_one_kind_are_refused(labels):
    with pytest.raises(ValueError, match=r"^pairs need at least two classes, and two images in one$"):
        draw_pairs(np.array(labels, np.int64), 4, rng())


def test_an_image_that_is_alone_in_its_class_is_paired_with_others_only():
    labels = np.array([4, 1, 1, 2, 2, 9])
    table = draw_pairs(labels, 2_000, rng())
    assert (labels[table.first] == labels[table.second]).tolist() == table.same.tolist()
    assert table.same.sum() == 1_000
    assert not (table.first == table.second).any()
    assert set(table.first[table.same]) == {1, 2, 3, 4}
    assert set(table.first[~table.same]) == set(table.second[~table.same]) == set(range(6))


# --- what is measured on pairs

E0, E1 = np.eye(2, dtype=np.float32)


def test_roc_auc_by_hand_with_ties_counting_half() -> None:
    scores, same = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert roc_auc(scores, same) == (1 + 1 + 0.5 + 1) / 4
    assert roc_auc(scores, ~same) == 0.5 / 4
    assert roc_auc(np.zeros(4), same) == 0.5


@pytest.mark.parametrize(
    ("positive", "negative", "rate"),
    [
        ([0.9, 0.8], [0.2, 0.1], 0.0),
        ([0.1, 0.2], [0.8, 0.9], 1.0),
        ([0.9, 0.3], [0.5, 0.1], 0.5),
        # Between 0.6 (FAR 0, FRR 3/4) and ties at 0.5 (FAR 2/4, FRR 0): they cross at 3/10.
        ([0.6, 0.5, 0.5, 0.5], [0.5, 0.5, 0.2, 0.1], 0.3),
    ],
)
def test_equal_error_rate_by_hand(positive: list[float], negative: list[float], rate: float) -> None:
    same = np.array([True] * len(positive) + [False] * len(negative))
    assert equal_error_rate(np.array(positive + negative), same) == pytest.approx(rate, abs=1e-12)


def test_rates_agree_with_scikit_learn() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    same = rng.random(3_000) < 0.4
    scores = np.round(rng.normal(same * 1.0, 1), 1)  # rounded: many ties
    assert roc_auc(scores, same) == pytest.approx(sklearn_metrics.roc_auc_score(same, scores), abs=1e-12)
    false_accept, true_accept, _ = sklearn_metrics.roc_curve(same, scores, drop_intermediate=False)
    grid = np.linspace(0, 1, 200_001)
    false_reject = 1 - np.interp(grid, false_accept, true_accept)
    assert equal_error_rate(scores, same) == pytest.approx(
        grid[np.argmin(np.abs(grid - false_reject))], abs=1e-5
    )


def test_pair_accuracy_is_the_share_on_the_right_side_of_probability_one_half() -> None:
    vectors, labels = np.stack([E0, E0, E1, E1]), np.array([0, 0, 1, 1])
    for projection, accuracy in (
        (PlattScaling(10, -5), 1.0),
        (PlattScaling(10, -20), 0.5),
        (PlattScaling(-10, 5), 0.0),
    ):
        figures = verify_pairs(vectors, labels, projection, count=100)
        assert figures is not None
        assert (figures.pairs, figures.accuracy, figures.roc_auc) == (100, accuracy, 1.0)
        assert figures.threshold == -projection.bias / projection.weight
    assert figures.histogram.same == (*[0] * 49, 50)
    assert figures.histogram.different == (50, *[0] * 49)
    assert verify_pairs(vectors, np.array([0, 3, 1, 2]), projection) is None


def test_calibration_by_hand() -> None:
    # Two bins of 15 in use: 0.1 twice (one right), 0.9 twice (both right).
    figures = measure_reliability(np.array([0.1, 0.1, 0.9, 0.9]), np.array([True, False, True, True]))
    assert figures.ece == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)
    assert figures.brier == pytest.approx((0.81 + 0.01 + 0.01 + 0.01) / 4)
    assert figures.counts == (0, 2, *[0] * 11, 2, 0)
    assert figures.observed == (None, 0.5, *[None] * 11, 1.0, None)
    assert figures.predicted == (None, pytest.approx(0.1), *[None] * 11, pytest.approx(0.9), None)


def test_probabilities_of_zero_and_one_fall_into_the_outer_bins() -> None:
    figures = measure_reliability(np.array([0.0, 1.0]), np.array([False, True]))
    assert (figures.ece, figures.brier) == (0, 0)
    assert (figures.counts[0], figures.counts[-1]) == (1, 1)
    for wrong in ([1.1], [-0.1], [np.nan], []):
        with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\]"):
            measure_reliability(np.array(wrong), np.zeros(len(wrong), bool))


def test_the_shipped_models_figures_agree_with_scikit_learn(shipped: Searcher) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    bundle = shipped.bundle
    assert bundle.labels is not None
    vectors, projection = gather(bundle.store).vectors, bundle.manifest.projection
    figures = verify_pairs(vectors, bundle.labels, projection, count=20_000, seed=3)
    assert figures is not None
    table = draw_pairs(bundle.labels, 20_000, np.random.default_rng(3))
    scores = (vectors[table.first].astype(float) * vectors[table.second]).sum(axis=1)
    probabilities = projection.probability(scores)
    assert figures.roc_auc == pytest.approx(sklearn_metrics.roc_auc_score(table.same, scores), abs=1e-6)
    brier = sklearn_metrics.brier_score_loss(table.same, probabilities)
    assert figures.calibration.brier == pytest.approx(brier, abs=1e-6)
    accuracy = sklearn_metrics.accuracy_score(table.same, probabilities > 0.5)
    assert figures.accuracy == pytest.approx(accuracy, abs=1e-6)
    interval = figures.accuracy_interval
    assert interval.low < figures.accuracy < interval.high
    # Wider than if the 20,000 pairs were independent, because they share 10,000 images.
    independent = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 20_000)
    assert interval.high - interval.low > 2 * independent


def test_the_interval_of_a_share_is_wilsons() -> None:
    """Against the values that R's `binom.confint(method = "wilson")` and textbooks give."""
    for right, count, low, high in ((0, 10, 0.0, 0.27753), (5, 10, 0.23659, 0.76341), (21, 21, 0.84536, 1.0)):
        interval = share_interval(right / count, count)
        assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    for share, count in ((0.5, 0), (1.1, 5)):
        with pytest.raises(ValueError, match="no interval"):
            share_interval(share, count)
