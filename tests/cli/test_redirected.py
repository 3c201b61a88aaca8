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


QUERY = [sys.executable, "-m", "simsearch", "query", str(DIGIT), "--index", str(SHIPPED_INDEX)]


@pytest.mark.parametrize("columns", ["0", ""])
def test_no_columns_are_as_good_as_none_said(columns: str) -> None:
    """As some shells and containers say where there is no terminal; nothing was printed then."""
    command = [*QUERY, "-k", "1"]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    usual, found = (
        subprocess.run(command, capture_output=True, text=True, env=one, cwd=ROOT, timeout=300)
        for one in (environment, {**environment, "COLUMNS": columns})
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, usual.stdout, usual.stderr)


@pytest.mark.parametrize("home", ["there", "gone"])
def test_nothing_is_left_in_the_home_of_who_asks(tmp_path: Path, home: str) -> None:
    """Onnxruntime keeps a device id there unless it is told not to, and says so where it cannot."""
    folder = tmp_path / "home"
    if home == "there":
        folder.mkdir()
    command = [*QUERY, "--json"]
    hidden = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    environment = {**hidden, "HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
    assert "onnxruntime" not in done.stderr
    assert not folder.exists() or list(folder.iterdir()) == []
