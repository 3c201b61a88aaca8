"""What goes to the terminal, and where: results to stdout; notes, errors and progress bars to stderr."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from simsearch.encode.history import EpochRecord
from simsearch.show.terminal.thumbnails import Canvas, Rendering

Advance = Callable[[int], None]
_TRAINING_HEADER = "epoch  train loss   accuracy  val loss   accuracy  learn rate  seconds"


class _Results(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave a closed pipe to the commands; rich would exit with 1."""
        raise BrokenPipeError


def results() -> Console:
    """The console for results: stdout."""
    return _Results(highlight=False, soft_wrap=False)


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
    notes().print(Text(message, style="dim"), soft_wrap=True)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Steps a second, of late."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.{int(speed < 10)}f}/s", style="cyan")


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Advance]:
    """A bar with a rate and the time left on stderr, if it is a terminal; yields what advances it."""
    with stages(description) as begin:
        yield begin(description, total, 0)


@contextmanager
def stages(first: str) -> Iterator[Callable[[str, int | None, int], Advance]]:
    """The same of work whose size shows later; yields what begins the next stage of it.

    That takes a description, how much there is, and how much of it is done already.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    console = notes()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(first, total=None)

        def begin(description: str, total: int | None, done: int) -> Advance:
            bar.reset(task, description=description, total=total, completed=done)
            return lambda count: bar.advance(task, count)

        yield begin


@contextmanager
def query_progress(total: int | None) -> Iterator[Advance]:
    """A bar with a rate, unless there is one query, or the answers themselves scroll by."""
    console = notes()
    columns = (TextColumn("Asking"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    hidden = total == 1 or results().is_terminal or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


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


class TrainingProgress:
    """A bar over the steps of the running epoch, and a line for each finished one."""

    def __init__(self, bar: Progress, epochs: int) -> None:
        """Show on a bar."""
        self._bar, self._epochs, self._started = bar, epochs, False
        self._task = bar.add_task("Training", total=None)

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Advance to a step of an epoch."""
        if not self._started:
            self._bar.console.print(_TRAINING_HEADER, style="bold")
            self._started = True
        description = f"Epoch {epoch}/{self._epochs}"
        self._bar.update(self._task, description=description, completed=step, total=steps)

    def epoch(self, record: EpochRecord, improved: bool) -> None:
        """Print an epoch's figures; a star marks the best weights so far."""
        star = "*" if improved else " "
        self._bar.console.print(
            f"{record.epoch:5d} {record.train_loss:11.4f} {record.train_accuracy:10.4f}"
            f" {record.val_loss:9.4f}{star} {record.val_accuracy:9.4f}"
            f" {record.learning_rate:10.2g} {record.seconds:8.1f}"
        )


@contextmanager
def training_progress(epochs: int) -> Iterator[TrainingProgress]:
    """Live figures of a training run on stderr: the bar only while it is a terminal."""
    console = notes()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield TrainingProgress(bar, epochs)
