import functools
from collections.abc import Callable
from math import log2

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from simsearch.stats.retrieval import (
    RelevantRanks,
    average_precision,
    average_precision_at_r,
    capped_recall_at,
    hit_at,
    interpolated_precision,
    ndcg_at,
    precision_at,
    r_precision,
    recall_at,
    reciprocal_rank,
    relevant_ranks,
)

AT_K = (precision_at, hit_at, recall_at, capped_recall_at, ndcg_at)
METRICS = (
    *(functools.partial(metric, k=2) for metric in AT_K),
    r_precision,
    average_precision,
    average_precision_at_r,
    reciprocal_rank,
)


def ranks_of(relevance: str) -> RelevantRanks:
    """One query whose ranking is spelled out: `+-+` is relevant, not relevant, relevant."""
    scores = -np.arange(len(relevance), dtype=np.float32)[None]
    return relevant_ranks(scores, np.array([[mark == "+" for mark in relevance]]))


def test_the_ranks_of_relevant_items_follow_the_scores() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.7], [-1.0, -0.2, -3.0, 0.0]], np.float32)
    relevant = np.array([[True, True, False, False], [False, False, True, True]])
    ranks = relevant_ranks(scores, relevant)
    assert_array_equal(ranks.query, [0, 0, 1, 1])
    assert_array_equal(ranks.rank, [1, 4, 1, 4])
    assert_array_equal(ranks.relevant, [2, 2])
    assert_array_equal(ranks.position, [1, 2, 1, 2])


def test_equal_scores_rank_by_row_whichever_of_them_are_relevant() -> None:
    scores = np.full((1, 4), 0.5, np.float32)
    assert_array_equal(relevant_ranks(scores, np.array([[False, True, False, True]])).rank, [2, 4])
    assert_array_equal(relevant_ranks(scores, np.array([[True, False, True, False]])).rank, [1, 3])


def test_minus_zero_ties_with_zero_and_infinities_rank_at_the_ends() -> None:
    scores = np.array([[0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45]], np.float32)
    for item, rank in enumerate([3, 4, 1, 6, 2, 5]):
        relevant = np.zeros((1, 6), bool)
        relevant[0, item] = True
        assert_array_equal(relevant_ranks(scores, relevant).rank, [rank])


def test_a_nan_score_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        relevant_ranks(np.array([[0.0, np.nan]], np.float32), np.array([[True, False]]))


@pytest.mark.parametrize(
    ("relevance", "p1", "rprec", "ap", "ap_at_r"),
    [
        ("+++---", 1, 1, 1, 1),
        # R = 3; precisions at the hits 1/1, 2/3, 3/6; the first three ranks hold two hits.
        ("+-+--+", 1, 2 / 3, (1 + 2 / 3 + 3 / 6) / 3, (1 + 2 / 3) / 3),
        # R = 2, both last: 1/3 and 2/4.
        ("--++", 0, 0, (1 / 3 + 2 / 4) / 2, 0),
        ("-+", 0, 0, 1 / 2, 0),
        ("+", 1, 1, 1, 1),
    ],
)
def test_hand_worked_values(relevance: str, p1: float, rprec: float, ap: float, ap_at_r: float) -> None:
    ranks = ranks_of(relevance)
    assert precision_at(ranks, 1).tolist() == [p1]
    assert r_precision(ranks).tolist() == [pytest.approx(rprec, abs=1e-15)]
    assert average_precision(ranks).tolist() == [pytest.approx(ap, abs=1e-15)]
    assert average_precision_at_r(ranks).tolist() == [pytest.approx(ap_at_r, abs=1e-15)]


@pytest.mark.parametrize(
    ("relevance", "k", "precision", "hit", "recall", "capped"),
    [
        ("+-+-", 1, 1, 1, 1 / 2, 1),
        ("+-+-", 2, 1 / 2, 1, 1 / 2, 1 / 2),
        ("+-+-", 3, 2 / 3, 1, 1, 1),
        ("--+", 2, 0, 0, 0, 0),
        ("+++", 2, 1, 1, 2 / 3, 1),
        ("+-+-", 8, 2 / 8, 1, 1, 1),  # k beyond the gallery
    ],
)
def test_hand_worked_values_at_k(
    relevance: str, k: int, precision: float, hit: float, recall: float, capped: float
) -> None:
    ranks = ranks_of(relevance)
    assert precision_at(ranks, k).tolist() == [precision]
    assert hit_at(ranks, k).tolist() == [hit]
    assert recall_at(ranks, k).tolist() == [recall]
    assert capped_recall_at(ranks, k).tolist() == [capped]


@pytest.mark.parametrize(
    ("relevance", "k", "value"),
    [
        ("+", 10, 1),
        ("-+", 1, 0),
        ("-+", 2, 1 / log2(3)),
        # Ideal over all three relevant items, though only one is among the first two.
        ("-+++", 2, (1 / log2(3)) / (1 + 1 / log2(3))),
        ("+--+", 10, (1 + 1 / log2(5)) / (1 + 1 / log2(3))),
    ],
)
def test_hand_worked_ndcg(relevance: str, k: int, value: float) -> None:
    assert ndcg_at(ranks_of(relevance), k).tolist() == [pytest.approx(value, abs=1e-15)]


