"""Screens, line by line, on the toy gallery with the toy calibration (see test_verdict.py)."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from rich.text import Text
from toys import calibrate_index, quadrant_image, toy_split

from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.prepare.prepare import Preprocess
from simsearch.search.answers import STORED_LIMITS, Limits
from simsearch.search.batch import answer_queries
from simsearch.search.compose import read_composed_query
from simsearch.search.queries import Query, items
from simsearch.search.searcher import Searcher
from simsearch.show.terminal.answer_view import outcome_view
from simsearch.show.terminal.thumbnails import Canvas, Rendering
from simsearch.show.terminal.verdict import mark

NONE = Preprocess.NONE


@pytest.fixture
def searcher(tmp_path: Path, toy_model: Model, toy_gallery: Split) -> Searcher:
    build_index(toy_gallery, toy_model, tmp_path / "toy")
    return Searcher.open(calibrate_index(tmp_path / "toy"))


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
    rows: int | None = None,
) -> list[str]:
    """The lines of one answer's screen."""
    steer = None
    if like or unlike:
        steer = read_composed_query(like, unlike, searcher.bundle.encoder, io.BytesIO(), NONE, None)
    (outcome,) = answer_queries(searcher, [query], k=k, preprocess=NONE, limits=limits, composed=steer)
    assert outcome.answer is not None, outcome.error
    settings = {"force_terminal": True, "color_system": "truecolor"} if color else {}
    console = Console(file=io.StringIO(), width=width, **settings)  # type: ignore[arg-type]
    canvas = Canvas(images)
    view = outcome_view(outcome, outcome.answer, searcher.thumbnail, canvas, by_class=by_class, rows=rows)
    console.print(view, crop=False)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_table_says_all_that_an_answer_knows(searcher: Searcher, picture: Path) -> None:
    lines = screen(searcher, Query("p.png", picture))
    assert lines[:5] == [
        "p.png",
        "class a, 96.4 %",
        "nearest image 1.0000: a match (from 0.7500 on)",
        "more typical than 75.0 % of known images (unknown below 25.0 %)",
        "",
    ]
    assert [line.split() for line in lines[5:10]] == [
        ["rank", "label", "score", "pair", "probability", "match", "id", "source"],
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
        f"{drawn}  nearest image 1.0000: a match (from 0.7500 on)",
        f"{'▀' * 14}  more typical than 75.0 % of known images (unknown below 25.0 %)",
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
        "nearest image 1.0000: a match (from 0.7500 on)",
        "more typical than 75.0 % of known images (unknown below 90.0 %)",
    ]
    lines = screen(searcher, Query("p.png", picture), limits=Limits(min_probability=1.0))
    assert "nearest image 1.0000: no match (from 1.0000 on)" in lines  # just above what can be reached


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
        "1.0000  96.4 %  0.8000   3.4 %  0.0000   0.0 %",
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
        ["rank", "label", "score", "id", "source"],
        ["─" * len(lines[3])],
        ["1", "-", "0.8000", "1", "toy/1"],
        ["2", "-", "0.6000", "0", "toy/0"],
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


# In a window


def columns(line: str) -> list[str]:
    return line.split()


def test_the_verdict_comes_last_and_the_classes_stand_beside_the_query(
    searcher: Searcher, picture: Path
) -> None:
    lines = screen(searcher, Query("p.png", picture), Rendering.BLOCKS, rows=22)
    drawn = "█" * 14
    assert [columns(line) for line in lines[:4]] == [
        [drawn, "p.png", "class", "mean", "of", "5", "posterior"],
        [drawn, "class", "a,", "96.4", "%", "▶", "a", "█████▏", "0.7333", "96.4", "%"],
        [drawn, "nearest", "image", "1.0000:", "a", "b", "██▊", "0.4000", "3.4", "%"],
        ["▀" * 14, "match", "(from", "0.7500", "on)", "c", "0.0000", "0.0", "%"],
    ]
    assert lines[7] == "nearest images: cosine and pair probability"
    assert lines[15:17] == [
        "1  a            2  b            3  a",
        "1.0000  98.2 %  0.8000  91.6 %  0.6000  68.9 %",
    ]
    assert lines[-1] == "p.png: class a, 96.4 %"
    assert len(lines) <= 22


