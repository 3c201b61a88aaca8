import pytest

from simsearch.show.terminal.tables import bar
from simsearch.text import percent


@pytest.mark.parametrize(
    ("share", "drawn"),
    [
        (0, ""),
        (-1, ""),
        (1, "████"),
        (2, "████"),
        (0.5, "██"),
        (1 / 32, "▏"),
        (0.28125, "█▏"),
        (0.75 + 7 / 32, "███▉"),
    ],
)
def test_bars_are_an_eighth_of_a_cell_precise(share: float, drawn: str) -> None:
    assert bar(share, width=4) == drawn


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0, "0.0 %"),
        (1, "100.0 %"),
        (0.99999, "99.9 %"),
        (0.5, "50.0 %"),
        (0.0004, "0.0 %"),
        (0.731, "73.1 %"),
    ],
)
def test_a_probability_is_never_rounded_up_to_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text
