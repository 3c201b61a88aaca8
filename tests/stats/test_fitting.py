"""Fits agree with scikit-learn and with values worked by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from simsearch.stats.calibration import ClassPosterior, PlattScaling
from simsearch.stats.fitting import PrecisionRecallCurve, fit_logistic, fit_platt_scaling, fit_posterior
from simsearch.stats.reliability import measure_reliability


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


def test_the_posterior_worked_by_hand():
    # The top class lies 0.5 above the other, and is right four times in five: so is the posterior, but for
    # the one answer more that is of either class.
    means = np.tile([0.75, 0.25], (1_000, 1))
    labels = np.array([0] * 800 + [1] * 200)

    posterior = fit_posterior(means, labels)
    expected = (800 * 1_000 / 1_001 + 0.5 * 1_000 / 1_001) / 1_000
    assert posterior.probability(means[0]) == pytest.approx([expected, 1 - expected], abs=1e-4)


def test_a_lapse_is_told_from_a_temperature():
    # Pictures far from any doubt and yet wrong three times in a hundred: no temperature alone can say so.
    rng = np.random.default_rng(0)
    means = rng.uniform(0.2, 0.9, (20_000, 6))
    truth = ClassPosterior(15.0, 0.08)
    chances = truth.probability(means)
    labels = (rng.random(20_000)[:, None] > chances.cumsum(axis=1)).sum(axis=1).clip(0, 5)

    found = fit_posterior(means, labels)
    assert found.weight == pytest.approx(15.0, rel=0.03)
    assert found.lapse == pytest.approx(0.08, abs=0.01)
    without = fit_posterior(means, (rng.random(20_000)[:, None] > ClassPosterior(15.0).probability(means)
                                    .cumsum(axis=1)).sum(axis=1).clip(0, 5))  # fmt: skip
    assert without.lapse < 0.005


def test_the_top_class_is_as_sure_as_it_is_right():
    # No temperature and no lapse says what was drawn here: the best class is right more often.
    rng = np.random.default_rng(2)
    means = rng.uniform(0.2, 0.9, (20_000, 6))
    chances = ClassPosterior(12.0, 0.02, PlattScaling(1.8, 0.5)).probability(means).cumsum(axis=1)
    labels = (rng.random(20_000)[:, None] > chances).sum(axis=1).clip(0, 5)
    right = means.argmax(axis=1) == labels

    def error(posterior):
        return measure_reliability(posterior.probability(means).max(axis=1), right).ece

    found = fit_posterior(means, labels)
    assert error(replace(found, top=None)) > 0.02
    assert error(found) < 0.015
    np.testing.assert_array_equal(found.probability(means).argmax(axis=1), means.argmax(axis=1))


def test_the_temperature_is_that_of_a_reference_where_nothing_lapses():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    means = rng.uniform(0, 1, (3_000, 2))
    labels = (rng.random(3_000) > ClassPosterior(4.0).probability(means)[:, 0]).astype(int)
    reference = linear_model.LogisticRegression(C=1e9, fit_intercept=False, tol=1e-10).fit(
        means[:, [1]] - means[:, [0]], labels
    )
    found = fit_posterior(means, labels)
    assert found.weight == pytest.approx(reference.coef_[0, 0], rel=0.05)
    assert found.lapse < 0.03


@pytest.mark.parametrize("count", [10, 120])
def test_answers_that_were_always_right_are_no_certainty_and_those_that_never_were_say_nothing(count):
    means = np.tile([0.75, 0.25], (count, 1))

    always = fit_posterior(means, np.zeros(count, int)).probability(means[0])
    assert always[1] == pytest.approx(0.5 / (count + 1), rel=1e-2)
    assert fit_posterior(means, np.ones(count, int)).weight == 0


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
