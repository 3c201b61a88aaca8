"""Progress bars: what is said meanwhile stands on lines of its own."""

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import os
import signal
import sys
import threading
from typing import Any

import pytest
import rich.live
import rich.progress
from rich.console import Console

from simsearch.cli.signals import end_interrupted
from simsearch.show.terminal import progress


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_note_stands_on_a_line_of_its_own_and_the_bar_below_it(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=is_terminal, width=40, color_system=None)
    monkeypatch.setattr(progress, "notes", lambda: console)
    with progress.stages("Looking through pictures") as work:
        advance = work.begin("Encoding", 9, 4)
        work.note("going on\nafter 4 files that were done before, and many words")
        advance(5)
    said = "going on\\nafter 4 files that were done before, and many words\n"
    before, _, after = written.getvalue().partition(said)
    assert before.endswith("\x1b[2K" if is_terminal else "")  # the bar's line was erased
    assert ("Encoding" in after) is is_terminal
    assert is_terminal or (before, after) == ("", "")


STRIDE = 1 if os.environ.get("SIMSEARCH_SLOW") else 17


def told_at(step: int) -> bool:
    """Show a bar while a Ctrl-C comes before the n-th line (from 0) that shows it; whether it came."""
    modules = (progress, rich.live, rich.progress, contextlib)
    watched, steps, main = {module.__file__ for module in modules}, itertools.count(), threading.main_thread()

    def trace(frame: Any, event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in watched or threading.current_thread() is not main:
            return None
        yields = event == "return" and frame.f_code.co_flags & inspect.CO_GENERATOR  # no signal raises there
        if not yields and next(steps) == step:
            signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        with progress.progress("Encoding", 9) as advance:
            advance(9)
    except KeyboardInterrupt as stop:
        end_interrupted(stop)
        return True
    finally:
        sys.settrace(None)
    return next(steps) > step


def test_a_signal_at_any_step_of_a_bar_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it appeared, the cursor stayed hidden, and what ended the program was never said."""
    for step in itertools.count(0, STRIDE):
        terminal = io.StringIO()
        monkeypatch.setattr(sys, "stderr", terminal)
        console = Console(file=terminal, force_terminal=True, width=60)
        monkeypatch.setattr(progress, "notes", lambda console=console: console)
        came = told_at(step)
        assert sys.stderr is terminal, step
        shown = terminal.getvalue()
        assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), (step, shown)
        if not came:
            break
        assert shown.endswith("interrupted\n"), step
    assert step > 100