def test_a_wide_window_has_the_classes_beside_the_hits(searcher: Searcher, picture: Path) -> None:
    lines = screen(searcher, Query("p.png", picture), Rendering.BLOCKS, rows=38, width=120, k=6)
    assert lines[:2] == ["█" * 14 + "  p.png", "█" * 14 + "  class a, 96.4 %"]
    heading = next(number for number, line in enumerate(lines) if line.startswith("nearest images"))
    assert columns(lines[heading + 1])[-5:] == ["class", "mean", "of", "5", "posterior"]
    assert columns(lines[heading + 2])[-6:] == ["▶", "a", "█████▏", "0.7333", "96.4", "%"]
    assert lines[heading + 2].index("▶") == 5 * 16


@pytest.mark.parametrize("rendering", [Rendering.NONE, Rendering.BLOCKS, Rendering.BRAILLE])
@pytest.mark.parametrize(("width", "rows"), [(80, 22), (80, 18), (120, 38), (56, 28), (40, 22), (200, 60)])
def test_no_answer_is_higher_or_wider_than_its_window(
    searcher: Searcher, picture: Path, rendering: Rendering, width: int, rows: int
) -> None:
    names = {"like": (str(picture),)}
    for query, more in ((Query("p.png", picture), {}), (next(items([3])), {}), (Query("q", picture), names)):
        for by_class in (False, True):
            for limits in (STORED_LIMITS, Limits(unknown_below=0.99)):
                settings = {"by_class": by_class, "limits": limits, **more}
                lines = screen(searcher, query, rendering, width=width, rows=rows, k=6, **settings)
                assert len(lines) <= rows
                assert max(map(len, lines)) <= width
                assert "class " in lines[-1]
                if rows > 18 and width > 40 and rendering is Rendering.BLOCKS:
                    assert any("▀" in line or "█" * 14 in line for line in lines)


def test_what_does_not_fit_is_told_in_a_line(searcher: Searcher, picture: Path) -> None:
    lines = screen(searcher, Query("p.png", picture), Rendering.BLOCKS, rows=26, width=50, k=6)
    assert lines[-6] == "4 to 6: 0.6000 to 0.0000; classes a, b, c"
    lines = screen(searcher, Query("p.png", picture), rows=10, k=6)
    assert lines[5:] == [
        "rank  label   score  pair probability",
        "   1  a       1.0000           98.2 %  id 2  toy/2",
        "   2  b       0.8000           91.6 %  id 3  toy/3",
        "3 to 6: 0.6000 to 0.0000; classes a, a, b, c",
        "p.png: class a, 96.4 %",
    ]


def test_under_unknown_no_hit_has_a_probability(searcher: Searcher, picture: Path) -> None:
    limits = Limits(unknown_below=0.99)
    for rows in (None, 22):
        lines = screen(searcher, Query("p.png", picture), Rendering.BLOCKS, rows=rows, limits=limits)
        assert "1.0000          0.8000          0.6000" in lines
        assert not [line for line in lines if "98.2 %" in line]
    table = screen(searcher, Query("p.png", picture), limits=limits)
    hit = next(line for line in table if line.endswith("toy/2"))
    assert columns(hit) == ["1", "a", "1.0000", "-", "yes", "2", "toy/2"]
    assert screen(searcher, Query("p.png", picture), rows=22, limits=limits)[-1] == (
        "p.png: unknown; if any, class a, 96.4 %"
    )


def test_names_that_are_cut_stay_apart(tmp_path: Path, toy_model: Model, picture: Path) -> None:
    names = ("letter a, upper case, bold", "letter b, upper case, bold")
    split = toy_split([((9, 0, 0, 0), 0), ((0, 9, 0, 0), 1)], names)
    build_index(split, toy_model, tmp_path / "letters")
    searcher = Searcher.open(tmp_path / "letters")
    titles = screen(searcher, Query("p.png", picture), Rendering.BLOCKS, k=2)[15]
    first, second = titles[3:14], titles[19:30]
    assert first != second
    assert "r b" in first
    assert "r a" in second
