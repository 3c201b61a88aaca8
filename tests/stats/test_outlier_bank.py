"""The bank of outliers: its feature worked by hand, and what damaged banks are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simsearch.stats.outlier_bank import OutlierBank

BANK = OutlierBank.of(np.eye(3, dtype=np.float32)[[1, 1, 1, 1, 1, 2]])


def test_a_query_is_told_by_the_five_nearest() -> None:
    queries = np.array([[0, 0.6, 0.8], [0.6, 0.8, 0], [1, 0, 0]], np.float32)
    assert BANK.feature(queries).tolist() == pytest.approx([-(0.8 + 4 * 0.6) / 5, -0.8, 0.0], abs=1e-6)


def test_fewer_are_all_compared() -> None:
    alone = OutlierBank.of(np.array([[0, 1]], np.float32))
    assert alone.feature(np.array([[0.8, 0.6]], np.float32)).tolist() == pytest.approx([-0.6], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"dim": 4}, "have another size"),
        ({"dim": 0}, "have another size"),
        ({"dim": -1}, "have another size"),
        ({"vectors": b""}, "have another size"),
        ({"vectors": b"123"}, "have another size"),
        ({"vectors": np.full(3, np.nan, "<f2").tobytes()}, "are no finite numbers"),
    ],
)
def test_a_bank_of_another_size_or_without_numbers_is_refused(
    changes: dict[str, int | bytes], what: str
) -> None:
    with pytest.raises(ValueError, match=f"cannot be used: its outliers {what}"):
        replace(BANK, **changes)
