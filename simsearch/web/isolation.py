"""A helper process that works on what a stranger sent, and is killed when it takes too long.

Decoders are written in C: while one is at work no signal, exception or timer of Python can end it, and where
one crashes its process crashes. So they do it here, and the server goes on. What comes back holds no code.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import struct
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
AT_ONCE = 2**15  # bytes, of which a pipe that is empty takes and gives as many without a wait
_NO_RESULT = (
    OSError,
    EOFError,
    ValueError,
)  # it was ended, it crashed, it talks nonsense
_HEAD = struct.Struct("!i")  # before each message of a `Connection`: its length


class Helper:
    """One helper process at a time, for one thread; started when there is something to do."""

    def __init__(self, patience: float) -> None:
        """Give each piece of work at most so many seconds of a processor."""
        self._patience = patience
        self._process: BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start the process, if there is none, so that the first result does not wait for it.

        :raises BusyError: If the system has no room for a process.
        """
        if self.is_running:
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
            return cast("_Result", self._receive())
        except _NO_RESULT:
            return self._lost(late=False)

    async def call_from_loop(self, work: Callable[[], _Result]) -> _Result | BadImageError:
        """As `call`, of a process that runs and takes few bytes: the event loop goes on meanwhile.

        Nothing here waits for the process, which a picture may have taken over.

        :raises RuntimeError: If the function fails otherwise.
        """
        assert self._connection is not None
        line = socket.socket(fileno=os.dup(self._connection.fileno()))
        try:
            _send(line, pickle.dumps(work))
            async with asyncio.timeout(self._patience * _WAIT):
                await _readable(line)
            whole = _is_whole(line)
            return cast("_Result", self._receive() if whole else await asyncio.to_thread(self._receive))
        except TimeoutError:
            return self._lost(late=True)
        except _NO_RESULT:
            return await asyncio.to_thread(self._lost, late=False)
        except asyncio.CancelledError:  # what it computes would be the answer to the next
            self.close()
            raise
        finally:
            line.close()

    def _receive(self) -> PreparedImage | Reading | BadImageError:
        """The result that the process has sent."""
        assert self._connection is not None
        result = result_from_bytes(self._connection.recv_bytes(MAX_MESSAGE_BYTES))
        if isinstance(result, RuntimeError):
            raise result
        return result

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


def _send(line: socket.socket, message: bytes) -> None:
    """Send a message as a `Connection` does, but at once or not at all.

    :raises OSError: If there is no room for it: the process does not read.
    """
    whole = _HEAD.pack(len(message)) + message
    if line.send(whole, socket.MSG_DONTWAIT) != len(whole):
        raise BlockingIOError


async def _readable(line: socket.socket) -> None:
    """Wait until something has come, or nothing more will."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(line, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(line)


def _is_whole(line: socket.socket) -> bool:
    """Whether all of a message has come, so that nothing will wait for the rest."""
    there = line.recv(AT_ONCE, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    return len(there) >= _HEAD.size and 0 <= _HEAD.unpack_from(there)[0] <= len(there) - _HEAD.size


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
