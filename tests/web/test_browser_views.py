"""The views of an answer: the map and its moving point, presentation, and addresses that carry a drawing."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from browsers import DIGITS, draw
from pages import (  # noqa: F401
    PHONE,
    browser_fixture,
    open_page_fixture,
    page_fixture,
    until,
    url_fixture,
    violations,
)
from playwright.sync_api import Page, expect

from simsearch.search.searcher import Searcher
from simsearch.web.app import load_pages
from simsearch.web.map import Floats, circle_of_classes

pytestmark = pytest.mark.browser


def show_map(page: Page) -> None:
    page.locator("#tab-map").click()
    expect(page.locator("#map-layouts button")).to_have_count(3)


def lonely(shipped: Searcher) -> tuple[int, Floats, Floats, Floats]:
    """An item that is far from all others on the circle, its place, and the circle's box."""
    block = shipped.bundle.store.sample(10_000)
    assert block.labels is not None
    places = circle_of_classes(block.vectors, block.labels).place(block.vectors)
    gaps = np.abs(places[:, None] - places[:300]).max(axis=2)
    np.fill_diagonal(gaps, np.inf)
    row = int(gaps.min(axis=0).argmax())
    return int(block.ids[row]), places[row], places.min(axis=0), places.max(axis=0)


def test_long_names_stand_beside_their_points_and_inside_the_map(page: Page) -> None:
    names = page.evaluate(
        """async () => {
            const page = document.querySelector("script[type=module]").src;
            const { beside } = await import(page.replace("page.js", "brush.js"));
            const middle = { x: 150, y: 100 };
            return [[40, 100], [260, 100], [150, 20], [20, 100], [285, 100]]
                .map(([x, y]) => ({ center: { x, y }, at: beside({ x, y }, middle, 35, 14, 300) }));
        }"""
    )
    for found in names:
        (x, y), (left, up) = found["at"].values(), found["center"].values()
        assert 35 <= x <= 265  # the whole name is to be seen
        assert abs(x - left) >= 35 or abs(y - up) >= 14  # and its points, too
    assert names[2]["at"] == {"x": 150, "y": pytest.approx(20 - 14 * 1.7)}


def test_a_dot_shows_its_picture_and_is_searched_from(page: Page, shipped: Searcher) -> None:
    show_map(page)
    item, place, low, high = lonely(shipped)
    page.locator("#map").scroll_into_view_if_needed()
    box = page.locator("#map").bounding_box()
    assert box is not None
    size = np.array([box["width"], box["height"]]) - 2  # without its border
    scale = (0.78 * size / (high - low)).min()
    x, y = (place - (low + high) / 2) * (scale, -scale) + size / 2 + 1
    page.mouse.move(box["x"] + x, box["y"] + y, steps=2)
    named = f"tem {item}, class {shipped.label(item)}"
    expect(page.locator("#map-name")).to_have_text(f"i{named}")
    expect(page.locator("#map-picture")).to_have_attribute("src", re.compile("^blob:"))
    page.mouse.down()
    page.mouse.up()
    expect(page).to_have_url(re.compile(f"id={item}"))
    expect(page.locator("#asked")).to_have_text(f"I{named}")


def test_the_point_of_a_drawing_lies_in_its_class_and_moves_with_it(page: Page) -> None:
    show_map(page)
    draw(page, DIGITS["7"])
    expect(page.locator("#map")).to_have_attribute(
        "aria-label", re.compile(r"asked about lies at item \d+, class 7$")
    )
    page.locator("#clear").click()
    expect(page.locator("#map")).to_have_attribute("aria-label", "Map of 10,000 images in 10 classes")
    draw(page, DIGITS["0"])
    expect(page.locator("#map")).to_have_attribute("aria-label", re.compile("class 0$"))
    assert page.evaluate("document.querySelector('#panel-hits').hidden")


def test_the_map_is_zoomed_and_searched_with_keys_and_changes_its_layout(page: Page) -> None:
    show_map(page)
    page.locator("[data-layout=pca]").click()
    expect(page.locator("[data-layout=pca]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#map-note")).to_contain_text("differ most")
    page.locator("#map").focus()
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "-"):
        page.keyboard.press(key)
    expect(page.locator("#map")).to_have_class("deep")
    page.keyboard.press("0")
    expect(page.locator("#map")).not_to_have_class("deep")
    page.mouse.move(700, 600)
    page.locator("#map").hover()
    page.mouse.wheel(0, -400)
    expect(page.locator("#map")).to_have_class("deep")
    page.locator("#map-all").click()
    expect(page.locator("#map")).not_to_have_class("deep")


