"""Whether a collection is whole: a server that replaces a node answers from what is left, without saying so.

The number of rows falls in that time. So an answer is given only when the collection was counted whole after
it; and after a count that was short, not before it has been whole for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from simsearch.errors import UnavailableError

COUNTS = 4  # for each copy of the collection: which copy counts is chance
QUIET_S = 30.0  # after a short count: a replaced node took 20 s to be whole


class Watch:
    """Lets answers through while every count is whole; for many threads."""

    def __init__(self, count: Callable[[], int], expected: int, *, quiet: float = QUIET_S) -> None:
        """Watch a collection.

        :param count: Counts it several times, and gives the lowest.
        :param expected: How many rows it has.
        :param quiet: Seconds that it must be whole after it was not.
        """
        self.expected = expected
        self._count, self._quiet = count, quiet
        self._lock = threading.Lock()
        self._counted = -1.0  # when the last count that was whole began
        self._trusted_from = 0.0

    def confirm(self) -> None:
        """Let an answer through that has just come: one count serves all that came before it began.

        :raises UnavailableError: If the collection is not whole, or was not a moment ago.
        """
        came = time.monotonic()
        with self._lock:
            if self._counted <= came:
                began = time.monotonic()
                self._judge()
                self._counted = began

    def distrust(self) -> None:
        """Take a failure as a sign that a node is being replaced."""
        self._trusted_from = time.monotonic() + self._quiet

    def _judge(self) -> None:
        found = self._count()
        now = time.monotonic()
        if found < self.expected:
            self.distrust()
            raise UnavailableError(
                f"the collection is incomplete: {found:,} of {self.expected:,} items are served", "try again"
            )
        if now < self._trusted_from:
            wait = self._trusted_from - now
            raise UnavailableError("the collection was incomplete a moment ago", f"try again in {wait:.0f} s")
