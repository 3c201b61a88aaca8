"""Names on a command line -> the files to be added, with their classes, or the items to be removed."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simsearch.data.class_names import meant_class
from simsearch.data.collection import Collection, Item, Items, Skipped, comparable, scan
from simsearch.data.labels import AUTO, FOLDER, LAST, NONE, label_items
from simsearch.errors import BadInputError
from simsearch.index.change.sync import Known, labeling_of
from simsearch.index.manifest import Manifest


@dataclass(frozen=True)
class Named:
    """A file, what the index would call it, and the name of its class."""

    file: Path
    source: str
    label: str | None


@dataclass(frozen=True)
class AddedFiles:
    """Files that are to be added, each once, and what was passed over."""

    files: tuple[Named, ...]
    skipped: tuple[Skipped, ...] = ()

    @classmethod
    def of(
        cls, files: Iterable[tuple[Path, str | None]], root: str | None, skipped: Sequence[Skipped] = ()
    ) -> AddedFiles:
        """Name files from the index's folder on, or by their whole path."""
        named: dict[Path, Named] = {}
        for file, label in files:
            place = file.parent.resolve() / file.name
            named.setdefault(place, Named(place, source_of(place, root), label))
        return cls(tuple(named.values()), tuple(skipped))


def source_of(file: Path, root: str | None) -> str:
    """What an index calls a file."""
    if root is not None and file.is_relative_to(root):
        return file.relative_to(root).as_posix()
    return str(file)


def gather_paths(
    paths: Sequence[Path], manifest: Manifest, *, label: str | None = None, labels: str = AUTO
) -> AddedFiles:
    """The files that these paths name, those in folders among them.

    :raises BadInputError: If there is none, a path leads nowhere, or classes are missing or cannot be.
    :raises BadDatasetError: If a folder or a table cannot be read.
    """
    found: list[tuple[Path, str | None]] = []
    skipped: list[Skipped] = []
    for path in paths:
        if path.is_dir():
            files, passed = _in_folder(path, manifest, label, labels)
            found += files
            skipped += passed
        elif path.exists():
            found.append((path, label or _by_root(path, manifest)))
        else:
            raise BadInputError(f"there is no {path}", hint="pass the path of a picture, or of a folder")
    has_classes = manifest.is_labeled
    if has_classes and (lacking := next((file for file, name in found if name is None), None)):
        raise BadInputError(
            f"{manifest.name} has classes, and {lacking} has none", hint="name one: --label NAME"
        )
    if not has_classes:
        if label is not None:
            raise BadInputError(f"{manifest.name} has no classes", hint="leave out --label")
        found = [(file, None) for file, _ in found]
    return AddedFiles.of(found, manifest.root, skipped)


def _in_folder(
    folder: Path, manifest: Manifest, label: str | None, labels: str
) -> tuple[list[tuple[Path, str | None]], Sequence[Skipped]]:
    root = Path(manifest.root) if manifest.root else None
    if label is not None or not manifest.is_labeled:
        collection = scan(folder)
        return [(collection.file(item), label) for item in collection.items], collection.skipped
    if root is not None and labels == AUTO and folder.resolve().is_relative_to(root):
        collection = _below(scan(folder.resolve()), root)
        labeled = label_items(collection, labeling_of(manifest))
    else:
        collection = scan(folder)
        labeled = label_items(collection, labels)
    names: Sequence[str | None] = labeled.names or [None] * len(labeled.items)
    files = [(collection.file(item), name) for item, name in zip(labeled.items, names, strict=True)]
    return files, labeled.skipped


def _below(collection: Collection, root: Path) -> Collection:
    """A collection of a folder inside another, seen from that."""
    prefix = collection.root.relative_to(root).as_posix()
    items = Items(
        Item(item.path if prefix == "." else f"{prefix}/{item.path}", item.size, item.mtime_ns)
        for item in collection.items
    )
    return Collection(root, items, collection.skipped)


def _by_root(file: Path, manifest: Manifest) -> str | None:
    """The class of a file of the index's folder, where folders say so."""
    place = file.parent.resolve() / file.name
    way = labeling_of(manifest)
    if manifest.root is None or way in (NONE, AUTO) or not place.is_relative_to(manifest.root):
        return None
    parts = comparable(place.relative_to(manifest.root).as_posix()).split("/")
    if len(parts) < 2 or way not in (FOLDER, LAST):
        return None
    return parts[-2] if way == LAST else parts[0]


def chosen_items(
    items: Iterable[Known],
    manifest: Manifest,
    *,
    sources: Sequence[str] = (),
    labels: Sequence[str] = (),
    missing: bool = False,
) -> Iterator[Known]:
    """The items that any of these names.

    :param sources: Sources, folders of them, or patterns such as `cat/*.png`.
    :param missing: Also those whose file is not there any more.
    :raises BadInputError: If one of them names nothing, or nobody knows where the files would be, or their
        whole folder is gone.
    """
    if missing and manifest.root is not None and not Path(manifest.root).is_dir():
        raise BadInputError(
            f"the folder {manifest.root} is not there, so nothing was changed",
            hint=f"is its disk mounted? `simsearch sync {manifest.name} FOLDER` says where it is now",
        )
    classes = {meant_class(label, manifest.classes, manifest.name) for label in labels}
    wanted = {source: _from_root(source, manifest) for source in sources}
    used: set[str] = set()
    for item in items:
        named = {source for source, pattern in wanted.items() if _is_named(item.source, pattern)}
        used |= named
        is_missing = missing and item.is_file and not _place(item.source, manifest).exists()
        if named or item.label in classes or is_missing:
            yield item
    if unused := sorted(wanted.keys() - used):
        hint = "`simsearch query` prints sources"
        raise BadInputError(f"no item of {manifest.name} is called {unused[0]!r}", hint)


def _from_root(source: str, manifest: Manifest) -> str:
    if manifest.root and Path(source).is_absolute():
        source = source_of(Path(source), manifest.root)
    return comparable(source).rstrip("/")


def _is_named(source: str, pattern: str) -> bool:
    name = comparable(source)
    return name == pattern or name.startswith(f"{pattern}/") or fnmatch.fnmatchcase(name, pattern)


def _place(source: str, manifest: Manifest) -> Path:
    """Where an item's file lies."""
    if manifest.root is None and not Path(source).is_absolute():
        raise BadInputError(
            f"{manifest.name} was made from {manifest.dataset}, so its items are no files",
            hint="name items by --id, --source or --label",
        )
    return Path(manifest.root or "") / source