def test_the_reciprocal_rank_is_that_of_the_first_hit() -> None:
    assert [reciprocal_rank(ranks_of(r)).item() for r in ("+-+", "-+-", "---+")] == [1, 1 / 2, 1 / 4]


def test_interpolated_precision_is_the_best_at_that_recall_or_a_higher_one() -> None:
    # Precisions at recall 1/3, 2/3, 1: 1/2, 2/3, 3/6.
    curve = interpolated_precision(ranks_of("-++--+"), np.array([0, 1 / 3, 0.5, 2 / 3, 0.7, 1]))
    assert curve.tolist() == [pytest.approx([2 / 3, 2 / 3, 2 / 3, 2 / 3, 1 / 2, 1 / 2], abs=1e-15)]


@pytest.mark.parametrize("metric", AT_K)
def test_k_below_one_is_refused(metric: Callable[[RelevantRanks, int], NDArray[np.float64]]) -> None:
    with pytest.raises(ValueError, match="k must be at least 1, not 0"):
        metric(ranks_of("+"), 0)


def test_a_query_with_nothing_relevant_has_no_value_and_spoils_no_other() -> None:
    scores = np.array([[3, 2, 1]] * 3, np.float32)
    relevant = np.array([[True, False, False], [False, False, False], [False, True, False]])
    ranks = relevant_ranks(scores, relevant)
    assert_array_equal(precision_at(ranks, 1), [1, np.nan, 0])
    assert_array_equal(average_precision(ranks), [1, np.nan, 0.5])
    assert_array_equal(r_precision(ranks), [1, np.nan, 0])
    assert_array_equal(average_precision_at_r(ranks), [1, np.nan, 0])
    assert_array_equal(reciprocal_rank(ranks), [1, np.nan, 1 / 2])
    assert_array_equal(hit_at(ranks, 1), [1, np.nan, 0])
    assert_array_equal(recall_at(ranks, 2), [1, np.nan, 1])
    assert_array_equal(capped_recall_at(ranks, 2), [1, np.nan, 1])
    assert_array_equal(ndcg_at(ranks, 2), [1, np.nan, 1 / log2(3)])
    assert_array_equal(np.isnan(interpolated_precision(ranks, np.array([0.5]))[:, 0]), [False, True, False])


def test_negative_scores_are_no_different_from_positive_ones() -> None:
    scores = np.array([[0.9, 0.1, 0.5, 0.4]], np.float32)
    relevant = np.array([[False, True, True, False]])
    for metric in METRICS:
        assert metric(relevant_ranks(scores - 2, relevant)) == metric(relevant_ranks(scores, relevant))


@pytest.fixture(scope="module")
def random_case() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(200, 150)).astype(np.float32), rng.random((200, 150)) < 0.1


def test_average_precision_agrees_with_scikit_learn(
    random_case: tuple[NDArray[np.float32], NDArray[np.bool_]],
) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    scores, relevant = random_case
    ours = average_precision(relevant_ranks(scores, relevant))
    theirs = [sklearn_metrics.average_precision_score(r, s) for r, s in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_ranks_with_many_ties_agree_with_a_stable_sort() -> None:
    rng = np.random.default_rng(9)
    scores = rng.integers(4, size=(300, 40)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    relevant = rng.random(scores.shape) < 0.3
    ranks = relevant_ranks(scores, relevant)
    order = np.argsort(-scores, axis=1, kind="stable")
    query, place = np.nonzero(np.take_along_axis(relevant, order, axis=1))
    assert_array_equal(ranks.query, query)
    assert_array_equal(ranks.rank, place + 1)


def test_a_cut_far_beyond_the_gallery_takes_no_memory() -> None:
    ranks = ranks_of("-+")
    assert ndcg_at(ranks, 2**62).tolist() == ndcg_at(ranks, 2).tolist()


def test_ndcg_agrees_with_scikit_learn(
    random_case: tuple[NDArray[np.float32], NDArray[np.bool_]],
) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    scores, relevant = random_case
    ours = ndcg_at(relevant_ranks(scores, relevant), 10)
    theirs = [
        sklearn_metrics.ndcg_score(r[None], s[None], k=10) for r, s in zip(relevant, scores, strict=True)
    ]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_map_at_r_never_exceeds_r_precision(
    random_case: tuple[NDArray[np.float32], NDArray[np.bool_]],
) -> None:
    ranks = relevant_ranks(*random_case)
    assert (average_precision_at_r(ranks) <= r_precision(ranks)).all()
    assert (average_precision_at_r(ranks) < r_precision(ranks)).any()


def test_ranks_are_those_of_a_full_sort_whatever_lies_above_the_last_relevant_item() -> None:
    rng = np.random.default_rng(5)
    for spread in (0.0, 1.0, 5.0):  # how far relevant items lie above the others
        relevant = rng.random((40, 60)) < rng.random((40, 1))
        scores = (rng.normal(size=(40, 60)) + spread * relevant).astype(np.float32)
        scores[::3] = np.round(scores[::3])  # with ties
        order = np.argsort(-scores, axis=1, kind="stable")
        expected = np.nonzero(np.take_along_axis(relevant, order, axis=1))

        found = relevant_ranks(scores, relevant)

        assert_array_equal(found.query, expected[0])
        assert_array_equal(found.rank, expected[1] + 1)
