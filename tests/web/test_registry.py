"""Indexes that change under a server: each answer is of one version, and none fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from servers import running
from toys import toy_split

from simsearch.data.splits import Split
from simsearch.errors import BrokenBundleError, MissingBundleError
from simsearch.index.bundle import MANIFEST
from simsearch.web.problems import NotFoundError
from simsearch.web.registry import Registry
from simsearch.web.settings import Settings

NEVER = 3_600.0
SMALLER = toy_split([((90, 0, 0, 0), 0), ((0, 90, 0, 0), 1)])


@pytest.fixture
def folder(build_toy: Callable[..., Path], toy_gallery: Split) -> Path:
    return build_toy(toy_gallery)


def make_registry(folder: Path, **settings: Callable[[str, bool], None]) -> Registry:
    return Registry({"toy": folder}, interval=NEVER, **settings)


def test_the_first_index_is_the_default_and_an_unknown_one_is_named(folder: Path) -> None:
    registry = Registry({"b": folder, "a": folder}, interval=NEVER)
    assert registry[None] is registry["b"]
    with pytest.raises(NotFoundError, match="there is no index 'c'") as raised:
        registry["c"]
    assert raised.value.hint == "choose one of: b, a"
    registry.close()


def test_a_missing_index_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(MissingBundleError):
        make_registry(tmp_path / "none")


def test_a_changed_manifest_is_opened_again_and_an_unchanged_one_is_not(
    folder: Path, build_toy: Callable[..., Path]
) -> None:
    reloads: list[tuple[str, bool]] = []
    registry = make_registry(folder, on_reload=lambda *event: reloads.append(event))
    before = registry["toy"]
    registry.refresh()
    assert registry["toy"] is before
    build_toy(SMALLER)
    registry.refresh()
    registry.refresh()
    assert len(registry["toy"].searcher) == 2
    assert len(before.searcher) == 6
    assert before.picture(5).startswith("data:image/png;base64,")  # who began with the old version can go on
    assert reloads == [("toy", True)]
    registry.close()


def test_a_broken_new_version_leaves_the_old_one_answering(
    folder: Path, build_toy: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    reloads: list[tuple[str, bool]] = []
    registry = make_registry(folder, on_reload=lambda *event: reloads.append(event))
    with caplog.at_level(logging.WARNING):
        (folder / MANIFEST).write_text("{}")
        registry.refresh()
        registry.refresh()  # it is not tried again until it changes
        (folder / MANIFEST).unlink()
        registry.refresh()
    assert len(registry["toy"].searcher) == 6
    assert reloads == [("toy", False)]
    assert "toy was not reloaded" in caplog.text
    build_toy(SMALLER)
    registry.refresh()
    assert len(registry["toy"].searcher) == 2
    registry.close()


def test_a_broken_index_is_refused_at_the_start(folder: Path) -> None:
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(BrokenBundleError):
        make_registry(folder)


def test_no_request_fails_while_an_index_is_built_again_and_again(
    folder: Path, build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    stop, sizes, failures = threading.Event(), set(), []

    def ask(url: str) -> None:
        with httpx.Client(base_url=url) as client:
            while not stop.is_set():
                answer = client.get("/api/items/1/neighbors?k=9&pictures=true")
                if answer.status_code != 200:
                    failures.append(answer.text)
                    return
                document = answer.json()
                sizes.add(document["index"]["items"])
                if len(document["queries"][0]["hits"]) != document["index"]["items"] - 1:
                    failures.append(answer.text)

    with running({"toy": folder}, Settings(workers=2, reload_interval=0.02)) as url:
        threads = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n in range(12):
            build_toy(toy_gallery if n % 2 else SMALLER)
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert sizes == {2, 6}
