"""Files that are cut short in place, as `cp` over them does first, end no process that has opened them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toys import quadrant_image

from simsearch.data.splits import Split
from simsearch.prepare.prepare import PreparedImage
from simsearch.search.batch import BATCH
from simsearch.search.searcher import Searcher

pytestmark = pytest.mark.skipif(os.name == "nt", reason="an open file cannot be cut short there")


def cut(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix != ".json":
            os.truncate(path, 0)


@pytest.mark.parametrize("factory", ["Flat", "HNSW4,SQ8"])
def test_a_list_of_queries_is_answered_to_its_end(
    build_toy: Callable[..., Path], toy_gallery: Split, factory: str
) -> None:
    folder = build_toy(toy_gallery, factory=factory)
    command = [
        sys.executable,
        "-m",
        "simsearch",
        "query",
        "--index",
        str(folder),
        "--threads",
        "1",
        "--jsonl",
    ]
    running = subprocess.Popen(
        [*command, "--k", "2", "--id", "1", "--files-from", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    with running:
        running.stdin.write("nowhere.png\n" * 5 * BATCH)
        running.stdin.flush()
        assert "error" in json.loads(running.stdout.readline())  # so the index is open
        cut(folder)
        running.stdin.close()
        *_, last = running.stdout
    assert running.returncode == 2  # for the pictures that were not there
    assert [hit["id"] for hit in json.loads(last)["hits"]] == [0, 2]


def test_an_open_searcher_answers_on(build_toy: Callable[..., Path], toy_gallery: Split) -> None:
    searcher = Searcher.open(build_toy(toy_gallery, factory="HNSW4,SQ8"), threads=1)
    cut(searcher.bundle.folder)
    (answer,) = searcher.query_prepared([PreparedImage(quadrant_image(60, 80, 0, 0))], k=6)
    assert answer.hits[0].id == 2
    assert len(answer.hits) == 6
    assert searcher.thumbnail(2)[0, [0, 27]].tolist() == [60, 80]
