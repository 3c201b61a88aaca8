"""Work beside the searches: how much of it there may be, and what is kept of it for each open index."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool

from simsearch.errors import BusyError

_Result = TypeVar("_Result")


class Room:
    """Room for work in threads: so many at once, and so many that wait."""

    def __init__(self, workers: int, capacity: int) -> None:
        """Begin with nothing to do."""
        self._free, self._capacity, self._held = asyncio.Semaphore(workers), capacity, 0

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Do some work in a thread.

        :raises BusyError: If too much already waits.
        """
        if self._held >= self._capacity:
            raise BusyError("the server has too much to do", hint="try again in a second")
        self._held += 1
        try:
            async with self._free:
                return await run_in_threadpool(work)
        finally:
            self._held -= 1


class Kept(Generic[_Result]):
    """What is made once for each index, when it is first asked for, and forgotten with it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._made: WeakKeyDictionary[object, _Result] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, key: object, make: Callable[[], _Result]) -> _Result:
        """What was made for a key, or is made now."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]
