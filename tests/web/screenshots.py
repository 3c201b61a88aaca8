"""Pictures of the page at five sizes, light and dark, in every state: to look at, and for the README.

python tests/web/screenshots.py OUT [--index INDEX] [--size laptop] [--scheme light] [--state map]
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parents[1]))
from browsers import draw, open_browser
from conftest import SHIPPED_INDEX
from servers import running

SIZES = {  # and density
    "small": (320, 640, 2),
    "phone": (390, 844, 2),
    "tablet": (820, 1180, 1),
    "laptop": (1280, 800, 1),
    "projector": (1920, 1080, 1),
}
SCHEMES = ("light", "dark")
_STILL = 12  # frames in which a finished drawing is looked at


def arc(x: float, y: float, radius: float, start: int, stop: int) -> list[tuple[float, float]]:
    """Points on a circle, between angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (stop - start) * n / 12) for n in range(13)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


THREE = [arc(0.48, 0.35, 0.155, -155, 85) + arc(0.48, 0.655, 0.175, -85, 150)]


SEVEN = [[(0.28, 0.25), (0.7, 0.25), (0.52, 0.55), (0.42, 0.82)]]
SCRIBBLE = [[(0.2, 0.2), (0.8, 0.3), (0.2, 0.5), (0.8, 0.6), (0.3, 0.8)], [(0.5, 0.1), (0.5, 0.9)]]


def rest(page: Page) -> None:
    """Wait until everything is answered and has come to rest."""
    expect(page.locator("#main")).to_have_attribute("aria-busy", "false")
    page.mouse.move(0, 0)
    page.wait_for_timeout(900)


def drawn(page: Page) -> None:
    """A three."""
    draw(page, THREE)


def viewed(name: str) -> Callable[[Page], None]:
    """A three, in one of the views."""

    def show(page: Page) -> None:
        page.locator(f"#tab-{name}").click()
        draw(page, THREE)

    return show


def laid_out(page: Page) -> None:
    """A three among its nearest on the stored map."""
    viewed("map")(page)
    page.locator("[data-layout=tsne]").click()


def lassoed(page: Page) -> None:
    """A three, and a lasso around the middle of the map."""
    viewed("map")(page)
    rest(page)
    page.locator("#map-lasso").click()
    box = page.locator("#map").bounding_box()
    assert box is not None
    x, y, side = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.2 * box["height"]
    page.mouse.move(x + side, y)
    page.mouse.down()
    for angle in range(15, 360, 15):
        page.mouse.move(x + side * math.cos(math.radians(angle)), y + side * math.sin(math.radians(angle)))
    page.mouse.up()


def compared(page: Page) -> None:
    """A three, a seven and a hit of each on the tray."""
    page.locator("#tab-compare").click()
    for strokes in (THREE, SEVEN):
        draw(page, strokes)
        rest(page)
        for name in ("Put the drawing", "Put item"):
            page.get_by_role("button", name=name, disabled=False).first.click()
            page.wait_for_timeout(200)
        page.locator("#clear").click()
    draw(page, SEVEN)


def presented(page: Page) -> None:
    """A three in the presentation."""
    page.goto("/#present")
    expect(page.locator("#map-count")).not_to_have_text("")
    draw(page, THREE)


def failed(page: Page) -> None:
    """A drawing without a server."""
    page.route("**/api/search?*", lambda route: route.abort())
    draw(page, THREE)


def waiting(page: Page) -> None:
    """A drawing that is not answered yet."""
    page.route("**/api/search?*", lambda _: None)
    draw(page, THREE, is_answered=False)


STATES: dict[str, Callable[[Page], None]] = {
    "empty": lambda _: None,
    "drawn": drawn,
    "unknown": lambda page: draw(page, SCRIBBLE),
    "item": lambda page: page.locator("#hits button").nth(5).click(),
    "map": viewed("map"),
    "tsne": laid_out,
    "lasso": lassoed,
    "inside": viewed("inside"),
    "why": viewed("why"),
    "mistakes": lambda page: page.locator("#tab-mistakes").click(),
    "compare": compared,
    "present": presented,
    "failed": failed,
    "waiting": waiting,
}


def shoot(browser: Browser, url: str, folder: Path, size: str, scheme: str, state: str) -> None:
    """One state in one size and color scheme."""
    width, height, density = SIZES[size]
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        device_scale_factor=density,
    )
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#hits li").first).to_be_visible()
    STATES[state](page)
    if state == "waiting":
        page.wait_for_timeout(900)
    else:
        rest(page)
    page.screenshot(path=folder / f"{size}-{scheme}-{state}.png", full_page=width < 1000)
    context.close()


def record(browser: Browser, url: str, path: Path) -> None:
    """A three and a seven being drawn in the presentation, as an animated WebP."""
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto("/#present")
    expect(page.locator("#map-count")).not_to_have_text("")
    box = page.locator("#pad").bounding_box()
    assert box is not None
    frames: list[Image.Image] = []

    def take() -> None:
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        frames.append(shot.resize((960, 540), Image.Resampling.LANCZOS))

    for strokes in (THREE, SEVEN):
        for stroke in strokes:
            points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
            page.mouse.move(*points[0])
            page.mouse.down()
            for (x0, y0), (x1, y1) in pairwise(points):
                steps = max(1, round(math.hypot(x1 - x0, y1 - y0) / 45))
                for step in range(1, steps + 1):
                    page.mouse.move(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps)
                    page.wait_for_timeout(130)
                    take()
            page.mouse.up()
        rest(page)
        for _ in range(_STILL):
            take()
        page.locator("#clear").click()
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=110, loop=0, quality=72, method=6)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--record", action="store_true", help="an animated WebP, and nothing else")
    parser.add_argument("--index", type=Path, default=SHIPPED_INDEX)
    parser.add_argument("--size", choices=SIZES, action="append", help="of these alone; repeatable")
    parser.add_argument("--scheme", choices=SCHEMES, action="append")
    parser.add_argument("--state", choices=STATES, action="append")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with running({options.index.name: options.index}) as url, open_browser() as browser:
        if options.record:
            record(browser, url, options.out / "page.webp")
            return
        for size in options.size or SIZES:
            for scheme in options.scheme or SCHEMES:
                for state in options.state or STATES:
                    shoot(browser, url, options.out, size, scheme, state)


if __name__ == "__main__":
    main()
