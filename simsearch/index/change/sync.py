"""What has become of a folder since an index was made of it, and so what is to be done to the index."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

import numpy as np

from simsearch.data.collection import UNREADABLE, Item, Skipped, scan
from simsearch.data.labels import AUTO, FOLDER, NONE, label_items
from simsearch.errors import BadInputError
from simsearch.files import open_regular
from simsearch.index.bundle import open_served, read_items
from simsearch.index.change.revise import Revision
from simsearch.index.manifest import Manifest, StoreRecord
from simsearch.index.reading import UNKNOWN, Stamp, file_hash, stamp_of
from simsearch.index.served import ServedColumns

_NOT_THERE = "not there"
_MOST_GONE, _FEW = 0.5, 10  # of the items, and items, that may go without a word


@dataclass(frozen=True)
class Known:
    """An item of an index."""

    id: int
    source: str
    label: str | None
    stamp: Stamp

    @property
    def is_file(self) -> bool:
        """Whether it was made of a file, not of pixels that a program had."""
        return self.stamp != UNKNOWN or self.source != added_source(self.id)


@dataclass(frozen=True)
class Plan:
    """What is to be done to an index so that it holds what lies in its folder."""

    root: Path
    labeling: str
    added: tuple[tuple[Item, str | None], ...] = ()  # new files, and those that changed; with their class
    changed: tuple[Known, ...] = ()  # whose files changed: they are removed, and added as new items
    gone: tuple[Known, ...] = ()
    renamed: Mapping[int, Revision] = field(default_factory=dict)  # by id: files that have another name now
    relabeled: Mapping[int, Revision] = field(default_factory=dict)  # whose class is another
    touched: Mapping[int, Revision] = field(default_factory=dict)  # whose files have another time
    before: tuple[Known, ...] = ()  # the items that are renamed
    kept: int = 0
    skipped: tuple[Skipped, ...] = ()

    @property
    def revised(self) -> dict[int, Revision]:
        """The items that keep their id and picture, and get something else."""
        return {**self.touched, **self.relabeled, **self.renamed}

    @property
    def removed(self) -> tuple[Known, ...]:
        """The items that go."""
        return (*self.changed, *self.gone)

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.added or self.removed or self.revised)


def added_source(item: int) -> str:
    """What an item is called whose picture was no file."""
    return f"added/{item}"


def known_items(folder: Path, manifest: Manifest) -> Iterator[Known]:
    """What an index says of its items, in ascending order of id.

    :raises BrokenBundleError: If a file is damaged.
    :raises UnavailableError: If the server that holds them cannot answer.
    """
    if manifest.store is not None:
        yield from _served_items(folder, manifest, manifest.store)
        return
    for items in read_items(folder, manifest, "labels", "sources", "source_ends", "stamps"):
        assert items.sources is not None
        for row in items.rows.tolist():
            label = None if items.labels is None else manifest.classes[items.labels[row]]
            stamp = UNKNOWN if items.stamps is None else _plain(items.stamps[row].item())
            yield Known(int(items.ids[row]), items.sources[row], label, stamp)


def _served_items(folder: Path, manifest: Manifest, record: StoreRecord) -> Iterator[Known]:
    with closing(open_served(folder, manifest)) as store:
        columns = ServedColumns(store, manifest.input, labeled=True, exact_pictures=record.exact_pictures)
        for row in columns.scan("label", "source", *(["stamp"] if record.stamps else [])):
            label = manifest.classes[row["label"]] if manifest.is_labeled else None
            yield Known(row["id"], columns.source(row), label, stamp_of(row.get("stamp", "")))


def present_sources(folder: Path, manifest: Manifest, wanted: Collection[str]) -> set[str]:
    """Which of these an index has an item of, without a look at all that it has.

    :raises BrokenBundleError: If a file is damaged.
    :raises UnavailableError: If the server that holds them cannot answer.
    """
    if manifest.store is not None:
        with closing(open_served(folder, manifest)) as store:
            return store.of_sources(wanted)
    found = set()
    for items in read_items(folder, manifest, "sources", "source_ends"):
        assert items.sources is not None
        rows = items.sources.find(wanted)
        here = (
            np.isin(list(rows.values()), items.rows)
            if rows and items.kept is not None
            else [True] * len(rows)
        )
        found |= {source for source, is_kept in zip(rows, here, strict=True) if is_kept}
    return found


def labeling_of(manifest: Manifest) -> str:
    """Where the classes of an index's folder come from."""
    return manifest.labeling or (FOLDER if manifest.classes else NONE)


