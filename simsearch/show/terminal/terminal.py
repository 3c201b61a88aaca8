"""What goes to the terminal, and where: results to stdout; notes and errors to stderr."""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from simsearch.show.terminal.thumbnails import Canvas, Rendering
from simsearch.text import printable

ENDLESS = 10_000  # columns: no line is folded


class _Results(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave a closed pipe to the commands; rich would exit with 1."""
        raise BrokenPipeError


def results() -> Console:
    """The console for results: stdout. What is no terminal has no width, unless `COLUMNS` says one."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else ENDLESS
    return _Results(highlight=False, soft_wrap=False, width=width)


def notes() -> Console:
    """The console for progress and notes: stderr."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as indented JSON, whatever stdout is."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    print(text)


def note(message: str) -> None:
    """Print one line to stderr, however long it is."""
    notes().print(Text(printable(message), style="dim"), soft_wrap=True)


def canvas(images: str) -> Canvas:
    """How to draw pictures on stdout; "auto": in blocks where it is a terminal that can."""
    if images != "auto":
        return Canvas(Rendering(images), _cell_size())
    console = results()
    draws = console.is_terminal and not console.is_dumb_terminal and is_unicode()
    return Canvas(Rendering.BLOCKS if draws else Rendering.NONE)


def window_rows() -> int | None:
    """Rows for one answer in the window, without those of a note and of the prompt; None if there is none."""
    console = results()
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        return None  # colors may still be forced: through a pager, say
    return max(1, console.size.height - 2)


def is_unicode() -> bool:
    """Whether stdout can show any character."""
    return (sys.stdout.encoding or "utf-8").lower().startswith("utf")


def write(text: str) -> None:
    """Write to stdout as it is."""
    sys.stdout.write(text)


def _cell_size() -> tuple[int, int]:
    """Width and height of a character in pixels, as the terminal says; 8 x 16 where it does not."""
    try:
        import fcntl
        import termios

        answer = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
        rows, columns, width, height = struct.unpack("HHHH", answer)
    except (ImportError, OSError, ValueError):  # Windows; no terminal
        return Canvas(Rendering.NONE).cell
    return (width // columns, height // rows) if columns and rows and width and height else (8, 16)
