"""How long the answers of an index took last: what takes long must not hold up an event loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from simsearch.index.stores.flat import FlatStore
from simsearch.search.searcher import Searcher

QUICK_S = 0.01  # of one answer, without decoding


class Pace:
    """The last answer of each open index. Threads may share it: a note that is lost is made again."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Begin without any."""
        self._clock = clock
        self._last: WeakKeyDictionary[Searcher, float] = WeakKeyDictionary()

    def is_quick(self, searcher: Searcher) -> bool:
        """Whether the last answer of an index was quick, and no server of others is asked for it."""
        local = isinstance(searcher.bundle.store, FlatStore)
        return local and self._last.get(searcher, QUICK_S) < QUICK_S

    @contextlib.contextmanager
    def measured(self, searcher: Searcher, queries: int = 1) -> Iterator[None]:
        """Time the answer to so many queries together."""
        started = self._clock()
        yield
        if queries:
            self._last[searcher] = (self._clock() - started) / queries
