"""What answers leave on stdout and stderr: a screen or lines for programs; remarks, failures and a rate."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from simsearch.cli.failures import explain
from simsearch.cli.query_options import Programs, Screen
from simsearch.errors import BadInputError
from simsearch.search.batch import Outcome
from simsearch.search.formats import Format, write_answers
from simsearch.search.searcher import Searcher
from simsearch.show.terminal import terminal
from simsearch.show.terminal.answer_view import outcome_view
from simsearch.text import printable

_FEW = 10  # queries whose remarks are worth a line each


def chosen_format(programs: Programs, screen: Screen) -> Format | None:
    """The format that is wanted for programs; None for the screen.

    :raises BadInputError: If there are two, or one and options of the screen.
    """
    flags = {
        Format.JSON: programs.as_json,
        Format.JSONL: programs.as_jsonl,
        Format.CSV: programs.as_csv,
        Format.PATHS: programs.as_paths,
    }
    chosen = [form for form, is_set in flags.items() if is_set]
    if len(chosen) > 1:
        names = " and ".join(f"--{form}" for form in chosen)
        raise BadInputError(f"{names} exclude each other", hint="choose one")
    if chosen and screen != Screen():
        raise BadInputError(f"--{chosen[0]} is for programs", hint="leave out --by-class and --images")
    if (programs.absolute or programs.null) and not programs.as_paths:
        raise BadInputError("--absolute and --null say how paths are printed", hint="add --paths")
    return chosen[0] if chosen else None


def print_answers(
    searcher: Searcher,
    outcomes: Iterable[Outcome],
    total: int | None,
    form: Format | None,
    screen: Screen,
    programs: Programs,
) -> bool:
    """Print outcomes as they come; return whether any query failed.

    :param total: How many there will be; None if that is not known yet.
    """
    log = _Log(total)
    with _progress(total) as advance:
        seen = log.watch(outcomes, advance)
        if form is None:
            console, canvas = terminal.results(), terminal.canvas(screen.pictures)
            rows = terminal.window_rows()
            for outcome in seen:
                if outcome.answer is not None:
                    view = outcome_view(
                        outcome,
                        outcome.answer,
                        searcher.thumbnail,
                        canvas,
                        by_class=screen.by_class,
                        rows=rows,
                    )
                    console.print(view, crop=False)
        else:
            from simsearch.search.hit_files import HitFiles  # not on the screen

            files = HitFiles(searcher, absolute=programs.absolute)
            is_ascii, end = not terminal.is_unicode(), "\0" if programs.null else "\n"
            for text in write_answers(form, searcher, seen, ascii_only=is_ascii, files=files, end=end):
                terminal.write(text)
            note_missing(files.missing)
    log.close()
    return log.failed > 0


def note_missing(count: int) -> None:
    """Say how many hits were left out because their files are gone."""
    if count:
        terminal.note(f"{count:,} hits are left out: their files are gone or no pictures any more")


def _progress(total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    """A bar for several queries."""
    if total == 1:
        return nullcontext(lambda _: None)
    from simsearch.show.terminal.progress import query_progress

    return query_progress(total)


class _Log:
    """Remarks and failures on stderr: of few queries each at once, of many the remarks in sum."""

    def __init__(self, total: int | None) -> None:
        self._few = total is not None and total <= _FEW
        self._started = time.perf_counter()
        self._remarks: Counter[str] = Counter()
        self._hint = ""
        self.seen = self.failed = 0

    def watch(self, outcomes: Iterable[Outcome], advance: Callable[[int], None]) -> Iterator[Outcome]:
        for outcome in outcomes:
            self.seen += 1
            if outcome.error is not None:
                self._fail(outcome.error)
            for remark in outcome.image.notes if outcome.image else ():
                if self._few:
                    terminal.note(f"{printable(outcome.query.name)}: {remark}")
                else:
                    self._remarks[remark] += 1
            yield outcome
            advance(1)

    def close(self) -> None:
        for remark, count in self._remarks.items():
            terminal.note(f"{count:,} pictures: {remark}")
        if not self._few:
            seconds = time.perf_counter() - self._started
            terminal.note(f"{self.seen:,} queries in {seconds:.1f} s, {self.seen / seconds:,.0f} a second")
        if self.failed > 1:
            terminal.note(f"{self.failed:,} of {self.seen:,} queries were not answered")

    def _fail(self, error: BadInputError) -> None:
        self.failed += 1
        again = error.hint == self._hint
        self._hint = error.hint
        explain(BadInputError(error.message) if again else error)
