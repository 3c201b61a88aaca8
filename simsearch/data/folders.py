"""The image files in a folder and below it, in the order that people expect."""

from __future__ import annotations

import re
from pathlib import Path

from simsearch.errors import BadDatasetError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})


def visible(folder: Path) -> list[Path]:
    """The folder's entries without the hidden ones, "9" before "10"."""
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise BadDatasetError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted(entries, key=lambda path: natural(path.name))


def natural(name: str) -> tuple[list[int | str], str]:
    """The key that sorts "9" before "10"."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts], name


def image_files(folder: Path, base: Path, skipped: list[str], *, deep: bool = True) -> list[Path]:
    """The image files in a folder and below it, in natural order; what cannot be used goes to `skipped`."""
    found: list[Path] = []
    for path in visible(folder):
        if path.is_dir():
            if path.is_symlink():
                skipped.append(f"{name_below(path, base)}: a link to a folder, not followed")
            elif deep:
                found += image_files(path, base, skipped)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            if name_below(path, base) == path.relative_to(base).as_posix():
                found.append(path)
            else:
                skipped.append(f"{name_below(path, base)}: its name is not valid UTF-8")
    return found


def name_below(path: Path, base: Path) -> str:
    """The path below the given folder; bytes that are no UTF-8 are spelt out."""
    return path.relative_to(base).as_posix().encode(errors="backslashreplace").decode()
