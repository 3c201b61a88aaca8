"""Answers go where stdout goes, and to no other place, while progress is shown on a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SHIPPED_INDEX

pytest.importorskip("pty", reason="no terminals of this kind here")

import pty

DIGIT = ROOT / "docs" / "digit.png"


@pytest.mark.parametrize("form", ["--json", "--jsonl", "--csv", "--paths"])
def test_a_file_gets_the_answers_while_the_terminal_shows_the_progress(form: str, tmp_path: Path) -> None:
    """As a shell's `> answers.json` does: stdout is a file, stderr the terminal."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "simsearch", "query", *[str(DIGIT)] * 3, "--k", "1", form]
    with (tmp_path / "answers").open("wb") as answers, os.fdopen(master, "rb", 0) as terminal:
        with subprocess.Popen(
            [*command, "--index", str(SHIPPED_INDEX), "--threads", "1"],
            stdin=subprocess.DEVNULL,
            stdout=answers,
            stderr=slave,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
        ) as process:
            os.close(slave)
            shown = b""
            try:
                while part := terminal.read(65536):
                    shown += part
            except OSError:  # nobody has the terminal open any more
                pass
        assert process.returncode == 0
    written = (tmp_path / "answers").read_text()
    if form == "--json":
        assert len(json.loads(written)["queries"]) == 3
    else:
        assert len(written.splitlines()) == (4 if form == "--csv" else 3)  # and a head
    assert b"Asking" in shown
    for part in written.split()[:5]:
        assert len(part) < 4 or part.encode() not in shown
