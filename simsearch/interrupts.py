"""How a program ends when it is told to: Ctrl-C, SIGTERM or a closed pipe, without a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM
CLOSED_PIPE = 141  # 128 + SIGPIPE


class Terminated(KeyboardInterrupt):
    """SIGTERM; it unwinds the program as Ctrl-C does, so that nothing half-written stays."""


def run_program(program: Callable[[], object]) -> None:
    """Run a program that is this whole process: heed SIGTERM, and end quietly if nobody reads its output."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    _spell_unprintable()
    try:
        try:
            program()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        raise SystemExit(end_quietly()) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C has nothing to stop


def end_interrupted(stop: KeyboardInterrupt) -> int:
    """Say in one line what ended the program; the exit code."""
    terminated = isinstance(stop, Terminated)
    with contextlib.suppress(OSError):
        print("terminated" if terminated else "interrupted", file=sys.stderr)
    return TERMINATED if terminated else INTERRUPTED


def interruption_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The Ctrl-C or SIGTERM that an error came from: libraries in C turn it into an ImportError, say."""
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


def _spell_unprintable() -> None:
    """Spell out what stdout's encoding lacks, instead of failing: pipes on Windows are not UTF-8."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and sys.stdout.errors == "strict":
        reconfigure(errors="backslashreplace")
