"""A digit on every kind of paper of `papers`: right, and nothing known where there is nothing to know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from papers.blanks import BLANKS
from papers.brought import BROUGHT, BROUGHT_NOTHING
from papers.families import FAMILIES, NOTHING, Digit
from papers.more import MORE, MORE_NOTHING
from PIL import Image, ImageOps

from simsearch.errors import BadImageError
from simsearch.prepare.paper.steps import ALL
from simsearch.prepare.prepare import prepare_image
from simsearch.search.searcher import Searcher

EACH = 5  # the benchmark looks at more


def pictures(make, each: int = EACH) -> list[tuple[bytes, Digit]]:
    """Pictures of digits in strokes; `tests/benchmarks/paper.py` also has handwriting."""
    found = []
    for number in range(each):
        digit = Digit(number * 7 % 10)
        found.append((make(digit, np.random.default_rng([77, number])), digit))
    return found


def named(searcher: Searcher, picture: bytes, **options) -> str | None:
    """The class that the picture is known to be of; None if unknown or refused."""
    try:
        verdict = searcher.query_prepared([prepare_image(picture, **options)], k=1)[0].verdict
    except BadImageError:
        return None
    assert verdict is not None
    return verdict.label


@pytest.mark.parametrize("family", FAMILIES)
def test_digits_are_named_on_every_kind_of_paper(family: str, shipped: Searcher) -> None:
    found = [(named(shipped, picture), str(digit.label)) for picture, digit in pictures(FAMILIES[family])]
    assert all(name in (None, label) for name, label in found)  # never known and wrong
    assert sum(name == label for name, label in found) >= EACH - 1


@pytest.mark.parametrize("family", MORE)
def test_digits_are_named_on_further_papers_and_in_any_kind_of_file(family: str, shipped: Searcher) -> None:
    found = [(named(shipped, picture), str(digit.label)) for picture, digit in pictures(MORE[family], 3)]
    assert all(name in (None, label) for name, label in found)
    assert sum(name == label for name, label in found) >= 2


@pytest.mark.parametrize("family", BROUGHT)
def test_digits_are_named_on_screens_plates_and_forms(family: str, shipped: Searcher) -> None:
    found = [(named(shipped, picture), str(digit.label)) for picture, digit in pictures(BROUGHT[family], 2)]
    assert all(name == label for name, label in found)


@pytest.mark.parametrize("family", [name for name in BROUGHT_NOTHING if name.startswith("blank")])
def test_empty_screens_plates_and_forms_are_never_known(family: str, shipped: Searcher) -> None:
    assert [named(shipped, picture) for picture, _ in pictures(BROUGHT_NOTHING[family], 2)] == [None] * 2


EMPTY = {name: make for name, make in {**NOTHING, **MORE_NOTHING}.items() if name.startswith("blank")}


@pytest.mark.parametrize("family", EMPTY)
def test_empty_paper_is_never_known(family: str, shipped: Searcher) -> None:
    assert [named(shipped, picture) for picture, _ in pictures(EMPTY[family], 4)] == [None] * 4


OTHERS = ("corner_shadow", "fabric", "keyboard", "ruler", "barcode", "foliage")


@pytest.mark.parametrize("family", OTHERS)
def test_what_else_lies_on_desks_is_never_known(family: str, shipped: Searcher) -> None:
    assert [named(shipped, picture) for picture, _ in pictures(BLANKS[family], 2)] == [None] * 2


def test_two_digits_are_said_to_be_several() -> None:
    refused = []
    for picture, _ in pictures(NOTHING["two_digits"], 3) + pictures(MORE_NOTHING["two_on_squares"], 3):
        with contextlib.suppress(BadImageError), refusals(refused):
            prepare_image(picture)
    said = ("several digits or drawings side by side in the picture", "cut the picture to one of them")
    assert refused.count(said) >= 5


def test_what_is_crossed_out_is_said_to_be() -> None:
    refused = []
    for picture, _ in pictures(NOTHING["crossed_out"], 3) + pictures(MORE_NOTHING["scribbled_over"], 3):
        with contextlib.suppress(BadImageError), refusals(refused):
            prepare_image(picture)
    said = ("the digit in the picture is crossed out", "write it again, without lines through it")
    assert refused.count(said) >= 5


@contextlib.contextmanager
def refusals(found: list[tuple[str, str]]) -> Iterator[None]:
    """Keep the message and the hint of a refusal, and pass it on."""
    try:
        yield
    except BadImageError as error:
        found.append((error.message, error.hint))
        raise


@pytest.mark.parametrize(
    ("family", "note"),
    [
        ("desk", "a shadow or uneven light evened out"),
        ("circled", "what is drawn around the digit left out"),
        ("soft_shadow", "a shadow or uneven light evened out"),
        ("equal_gray", "ink and paper of one gray: told apart by color"),
        ("thumb", "a frame or what else lies at the edge left out"),
        ("eraser", "white strokes on nothing: taken for an eraser's"),
    ],
)
def test_what_was_left_out_is_said(family: str, note: str) -> None:
    said = [prepare_image(picture).notes for picture, _ in pictures(FAMILIES[family])]
    assert sum(note in notes for notes in said) >= EACH - 2


@pytest.mark.parametrize(
    ("family", "without"),
    [
        ("equal_gray", {"color": False}),
        ("eraser", {"eraser": False}),
        ("soft_shadow", {"closing": False, "plain": False}),
        ("frame", {"parts": False}),
    ],
)
def test_a_step_left_out_is_missed(family: str, without: dict[str, bool], shipped: Searcher) -> None:
    steps = replace(ALL, **without)
    found = [named(shipped, picture, steps=steps) for picture, _ in pictures(FAMILIES[family])]
    right = sum(
        name == str(digit.label) for name, (_, digit) in zip(found, pictures(FAMILIES[family]), strict=True)
    )
    assert right <= EACH - 2


def test_the_steps_are_shown_in_their_order() -> None:
    seen: list[str] = []
    picture = FAMILIES["squared"](Digit(3), np.random.default_rng(0))
    prepare_image(picture, watch=lambda name, _: seen.append(name))
    assert seen[0] == "gray"
    assert [name for name in seen if name != "without lines"] == ["gray", "paper", "ink", "digit"]


def test_blurred_digits_of_a_scanner_are_drawings_too() -> None:
    """Of 8x8 pixels, smoothed; strokes as broad as their blur were once taken for filled areas."""
    digits = pytest.importorskip("sklearn.datasets").load_digits().images[:300]
    refused = 0
    for pixels in digits:
        small = Image.fromarray((pixels * 255 / 16).astype(np.uint8))
        big = ImageOps.expand(small.resize((160, 160), Image.Resampling.BICUBIC), 40)
        try:
            prepare_image(big)
        except BadImageError:
            refused += 1
    assert refused == 0
