"""What does the units of work: this process, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

from simsearch.index.shards.plan import Unit
from simsearch.index.shards.step import Done, EncodeStep, Job, start

Engine: TypeAlias = Callable[[Job, list[Unit]], Iterable[Done]]  # each unit once or more, in any order


def one_by_one(job: Job, units: list[Unit]) -> Iterator[Done]:
    """The plainest engine: this process."""
    return map(EncodeStep(job), units)


def by_ray(address: str | None) -> Engine:
    """A Ray cluster at HOST:PORT, or for None one of this machine; see `in_units`.

    :raises MissingExtraError: If Ray is not installed.
    """
    from simsearch.encode.ray import check_address, in_units

    check_address(address)

    def engine(job: Job, units: list[Unit]) -> Iterator[Done]:
        done = in_units(start, job, list(map(msgspec.json.encode, units)), address=address)
        return (msgspec.json.decode(one, type=Done) for one in done)

    return engine
