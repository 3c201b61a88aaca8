"""A posterior is checked on images that it was not fitted on, and chance is told from error."""

import numpy as np
import pytest

from simsearch.stats.calibration import ClassPosterior
from simsearch.stats.checking import check_posterior
from simsearch.stats.reliability import ece_by_chance


def drawn(truth, count, classes=12, seed=0):
    """Means, and classes that a posterior gives them."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(0.2, 0.9, (count, classes))
    chances = truth.probability(means).cumsum(axis=1)
    return means, (rng.random(count)[:, None] > chances).sum(axis=1).clip(0, classes - 1)


@pytest.mark.parametrize("count", [300, 3_000])
def test_what_is_right_shows_no_more_error_than_chance_makes_of_so_many_images(count):
    means, columns = drawn(ClassPosterior(14.0, 0.1), count)
    found = check_posterior(means, columns)
    assert found.by_chance == pytest.approx(1.1 / count**0.5, rel=0.3)
    assert found.ece < 1.7 * found.by_chance


def test_what_the_posterior_cannot_say_is_more_than_chance():
    means, columns = drawn(ClassPosterior(30.0), 3_000)
    others = drawn(ClassPosterior(30.0), 3_000, seed=1)[1]
    ordered = np.sort(means, axis=1)
    strange = ordered[:, -1] - ordered[:, -2] > 0.06  # the surest answers are those that are wrong
    found = check_posterior(means, np.where(strange, others, columns))
    assert found.ece > found.by_chance + 0.05


def test_chance_worked_by_hand():
    # One image at one half: right or wrong, it is one half away. At certainty there is no chance.
    assert ece_by_chance(np.array([0.5]), np.random.default_rng(0)) == 0.5
    assert ece_by_chance(np.array([1.0, 0.0, 1.0]), np.random.default_rng(0)) == 0
    # Two at one half: a half away with chance one half, else not at all.
    assert ece_by_chance(np.array([0.5, 0.5]), np.random.default_rng(0)) == pytest.approx(0.25, abs=0.08)
