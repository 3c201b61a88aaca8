"""What the page shows when it has no answer, a late one, or one about something else; and whose words fit."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browsers import DIGITS, draw
from conftest import ROOT
from pages import (  # noqa: F401
    NAMES,
    PHONE,
    browser_fixture,
    open_page_fixture,
    page_fixture,
    paste,
    url_fixture,
    violations,
)
from PIL import Image, ImageDraw
from playwright.sync_api import Page, Route, expect
from servers import behind_proxy

pytestmark = pytest.mark.browser
DIGIT = ROOT / "docs" / "digit.png"  # a five


def shows_no_answer(page: Page) -> None:
    expect(page.locator("#label")).to_be_hidden()
    expect(page.locator("#seen")).to_be_hidden()
    expect(page.locator("#agreement")).to_have_text("")
    expect(page.locator("#classes .value")).to_have_text([""] * 10)
    expect(page.locator("#hits .caption").first).to_be_hidden()


# --- an answer belongs to what is shown


def test_a_picture_that_fails_takes_the_answer_before_it_away(page: Page) -> None:
    draw(page, DIGITS["7"])
    expect(page.locator("#label")).to_have_text("7")
    paste(page, DIGIT.read_bytes()[:-200])
    expect(page.locator("#message")).to_contain_text("Cannot decode the picture")
    shows_no_answer(page)
    expect(page.locator("#reason")).to_have_text("There is no answer.")
    page.locator("#undo").click()  # the drawing is there again
    expect(page.locator("#label")).to_have_text("7")


def test_a_server_that_is_gone_takes_the_answer_away_and_can_be_tried_again(page: Page) -> None:
    draw(page, DIGITS["7"])
    expect(page.locator("#label")).to_have_text("7")
    page.route("**/api/**", lambda route: route.abort())
    page.locator("#index").select_option("plain")
    expect(page.locator("#message")).to_have_text("The server does not answer: is it still running?")
    expect(page.locator("#label")).to_be_hidden()
    expect(page.locator("#hits .caption").first).to_be_hidden()
    page.unroute("**/api/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#reason")).to_contain_text("the most similar image, score")
    expect(page.locator("#message")).to_have_text("")


def first_of(held: list[Route], page: Page) -> Route:
    """The first request that is held, once there is one."""
    for _ in range(3_000):
        if held:
            break
        page.wait_for_timeout(20)
    return held[0]


def test_a_file_is_not_shown_with_the_answer_to_a_drawing_while_the_server_is_slow(page: Page) -> None:
    draw(page, DIGITS["7"])
    expect(page.locator("#label")).to_have_text("7")
    held: list[Route] = []
    page.route("**/api/search?*", lambda route: held.append(route))
    paste(page, DIGIT.read_bytes())
    expect(page.locator("#reason")).to_have_text("Searching…")
    expect(page.locator("#label")).to_be_hidden()
    expect(page.locator("#hits")).to_have_css("opacity", "0")
    first_of(held, page).continue_()
    expect(page.locator("#label")).to_have_text("5")


def test_a_first_drawing_is_waited_for_and_nobody_is_asked_to_draw(page: Page) -> None:
    held: list[Route] = []
    holding = True
    page.route("**/api/search?*", lambda route: held.append(route) if holding else route.continue_())
    draw(page, DIGITS["1"], is_answered=False)
    expect(page.locator("#reason")).to_have_text("Searching…")
    holding = False
    for route in held:
        route.continue_()
    expect(page.locator("#label")).to_have_text("1")


def test_before_the_gallery_is_there_the_page_says_so(open_page: Callable[..., Page], url: str) -> None:
    page = open_page("/static/icon.svg")
    held: list[Route] = []
    page.route("**/api/indexes", lambda route: held.append(route))
    page.goto(url)
    expect(page.locator("#reason")).to_have_text("Opening the gallery…")
    first_of(held, page).abort()
    expect(page.locator("#reason")).to_have_text("There is no gallery yet.")
    page.unroute("**/api/indexes")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#hits li")).to_have_count(10)


# --- items


def test_an_item_is_named_with_its_class_and_so_is_the_tab(open_page: Callable[..., Page]) -> None:
    page = open_page("/#id=123")
    expect(page.locator("#asked")).to_have_text("Item 123, class 6")
    expect(page).to_have_title("Item 123, class 6 · mnist-test · simsearch")
    draw(page, DIGITS["1"])
    expect(page).to_have_title("1: a drawing · mnist-test · simsearch")
    expect(page.locator("#asked")).to_be_hidden()


@pytest.mark.parametrize("address", ["id=99999999", "id=seven", "index=nowhere"])
def test_an_address_of_nothing_is_no_dead_end(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"/#{address}")
    expect(page.locator("#message")).not_to_have_text("")
    expect(page.locator("#hits li")).to_have_count(10)
    expect(page.locator("#label")).to_be_hidden()
    if "id=" in address:
        page.get_by_role("button", name="Begin anew").click()
        expect(page.locator("#message")).to_have_text("")
    draw(page, DIGITS["1"])
    expect(page.locator("#label")).to_have_text("1")
    expect(page.locator("#message")).to_have_text("")


# --- pictures


def one(side: int, mode: str) -> Image.Image:
    """A large one, dark on nothing, or on paper for a mode without transparency."""
    picture = Image.new("RGBA", (side * 4 // 3, side))
    ImageDraw.Draw(picture).line([(side * 0.7, side * 0.2), (side * 0.6, side * 0.8)], "black", side // 12)
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert(mode) if mode == "RGB" else picture


@pytest.mark.parametrize(("side", "form"), [(3024, "JPEG"), (2160, "PNG")])
def test_a_picture_of_many_pixels_in_few_bytes_is_made_smaller(
    page: Page, side: int, form: str, tmp_path: Path
) -> None:
    path = tmp_path / f"one.{form.lower()}"
    one(side, "RGB").save(path)
    assert path.stat().st_size < 500_000
    page.locator("#file").set_input_files(path)
    expect(page.locator("#label")).to_have_text("1")
    expect(page.locator("#asked")).to_have_text(path.name)


@pytest.mark.parametrize("grain", [0, 200])
def test_what_is_transparent_stays_so_when_it_is_made_smaller(page: Page, grain: int, tmp_path: Path) -> None:
    """A black one on nothing, in even opacity and in so uneven that it has more than a megabyte."""
    pixels = np.asarray(one(1100, "RGBA")).copy()
    noise = np.random.default_rng(1).integers(0, 255 - grain + 1, pixels.shape[:2], np.uint8)
    if grain:
        pixels[..., :3] = np.random.default_rng(2).integers(0, 12, pixels[..., :3].shape)
        pixels[..., 3] = np.where(pixels[..., 3] > 0, 255 - noise, 0)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    assert not grain or (tmp_path / "one.png").stat().st_size > 1_000_000
    page.locator("#file").set_input_files(tmp_path / "one.png")
    expect(page.locator("#label")).to_have_text("1")


def test_a_file_that_was_cleared_comes_back(page: Page) -> None:
    page.locator("#file").set_input_files(DIGIT)
    expect(page.locator("#label")).to_have_text("5")
    page.locator("#clear").click()
    expect(page.locator("#label")).to_be_hidden()
    page.locator("#undo").click()
    expect(page.locator("#label")).to_have_text("5")
    expect(page.locator("#asked")).to_have_text("digit.png")


# --- drawings


def scaled(strokes: list[list[tuple[float, float]]], factor: float) -> list[list[tuple[float, float]]]:
    return [[(0.3 + factor * x, 0.6 + factor * y) for x, y in stroke] for stroke in strokes]


SMALL = {
    **DIGITS,
    "6": [[(0.6, 0.2), (0.42, 0.4), (0.36, 0.62), (0.42, 0.78), (0.58, 0.8), (0.64, 0.68), (0.4, 0.6)]],
    "8": [[(0.62, 0.3), (0.5, 0.2), (0.4, 0.3), (0.6, 0.6), (0.6, 0.7), (0.5, 0.8), (0.4, 0.7), (0.6, 0.3)]],
    "9": [[(0.62, 0.34), (0.5, 0.2), (0.38, 0.34), (0.48, 0.48), (0.62, 0.36), (0.6, 0.6), (0.54, 0.82)]],
}  # fmt: skip


@pytest.mark.parametrize("digit", ["0", "6", "8", "9"])
def test_a_small_digit_is_read_though_the_pen_is_wide(page: Page, digit: str) -> None:
    draw(page, scaled(SMALL[digit], 0.25))
    expect(page.locator("#label")).to_have_text(digit)


def test_the_eraser_takes_ink_away_and_undo_brings_it_back(page: Page) -> None:
    def ink() -> int:
        shown = Image.open(io.BytesIO(page.locator("#pad").screenshot())).convert("L")
        return int((np.asarray(shown) > 128).sum())

    page.locator("#eraser").click()
    draw(page, DIGITS["1"])  # nothing to erase
    expect(page.locator("#undo")).to_be_disabled()
    page.locator("#eraser").click()
    draw(page, DIGITS["7"])
    whole = ink()
    page.locator("#eraser").click()
    expect(page.locator("#eraser")).to_have_attribute("aria-pressed", "true")
    draw(page, [[(0.25, 0.25), (0.6, 0.25)]])
    assert ink() < 0.8 * whole
    page.locator("#undo").click()
    assert ink() == whole
    expect(page.locator("#label")).to_have_text("7")


# --- names, figures and words


def test_long_names_are_cut_differently_and_shown_whole_to_whoever_looks(
    open_page: Callable[..., Page],
) -> None:
    page = open_page("/#index=named&id=0", viewport={"width": 1280, "height": 800})
    expect(page.locator("#label")).to_have_text(NAMES[0])
    for names in ("#classes .name", "#hits .name"):
        shown = page.locator(f"{names} .short").all_inner_texts()
        wholes = page.locator(f"{names} .whole").all_text_contents()
        assert len(set(shown)) == len(set(wholes)) == 3
        assert all("…" in text for text in shown)
    button = page.locator("#hits button").last
    button.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    whole = button.locator(".whole")
    expect(whole).to_have_css("clip-path", "none")
    assert set(page.locator("#hits .whole").all_text_contents()) == set(NAMES)
    name = page.locator("#classes .name").first
    name.hover()
    expect(name.locator(".whole")).to_have_css("clip-path", "none")


def test_no_word_of_an_answer_breaks_or_leaves_a_narrow_screen(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 320, "height": 640})
    shown = {"#index=judged&id=5": "Unknown", "#index=named&id=0": NAMES[0], "#index=named&id=4": NAMES[2]}
    for address, text in shown.items():
        page.goto(f"/{address}")
        label = page.locator("#label")
        expect(label).to_have_text(text)
        line = float(label.evaluate("e => parseFloat(getComputedStyle(e).fontSize)"))
        assert text != "Unknown" or label.evaluate("e => e.scrollWidth <= e.clientWidth")
        assert line >= 17
        assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_a_gallery_that_is_not_calibrated_says_no_percentage(open_page: Callable[..., Page]) -> None:
    page = open_page("/#index=named&id=0")
    expect(page.locator("#reason")).to_have_text("the nearest class: its best image scores 1.000")
    expect(page.locator("#main")).not_to_contain_text("%")


def test_hits_say_scores_and_only_classes_have_probabilities(page: Page) -> None:
    draw(page, DIGITS["7"])
    expect(page.locator("#classes .top .chance")).to_have_text(re.compile(r"^\d+\.\d\s%$"))
    chance = page.locator("#classes .top .chance").inner_text()
    expect(page.locator("#reason")).to_have_text(f"probability {chance}")
    expect(page.locator("#hits")).not_to_contain_text("%")


def test_the_bars_of_the_classes_begin_at_one_place(open_page: Callable[..., Page]) -> None:
    page = open_page("/#index=named&id=0")
    expect(page.locator("#classes tr")).to_have_count(3)
    lefts = page.evaluate(
        "[...document.querySelectorAll('.track')].map((track) => track.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 1
    expect(page.locator("#classes-table th[scope=col]").first).to_have_text("class")


@pytest.mark.parametrize(("index", "title"), [("mnist-test", "Draw a digit"), ("plain", "Draw something")])
def test_only_digits_are_called_digits(open_page: Callable[..., Page], index: str, title: str) -> None:
    page = open_page(f"/#index={index}")
    expect(page.locator("#ask-title")).to_have_text(title)
    assert ("digit" in page.locator("body").inner_text()) == (title == "Draw a digit")


def test_photographs_are_chosen_and_not_drawn(open_page: Callable[..., Page], url: str) -> None:
    page = open_page("/static/icon.svg")

    def prepared(route: Route) -> None:
        indexes = route.fetch().json()
        for index in indexes["indexes"]:
            index["preparation"] = "photo"
        route.fulfill(json=indexes)

    page.route("**/api/indexes", prepared)
    page.goto(url)
    expect(page.locator("#ask-title")).to_have_text("Choose a picture")
    expect(page.locator("#reason")).to_contain_text("Choose or drop a picture")
    expect(page.locator("#pen")).to_be_hidden()
    expect(page.locator("#invitation")).to_contain_text("drop or paste a picture here")
    box = page.locator("#frame").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 50)
    page.mouse.up()
    expect(page.locator("#undo")).to_be_disabled()


# --- small screens, proxies


def test_nothing_is_wider_than_the_narrowest_phone(open_page: Callable[..., Page]) -> None:
    page = open_page(**{**PHONE, "viewport": {"width": 320, "height": 640}})
    expect(page.locator("#hits li")).to_have_count(10)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    expect(page.get_by_text("drop or paste")).to_be_hidden()
    page.goto(f"{page.url}#id=77")
    expect(page.locator("#hits li")).to_have_count(12)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert violations(page) == []


def test_the_page_works_below_a_path(open_page: Callable[..., Page], url: str) -> None:
    with behind_proxy(url, "/digits") as proxy:
        page = open_page("/digits/#index=judged&id=0", at=proxy)
        expect(page.locator("#asked")).to_have_text("Item 0, class a")
        page.locator("#index").select_option("mnist-test")
        paste(page, DIGIT.read_bytes())
        expect(page.locator("#label")).to_have_text("5")
        page.locator("#hits button").first.click()
        expect(page).to_have_url(re.compile(rf"^{proxy}/digits/#id=\d+$"))
