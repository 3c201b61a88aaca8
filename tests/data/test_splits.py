"""The held-out rows: the same for every run, for ever."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simsearch.data.splits import VALIDATION_IMAGES, hold_out


@given(st.integers(2, 400).flatmap(lambda total: st.tuples(st.just(total), st.integers(1, total - 1))))
def test_the_two_sides_are_disjoint_ascending_and_together_everything(sizes):
    total, count = sizes
    part = hold_out(total, count)

    assert len(part.validation) == count
    assert part.train.dtype == part.validation.dtype == np.int64
    assert (np.diff(part.train) > 0).all()
    assert (np.diff(part.validation) > 0).all()
    assert np.array_equal(np.sort(np.concatenate(part)), np.arange(total))


def test_the_5000_rows_of_mnist_are_these_rows():
    """A change here (in numpy's stream, say) would let old models be judged on images they trained on."""
    held_out = hold_out(60_000).validation

    assert VALIDATION_IMAGES == len(held_out) == 5_000
    assert held_out[:5].tolist() == [15, 47, 76, 81, 84]
    digest = hashlib.sha256(held_out.astype("<i8").tobytes()).hexdigest()
    assert digest == "15d44a2acee94bc5412b043efbaa876aaef729dc6f71ddee7eb09b3b33ae47c3"


def test_asking_twice_gives_the_same_rows_whatever_the_global_generator_does():
    once = hold_out(1000, 100)
    np.random.seed(1)  # noqa: NPY002
    again = hold_out(1000, 100)

    assert np.array_equal(once.validation, again.validation)
    assert np.array_equal(once.train, again.train)


def test_held_out_rows_are_spread_over_the_whole_split():
    counts = np.bincount(hold_out(60_000).validation // 6_000)

    assert counts.min() > 400
    assert counts.max() < 600


@pytest.mark.parametrize(("total", "count"), [(10, 10), (10, 11), (10, 0), (10, -1), (0, 0), (1, 1)])
def test_a_split_with_an_empty_side_is_refused(total, count):
    with pytest.raises(ValueError, match=f"^cannot hold out {count} of {total} images$"):
        hold_out(total, count)
