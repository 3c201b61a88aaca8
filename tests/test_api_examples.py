"""docs/api.md: every example runs and prints what it says, and every name that it documents exists."""

import importlib
import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
NAMES = re.findall(r"^### `([\w.]+)`$", PAGE, re.MULTILINE)
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def said(code: str) -> list[str]:
    """What an example says that it prints: comments behind `print`, and whole lines of comment behind it."""
    lines, printing = [], False
    for line in code.splitlines():
        call = re.match(r" *print\(", line)
        if call and "  # " in line:
            lines.append(line.rsplit("  # ", 1)[1].split(" (each")[0])
        elif printing and line.startswith("# "):
            lines.append(line[2:])
        printing = printing or bool(call)
    return lines


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs_and_prints_what_it_says(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(code, "docs/api.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == said(code) != []


def test_every_documented_name_exists_and_has_an_example() -> None:
    assert len(NAMES) == len(set(NAMES)) > 15
    for name in NAMES:
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__doc__, name
        section = PAGE.split(f"### `{name}`\n")[1].split("\n### ")[0]
        assert "```python" in section, name


def test_the_table_leads_to_the_sections() -> None:
    anchors = {name.replace(".", "").lower() for name in NAMES}
    links = re.findall(r"\]\(#([\w-]+)\)", PAGE)
    assert links
    assert [link for link in links if link not in anchors] == []
