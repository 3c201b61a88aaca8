from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, RenderableType
from test_html_report import REPORT as TOY_REPORT

from simsearch.search.answers import Similarity
from simsearch.show.terminal import terminal, views
from simsearch.show.terminal.tables import bar
from simsearch.stats.calibration import ClassPosterior, PlattScaling
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


EVIL = "a\x1b]0;a title\x07\x9b31m\nb\u202e"  # a title, a color, a new line, and text from right to left
REPORT = replace(
    TOY_REPORT,
    index=EVIL,
    model=EVIL,
    query_set=EVIL,
    classes=(EVIL, "dog"),
    per_class=(replace(TOY_REPORT.per_class[0], label=EVIL),),
)


@pytest.mark.parametrize(
    "view",
    [
        views.similarity_view(EVIL, EVIL, Similarity(0.5, None, None)),
        views.similarity_view(EVIL, EVIL, Similarity(0.5, 1.0, 0.7, known=(False, True))),
        views.report_view(REPORT),
        views.comparison_view((EVIL, EVIL), []),
        views.facts_view({"classes": EVIL}),
        views.checks_view([(False, "index", EVIL)]),
    ],
)
def test_names_cannot_move_a_cursor(view: RenderableType) -> None:
    console = Console(file=StringIO(), width=200)
    console.print(view)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a\\x1b]0;a title\\x07\\x9b31m\\nb\\u202e" in shown
    assert not {character for character in shown if not character.isprintable()} - {"\n"}


def test_nothing_of_a_long_or_wide_name_is_lost() -> None:
    console = Console(file=StringIO(), width=30)
    value = f"{'L' * 50}, one, two, \N{OCTOPUS} eight"
    console.print(views.facts_view({"classes": value}))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "".join(shown.split()) == "classes" + value.replace(" ", "")


def test_nor_can_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.note(EVIL)
    assert capsys.readouterr().err == "a\\x1b]0;a title\\x07\\x9b31m\\nb\\u202e\n"


def test_info_says_of_what_parts_a_posterior_is_made() -> None:
    plain = "softmax of 10.000 x mean cosine of a class's five nearest"
    assert views.posterior_words(ClassPosterior(10.0)) == plain
    assert views.posterior_words(ClassPosterior(10.0, 0.02)) == f"{plain}, with a lapse of 0.0200"
    assert views.posterior_words(ClassPosterior(10.0, 0.02, PlattScaling(1.25, -0.5))) == (
        f"{plain}, with a lapse of 0.0200, the logit of its top x 1.250 -0.500"
    )
