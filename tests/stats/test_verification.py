import numpy as np
import pytest

from simsearch.index.stores.base import gather
from simsearch.search.searcher import Searcher
from simsearch.stats.calibration import PlattScaling
from simsearch.stats.reliability import measure_reliability, share_interval
from simsearch.stats.verification import equal_error_rate, roc_auc, verify_pairs

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
    assert verify_pairs(vectors, np.array([0, 0, 1, 2]), projection) is None


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
    from simsearch.stats.pairs import draw_pairs

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
