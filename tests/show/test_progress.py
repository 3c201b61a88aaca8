"""Progress bars: what is said meanwhile stands on lines of its own."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

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
