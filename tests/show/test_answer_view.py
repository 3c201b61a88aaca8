"""Screens, line by line, on the toy gallery with the toy calibration (see test_verdict.py)."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from PIL import Image
from rich.console import Console
from rich.text import Text
from toys import TOY_CALIBRATION, quadrant_image, toy_split

from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.prepare.prepare import Preprocess
from simsearch.search.batch import answer_queries
from simsearch.search.compose import read_combination
from simsearch.search.queries import Query, items
from simsearch.search.searcher import STORED_LIMITS, Limits, Searcher
from simsearch.show.terminal.answer_view import mark, outcome_view
from simsearch.show.terminal.thumbnails import Canvas, Rendering

NONE = Preprocess.NONE


@pytest.fixture
def searcher(tmp_path: Path, toy_model: Model, toy_gallery: Split) -> Searcher:
    model = toy_model._replace(card=structs.replace(toy_model.card, calibration=TOY_CALIBRATION))
    build_index(toy_gallery, model, tmp_path / "toy")
    return Searcher.open(tmp_path / "toy")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(quadrant_image(30, 40, 0, 0)).save(path)
    return path


def screen(
    searcher: Searcher,
    query: Query,
    images: Rendering = Rendering.NONE,
    *,
    width: int = 80,
    by_class: bool = False,
    k: int = 3,
    limits: Limits = STORED_LIMITS,
    like: tuple[str, ...] = (),
    unlike: tuple[str, ...] = (),
    color: bool = False,
) -> list[str]:
    """The lines of one answer's screen."""
    steer = None
    if like or unlike:
        steer = read_combination(like, unlike, searcher.bundle.encoder, io.BytesIO(), NONE, None)
    (outcome,) = answer_queries(searcher, [query], k=k, preprocess=NONE, limits=limits, combination=steer)
    assert outcome.answer is not None, outcome.error
    settings = {"force_terminal": True, "color_system": "truecolor"} if color else {}
    console = Console(file=io.StringIO(), width=width, **settings)  # type: ignore[arg-type]
    view = outcome_view(outcome, outcome.answer, searcher.thumbnail, Canvas(images), by_class=by_class)
    console.print(view, crop=False)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_table_says_all_that_an_answer_knows(searcher: Searcher, picture: Path) -> None:
    lines = screen(searcher, Query("p.png", picture))
    assert lines[:5] == [
        "p.png",
        "class a, 96.4 %",
        "best score 1.0000, at least the limit of 0.7500",
        "familiarity 75.0 %, at least the limit of 25.0 %",
        "",
    ]
    assert [line.split() for line in lines[5:10]] == [
        ["rank", "label", "score", "probability", "match", "id", "source"],
        ["─" * len(lines[6])],
        ["1", "a", "1.0000", "98.2", "%", "yes", "2", "toy/2"],
        ["2", "b", "0.8000", "91.6", "%", "yes", "3", "toy/3"],
        ["3", "a", "0.6000", "68.9", "%", "no", "0", "toy/0"],
    ]
    assert [line.split() for line in lines[11:16]] == [
        ["class", "mean", "of", "5", "best", "posterior", "example"],
        ["─" * len(lines[12])],
        ["a", "0.7333", "█" * 17 + "▋", "1.0000", "96.4", "%", "id", "2"],
        ["b", "0.4000", "█" * 9 + "▋", "0.8000", "3.4", "%", "id", "3"],
        ["c", "0.0000", "0.0000", "0.0", "%", "id", "5"],
    ]


def test_the_picture_stands_beside_the_verdict_and_each_hit_has_a_tile(
    searcher: Searcher, picture: Path
) -> None:
    lines = screen(searcher, Query("p.png", picture), Rendering.BLOCKS)
    drawn = "█" * 14
    assert lines[:4] == [
        f"{drawn}  p.png",
        f"{drawn}  class a, 96.4 %",
        f"{drawn}  best score 1.0000, at least the limit of 0.7500",
        f"{'▀' * 14}  familiarity 75.0 %, at least the limit of 25.0 %",
    ]
    tiles = lines[8:20]
    assert tiles[7] == "1  a            2  b            3  a"
    assert tiles[8] == "1.0000  98.2 %  0.8000  91.6 %  0.6000  68.9 %"
    assert tiles[9] == "id 2            id 3            id 0"
    assert tiles[10] == " " * 32 + "no match"
    assert tiles[11] == ""
    assert lines[20].split()[0] == "class"


def test_unknown_is_said_plainly_with_what_was_too_low(searcher: Searcher, picture: Path) -> None:
    lines = screen(searcher, Query("p.png", picture), limits=Limits(unknown_below=0.9))
    assert lines[1:5] == [
        "unknown: it resembles nothing in the gallery enough",
        "nearest class a, 96.4 % if it is any of them",
        "best score 1.0000, at least the limit of 0.7500",
        "familiarity 75.0 %, below the limit of 90.0 %",
    ]
    lines = screen(searcher, Query("p.png", picture), limits=Limits(min_probability=1.0))
    assert "best score 1.0000, below the limit of 1.0000" in lines  # just above what can be reached