def test_on_the_stored_map_a_drawing_lies_among_its_nearest(page: Page) -> None:
    show_map(page)
    page.locator("[data-layout=tsne]").click()
    expect(page.locator("#map-note")).to_contain_text("t-SNE keeps neighbors together")
    draw(page, DIGITS["7"])
    expect(page.locator("#map")).to_have_attribute("aria-label", re.compile("class 7$"))
    before = page.locator("#map").screenshot()
    page.locator("#clear").click()
    until(page, lambda: page.locator("#map").screenshot() != before)


def test_a_gallery_without_labels_has_a_map_without_a_circle(open_page: Callable[..., Page]) -> None:
    page = open_page("/#index=plain&view=map&id=0")
    expect(page.locator("#tab-map")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#map")).to_have_attribute(
        "aria-label", "Map of 2 images; what is asked about lies at item 1"
    )
    expect(page.locator("#map-layouts")).to_be_hidden()
    page.locator("#index").select_option("judged")
    expect(page.locator("#map-layouts button")).to_have_count(2)


def test_a_map_that_does_not_come_is_said_and_tried_again(page: Page) -> None:
    page.route("**/api/map?*", lambda route: route.abort())
    page.locator("#tab-map").click()
    expect(page.locator("#map-failed")).to_contain_text("The server does not answer")
    page.unroute("**/api/map?*")
    page.locator("#tab-hits").click()
    show_map(page)
    expect(page.locator("#map-failed")).to_have_text("")


