"""Fits agree with scikit-learn and with values worked by hand."""

import math

import numpy as np
import pytest

from simsearch.stats.fitting import PrecisionRecallCurve, fit_logistic, fit_platt_scaling, fit_posterior


def scores_and_truth(count=2_000):
    rng = np.random.default_rng(3)
    truth = rng.random(count) < 0.3
    columns = rng.normal(size=(count, 3)) * (1, 10, 0.1) + truth[:, None] * (0.8, -5.0, 0.05)
    return columns, truth


@pytest.mark.parametrize("balanced", [False, True])
def test_logistic_regression_agrees_with_scikit_learn(balanced):
    linear_model = pytest.importorskip("sklearn.linear_model")
    columns, truth = scores_and_truth()
    mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    reference = linear_model.LogisticRegression(
        C=0.5, class_weight="balanced" if balanced else None, tol=1e-10, max_iter=1_000
    ).fit((columns - mean) / deviation, truth)
    line = fit_logistic(columns, truth, balanced=balanced, strength=0.5)

    expected = reference.decision_function((columns - mean) / deviation)
    np.testing.assert_allclose(columns @ line.weights + line.bias, expected, rtol=0, atol=1e-5)


def test_platts_calibration_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    columns, truth = scores_and_truth()
    scores = np.tanh(columns[:, 0])
    projection = fit_platt_scaling(scores, truth)

    reference = linear_model.LogisticRegression(C=1e9, tol=1e-10, max_iter=1_000).fit(scores[:, None], truth)
    expected = reference.predict_proba(scores[:, None])[:, 1]
    np.testing.assert_allclose(projection.probability(scores), expected, rtol=0, atol=2e-3)


def test_a_projection_through_two_scores_gives_their_shares():
    # Of the pairs at 0.2 a quarter is of one class, of those at 0.8 three quarters: the logit is -+log 3.
    scores = np.repeat([0.2, 0.8], 40_000)
    same = np.concatenate([np.arange(40_000) % 4 == 0, np.arange(40_000) % 4 != 0])

    assert fit_platt_scaling(scores, same).probability([0.2, 0.5, 0.8]) == pytest.approx(
        [0.25, 0.5, 0.75], abs=1e-4
    )


def test_separable_scores_still_have_a_finite_fit():
    projection = fit_platt_scaling(np.array([0.0, 0.1, 0.9, 1.0]), np.array([False, False, True, True]))

    assert math.isfinite(projection.weight)
    assert projection.probability([0.0])[0] < 0.5 < projection.probability([1.0])[0]


def test_the_temperature_worked_by_hand():
    # The top class lies 0.5 above the other and is right four times in five: weight x 0.5 = log 4.
    means = np.tile([0.75, 0.25], (10, 1))
    labels = np.array([0] * 8 + [1] * 2)

    posterior = fit_posterior(means, labels)
    assert posterior.weight == pytest.approx(2 * math.log(4))
    assert posterior.probability(means[0]) == pytest.approx([0.8, 0.2])


def test_means_that_are_always_right_are_certain_and_means_that_never_are_say_nothing():
    means = np.tile([0.75, 0.25], (10, 1))

    assert fit_posterior(means, np.zeros(10, int)).probability(means[0]) == pytest.approx([1, 0])
    assert fit_posterior(means, np.ones(10, int)).weight == 0


def test_cuts_by_hand():
    # Accepting 1, 2, 4, 5 and 6 of them: the two at 0.7 are never parted.
    scores = np.array([0.9, 0.8, 0.7, 0.7, 0.2, 0.1])
    same = np.array([True, True, False, True, False, False])
    cuts = PrecisionRecallCurve.of(scores[::-1], same[::-1])

    assert cuts.scores.tolist() == [0.9, 0.8, 0.7, 0.2, 0.1]
    assert cuts.precision.tolist() == [1, 1, 0.75, 0.6, 0.5]
    assert cuts.recall == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])
    assert cuts.with_precision(0.99) == 0.8
    assert cuts.with_precision(0.7) == 0.7
    assert cuts.with_best_f1() == 0.7  # 2 x .75 / 1.75 = .857 against .8 at 0.8


def test_where_no_cut_is_precise_enough_the_highest_score_is_taken():
    cuts = PrecisionRecallCurve.of(np.array([0.9, 0.5]), np.array([False, True]))

    assert cuts.with_precision(0.99) == 0.9
