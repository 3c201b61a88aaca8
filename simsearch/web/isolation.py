"""A helper process that works on what a stranger sent, and is killed when it takes too long.

Decoders are written in C: while one is at work no signal, exception or timer of Python can end it, and where
one crashes its process crashes. So they do it here, and the server goes on. What comes back holds no code.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

from simsearch.errors import BadImageError, BusyError
from simsearch.prepare.pictures import Reading
from simsearch.prepare.prepare import PreparedImage
from simsearch.prepare.transfer import MAX_MESSAGE_BYTES, result_from_bytes, result_to_bytes

_Result = TypeVar("_Result", PreparedImage, Reading)

_START_S = 30.0  # to load what is needed, on a machine that is busy with other things
_WAIT = 10.0  # times its allowance, until a process that computes nothing, or is given no time, is ended
_LOOK_S = 0.25  # between two looks at whether to wait on
_READY = b"ready"
_OUT_OF_TIME: int | None = getattr(signal, "SIGPROF", None)  # Windows has no such timer
_SMALLER = "send a smaller or simpler picture"


class Helper:
    """One helper process at a time, for one thread; started when there is something to do."""

    def __init__(self, patience: float) -> None:
        """Give each piece of work at most so many seconds of a processor."""
        self._patience = patience
        self._process: BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None

    def start(self) -> None:
        """Start the process, if there is none, so that the first result does not wait for it.

        :raises BusyError: If the system has no room for a process.
        """
        if self._process is not None and self._process.is_alive():
            return
        self.close()
        context = multiprocessing.get_context("spawn")  # a fork would have half of the server's threads
        try:
            self._connection, other = context.Pipe()
            with other:
                self._process = context.Process(
                    target=_help, args=(other, self._patience), name="decoder", daemon=True
                )
                with _undisturbed():
                    self._process.start()
            ready = self._connection.poll(_START_S) and self._connection.recv_bytes(len(_READY)) == _READY
        except (OSError, EOFError) as error:
            self.close()
            raise BusyError("the server cannot start a process", hint="try again in a second") from error
        if not ready:
            self.close()
            raise BusyError("the server has too much to do", hint="try again in a second")

    def call(
        self, work: Callable[[], _Result], is_wanted: Callable[[], bool] = lambda: True
    ) -> _Result | BadImageError:
        """The result of a function that can be pickled, or why its picture cannot be used.

        :param is_wanted: Asked now and then whether anyone still waits for the result.
        :raises BusyError: If the system has no room for a process.
        :raises RuntimeError: If the function fails otherwise.
        """
        self.start()
        assert self._connection is not None
        try:
            self._connection.send_bytes(pickle.dumps(work))
            end = time.monotonic() + self._patience * _WAIT
            while not self._connection.poll(_LOOK_S):
                if time.monotonic() > end or not is_wanted():
                    return self._lost(late=True)
            result = result_from_bytes(self._connection.recv_bytes(MAX_MESSAGE_BYTES))
        except (
            OSError,
            EOFError,
            ValueError,
        ):  # its time was over, it was killed, it crashed, it talks nonsense
            return self._lost(late=False)
        if isinstance(result, RuntimeError):
            raise result
        return cast("_Result | BadImageError", result)

    def _lost(self, *, late: bool) -> BadImageError:
        """Put an end to the process, and say why in terms of the picture."""
        if self._process is not None and not late:
            self._process.join(1)
            late = _OUT_OF_TIME is not None and self._process.exitcode == -_OUT_OF_TIME
        self.close()
        if late:
            return BadImageError("the picture takes too long to decode", _SMALLER)
        return BadImageError("the picture cannot be decoded: the attempt ended the decoder", _SMALLER)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None and self._process.pid is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None


def _help(connection: Connection[Any, Any], patience: float) -> None:
    """Be the process: do one piece of work after the other until nobody is left to ask."""
    import simsearch.prepare.pictures  # noqa: F401 - the first result must not wait for it

    with contextlib.suppress(OSError, EOFError):
        connection.send_bytes(_READY)
        while True:
            work = pickle.loads(connection.recv_bytes())  # from the server
            _set_timer(patience)
            try:
                result = result_to_bytes(work())
            except Exception as error:
                result = result_to_bytes(error)
            _set_timer(0)
            connection.send_bytes(result)


def _set_timer(seconds: float) -> None:
    """Have the system end this process when it has computed for so long, whatever it is in the middle of."""
    if _OUT_OF_TIME is not None:
        signal.setitimer(signal.ITIMER_PROF, seconds)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """What is started here does not hear Ctrl-C, which reaches all of a terminal: the server ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which the first process would start, and forget what was blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
