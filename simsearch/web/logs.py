"""Logs that cannot grow without bound: what is caused again and again is said rarely."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOGGERS = ("uvicorn.error", "asyncio", "python_multipart.multipart", "simsearch.web")
PERIOD_S = 60.0
PER_PERIOD = 5
_KINDS = 1_000  # that are remembered at once


class Calm(logging.Filter):
    """Lets a few records of each kind through in a period; the next one says how many there were meanwhile.

    Records are of one kind if they come from one logger with one text before its arguments are put in.
    """

    def __init__(
        self,
        period: float = PERIOD_S,
        per_period: int = PER_PERIOD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start a period for each kind with its first record."""
        super().__init__()
        self._period, self._per_period, self._clock = period, per_period, clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # when the period began, records since then

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        kind = record.name, str(record.msg).partition("\n")[0]
        with self._lock:
            now = self._clock()
            began, count = self._seen.get(kind, (now, 0))
            missed = 0
            if now - began >= self._period:
                began, count, missed = now, 0, max(0, count - self._per_period)
            if len(self._seen) >= _KINDS:
                self._seen.clear()
            self._seen[kind] = began, count + 1
        if missed:
            record.msg, record.args = f"{record.getMessage()} ({missed:,} more like it went before)", ()
        return count < self._per_period


@contextmanager
def calm_logs() -> Iterator[None]:
    """Keep the server's logs short while it runs."""
    calm = Calm()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(calm)
    try:
        yield
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(calm)
