"""What a change did, in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs
from toys import PLAIN

from simsearch.encode.encoder import AS_IS
from simsearch.index.manifest import FileEntry, Manifest, Segment, StoreRecord
from simsearch.index.update import Outcome
from simsearch.show.terminal.change_view import outcome_line

FILES = {"encoder": FileEntry.of("encoder", 1, "0" * 32)}
MANIFEST = Manifest(
    name="toy",
    created="2026-01-02T03:04:05+00:00",
    count=1_206,
    dim=4,
    factory="Flat",
    model="toy",
    encoder="e" * 64,
    preprocessing=1,
    projection=None,
    dataset="toy",
    data_sha256={},
    classes=(),
    versions={},
    files=FILES,
    input=PLAIN,
    output=AS_IS,
)
RECORD = StoreRecord("milvus", "http://h:1", "toy", 1, 5_000, (), exact_pictures=True)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "2 added, 1 removed, now 1,206 images in one segment"),
        ({"segments": (Segment(1, "Flat", {}),)}, "2 added, 1 removed, now 1,206 images in 2 segments"),
        ({"store": RECORD}, "2 added, 1 removed, now 1,206 images on the server"),
        (
            {"store": RECORD, "rows": 1_207},
            "2 added, 1 removed, now 1,206 images on the server, 1 row to compact",
        ),
        (
            {"store": RECORD, "rows": 2_207},
            "2 added, 1 removed, now 1,206 images on the server, 1,001 rows to compact",
        ),
    ],
)
def test_a_change_is_told_with_what_there_is_now(changes: dict, line: str) -> None:
    outcome = Outcome(structs.replace(MANIFEST, **changes), (7, 8), (3,))
    assert outcome_line(outcome) == line
    assert outcome_line(replace(outcome, added=(), removed=())) == line.removeprefix("2 added, 1 removed, ")