def plan_sync(
    folder: Path, manifest: Manifest, root: Path | None = None, labels: str = AUTO, *, replace: bool = False
) -> Plan:
    """Compare an index with its folder: by size and time, and where these differ by content.

    :param root: Where the folder is now; None for where it was.
    :param labels: Where classes come from, if not from where they came.
    :param replace: Also if the index was made from another folder that is still there.
    :raises BadInputError: If the index was not made from this folder, or that is gone or empty.
    :raises BadDatasetError: If the folder cannot be read.
    """
    root = _root_of(manifest, root, replace)
    labeling = labeling_of(manifest) if labels == AUTO else labels
    labeled = label_items(scan(root), labeling)
    names: Sequence[str | None] = labeled.names or [None] * len(labeled.items)
    if not labeled.items:
        raise BadInputError(
            f"{root} holds no pictures, so nothing would be left in {manifest.name}",
            hint="is it the right folder, and mounted? `simsearch delete` deletes an index",
        )
    if (labeled.names is None) != (not manifest.is_labeled):
        has = "no classes" if labeled.names is None else "classes"
        raise BadInputError(
            f"the pictures in {root} have {has}, those in {manifest.name} "
            f"{'have some' if labeled.names is None else 'have none'}",
            hint="build it again with `simsearch build-index`",
        )
    return _Comparison(root, labeling, _made(manifest)).plan(
        [
            known
            for known in known_items(folder, manifest)
            if known.is_file and not Path(known.source).is_absolute()
        ],
        list(zip(labeled.items, names, strict=True)),
        labeled.skipped,
    )


def _root_of(manifest: Manifest, root: Path | None, replace: bool) -> Path:
    if manifest.root is None:
        raise BadInputError(
            f"{manifest.name} was made from {manifest.dataset}, not from a folder of images",
            hint="`simsearch add` adds pictures",
        )
    before = Path(manifest.root)
    if root is None:
        if not before.is_dir():
            raise BadInputError(
                f"the folder {before} is not there, so nothing was changed",
                hint=f"where it is now: `simsearch sync {manifest.name} FOLDER`",
            )
        return before
    root = root.resolve()
    if not root.is_dir():
        raise BadInputError(f"{root} is no folder")
    if root != before and before.is_dir() and not replace:
        raise BadInputError(
            f"{manifest.name} was made from {before}, not from {root}",
            hint="`simsearch add` adds pictures; --replace makes the other its folder",
        )
    return root


def _made(manifest: Manifest) -> float:
    """When an index was made, in seconds since 1970: files that are older are as they were."""
    try:
        return datetime.fromisoformat(manifest.created).timestamp()
    except ValueError:
        return 0.0