def test_the_network_is_looked_into_only_when_it_is_asked_for(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    draw(page, DIGITS["7"])
    expect(page.locator("#label")).to_have_text("7")
    assert not any("vectors" in url or "activations" in url for url in asked)
    page.locator("#tab-inside").click()
    layers = "convolution 1: 32 maps of 14 . 14; convolution 2: 64 maps of 7 . 7"
    said = re.compile(rf"{layers}; vector: \d+ of 128 numbers above")
    expect(page.locator("#inside")).to_have_attribute("aria-label", said)
    shown = page.locator("#inside").screenshot()
    draw(page, [[(0.2, 0.8), (0.8, 0.8)]])
    until(page, lambda: page.locator("#inside").screenshot() != shown)
    page.locator("#hits button").first.dispatch_event("click")  # an item, too
    expect(page.locator("#asked")).to_contain_text("Item")
    expect(page.locator("#inside")).to_have_attribute("aria-label", said)
    assert any(re.search(r"items/\d+/activations", url) for url in asked)


def test_a_network_without_convolutions_shows_its_vector(open_page: Callable[..., Page]) -> None:
    page = open_page("/#index=judged&id=2&view=inside")
    told = "Inside the network. vector: 2 of 4 numbers above 0.01"
    expect(page.locator("#inside")).to_have_attribute("aria-label", told)


def test_pictures_on_the_tray_are_compared_each_with_each(open_page: Callable[..., Page]) -> None:
    page = open_page("/#index=judged&id=0&view=compare")  # vectors (1, 0), (1, 0), (.6, .8), ...
    offered = page.locator("#offer button")
    expect(offered).to_have_count(6)
    offered.nth(0).click()
    page.get_by_role("button", name="Put item 2, class a on the tray").click()
    page.get_by_role("button", name="Put item 3, class b on the tray").click()
    cells = page.locator("#matrix td b")
    expect(cells).to_have_text(
        ["1.000", "0.600", "0.000", "0.600", "1.000", "0.800", "0.000", "0.800", "1.000"]
    )
    chances = page.locator("#matrix td span")  # sigmoid(8 cosine - 4)
    expect(chances).to_have_text(["68.9 %", "1.7 %", "68.9 %", "91.6 %", "1.7 %", "91.6 %"])
    expect(page.locator("#matrix-note")).to_contain_text("how probable it is that both show one class")
    expect(offered.nth(0)).to_be_disabled()
    assert violations(page) == []
    page.get_by_role("button", name="Take item 2, class a off the tray").click()
    expect(cells).to_have_text(["1.000", "0.000", "0.000", "1.000"])
    page.locator("#index").select_option("named")  # another gallery: nothing can be compared with it
    expect(page.locator("#matrix-part")).to_be_hidden()
    page.goto("/#index=named&view=compare&id=0")
    offered.nth(0).click()
    offered.nth(1).click()
    expect(cells.nth(1)).to_have_text("1.000")
    expect(chances).to_have_count(0)  # not calibrated
    page.locator("#tray-empty").click()
    expect(page.locator("#matrix-part")).to_be_hidden()


def test_drawings_stay_on_the_tray_while_others_are_drawn(page: Page) -> None:
    page.locator("#tab-compare").click()
    expect(page.locator("#offer-hint")).to_have_text("Draw or choose something first.")
    for digit in ("7", "1"):
        draw(page, DIGITS[digit])
        expect(page.locator("#label")).to_have_text(digit)
        page.get_by_role("button", name="Put the drawing on the tray").click()
        page.locator("#clear").click()
        expect(page.locator("#offer button")).to_have_count(0)
    different = page.locator("#matrix td b").nth(1)
    expect(different).to_have_text(re.compile(r"^0\.[0-7]\d\d$"))


def test_why_lays_a_drawing_over_a_hit_and_says_what_each_part_of_it_is_worth(page: Page) -> None:
    page.locator("#tab-why").click()
    expect(page.locator("#why-hint")).to_have_text("Draw or choose something first.")
    draw(page, DIGITS["7"])
    expect(page.locator("#why-hits button")).to_have_count(6)
    expect(page.locator("#why-parts")).not_to_have_class("waiting")
    score = page.locator("#why-score")
    expect(score).to_have_text(re.compile(r"^Score with item \d+, class 7: 0\.9\d\d\.$"))
    parts = page.locator("#why-changes tr")
    expect(parts).to_have_count(6)
    whole = float(score.inner_text()[-6:-1])
    for row in parts.all_inner_texts():
        left, change = re.findall(
            r"-?\d\.\d{3}", row.replace("\N{MINUS SIGN}", "-").replace("no change", "0.000")
        )
        assert float(left) - whole == pytest.approx(float(change), abs=0.0011)
    assert any("\N{MINUS SIGN}" in row for row in parts.all_inner_texts())  # something of it matters
    laid = page.locator("#why-laid").screenshot()
    page.locator("#why-hits button").nth(3).click()
    expect(page.locator("#why-hits button").nth(3)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#why-laid")).not_to_have_attribute("aria-label", re.compile("a hit$"))
    expect(page.locator("#why-parts")).not_to_have_class("waiting")
    assert page.locator("#why-laid").screenshot() != laid
    assert violations(page) == []
    draw(page, [[(0.5, 0.5), (0.501, 0.5)]])  # a dot more
    page.locator("#clear").click()
    expect(page.locator("#why-part")).to_be_hidden()


def test_known_mistakes_are_listed_and_shown_with_why(open_page: Callable[..., Page]) -> None:
    page = open_page("/#index=judged&view=mistakes")
    expect(page.locator("#mistakes-count")).to_have_text(
        "3 of 6 images have a nearest image of another class. Choose one to see why."
    )
    expect(page.locator("#mistakes-pairs button")).to_have_text(["a → b: 1", "b → a: 1", "b → c: 1"])
    page.locator("#mistakes-pairs button").nth(2).click()
    assert violations(page) == []
    page.get_by_role("button", name="Item 4, class b; its nearest image is item 5, class c").click()
    expect(page).to_have_url(re.compile("id=4"))
    expect(page.locator("#why-score")).to_have_text("Score with item 5, class c: 0.600.")
    expect(page.locator("#why-parts")).to_be_hidden()  # an item has no strokes
    page.locator("#index").select_option("plain")
    expect(page.locator("#tab-mistakes")).to_be_hidden()


def test_a_lasso_takes_items_which_alone_are_found(page: Page) -> None:
    show_map(page)
    page.locator("#map-lasso").click()
    page.locator("#map").focus()
    for key in ("+", "+", "+", "Enter"):  # what is seen in the middle
        page.keyboard.press(key)
    expect(page.locator("#fence-count")).to_have_text(
        re.compile(r"^[\d,]+ images in the lasso: .* of class \d")
    )
    expect(page.locator("#map-lasso")).to_have_attribute("aria-pressed", "false")
    draw(page, DIGITS["7"])
    expect(page.locator("#fence-hits button")).to_have_count(12)
    scores = [float(text) for text in page.locator("#fence-hits span").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    best = page.locator("#hits button .score").first.text_content()
    assert scores[0] < float(best or 0)  # the nearest of all lie elsewhere
    assert violations(page) == []
    page.locator("#map-free").click()
    expect(page.locator("#fence")).to_be_hidden()
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.locator("#map-lasso").click()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.mouse.down()
    page.mouse.move(box["x"] + 12, box["y"] + 12, steps=3)  # around nothing
    page.mouse.up()
    expect(page.locator("#map-free")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_axe_scan_finds_nothing_in_any_view_and_state(open_page: Callable[..., Page], scheme: str) -> None:
    page = open_page("/#id=7&view=map", color_scheme=scheme, viewport={"width": 390, "height": 844})
    expect(page.locator("#map-layouts button")).to_have_count(3)
    assert violations(page) == []
    page.locator("#tab-inside").click()
    expect(page.locator("#inside")).to_have_attribute("aria-label", re.compile("128 numbers"))
    assert violations(page) == []
    page.locator("#tab-compare").click()
    for _ in range(2):
        page.locator("#offer button:enabled").first.click()
    expect(page.locator("#matrix td b")).to_have_count(4)
    assert violations(page) == []
    page.route("**/api/search?*", lambda route: route.abort())
    draw(page, DIGITS["1"])
    expect(page.locator("#again")).to_be_visible()
    assert violations(page) == []
    page.unroute("**/api/search?*")
    page.route("**/api/search?*", lambda _: None)
    page.locator("#again").click()
    expect(page.locator("#reason")).to_have_text("Searching…")
    assert violations(page) == []


def test_tabs_are_moved_between_with_arrows(page: Page) -> None:
    page.locator("#tab-hits").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-map")).to_be_focused()
    expect(page.locator("#panel-map")).to_be_visible()
    expect(page).to_have_url(re.compile("#view=map$"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#panel-hits")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tab-compare")).to_be_focused()


def test_a_presentation_shows_pad_answer_and_map_alone(open_page: Callable[..., Page]) -> None:
    page = open_page("/#present", viewport={"width": 1920, "height": 1080})
    expect(page.locator("#map-layouts button")).to_have_count(3)
    draw(page, DIGITS["7"])
    expect(page.locator("#label")).to_have_text("7")
    for part in ("#classes-part", "#tabs", "#panel-hits", "#help"):
        expect(page.locator(part)).to_be_hidden()
    size = page.locator("#reason").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert size >= 1080 / 36  # the last row reads a thirtieth or so of the screen's height
    assert page.evaluate("document.documentElement.scrollHeight") <= 1080
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#classes-part")).to_be_visible()
    expect(page).not_to_have_url(re.compile("present"))


def test_an_address_carries_the_drawing_with_its_eraser_and_undo_keeps_working(
    open_page: Callable[..., Page], page: Page
) -> None:
    draw(page, DIGITS["7"])
    page.locator("#eraser").click()
    expect(page).to_have_url(re.compile(r"#drawing=[\w-]+$"))  # the drawing rests
    seven = page.url
    draw(page, [[(0.3, 0.25), (0.34, 0.25)]])
    expect(page).not_to_have_url(seven)
    other = open_page(page.url.removeprefix("http://").partition("/")[2].join(["/", ""]))
    expect(other.locator("#label")).to_have_text(page.locator("#label").inner_text())
    shots = [each.locator("#pad").screenshot() for each in (page, other)]
    first, second = (np.frombuffer(shot, np.uint8) for shot in shots)
    assert abs(len(first) - len(second)) < 0.1 * len(first)
    other.locator("#clear").click()
    expect(other).not_to_have_url(re.compile("drawing"))
    other.locator("#undo").click()
    expect(other.locator("#label")).to_have_text("7")
    other.locator("#hits button").first.click()
    expect(other).to_have_url(re.compile("id="))
    other.go_back()
    expect(other.locator("#label")).to_have_text("7")


def test_an_address_with_a_damaged_drawing_shows_an_empty_pad(
    open_page: Callable[..., Page], url: str
) -> None:
    page = open_page("/static/icon.svg")
    for damaged in ("%00", "AQ", "LgD_"):
        page.goto("about:blank")
        page.goto(f"{url}/#drawing={damaged}")
        expect(page.locator("#hits li")).to_have_count(10)
        expect(page.locator("#clear")).to_be_disabled()


def test_the_page_weighs_less_than_300_kilobytes() -> None:
    assert 10_000 < sum(len(page.content) for page in load_pages().values()) < 300_000
