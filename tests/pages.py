"""The page opened in a browser, for the tests that look at it: import these fixtures by name."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import open_browser
from conftest import SHIPPED_INDEX
from playwright.sync_api import Browser, BrowserContext, Page, expect
from servers import running
from toys import calibrate_index, toy_split

from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index

expect.set_options(timeout=20_000)  # for busy machines: nothing waits longer than it must
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NAMES = ("traffic-sign-left-arrow", "traffic-sign-right-arrow", "Llanfairpwllgwyngyllgogerychwyrndrobwll")
CORNERS = [(100, 0, 0, 0), (200, 0, 0, 0), (60, 80, 0, 0), (0, 100, 0, 0), (0, 0, 100, 0), (0, 0, 60, 80)]


@pytest.fixture(name="browser", scope="module")
def browser_fixture() -> Iterator[Browser]:
    """One browser for a file of tests."""
    with open_browser() as browser:
        yield browser


@pytest.fixture(name="url", scope="module")
def url_fixture(tmp_path_factory: pytest.TempPathFactory, toy_model: Model) -> Iterator[str]:
    """A server of the shipped index and of small ones: without labels, calibrated, with long names."""
    folder = tmp_path_factory.mktemp("indexes")
    plain = toy_split([((90, 0, 0, 0), None), ((0, 90, 0, 0), None)], classes=())
    build_index(plain, toy_model, folder / "plain")
    labeled = list(zip(CORNERS, (0, 0, 0, 1, 1, 2), strict=True))
    build_index(toy_split(labeled), toy_model, folder / "judged")
    calibrate_index(folder / "judged")
    build_index(toy_split(labeled, classes=NAMES), toy_model, folder / "named")
    names = ("plain", "judged", "named")
    with running({"mnist-test": SHIPPED_INDEX, **{name: folder / name for name in names}}) as url:
        yield url


@pytest.fixture(name="open_page")
def open_page_fixture(browser: Browser, url: str) -> Iterator[Callable[..., Page]]:
    """Opens the page in a context of its own; afterwards nothing may have gone wrong or outside."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(path: str = "/", at: str = url, **options: object) -> Page:
        context = browser.new_context(base_url=at, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        own = (at, "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(own) or complaints.append(request.url))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    # Chromium itself reports each answer that is no success; the page says those in its own words.
    assert [text for text in complaints if "Failed to load resource" not in text] == []


@pytest.fixture(name="page")
def page_fixture(open_page: Callable[..., Page]) -> Page:
    """The page of the shipped index, ready."""
    page = open_page()
    expect(page.locator("#hits li")).to_have_count(10)
    return page


def paste(page: Page, data: bytes, kind: str = "image/png", event: str = "paste") -> None:
    """Paste or drop a file."""
    page.evaluate(
        """([data, type, event]) => {
          const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "a.png", { type }));
          const made = event === "paste"
            ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
            : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
          document.body.dispatchEvent(made);
        }""",
        [base64.b64encode(data).decode(), kind, event],
    )


def until(page: Page, holds: Callable[[], object]) -> None:
    """Wait until something holds, for as long as `expect` would."""
    for _ in range(400):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail("it never came")


def violations(page: Page) -> list[tuple[str, str]]:
    """What an axe scan finds."""
    found = Axe().run(page).response["violations"]
    return [(rule["id"], node["html"]) for rule in found for node in rule["nodes"]]
