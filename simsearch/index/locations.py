"""Where indexes are: the user's index folder, and the index that ships with simsearch."""

from __future__ import annotations

import re
from pathlib import Path

from simsearch.errors import BadInputError, MissingBundleError
from simsearch.text import did_you_mean, listed

DEFAULT_INDEX = "mnist-test"
DEFAULT_INDEX_DIR = Path("indexes")
_MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # not a file name on Windows
_PACKAGE = Path(__file__).parents[1]


def index_folder(index_dir: Path, name: str) -> Path:
    """The folder of the index of that name.

    :raises BadInputError: If the name could not be one folder's name on every system.
    """
    if not _NAME.fullmatch(name) or _DEVICE.fullmatch(name):
        raise BadInputError(f"{name!r} cannot name an index", hint="use letters, digits, '.', '_' and '-'")
    return index_dir / name


def find_index(index: str, index_dir: Path) -> Path:
    """The folder of an existing index, given its name or its path.

    A name is looked up in `index_dir`, then among the shipped indexes, so that the shipped index is
    found wherever simsearch runs.

    :raises MissingBundleError: If there is no such index, naming those that there are.
    """
    places = [Path(index)] if _is_path(index) else [index_dir / index, *_shipped(index)]
    for place in places:
        if _is_index(place):
            return place
    raise MissingBundleError(f"there is no index in {places[0]}", _what_instead(index, index_dir))


def _what_instead(index: str, index_dir: Path) -> str:
    """The hint for an index that is not there: the closest that is, or the command that builds it."""
    places = (index_dir / DEFAULT_INDEX, *_shipped(DEFAULT_INDEX))
    names = list_indexes(index_dir)[0 if any(map(_is_index, places)) else 1 :]
    if index == DEFAULT_INDEX:
        return f"build it from MNIST's test images: `simsearch build-index{_option(index_dir)}`"
    if _is_path(index):
        build = "`simsearch build-index --dataset FOLDER --name NAME` builds one from a folder of images"
    else:
        build = f"`simsearch build-index --dataset FOLDER --name {index}{_option(index_dir)}` builds it"
    have = f"; there are: {listed(sorted(names))}" if names else ""
    return f"{did_you_mean(Path(index).name, names)}{build}{have}"


def _option(index_dir: Path) -> str:
    if index_dir == DEFAULT_INDEX_DIR:
        return ""
    from shlex import quote

    return f" --index-dir {quote(str(index_dir))}"


def list_indexes(index_dir: Path) -> list[str]:
    """The names of the shipped index and, in alphabetical order, of those in a folder."""
    return [DEFAULT_INDEX, *(name for name in indexes_in(index_dir) if name != DEFAULT_INDEX)]


def indexes_in(index_dir: Path) -> list[str]:
    """The names of the indexes in a folder: the default one first, then in alphabetical order."""
    names = {path.parent.name for path in index_dir.glob(f"*/{_MANIFEST}")}
    return sorted(names, key=lambda name: (name != DEFAULT_INDEX, name))


def all_indexes(index_dir: Path) -> list[Path]:
    """The folders of all indexes there: only what lies in a folder that was chosen, else the shipped one too.

    :raises MissingBundleError: If a chosen folder holds none.
    """
    if index_dir == DEFAULT_INDEX_DIR:
        return [find_index(name, index_dir) for name in list_indexes(index_dir)]
    if not (found := [index_dir / name for name in indexes_in(index_dir)]):
        build = f"`simsearch build-index{_option(index_dir)}` builds one from MNIST's test images"
        raise MissingBundleError(f"there is no index in {index_dir}", hint=build)
    return found


def is_shipped(folder: Path) -> bool:
    """Whether this is the folder of an index that ships with simsearch, or leads to it.

    A checkout's folder of indexes is also its user's: of those only the default one ships.
    """
    packed, in_checkout = _shipped(DEFAULT_INDEX)
    real = folder.resolve()
    return real.parent == packed.parent.resolve() or real == in_checkout.resolve()


def _is_path(index: str) -> bool:
    return not _NAME.fullmatch(index) or _is_index(Path(index))


def _is_index(folder: Path) -> bool:
    try:
        return (folder / _MANIFEST).is_file()
    except OSError:  # a name that is too long, or a folder that may not be entered
        return False


def _shipped(name: str) -> tuple[Path, Path]:
    """Where a shipped index would be: inside an installed package, or beside it in a checkout."""
    return _PACKAGE / "shipped" / name, _PACKAGE.parent / "indexes" / name
