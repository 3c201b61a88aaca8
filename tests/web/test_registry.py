"""Indexes that change under a server: each answer is of one version, and none fails."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from servers import PATIENCE_S, Served, running
from toys import toy_split

from simsearch.data.splits import Split
from simsearch.errors import BrokenBundleError, MissingBundleError
from simsearch.index.bundle import MANIFEST
from simsearch.index.update import Index
from simsearch.web.problems import NotFoundError
from simsearch.web.registry import OpenIndex, Registry
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


def test_items_that_are_removed_are_gone_and_whoever_had_the_old_version_keeps_it(folder: Path) -> None:
    registry = make_registry(folder)
    before = registry["toy"]
    Index.open(folder, threads=1).remove([5])
    registry.refresh()
    assert (len(registry["toy"].searcher), registry["toy"].describe()["examples"][-1]["id"]) == (5, 3)
    with pytest.raises(NotFoundError):
        registry["toy"].png(5)
    assert before.png(5)
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


class Obstacle:
    """An opener that fails as long as there is something in its way."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.tries = 0

    def __call__(self, name: str, folder: Path) -> OpenIndex:
        self.tries += 1
        if self.error is not None:
            raise self.error
        return OpenIndex(name, folder)


@pytest.mark.parametrize("behind", [None, OSError(24, "Too many open files"), MemoryError()])
def test_what_could_not_be_read_is_tried_again_ever_more_rarely_until_it_can_be(
    folder: Path, build_toy: Callable[..., Path], behind: Exception | None
) -> None:
    obstacle, now = Obstacle(), [0.0]
    registry = Registry(
        {"toy": folder}, interval=NEVER, patience=NEVER * 5, open_index=obstacle, clock=lambda: now[0]
    )
    build_toy(SMALLER)
    obstacle.error = OSError("no files") if behind is None else BrokenBundleError("it cannot be read")
    obstacle.error.__cause__ = behind
    obstacle.tries = 0
    for hour in range(20):
        now[0] = hour * NEVER
        registry.refresh()
    assert obstacle.tries == 6  # after 0, 1, 1 + 2, 1 + 2 + 4, and then every 5 hours
    assert len(registry["toy"].searcher) == 6
    obstacle.error = None
    now[0] += 5 * NEVER
    registry.refresh()
    assert len(registry["toy"].searcher) == 2
    registry.close()


def test_what_is_broken_is_tried_again_when_any_of_its_files_changes(
    folder: Path, build_toy: Callable[..., Path]
) -> None:
    obstacle, now = Obstacle(), [0.0]
    registry = Registry(
        {"toy": folder}, interval=NEVER, patience=NEVER, open_index=obstacle, clock=lambda: now[0]
    )
    build_toy(SMALLER)
    vectors = next(folder.glob("*.faiss"))
    content = vectors.read_bytes()
    vectors.write_bytes(content[:-1] + b"\1")
    obstacle.tries = 0
    for hour in range(20):
        now[0] = hour * NEVER
        registry.refresh()
    assert (obstacle.tries, len(registry["toy"].searcher)) == (1, 6)
    vectors.write_bytes(content)  # as a copy that had not arrived whole, and now has
    registry.refresh()
    assert (obstacle.tries, len(registry["toy"].searcher)) == (2, 2)
    registry.close()


@pytest.mark.signals
@pytest.mark.skipif(sys.platform != "linux", reason="it counts open files")
def test_a_server_without_files_to_open_reloads_when_it_has_some(
    folder: Path, build_toy: Callable[..., Path]
) -> None:
    import resource

    with Served("--index", folder) as served:
        url = f"{served.url}/api/indexes"
        with httpx.Client() as client:
            assert client.get(url).json()["indexes"][0]["items"] == 6
            used = len(os.listdir(f"/proc/{served.process.pid}/fd"))  # noqa: PTH208
            before = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (used, before[1]))
            build_toy(SMALLER)
            served.wait_for_line("toy was not reloaded")
            assert client.get(url).json()["indexes"][0]["items"] == 6
            resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, before)
            deadline = time.monotonic() + PATIENCE_S
            while client.get(url).json()["indexes"][0]["items"] != 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert served.end(signal.SIGTERM)[0] == 143


def test_files_that_are_cut_short_in_place_do_not_end_the_server(
    folder: Path, build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    """As `cp` over them does first; what is mapped would be a SIGBUS then."""
    approximate = build_toy(toy_gallery, "approximate", "HNSW4,SQ8")  # which keeps its vectors in a file
    with Served("--index", folder, "--index", approximate) as served, httpx.Client() as client:
        for path in (*folder.iterdir(), *approximate.iterdir()):
            if path.suffix in (".npy", ".faiss", ".txt", ".onnx"):
                os.truncate(path, 0)
        for name in ("toy", "approximate"):
            answer = client.get(f"{served.url}/api/items/1/neighbors?k=9&pictures=true&index={name}")
            assert len(answer.json()["queries"][0]["hits"]) == 5
            assert client.get(f"{served.url}/api/items/5.png?index={name}").status_code == 200


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