class _Comparison:
    """Items of an index against files of a folder."""

    def __init__(self, root: Path, labeling: str, made: float) -> None:
        self.root, self.labeling, self.made = root, labeling, made
        self.added: list[tuple[Item, str | None]] = []
        self.changed: list[Known] = []
        self.relabeled: dict[int, Revision] = {}
        self.touched: dict[int, Revision] = {}
        self.renamed: dict[int, Revision] = {}
        self.skipped: list[Skipped] = []

    def plan(
        self, known: Sequence[Known], found: Sequence[tuple[Item, str | None]], skipped: Sequence[Skipped]
    ) -> Plan:
        by_source = {item.source: item for item in known}
        fresh = []
        for item, label in found:
            before = by_source.pop(item.path, None)
            if before is None:
                fresh.append((item, label))
            else:
                self._compare(before, item, label)
        unread = {entry.path for entry in skipped if entry.reason.startswith(UNREADABLE)}
        missing = [item for item in by_source.values() if not _is_inside(item.source, unread)]
        gone = self._follow(missing, fresh)
        return Plan(
            self.root,
            self.labeling,
            tuple(self.added),
            tuple(self.changed),
            tuple(gone),
            self.renamed,
            self.relabeled,
            self.touched,
            tuple(item for item in missing if item.id in self.renamed),
            len(known) - len(self.changed) - len(gone) - len(self.renamed) - len(self.relabeled),
            (*skipped, *self.skipped),
        )

    def _compare(self, before: Known, item: Item, label: str | None) -> None:
        """A file that is where it was: is it what it was?"""
        if before.stamp[:2] == (item.size, item.mtime_ns):
            stamp = before.stamp
        else:
            digest = self._hash(item)
            if digest is None:
                return  # it is passed over, and the item stays until it can be read
            stamp = (item.size, item.mtime_ns, digest)
            is_known = before.stamp != UNKNOWN
            if (digest != before.stamp[2]) if is_known else (item.mtime_ns / 1e9 > self.made):
                self.changed.append(before)
                self.added.append((item, label))
                return
        if label != before.label:
            self.relabeled[before.id] = Revision(before.source, label, stamp)
        elif stamp != before.stamp:
            self.touched[before.id] = Revision(before.source, label, stamp)

    def _follow(self, missing: Sequence[Known], fresh: Sequence[tuple[Item, str | None]]) -> list[Known]:
        """Of new files find those that had another name; the items that are left are gone."""
        by_content: dict[tuple[int, tuple[int, int]], list[Known]] = defaultdict(list)
        for known in reversed(missing):
            if known.stamp != UNKNOWN:
                by_content[known.stamp[0], known.stamp[2]].append(known)
        sizes = {size for size, _ in by_content}
        for item, label in fresh:
            digest = self._hash(item) if item.size in sizes else None
            if digest is not None and (same := by_content.get((item.size, digest))):
                stamp = (item.size, item.mtime_ns, digest)
                self.renamed[same.pop().id] = Revision(item.path, label, stamp)
            else:
                self.added.append((item, label))
        return [known for known in missing if known.id not in self.renamed]

    def _hash(self, item: Item) -> tuple[int, int] | None:
        try:
            with open_regular(self.root / item.path) as file:
                return file_hash(file)
        except OSError as error:
            self.skipped.append(Skipped(item.path, f"{UNREADABLE}: {(error.strerror or '').lower()}"))
            return None


def check_loss(plan: Plan, name: str) -> None:
    """Refuse a plan by which most items would go: part of the folder may be on a disk that is not mounted.

    :raises BadInputError: If it is one.
    """
    before = plan.kept + sum(map(len, (plan.changed, plan.gone, plan.renamed, plan.relabeled)))
    if len(plan.gone) <= max(_FEW, _MOST_GONE * before):
        return
    left_out = {entry.path: entry.reason for entry in plan.skipped}
    reasons = Counter(left_out.get(known.source, _NOT_THERE) for known in plan.gone)
    [(reason, _)] = reasons.most_common(1)
    asks = "is every disk mounted? " if reason == _NOT_THERE else ""
    raise BadInputError(
        f"{len(plan.gone):,} of {before:,} items of {name} would go, because their files are {reason}",
        hint=f"{asks}`simsearch sync {name} --dry-run` names them, --yes removes them",
    )


def _is_inside(source: str, places: Collection[str]) -> bool:
    """Whether a source is one of these files, or in one of these folders."""
    return bool(places) and any(
        place in places for place in (source, *map(str, PurePosixPath(source).parents))
    )


def _plain(stamp: tuple[int, int, Sequence[int]]) -> Stamp:
    size, mtime_ns, (high, low) = stamp
    return size, mtime_ns, (int(high), int(low))
