"""Progress bars on stderr, while it is a terminal: of long work, of many queries, of a training run.

Signals are held while anything is drawn: after a print that was broken off Rich keeps all others back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

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
from simsearch.files import hold_signals
from simsearch.show.terminal.terminal import notes, results
from simsearch.text import printable

Advance = Callable[[int], None]
_MAP_HEADER = "   MAP@R"
_TRAINING_HEADER = "epoch  train loss   accuracy  val loss   accuracy  learn rate  seconds"


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Advance]:
    """A bar with a rate and the time left on stderr, if it is a terminal; yields what advances it."""
    with stages(description) as work:
        yield work.begin(description, total)


@contextmanager
def stages(first: str) -> Iterator[Stages]:
    """The same of work whose size shows later; yields what begins the next stage of it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    console = notes()
    with _progress(columns, console, hidden=not console.is_terminal) as bar:
        yield Stages(bar, first)


class Stages:
    """A bar over work in stages."""

    @hold_signals()
    def __init__(self, bar: Progress, first: str) -> None:
        """Begin with a stage of unknown size."""
        self._bar, self._task = bar, bar.add_task(first, total=None)

    @hold_signals()
    def begin(self, description: str, total: int | None = None, done: int = 0) -> Advance:
        """Begin the next stage: how much there is, and how much of it is done already."""
        self._bar.reset(self._task, description=description, total=total, completed=done)
        return lambda count: self._bar.advance(self._task, count)

    @hold_signals()
    def note(self, message: str) -> None:
        """Print one line above the bar, however long it is."""
        self._bar.console.print(Text(printable(message), style="dim"), soft_wrap=True)


@contextmanager
def _progress(columns: Iterable[ProgressColumn], console: Console, *, hidden: bool) -> Iterator[Progress]:
    """A bar that leaves stdout alone: Rich would print on the console, stderr, what is written to a file.

    No signal breaks off its beginning or its end: the cursor would stay hidden, and stderr Rich's.
    """
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=hidden)
    with hold_signals() as signals, bar, signals.released():
        yield bar


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Steps a second, of late."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.{int(speed < 10)}f}/s", style="cyan")


@contextmanager
def query_progress(total: int | None) -> Iterator[Advance]:
    """A bar with a rate, unless the answers themselves scroll by."""
    console = notes()
    columns = (TextColumn("Asking"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    hidden = results().is_terminal or not console.is_terminal
    with _progress(columns, console, hidden=hidden) as bar:
        with hold_signals():
            task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


class TrainingProgress:
    """A bar over the steps of the running epoch, and a line for each finished one."""

    @hold_signals()
    def __init__(self, bar: Progress, epochs: int, by_map: bool) -> None:
        """Show on a bar."""
        self._bar, self._epochs, self._started = bar, epochs, False
        self._by_map = by_map
        self._task = bar.add_task("Training", total=None)

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Advance to a step of an epoch."""
        if not self._started:
            with hold_signals():
                self._bar.console.print(_TRAINING_HEADER + _MAP_HEADER * self._by_map, style="bold")
            self._started = True
        description = f"Epoch {epoch}/{self._epochs}"
        self._bar.update(self._task, description=description, completed=step, total=steps)

    @hold_signals()
    def epoch(self, record: EpochRecord, improved: bool) -> None:
        """Print an epoch's figures; a star marks the best weights so far."""
        star = "*" if improved else " "
        chosen = "" if record.val_map_at_r is None else f" {record.val_map_at_r:7.4f}{star}"
        star = " " if chosen else star
        self._bar.console.print(
            f"{record.epoch:5d} {record.train_loss:11.4f} {record.train_accuracy:10.4f}"
            f" {record.val_loss:9.4f}{star} {record.val_accuracy:9.4f}"
            f" {record.learning_rate:10.2g} {record.seconds:8.1f}{chosen}"
        )


@contextmanager
def training_progress(epochs: int, *, by_map: bool = False) -> Iterator[TrainingProgress]:
    """Live figures of a training run on stderr: the bar only while it is a terminal.

    :param by_map: Whether MAP@R chooses the weights, and not the validation loss.
    """
    console = notes()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _progress(columns, console, hidden=not console.is_terminal) as bar:
        yield TrainingProgress(bar, epochs, by_map)
