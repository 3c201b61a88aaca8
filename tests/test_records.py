"""Many named tuples at once are those that would be made one by one."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from simsearch.records import deal, records_of


class Pair(NamedTuple):
    first: int
    second: str | None


def test_each_row_of_the_columns_is_a_record() -> None:
    made = records_of(Pair, [1, 2], ["a", None])
    assert made == [Pair(1, "a"), Pair(2, None)]
    assert [type(one) for one in made] == [Pair, Pair]
    assert records_of(Pair, [], []) == []


@pytest.mark.parametrize("columns", [([1], ["a", "b"]), ([1, 2],), ([1], ["a"], ["b"])])
def test_columns_that_fit_no_record_are_refused(columns: tuple[list[object], ...]) -> None:
    with pytest.raises(ValueError, match=r"argument|fields"):
        records_of(Pair, *columns)


def test_records_are_dealt_in_their_order() -> None:
    made = records_of(Pair, [1, 2, 3], ["a", "b", "c"])
    assert deal(made, [2, 0, 1]) == [(made[0], made[1]), (), (made[2],)]
    assert deal(iter(made), []) == []
