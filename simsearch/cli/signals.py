"""How a program ends when it is told to: Ctrl-C, SIGTERM, a closed terminal or pipe, without a traceback.

A signal that the parent process had ignored stays ignored: `nohup` and a script's `&` ask for that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM
HUNG_UP = 129  # 128 + SIGHUP
CLOSED_PIPE = 141  # 128 + SIGPIPE
_PAUSE_S = 2.0
_UNWRITABLE = 2  # as for any place that cannot be written


class Terminated(KeyboardInterrupt):
    """SIGTERM; it unwinds the program as Ctrl-C does, so that nothing half-written stays."""


class HungUp(KeyboardInterrupt):
    """SIGHUP: the terminal is gone, and whatever runs in it is to end."""


def run_program(program: Callable[[], object]) -> None:
    """Run a program that is this whole process: heed signals, and end quietly if nobody reads its output."""
    take_signals()
    _open_closed_streams()
    _escape_unprintable()
    try:
        try:
            program()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        raise SystemExit(end_quietly()) from None
    except OSError as error:
        if error.filename is not None:  # of a file: unexpected here
            raise
        with contextlib.suppress(OSError):
            print(
                f"error: cannot write the output: {(error.strerror or str(error)).lower()}", file=sys.stderr
            )
        end_quietly()
        raise SystemExit(_UNWRITABLE) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C has nothing to stop


def take_signals() -> None:
    """Have Ctrl-C, SIGTERM and SIGHUP raise, unless the parent process had them ignored."""
    unheeded = (signal.SIG_DFL, signal.default_int_handler)
    for name, handler in (("SIGINT", _interrupt), ("SIGTERM", _terminate), ("SIGHUP", _hang_up)):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) in unheeded:
            signal.signal(number, handler)


def end_interrupted(stop: KeyboardInterrupt) -> int:
    """Say in one line what ended the program; the exit code.

    What was interrupted is taken apart first. A context whose `__enter__` was interrupted as it returned has
    not been left: a bar would still be shown, and be drawn below the line.
    """
    stop.__traceback__ = None
    word, code = "interrupted", INTERRUPTED
    if isinstance(stop, Terminated):
        word, code = "terminated", TERMINATED
    elif isinstance(stop, HungUp):
        word, code = "hung up", HUNG_UP
    with contextlib.suppress(OSError):
        print(word, file=sys.stderr)
    return code


def interruption_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The signal that an error came from: libraries in C turn it into an ImportError, say."""
    cause: BaseException | None = error
    seen = set[int]()  # some libraries name an error as its own cause
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, KeyboardInterrupt):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def end_quietly() -> int:
    """Send what is still buffered for a closed pipe nowhere, or Python complains of it; the exit code."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return CLOSED_PIPE


def end_at_once(end: SystemExit) -> None:
    """End this process without taking Python and its libraries apart first, which takes as long as a query.

    What was registered to be done at the end is done. Where there are other threads, an output that cannot be
    flushed, or an exit code in words, nothing happens, and Python ends in its own way. Not so after a signal:
    nobody waits for what other threads are at, and `python -m` would end itself by SIGINT, whatever the exit
    code, if a Ctrl-C met code that was given to `exec` as text, as that of every dataclass is.
    """
    signalled = end.code in (INTERRUPTED, TERMINATED, HUNG_UP)
    if not isinstance(end.code, int | None) or (threading.active_count() > 1 and not signalled):
        return
    end_threads = getattr(threading, "_shutdown", None)  # what `multiprocessing` ends its processes with
    run_registered = getattr(atexit, "_run_exitfuncs", None)
    if run_registered is None or end_threads is None:
        return
    try:
        if not signalled:
            end_threads()
        run_registered()
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        if not signalled:
            return
    os._exit(end.code or 0)


class _Once:
    """Raises at the first of several signals: a second one soon after would only break the clean-up.

    If the program still runs after the pause, something swallowed the first, and the next raises again.
    """

    def __init__(self) -> None:
        self._next = 0.0

    def throw(self, stop: type[KeyboardInterrupt]) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE_S
            raise stop


_ONCE = _Once()


def _interrupt(*_: object) -> None:
    _ONCE.throw(KeyboardInterrupt)


def _terminate(*_: object) -> None:
    _ONCE.throw(Terminated)


def _hang_up(*_: object) -> None:
    _ONCE.throw(HungUp)


def _open_closed_streams() -> None:
    """Python has None in the place of a stream that its parent had closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - open as long as the program


def _escape_unprintable() -> None:
    """Escape what stdout's encoding lacks, instead of failing: pipes on Windows are not UTF-8."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and sys.stdout.errors == "strict":
        reconfigure(errors="backslashreplace")
