"""The picture of a terminal shows what the command really prints."""

import importlib.util
import re
from html import unescape
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("terminal_picture", ROOT / "docs" / "terminal_picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_holds_the_answer_and_asks_nobody_for_anything(
    script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    output = tmp_path / "terminal.svg"
    script.main(output, ["docs/digit.png", "--k", "2"])
    picture = output.read_text("utf-8")
    words = unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", picture)))
    assert "simsearch" in words
    assert "docs/digit.png" in words
    assert re.search(r"\b0\.\d{4}\b", words)
    assert picture.count("<rect") > 200  # the pictures' cells
    assert set(re.findall(r"https?://[^\"\s]+", picture)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize(
    ("char", "filled"),
    [("█", 4), ("▘", 1), ("▗", 1), ("▚", 2), ("▟", 3), ("▋", 1), ("─", 1), ("a", 0), (" ", 0)],
)
def test_each_block_is_drawn_where_it_is_filled(script, char: str, filled: int) -> None:
    parts = script.block(char)
    assert len(parts) == filled
    for x, y, width, height in parts:
        assert 0 <= x < x + width <= script.WIDE
        assert 0 <= y < y + height <= script.HIGH
    assert script.block("▘") == [(0, 0, script.WIDE / 2, script.HIGH / 2)]
