"""Folders whose sub-folders are the splits of a data set, by the names that data sets use."""

from __future__ import annotations

from pathlib import Path

from simsearch.data.collection import comparable, visible
from simsearch.errors import BadDatasetError

_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}


def split_word(text: str) -> str | None:
    """The split that a word stands for, in any case: `train`, `val` or `test`."""
    return _SPLIT_OF.get(comparable(text).casefold())


def find_splits(folder: Path) -> dict[str, Path]:
    """The splits of a folder, or of the only folder in it: `train`, `val` and `test` -> where they lie.

    Sub-folders are splits if there are two or three, or if there is one and nothing else; otherwise they may
    be classes with such a name, and none is returned.

    :raises BadDatasetError: If the folder cannot be read, or two sub-folders stand for one split.
    """
    folders = _folders(folder)
    if len(folders) == 1 and split_word(folders[0].name) is None:
        folders = _folders(folders[0])
    splits: dict[str, Path] = {}
    named = [(split, path) for path in folders if (split := split_word(path.name))]
    if len({split for split, _ in named}) < 2 and len(named) < len(folders):
        return {}
    for split, path in named:
        if split in splits:
            raise BadDatasetError(
                f"{splits[split]} and {path} may both be the {split} split", hint="name one of them otherwise"
            )
        splits[split] = path
    return {split: splits[split] for split in _WORDS if split in splits}


def _folders(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.is_dir() and not path.is_symlink()]
