"""From cosine to logit to probability, posterior and p-value of novelty, worked by hand."""

import math

import numpy as np
import pytest
from toys import TOY_CALIBRATION

from simsearch.stats.calibration import ClassPosterior, PlattScaling


def test_logits_and_probabilities_are_those_worked_by_hand():
    projection = PlattScaling(weight=10.0, bias=-5.0)

    assert projection.logit([0.0, 0.5, 0.8, 1.0]).tolist() == [-5.0, 0.0, 3.0, 5.0]
    assert projection.probability([0.5]).tolist() == [0.5]
    # 1 / (1 + e^-3) and 1 / (1 + e^5)
    assert projection.probability([0.8, 0.0]) == pytest.approx([0.9525741268224334, 0.0066928509242848554])


def test_the_shape_of_the_scores_is_kept_and_the_result_is_float64():
    projection = PlattScaling(2.0, 1.0)

    for scores in (np.float32(0.5), np.zeros(0, np.float32), np.ones((2, 3), np.float32)):
        for result in (projection.logit(scores), projection.probability(scores)):
            assert result.shape == np.shape(scores)
            assert result.dtype == np.float64


def test_float32_scores_are_not_rounded_on_their_way():
    score = np.float32(0.9)

    assert float(PlattScaling(10.0, -5.0).logit(score)) == 10.0 * float(score) - 5.0


@pytest.mark.parametrize(("logit", "probability"), [(1e4, 1.0), (-1e4, 0.0), (1e300, 1.0), (-1e300, 0.0)])
def test_extreme_logits_saturate_without_a_warning(logit, probability):
    with np.errstate(all="raise"):
        assert float(PlattScaling(1.0, 0.0).probability(logit)) == probability


def test_probability_agrees_with_the_textbook_sigmoid_and_never_falls_as_the_score_rises():
    scores = np.linspace(-1, 1, 401)
    found = PlattScaling(12.5, -6.25).probability(scores)

    assert found == pytest.approx([1 / (1 + math.exp(-(12.5 * s - 6.25))) for s in scores], abs=1e-15)
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_projection_that_is_not_finite_is_refused(bad):
    for weight, bias in ((bad, 0.0), (0.0, bad)):
        with pytest.raises(ValueError, match=r"^the weight and bias of Platt scaling must be finite$"):
            PlattScaling(weight, bias)


def test_a_score_of_nan_has_no_probability():
    assert math.isnan(float(PlattScaling(10.0, -5.0).probability(math.nan)))


def test_the_score_of_a_probability_is_the_way_back():
    projection = PlattScaling(10.0, -5.0)

    assert projection.score(0.5) == 0.5
    assert float(projection.probability(projection.score(0.99))) == pytest.approx(0.99)
    assert (projection.score(0.0), projection.score(1.0)) == (-math.inf, math.inf)


def test_the_posterior_is_the_softmax_of_the_scaled_means():
    posterior = ClassPosterior(10.0).probability([[0.1, 0.3, 0.0], [100.0, 0.0, 0.0]])

    weights = [math.exp(1), math.exp(3), 1.0]
    assert posterior[0] == pytest.approx([w / sum(weights) for w in weights])
    assert posterior[1].tolist() == [1.0, 0.0, 0.0]  # nothing overflows


def test_p_values_are_interpolated_between_the_levels_and_ends_at_0_and_1():
    test = TOY_CALIBRATION.novelty
    features = {"best": np.array([0.5, 1.0]), "texture": np.array([9.0, 9.0])}

    assert test.logit(features).tolist() == [0.0, 2.0]
    assert test.p_value([-2.0, -1.0, 0.0, 1.0, 2.5, 3.0, 4.0]).tolist() == [0, 0, 0.25, 0.5, 0.875, 1, 1]


def test_the_top_class_has_its_own_share_and_the_others_what_it_leaves():
    means = np.log([0.6, 0.3, 0.1])
    plain = ClassPosterior(1.0)
    assert plain.probability(means) == pytest.approx([0.6, 0.3, 0.1])
    steeper = ClassPosterior(1.0, top=PlattScaling(2.0, 0.0)).probability([means, means[::-1]])
    best = 0.36 / (0.36 + 0.16)  # the odds of 0.6, squared
    expected = [best, (1 - best) * 0.75, (1 - best) * 0.25]
    np.testing.assert_allclose(steeper, [expected, expected[::-1]])
    # However unsure, it has no less than the next: both have three of seven parts, the last one.
    unsure = ClassPosterior(1.0, top=PlattScaling(1.0, -9.0)).probability(means)
    np.testing.assert_allclose(unsure, [3 / 7, 3 / 7, 1 / 7])
    alone = ClassPosterior(1.0, 0.1, PlattScaling(2.0, 0.0)).probability([[0.3]])
    np.testing.assert_allclose(alone, [[1.0]])
    certain = ClassPosterior(5_000.0, top=PlattScaling(1.2, 0.1)).probability([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose(certain, [[1.0, 0.0, 0.0]], atol=1e-9)


def test_a_lapse_leaves_every_class_a_share():
    posterior = ClassPosterior(100.0, lapse=0.3).probability([1.0, 0.0, 0.0])
    np.testing.assert_allclose(posterior, [0.8, 0.1, 0.1])
