import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from simsearch.metrics import (
    RelevantRanks,
    average_precision,
    average_precision_at_r,
    precision_at,
    r_precision,
    relevant_ranks,
)

METRICS = (lambda ranks: precision_at(ranks, 1), r_precision, average_precision, average_precision_at_r)


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


def test_precision_at_k_counts_against_k_even_beyond_the_gallery() -> None:
    assert precision_at(ranks_of("+-+-"), 2).tolist() == [1 / 2]
    assert precision_at(ranks_of("+-+-"), 3).tolist() == [2 / 3]
    assert precision_at(ranks_of("+-+-"), 8).tolist() == [2 / 8]
    with pytest.raises(ValueError, match="at least 1"):
        precision_at(ranks_of("+"), 0)


def test_a_query_with_nothing_relevant_has_no_value_and_spoils_no_other() -> None:
    scores = np.array([[3, 2, 1]] * 3, np.float32)
    relevant = np.array([[True, False, False], [False, False, False], [False, True, False]])
    ranks = relevant_ranks(scores, relevant)
    assert_array_equal(precision_at(ranks, 1), [1, np.nan, 0])
    assert_array_equal(average_precision(ranks), [1, np.nan, 0.5])
    assert_array_equal(r_precision(ranks), [1, np.nan, 0])
    assert_array_equal(average_precision_at_r(ranks), [1, np.nan, 0])


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


def test_map_at_r_never_exceeds_r_precision(
    random_case: tuple[NDArray[np.float32], NDArray[np.bool_]],
) -> None:
    ranks = relevant_ranks(*random_case)
    assert (average_precision_at_r(ranks) <= r_precision(ranks)).all()
    assert (average_precision_at_r(ranks) < r_precision(ranks)).any()
