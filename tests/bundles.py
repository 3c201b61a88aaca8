"""What is asked of an index's folder by tests of all that write it."""

from __future__ import annotations

from pathlib import Path

from simsearch.index.bundle import MANIFEST, read_manifest


def assert_tidy(folder: Path, *foreign: str) -> None:
    """Nothing lies in the folder but the index, its lock and these."""
    named = {entry.name for entry in read_manifest(folder).all_files}
    assert {path.name for path in folder.iterdir()} == named | {MANIFEST, ".lock", *foreign}
