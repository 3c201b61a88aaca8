"""How a program ends when it is told to: Ctrl-C, SIGTERM, a closed terminal or pipe, without a traceback.

A signal that the parent process had ignored stays ignored: `nohup` and a script's `&` ask for that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM
HUNG_UP = 129  # 128 + SIGHUP
CLOSED_PIPE = 141  # 128 + SIGPIPE
_UNWRITABLE = 2  # as for any place that cannot be written


class Terminated(KeyboardInterrupt):
    """SIGTERM; it unwinds the program as Ctrl-C does, so that nothing half-written stays."""


class HungUp(KeyboardInterrupt):
    """SIGHUP: the terminal is gone, and whatever runs in it is to end."""


def run_program(program: Callable[[], object]) -> None:
    """Run a program that is this whole process: heed signals, and end quietly if nobody reads its output."""
    for name, handler in (("SIGTERM", _terminate), ("SIGHUP", _hang_up)):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handler)
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


def end_interrupted(stop: KeyboardInterrupt) -> int:
    """Say in one line what ended the program; the exit code."""
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
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause


def end_quietly() -> int:
    """Send what is still buffered for a closed pipe nowhere, or Python complains of it; the exit code."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return CLOSED_PIPE


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _hang_up(*_: object) -> NoReturn:
    raise HungUp


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
