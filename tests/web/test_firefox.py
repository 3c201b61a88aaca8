"""The page in Debian's Firefox, driven through Marionette; needs `apt-get install firefox-esr`."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from browsers import DIGITS
from conftest import SHIPPED_INDEX
from servers import running

pytestmark = pytest.mark.browser

marionette = pytest.importorskip("marionette_driver.marionette")

_PATIENCE_S, _STARTS_S = 30.0, 120.0


class Firefox:
    """A page in a headless Firefox."""

    def __init__(self, driver: Any, url: str) -> None:
        """Open the page."""
        self.driver, self.url = driver, url
        driver.navigate("about:blank")
        driver.navigate(url)

    def script(self, text: str, *values: object) -> Any:
        """What a script of the page's own returns."""
        return self.driver.execute_script(text, script_args=values)

    def text(self, place: str) -> str:
        """The text of an element."""
        return str(self.script("return document.querySelector(arguments[0]).textContent", place))

    def click(self, place: str) -> None:
        """Click an element, as soon as it is there."""
        self.until(lambda: self.script("return !!document.querySelector(arguments[0])", place))
        self.driver.find_element("css selector", place).click()

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.05)

    def draw(self, name: str) -> None:
        """Draw a digit with the mouse."""
        pad = self.driver.find_element("css selector", "#pad")
        side = pad.rect["width"]
        for stroke in DIGITS[name]:
            actions = self.driver.actions.sequence("pointer", "mouse", {"pointerType": "mouse"})
            for number, (x, y) in enumerate(stroke):
                actions.pointer_move(int((x - 0.5) * side), int((y - 0.5) * side), duration=60, origin=pad)
                if number == 0:
                    actions.pointer_down()
            actions.pointer_up().perform()

    def complaints(self) -> list[str]:
        """Errors of the page's scripts, styles and policies, from Firefox's own console."""
        with self.driver.using_context("chrome"):
            messages: list[str] = self.driver.execute_script(
                """return Services.console.getMessageArray()
                  .filter((each) => each instanceof Ci.nsIScriptError)
                  .filter((each) => each.sourceName?.startsWith(arguments[0]))
                  .map((each) => each.message)""",
                script_args=(self.url,),
                sandbox="system",
            )
        return messages


def wait_for(port: int) -> None:
    """Wait until something listens: Marionette's own waiting leaves sockets open."""
    deadline = time.monotonic() + _STARTS_S
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    pytest.fail("Firefox did not start")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("there is no Firefox: apt-get install --no-install-recommends firefox-esr")
    profile = tmp_path_factory.mktemp("profile")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (profile / "user.js").write_text(f'user_pref("marionette.port", {port});\n')
    command = [path, "-headless", "-no-remote", "-marionette", "-remote-allow-system-access"]
    browser = subprocess.Popen(
        [*command, "-profile", str(profile)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    driver = marionette.Marionette(host="127.0.0.1", port=port)
    try:
        wait_for(port)
        driver.start_session()
        driver.set_window_rect(width=1280, height=900)
        yield driver
        driver.delete_session()
    finally:
        browser.kill()
        browser.wait()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running({"mnist-test": SHIPPED_INDEX}) as url:
        yield url


@pytest.fixture
def firefox(driver: Any, url: str) -> Iterator[Firefox]:
    firefox = Firefox(driver, url)
    firefox.until(lambda: firefox.script("return document.querySelectorAll('#hits li').length") == 10)
    yield firefox
    assert firefox.complaints() == []


def test_a_drawing_is_answered_on_the_map_inside_and_with_why(firefox: Firefox) -> None:
    firefox.draw("7")
    firefox.until(lambda: firefox.text("#label") == "7")
    firefox.click("#tab-map")
    described = "return document.querySelector(arguments[0]).getAttribute('aria-label')"
    firefox.until(lambda: "class 7" in firefox.script(described, "#map"))
    firefox.click("#tab-inside")
    firefox.until(lambda: "of 128 numbers" in firefox.script(described, "#inside"))
    firefox.click("#tab-why")
    firefox.until(lambda: re.match(r"Score with item \d+, class 7: 0\.9", firefox.text("#why-score")))
    firefox.until(lambda: firefox.script("return document.querySelectorAll('#why-changes tr').length") == 6)
    firefox.click("#clear")
    firefox.until(lambda: firefox.text("#label") == "")


def test_known_mistakes_an_item_and_the_tray(firefox: Firefox) -> None:
    firefox.click("#tab-mistakes")
    firefox.until(lambda: "nearest image of another class" in firefox.text("#mistakes-count"))
    firefox.click("#mistakes button")
    firefox.until(lambda: firefox.text("#asked").startswith("Item"))
    firefox.click("#tab-compare")
    firefox.click("#offer button:enabled")
    firefox.click("#offer li:nth-child(2) button:enabled")
    firefox.until(lambda: firefox.script("return document.querySelectorAll('#matrix td b').length") == 4)
    firefox.driver.go_back()
    firefox.until(lambda: "view=compare" not in firefox.driver.get_url())
