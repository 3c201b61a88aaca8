"""Debian's Chromium, driven by Playwright; needs `apt-get install chromium fonts-dejavu-core`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
)

# Strokes in the unit square, each a few corners.
DIGITS = {
    "0": [
        [(0.5, 0.2), (0.34, 0.3), (0.3, 0.5), (0.34, 0.7), (0.5, 0.8), (0.66, 0.7), (0.7, 0.5), (0.5, 0.2)]
    ],
    "1": [[(0.53, 0.2), (0.5, 0.5), (0.47, 0.8)]],
    "7": [[(0.28, 0.25), (0.7, 0.25), (0.52, 0.55), (0.42, 0.82)]],
}


def find_chromium() -> str:
    """The path of a Chromium; in CI it must be there, elsewhere the test is skipped."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI") and sys.platform == "linux":
        pytest.fail("CI has no Chromium: apt-get install --no-install-recommends chromium fonts-dejavu-core")
    return found or pytest.skip("there is no Chromium: apt-get install --no-install-recommends chromium")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless browser."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        yield browser
        browser.close()


def draw(page: Page, strokes: Sequence[Sequence[tuple[float, float]]], *, is_answered: bool = True) -> None:
    """Draw with the mouse; wait for the last answer (a stroke has several), unless none is to come."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    assert box is not None

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    for stroke in strokes:
        page.mouse.move(*place(stroke[0]))
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*place(point), steps=6)
        page.mouse.up()
    if is_answered:
        expect(page.locator("#main")).to_have_attribute("aria-busy", "false")
