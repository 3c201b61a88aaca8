"""The page in a real browser: drawing, files, items, keys, small screens, and nothing from outside."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browsers import DIGITS, draw
from conftest import ROOT, SHIPPED_INDEX
from pages import (  # noqa: F401
    PHONE,
    browser_fixture,
    open_page_fixture,
    page_fixture,
    paste,
    until,
    url_fixture,
    violations,
)
from PIL import Image
from playwright.sync_api import Page, Route, expect
from servers import running

from simsearch.search.searcher import Searcher
from simsearch.web.settings import Settings

pytestmark = pytest.mark.browser
DIGIT = ROOT / "docs" / "digit.png"  # a five


# --- drawing


@pytest.mark.parametrize("digit", DIGITS)
def test_a_digit_drawn_with_the_mouse_is_the_answer(page: Page, digit: str) -> None:
    draw(page, DIGITS[digit])
    expect(page.locator("#label")).to_have_text(digit)
    expect(page.locator("#hits li")).to_have_count(12)
    expect(page.locator("#hits .caption").first).to_contain_text(f"✓ {digit}")
    expect(page.locator("#classes .top .name")).to_have_text(digit)
    expect(page.locator("#reason")).to_have_text(re.compile(r"probability \d+\.\d\s%"))
    expect(page.locator("#seen")).to_have_attribute("src", re.compile("^data:image/png;base64,"))
    expect(page.locator("#summary")).to_contain_text(f"Most like class {digit}, probability")


def test_answers_come_while_the_pen_is_down(page: Page) -> None:
    box = page.locator("#pad").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 50, steps=8)
    expect(page.locator("#label")).to_have_text("1")
    page.mouse.up()


def test_undo_takes_back_a_stroke_then_a_clearing_and_the_answer_follows(page: Page) -> None:
    label, undo, clear = page.locator("#label"), page.locator("#undo"), page.locator("#clear")
    expect(undo).to_be_disabled()
    draw(page, DIGITS["1"])
    expect(label).to_have_text("1")
    draw(page, [[(0.2, 0.2), (0.8, 0.2)], [(0.2, 0.8), (0.8, 0.8)]])
    expect(label).not_to_have_text("1")
    undo.click()
    undo.click()
    expect(label).to_have_text("1")
    clear.click()
    expect(label).to_be_hidden()
    expect(page.locator("#hits-title")).to_have_text("Images to begin with")
    expect(clear).to_be_disabled()
    page.keyboard.press("Control+z")
    expect(label).to_have_text("1")


def test_an_old_answer_never_wins(page: Page) -> None:
    """The first answers are held back until newer ones are there, or there is nothing to answer any more."""
    held: list[Route] = []
    holding = True
    page.route("**/api/search?*", lambda route: held.append(route) if holding else route.continue_())
    draw(page, DIGITS["0"], is_answered=False)
    until(page, lambda: held)
    holding = False
    page.locator("#clear").click()
    draw(page, DIGITS["1"])
    expect(page.locator("#label")).to_have_text("1")
    for route in held:
        route.continue_()
    page.wait_for_timeout(300)  # an old answer would be shown now
    expect(page.locator("#label")).to_have_text("1")


def test_the_pen_can_be_wider(page: Page) -> None:
    def ink() -> int:
        shown = Image.open(io.BytesIO(page.locator("#pad").screenshot())).convert("L")
        return int((np.asarray(shown) > 128).sum())

    draw(page, DIGITS["1"])
    thin = ink()
    page.locator("#clear").click()
    page.locator("#pen").fill("14")
    draw(page, DIGITS["1"])
    assert ink() > 1.3 * thin


# --- files


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_picture_that_is_pasted_or_dropped_is_the_answer(page: Page, event: str) -> None:
    draw(page, DIGITS["1"])
    expect(page.locator("#label")).to_have_text("1")
    paste(page, DIGIT.read_bytes(), event=event)
    expect(page.locator("#label")).to_have_text("5")
    expect(page.locator("#notes")).to_have_text("dark ink on a light background: inverted")


def test_a_file_can_be_chosen_and_drawing_begins_anew(page: Page) -> None:
    page.locator("#file").set_input_files(DIGIT)
    expect(page.locator("#label")).to_have_text("5")
    expect(page.locator("#invitation")).to_be_hidden()
    draw(page, DIGITS["1"])
    expect(page.locator("#label")).to_have_text("1")


def test_a_file_that_is_no_picture_is_said_in_the_commands_words(page: Page) -> None:
    paste(page, b"junk")
    words = (
        "Cannot decode the picture: not a picture, or damaged: "
        "pass a PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF."
    )
    expect(page.locator("#message")).to_have_text(words)
    draw(page, DIGITS["1"])
    expect(page.locator("#message")).to_have_text("")


def test_a_photo_larger_than_the_server_takes_is_made_smaller(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    noise = np.random.default_rng(0).integers(200, 256, (1_500, 1_500, 3), np.uint8)
    noise[300:1_200, 700:800] = 0
    Image.fromarray(noise).save(photo)
    assert photo.stat().st_size > 2 * 2**20
    page.locator("#file").set_input_files(photo)
    expect(page.locator("#label")).to_have_text("1")


# --- items and addresses


def test_a_hit_can_be_searched_from_and_the_address_keeps_it(page: Page) -> None:
    draw(page, DIGITS["7"])
    first = page.locator("#hits button").first
    item = first.get_attribute("data-id")
    first.click()
    expect(page).to_have_url(re.compile(f"#id={item}$"))
    expect(page.locator("#hits button").first).not_to_have_attribute("data-id", str(item))
    page.go_back()
    expect(page.locator("#hits button").first).to_have_attribute("data-id", str(item))  # the drawing again


def test_an_address_can_be_shared(open_page: Callable[..., Page], shipped: Searcher) -> None:
    page = open_page("/#id=123")
    nearest = shipped.query_item(123, k=12)
    expect(page.locator("#hits li")).to_have_count(12)
    ids = [button.get_attribute("data-id") for button in page.locator("#hits button").all()]
    assert ids == [str(hit.id) for hit in nearest.hits]
    expect(page.locator("#classes tr")).to_have_count(10)
    draw(page, DIGITS["1"])
    expect(page.locator("#label")).to_have_text("1")
    expect(page).not_to_have_url(re.compile("#id="))


def test_an_address_of_no_item_is_said_plainly(open_page: Callable[..., Page]) -> None:
    page = open_page("/#id=10000")
    expect(page.locator("#message")).to_have_text("There is no item 10000 in mnist-test: ids are 0 to 9999.")


def test_another_gallery_can_be_chosen_and_has_no_classes(page: Page) -> None:
    page.locator("#index").select_option("plain")
    expect(page).to_have_url(re.compile("#index=plain$"))
    expect(page.locator("#hits li")).to_have_count(2)
    expect(page.get_by_role("heading", name="Classes")).to_be_hidden()
    paste(page, DIGIT.read_bytes())
    expect(page.locator("#label")).to_have_text(re.compile(r"^item \d$"))
    expect(page.locator("#reason")).to_have_text(
        re.compile(r"^the most similar image, score 0\.\d{3}; 1 would be the same to the network$")
    )


def test_a_calibrated_gallery_says_how_probable_each_class_is(open_page: Callable[..., Page]) -> None:
    page = open_page("/#index=judged&id=0")  # classes a (best 1, mean .8) and b (0, 0): e^8 to 1
    expect(page.locator("#label")).to_have_text("a")
    expect(page.locator("#reason")).to_have_text("probability 99.9 %")
    expect(page.locator("#agreement")).to_have_text("2 of the 5 nearest images are of class a")
    expect(page.locator("#classes .chance").first).to_have_text("99.9 %")
    expect(page.locator("#hits .caption")).to_have_text(
        ["✓ a1.000", "✓ a0.600", "✗ b0.000", "✗ b0.000", "✗ c0.000"], use_inner_text=False
    )


def test_what_is_unlike_the_gallery_is_unknown(open_page: Callable[..., Page]) -> None:
    page = open_page("/#index=judged&id=5")  # without itself the nearest is b, at .6: no match
    expect(page.locator("#label")).to_have_text("Unknown")
    expect(page.locator("#reason")).to_have_text(
        "not like the images of this gallery; the nearest class would be b"
    )
    expect(page.locator("#classes .top")).to_have_count(0)
    expect(page.locator("#main")).not_to_contain_text("%")  # not how probable a class is "if it is one"
    expect(page.locator("#summary")).to_contain_text("Unknown: not like the images of this gallery")


# --- keys, small screens, people


def test_everything_can_be_done_with_keys_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator("#index")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#present")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#pad")).to_be_focused()
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(18):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#label")).to_have_text("1")
    for name in ("undo", "clear", "eraser", "pen", "file", "tab-hits"):
        page.keyboard.press("Tab")
        expect(page.locator(f"#{name}")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#hits button").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#id=\d+$"))
    page.keyboard.press("Delete")
    expect(page.locator("#hits-title")).to_have_text("Images to begin with")


def test_a_finger_draws_on_a_phone_and_nothing_is_wider_than_its_screen(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(**PHONE)
    expect(page.locator("#hits li")).to_have_count(10)
    box = page.locator("#pad").bounding_box()
    assert box is not None
    x, touch = box["x"] + box["width"] / 2, page.context.new_cdp_session(page)
    for n, kind in enumerate(["touchStart", *["touchMove"] * 12, "touchEnd"]):
        points = [] if kind == "touchEnd" else [{"x": x, "y": box["y"] + box["height"] * (0.2 + 0.05 * n)}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(page.locator("#label")).to_have_text("1")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("scrollY") == 0  # the finger drew, and did not scroll


def test_nothing_runs_past_the_edge_at_any_width(open_page: Callable[..., Page]) -> None:
    page = open_page("/#id=5")
    expect(page.locator("#hits li")).to_have_count(12)
    for width in (320, 700, 768, 1087, 1088, 1200, 1279, 1280, 1599, 1600, 1839, 1840, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        edges = "[...document.querySelectorAll('#hits button')].map((e) => e.getBoundingClientRect().right)"
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert max(page.evaluate(edges)) <= width - 15  # of the margin


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_axe_scan_finds_nothing(open_page: Callable[..., Page], scheme: str) -> None:
    for options in ({"viewport": {"width": 1280, "height": 800}}, PHONE):
        page = open_page(color_scheme=scheme, **options)
        expect(page.locator("#hits li")).to_have_count(10)
        assert violations(page) == []
        draw(page, DIGITS["7"])
        expect(page.locator("#label")).to_have_text("7")
        assert violations(page) == []


def test_dark_mode_is_dark_and_light_mode_is_light(open_page: Callable[..., Page]) -> None:
    def ground(scheme: str) -> int:
        page = open_page(color_scheme=scheme)
        color = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--page')")
        shown = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert re.findall(r"\d+", shown) == [str(int(color.strip()[i : i + 2], 16)) for i in (1, 3, 5)]
        return int(re.findall(r"\d+", shown)[0])

    assert ground("dark") < 64
    assert ground("light") > 192


def test_reduced_motion_is_honored(open_page: Callable[..., Page]) -> None:
    page = open_page(reduced_motion="reduce")
    bar = page.locator("#classes .bar").first
    expect(bar).to_have_css("transition-duration", "0s")


# --- tokens and trouble


def test_a_token_comes_in_the_address_and_leaves_it(open_page: Callable[..., Page]) -> None:
    with running({"mnist-test": SHIPPED_INDEX}, Settings(workers=1, token="s3cret")) as closed:
        page = open_page("/", at=closed)
        expect(page.locator("#message")).to_contain_text("The token is missing or wrong")
        page = open_page("/#token=s3cret&id=7", at=closed)
        expect(page.locator("#hits li")).to_have_count(12)
        expect(page).to_have_url(re.compile("#id=7$"))
        page.reload()
        expect(page.locator("#hits li")).to_have_count(12)


def test_a_busy_server_is_asked_again_when_it_says(page: Page) -> None:
    answers = iter([503, 503])

    def busy(route: Route) -> None:
        if status := next(answers, None):
            problem = {"detail": "the server has too much to do"}
            route.fulfill(status=status, headers={"Retry-After": "1"}, json=problem)
        else:
            route.continue_()

    page.route("**/api/search?*", busy)
    draw(page, DIGITS["1"], is_answered=False)
    expect(page.locator("#message")).to_have_text("The server has too much to do.")
    expect(page.locator("#label")).to_have_text("1")
    expect(page.locator("#message")).to_have_text("")