def test_where_the_truth_is_known_every_label_has_a_mark_that_is_not_only_color(searcher: Searcher) -> None:
    lines = screen(searcher, next(items([3])), k=5)
    assert lines[:3] == ["id 3", "class a, 87.7 % ✗", "its class is b"]
    assert [line.split()[1:3] for line in lines[8:13]] == [
        ["a", "✗"],
        ["a", "✗"],
        ["a", "✗"],
        ["b", "✓"],
        ["c", "✗"],
    ]
    assert [line.split()[:2] for line in lines[16:19]] == [["a", "0.2667"], ["b", "✓"], ["c", "0.0000"]]
    tiles = screen(searcher, next(items([3])), Rendering.BRAILLE, k=4)
    assert tiles[15] == "1  a         ✗  2  a         ✗  3  a         ✗  4  b         ✓"
    assert (str(mark("a", None)), str(mark(None, "a"))) == ("", "")
    assert [mark("a", truth).style for truth in "ab"] == ["bold green", "bold red"]


def test_by_class_shows_the_best_example_of_each_class(searcher: Searcher, picture: Path) -> None:
    lines = screen(searcher, Query("p.png", picture), Rendering.BLOCKS, by_class=True)
    assert lines[15:19] == [
        "1  a            2  b            3  c",
        "1.0000  98.2 %  0.8000  91.6 %  0.0000   1.7 %",
        "mean 0.7333     mean 0.4000     mean 0.0000",
        "id 2            id 3            id 5",
    ]
    assert len(lines) == 20
    table = screen(searcher, Query("p.png", picture), by_class=True)
    assert [line.split()[0] for line in table[5:10]] == ["class", table[6], "a", "b", "c"]


def test_a_combination_shows_its_pictures_with_their_signs(searcher: Searcher, picture: Path) -> None:
    names = {"like": (str(picture),), "unlike": (str(picture),)}
    lines = screen(searcher, Query("query.png", picture), Rendering.BLOCKS, width=50, **names)
    assert lines[7].split() == ["query.png", "+", "…picture.png", "-", "…picture.png"]
    assert "".join("".join(lines[9:]).split()).startswith(f"query.png+{picture}-{picture}")


def test_without_labels_there_are_hits_alone(tmp_path: Path, toy_model: Model, picture: Path) -> None:
    split = toy_split([((9, 0, 0, 0), None), ((0, 9, 0, 0), None)], classes=())
    build_index(split, toy_model, tmp_path / "bare")
    lines = screen(Searcher.open(tmp_path / "bare"), Query("p.png", picture))
    assert lines[0] == "p.png"
    assert [line.split() for line in lines[2:6]] == [
        ["rank", "label", "score", "probability", "id", "source"],
        ["─" * len(lines[3])],
        ["1", "-", "0.8000", "95.2", "%", "1", "toy/1"],
        ["2", "-", "0.6000", "73.1", "%", "0", "toy/0"],
    ]
    tiles = screen(Searcher.open(tmp_path / "bare"), Query("p.png", picture), Rendering.BLOCKS)
    assert tiles[15] == "1               2"
    assert len(tiles) == 19


def test_many_classes_are_cut_and_counted(tmp_path: Path, toy_model: Model, picture: Path) -> None:
    names = tuple(f"class {row}" for row in range(14))
    split = toy_split([((row + 1, 100, 0, 0), row) for row in range(14)], names)
    build_index(split, toy_model, tmp_path / "many")
    searcher = Searcher.open(tmp_path / "many")
    lines = screen(searcher, Query("p.png", picture))
    assert lines[-2:] == ["and 4 more classes: --by-class shows them", ""]
    assert sum(line.startswith("class ") for line in lines) == 1 + 10
    assert (
        sum(line.startswith("class ") for line in screen(searcher, Query("p", picture), by_class=True)) == 15
    )


def test_long_and_hostile_names_stay_in_their_place(build_toy: Callable[..., Path], picture: Path) -> None:
    split = toy_split([((9, 0, 0, 0), 0), ((0, 9, 0, 0), 1)], ("a long\x1b[2J name of a class", "数字" * 9))
    sources = ("folder/" * 9 + "picture\x07.png", "b\n.png")
    searcher = Searcher.open(build_toy(replace(split, sources=sources), "hostile"))
    for images in (Rendering.NONE, Rendering.BLOCKS):
        lines = screen(searcher, Query("p\x1b[31m.png", picture), images, k=2)
        text = "\n".join(lines)
        assert not {"\x1b", "\x07"} & set(text)
        assert max(map(len, lines)) <= 80
    assert "\\x07.png" in text


def test_every_screen_fits_80_columns_and_color_changes_no_character(
    searcher: Searcher, picture: Path
) -> None:
    for images in (Rendering.NONE, Rendering.BLOCKS, Rendering.BRAILLE):
        for by_class in (False, True):
            for query in (Query("p.png", picture), *items([0])):
                lines = screen(searcher, query, images, by_class=by_class, k=6)
                assert max(map(len, lines)) <= 80
                if images is not Rendering.BLOCKS:
                    colored = screen(searcher, query, images, by_class=by_class, k=6, color=True)
                    text = "\n".join(colored)
                    plain = [line.rstrip() for line in Text.from_ansi(text).plain.split("\n")]
                    assert plain == lines
