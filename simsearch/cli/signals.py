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
from functools import partial
from types import FrameType
from typing import Any

INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM
HUNG_UP = 129  # 128 + SIGHUP
CLOSED_PIPE = 141  # 128 + SIGPIPE
_PAUSE_S = 2.0
_MOMENT_S = 0.001
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
    sys.unraisablehook = partial(_heed_again, sys.unraisablehook)


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

    def forget(self) -> None:
        """The first was swallowed: the next raises, however soon it comes."""
        self._next = 0.0


_ONCE = _Once()


def _interrupt(*_: object) -> None:
    _ONCE.throw(KeyboardInterrupt)


def _terminate(*_: object) -> None:
    _ONCE.throw(Terminated)


def _hang_up(*_: object) -> None:
    _ONCE.throw(HungUp)


def _heed_again(otherwise: Callable[[Any], object], lost: Any) -> None:
    """Send a signal again that was raised where Python lets nothing out.

    Amid a weak reference's callback (the import system has them) or a `__del__` the exception is dropped, and
    the program would go on as if it had not been told to end.

    :param otherwise: What shows any other exception that is dropped.
    :param lost: As `sys.unraisablehook` is given it.
    """
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        otherwise(lost)
        return
    with contextlib.suppress(RuntimeError):  # no thread can be started
        threading.Thread(target=_send_again, args=(lost.exc_type,), daemon=True).start()


def _send_again(stop: type[KeyboardInterrupt]) -> None:
    """Send the signal of an exception to this process, once nothing drops it any more."""
    main = threading.main_thread().ident
    name = {KeyboardInterrupt: "SIGINT", Terminated: "SIGTERM", HungUp: "SIGHUP"}[stop]
    while _runs(_heed_again, sys._current_frames().get(main or 0)):
        time.sleep(_MOMENT_S)
    _ONCE.forget()
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, getattr(signal, name))
    else:
        signal.raise_signal(getattr(signal, name))


def _runs(function: Callable[..., object], frame: FrameType | None) -> bool:
    """Whether a function is among those that a thread is in."""
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


def _open_closed_streams() -> None:
    """Python has None in the place of a stream that its parent had closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - open as long as the program


def _escape_unprintable() -> None:
    """Escape what stdout's encoding lacks, instead of failing: pipes on Windows are not UTF-8."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    lacks = sys.stdout.errors == "strict" or sys.stdout.encoding.lower().replace("-", "") != "utf8"
    if reconfigure is not None and lacks:
        reconfigure(errors="backslashreplace")
