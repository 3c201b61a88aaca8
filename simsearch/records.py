"""Named tuples out of columns: many at once, without a step of Python for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

Record = TypeVar("Record", bound=tuple[Any, ...])


def records_of(kind: type[Record], *columns: Sequence[Any]) -> list[Record]:
    """One named tuple for each row.

    :param kind: A `NamedTuple`.
    :param columns: Of each of its fields, in their order.
    :raises ValueError: If the columns differ in length, or are not as many as the fields.
    """
    if len(columns) != len(kind._fields):  # type: ignore[attr-defined]
        raise ValueError(f"{kind.__name__} has other fields than these {len(columns)}")
    return list(map(partial(tuple.__new__, kind), zip(*columns, strict=True)))


def deal(records: Iterable[Record], counts: Iterable[int]) -> list[tuple[Record, ...]]:
    """Records dealt out in their order: the first so many, then the next, and so on."""
    left = iter(records)
    return [tuple(islice(left, count)) for count in counts]
