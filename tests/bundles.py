"""What is asked of an index's folder by tests of all that write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from toys import PLAIN, quadrant_image, write_quadrants

from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.index.bundle import MANIFEST, read_manifest
from simsearch.index.update import Index

# Each way to change a followed index; see `follow`.
CHANGES: dict[str, Callable[[Index], object]] = {
    "add": lambda index: index.add([quadrant_image(5, 6, 7, 8)], labels="c"),
    "remove": lambda index: index.remove([0, 4]),
    "sync": lambda index: index.sync(),
    "compact": lambda index: index.compact(),
}


def assert_tidy(folder: Path, *foreign: str) -> None:
    """Nothing lies in the folder but the index, its lock and these."""
    named = {entry.name for entry in read_manifest(folder).all_files}
    assert {path.name for path in folder.iterdir()} == named | {MANIFEST, ".lock", *foreign}


def follow(folder: Path, pictures: Path, model: Model) -> Index:
    """An index of a folder, of two segments and without an item, whose files have changed since.

    One is new, one is another, one is gone, one has another name and class.
    """
    for number in range(6):
        write_quadrants(pictures / "ab"[number % 2] / f"{number}.png", number + 1, 20, 30, 40)
    build_index(load_image_folder(pictures, PLAIN, processes=1), model, folder)
    index = Index.open(folder, threads=1)
    index.add([quadrant_image(1, 2, 3, 4)], labels="a")
    index.remove([1])
    assert index.manifest.is_changed
    write_quadrants(pictures / "c" / "new.png", 9, 0, 9, 0)
    write_quadrants(pictures / "a" / "0.png", 9, 9, 9, 0)
    (pictures / "a" / "2.png").unlink()
    (pictures / "b" / "3.png").rename(pictures / "a" / "three.png")
    return index
