"""One Milvus server that is killed and started again, and one that asks for a password."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from numpy.testing import assert_array_equal

from simsearch.errors import NotUsableError, UnavailableError
from simsearch.index import migrate
from simsearch.index.build import build_index
from simsearch.index.bundle import MANIFEST, open_bundle, open_served, read_manifest
from simsearch.index.migrate import to_server
from simsearch.index.serving import Target

pytest.importorskip("pymilvus")
pytest.importorskip("uvicorn")
from engines.galleries import answered, assert_whole, empty, large_gallery, load
from engines.single import PASSWORD, URI
from servers import running

from simsearch.index.stores.milvus import collection as stored
from simsearch.index.stores.milvus.client import TOKEN, Server

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def gallery():
    return large_gallery()


@pytest.mark.usefixtures("milvus_server")
@pytest.mark.parametrize("token", ["root:Wrong-Secret-9", f"nobody:{PASSWORD}", ""])
def test_wrong_credentials_are_refused_and_never_shown(monkeypatch, token, build_toy, toy_gallery):
    folder = build_toy(toy_gallery)
    before = (folder / MANIFEST).read_bytes()
    monkeypatch.setenv(TOKEN, token)
    with pytest.raises(NotUsableError, match="refuses the credentials") as caught:
        Server(URI).call("list_collections")
    assert "Secret" not in f"{caught.value.message}{caught.value.hint}"
    command = [sys.executable, "-m", "simsearch", "migrate", "toy", "--index-dir", str(folder.parent)]
    done = subprocess.run([*command, "--store", "milvus", "--uri", URI], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
    said = [line for line in done.stderr.splitlines() if line.startswith(("error", "hint"))]
    assert said == [
        f"error: the Milvus server at {URI} refuses the credentials",
        f"hint: set {TOKEN} to user:password",
    ]
    assert "Secret" not in done.stderr
    assert (folder / MANIFEST).read_bytes() == before
    monkeypatch.setenv(TOKEN, f"root:{PASSWORD}")
    assert isinstance(Server(URI).call("list_collections"), list)


def test_a_server_killed_during_a_load_has_all_that_it_acknowledged_and_the_load_goes_on(
    milvus_server, gallery
):
    client, store = empty(URI, "killed", gallery)
    restarted = threading.Thread(target=milvus_server.start)

    def kill_and_restart() -> None:
        milvus_server.kill()
        restarted.start()

    seconds = load(store, gallery, kill_and_restart)  # each batch is tried again until it is acknowledged
    restarted.join()
    stored.finish(client, "killed")
    print(f"{len(gallery.ids):,} rows loaded in {seconds:.1f} s, server killed halfway and started again")
    assert_whole(store, gallery)


def test_while_a_server_is_gone_everything_says_so_and_afterwards_goes_on(
    milvus_server, toy_gallery, toy_model, tmp_path, monkeypatch
):
    folder = tmp_path / "own"
    build_index(toy_gallery, toy_model, folder, target=Target(URI))
    build_index(toy_gallery, toy_model, tmp_path / "moved")
    store, patient = open_bundle(folder).store, open_served(folder, read_manifest(folder), timeout=180)
    queries = store.vectors(store.sample(1).ids)
    best = store.search(queries, 1).ids
    sent = kill_at_the_third_block(milvus_server, monkeypatch)
    with running({"own": folder}) as url, ThreadPoolExecutor(1) as beside:
        assert get(url)[0] == 200
        with pytest.raises(UnavailableError, match="gives no answer"):
            to_server(tmp_path / "moved", Target(URI))  # the server goes midway, and the deadline passes
        assert read_manifest(tmp_path / "moved").store is None
        waiting = beside.submit(patient.search, queries, 1)  # whose deadline is later
        status, headers, problem = get(url)
        assert (status, headers["Content-Type"]) == (503, "application/problem+json")
        assert int(headers["Retry-After"]) >= 1
        assert problem["detail"].startswith(f"the Milvus server at {URI} gives no answer")
        with pytest.raises(UnavailableError, match="gives no answer") as caught:
            store.search(queries, 1)
        assert "\n" not in caught.value.message
        assert_one_line_and_code_4(folder)
        began = time.monotonic()
        milvus_server.start()
        assert_array_equal(waiting.result(180).ids, best)
        print(f"killed and started again, it answers after {time.monotonic() - began:.1f} s")
        assert_array_equal(answered(store, queries), best)
        while (status := get(url)[0]) == 503 and time.monotonic() < began + 180:
            time.sleep(0.5)
        assert status == 200
    sent.clear()
    monkeypatch.setattr(stored, "WRITE_S", 180.0)
    to_server(tmp_path / "moved", Target(URI))
    assert sent == [4]  # the first two blocks had been acknowledged
    assert_array_equal(open_bundle(tmp_path / "moved").ids, range(6))


def kill_at_the_third_block(server, monkeypatch) -> list[int]:
    """Moves are in blocks of two items, and the server is killed before the third; returns what was sent."""
    sent: list[int] = []
    upsert = stored.upsert

    def killing(*arguments) -> None:
        if len(sent) == 2:
            sent.append(-1)
            server.kill()
        upsert(*arguments)
        sent.append(int(arguments[2].ids[0]))

    monkeypatch.setattr(migrate, "_BLOCK", 2)
    monkeypatch.setattr(stored, "WRITE_S", 2.0)
    monkeypatch.setattr(stored, "upsert", killing)
    return sent


def assert_one_line_and_code_4(folder: Path) -> None:
    """What a query says whose server is gone."""
    command = [sys.executable, "-m", "simsearch", "query", "--id", "3", "--index", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (4, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith(f"error: the Milvus server at {URI} gives no answer")
    assert "try again in a minute" in hint


def get(url: str) -> tuple[int, http.client.HTTPMessage, dict]:
    """The neighbors of an item over HTTP: status, headers, document."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("GET", "/api/items/3/neighbors")
    answer = connection.getresponse()
    found = answer.status, answer.headers, json.loads(answer.read())
    connection.close()
    return found
