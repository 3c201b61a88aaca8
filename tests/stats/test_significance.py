import numpy as np
import pytest

from simsearch.stats.significance import Interval, bootstrap_means, randomization_test


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_constant_has_no_uncertainty() -> None:
    assert bootstrap_means({"x": np.full(50, 0.25)}, rng()) == {"x": Interval(0.25, 0.25)}


def test_the_interval_matches_the_normal_one_of_a_large_sample() -> None:
    values = (rng(1).random(4_000) < 0.9).astype(float)
    interval = bootstrap_means({"x": values}, rng(), resamples=4_000)["x"]
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - error, abs=0.001)
    assert interval.high == pytest.approx(values.mean() + error, abs=0.001)


def test_columns_share_their_resamples_and_a_seed_repeats() -> None:
    values = rng(2).random(30)
    both = bootstrap_means({"a": values, "b": 2 * values + 1}, rng(5))
    assert both["b"].low == pytest.approx(2 * both["a"].low + 1)
    assert both["b"].high == pytest.approx(2 * both["a"].high + 1)
    assert bootstrap_means({"a": values}, rng(5))["a"] == both["a"]
    assert bootstrap_means({"a": values}, rng(6))["a"] != both["a"]


def test_equal_evaluations_have_p_value_one() -> None:
    assert randomization_test(np.zeros(20), rng()) == 1.0


def test_the_p_value_converges_to_the_exact_one() -> None:
    # Of the 2^5 sign assignments of 5 equal differences, two are as extreme as all-positive.
    assert randomization_test(np.ones(5), rng(), permutations=40_000) == pytest.approx(2 / 32, abs=0.004)
    # 1, 1, 1, -1: the sum is 2; |sum| >= 2 for every assignment but the six with two of each sign.
    differences = np.array([1.0, 1.0, 1.0, -1.0])
    assert randomization_test(differences, rng(), permutations=40_000) == pytest.approx(10 / 16, abs=0.008)


def test_the_p_value_is_two_sided_never_zero_and_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    differences = rng(3).normal(0.1, 1, size=300)
    ours = randomization_test(differences, rng(), permutations=20_000)
    assert randomization_test(-differences, rng(), permutations=20_000) == pytest.approx(ours, abs=0.01)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng(1)
    ).pvalue
    assert ours == pytest.approx(theirs, abs=0.012)
    assert randomization_test(np.ones(400), rng(), permutations=1_000) == 1 / 1_000
