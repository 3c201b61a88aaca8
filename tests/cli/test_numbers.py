"""Numbers that no option can mean: one line, code 2."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from simsearch.cli.main import app

HUGE = "9" * 23


@pytest.mark.parametrize(
    "words",
    [
        ("query", "x.png", "--min-score", "nan"),
        ("query", "x.png", "--min-probability", "NaN"),
        ("query", "x.png", "--unknown-below", "nan"),
        ("query", "--id", HUGE),
        ("query", "x.png", "--threads", "1025"),
        ("query", "x.png", "--threads", HUGE),
        ("remove", "mine", "--id", HUGE),
        ("duplicates", "mine", "--threshold", "nan"),
        ("duplicates", "mine", "--agreement", "nan"),
        ("duplicates", "mine", "--threads", HUGE),
        ("tune", "mine", "--recall", "nan"),
        ("figure", "history", "-o", "x.png", "--width", "nan"),
        ("serve", "--threads", HUGE),
    ],
)
def test_a_number_outside_its_range_is_refused(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert f"Invalid value for '{words[-2]}'" in result.stderr
    assert "nan is no number" in result.stderr or "is not in the range" in result.stderr
