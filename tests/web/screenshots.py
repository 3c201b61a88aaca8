"""Pictures of the page at three sizes, light and dark, with a digit drawn: to look at, and for the README.

python tests/web/screenshots.py OUT [--index INDEX]
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from playwright.sync_api import Browser, expect

sys.path.insert(0, str(Path(__file__).parents[1]))
from browsers import draw, open_browser
from conftest import SHIPPED_INDEX
from servers import running

SIZES = {"phone": (390, 844, 2), "laptop": (1280, 800, 1), "projector": (1920, 1080, 1)}  # and density


def arc(x: float, y: float, radius: float, start: int, stop: int) -> list[tuple[float, float]]:
    """Points on a circle, between angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (stop - start) * n / 12) for n in range(13)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


THREE = [arc(0.48, 0.35, 0.155, -155, 85) + arc(0.48, 0.655, 0.175, -85, 150)]


def shoot(browser: Browser, url: str, folder: Path, size: str, scheme: str) -> None:
    """One size in one colour scheme: before anything is drawn, and with a three."""
    width, height, density = SIZES[size]
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        device_scale_factor=density,
    )
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#hits li")).to_have_count(10)
    page.screenshot(path=folder / f"{size}-{scheme}-empty.png")
    draw(page, THREE)
    expect(page.locator("#hits li")).to_have_count(12)
    expect(page.locator("#main")).to_have_attribute("aria-busy", "false")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)  # the bars come to rest
    page.screenshot(path=folder / f"{size}-{scheme}.png")
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--index", type=Path, default=SHIPPED_INDEX)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with running({options.index.name: options.index}) as url, open_browser() as browser:
        for size in SIZES:
            for scheme in ("light", "dark"):
                shoot(browser, url, options.out, size, scheme)


if __name__ == "__main__":
    main()
