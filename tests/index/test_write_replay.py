"""Every crash that the order of a build's writes allows: the old index or the new one.

What a build does to the disk is recorded, and then replayed as a file system may leave it when the power
fails after any step: what was not flushed is lost, cut short, or there before what came earlier. The states
are drawn with a seed; `SIMSEARCH_SLOW=1` draws ten times as many, and looks at all that a change may leave,
of which otherwise few are looked at, after one call in seven.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bundles import CHANGES, assert_tidy, follow
from test_bundle import GALLERY, OTHER, assert_holds, held

from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError, BrokenBundleError, MissingBundleError
from simsearch.index.build import build_index
from simsearch.index.bundle import MANIFEST, open_bundle, read_manifest
from simsearch.index.manifest import Manifest
from simsearch.index.update import Index

pytest.importorskip("fcntl", reason="replaces the system calls of POSIX")

from syscalls import Call, Watch, watched

IS_SLOW = bool(os.environ.get("SIMSEARCH_SLOW"))
DRAWN = 30 if IS_SLOW else 3  # states after each step
LOOKED_AT = 1.0 if IS_SLOW else 0.3  # of the states that a change may leave
APART = 1 if IS_SLOW else 7  # calls of a change from one crash to the next
WRITES = ("mkdir", "rmdir", "unlink", "rename", "write")
Tree = dict[str, bytes]  # the files below the top, and its folders, whose names end in a slash


@dataclass
class Log(Watch):
    """What was done to the disk, in order."""

    calls: list[Call] = field(default_factory=list)
    failing: Callable[[Call], bool] = lambda _: False
    files: dict[int, int] = field(default_factory=dict)  # numbers of new files: inodes are used again
    is_new: bool = False

    def before(self, call: Call) -> None:
        if self.failing(call):
            raise OSError(5, os.strerror(5), str(call.path))
        self.is_new = call.name == "open" and not call.path.exists()

    def after(self, call: Call) -> None:
        if self.is_new:
            self.files[call.inode] = -1 - len(self.calls)
        call.inode = self.files.get(call.inode, call.inode)
        if call.name in (*WRITES, "fsync") or self.is_new:
            self.calls.append(call)


class Disk:
    """Names that stand for files, and the files' bytes, apart from each other as a file system keeps them."""

    def __init__(self, top: Path) -> None:
        self.names = dict[Path, int | None]()  # None: a folder
        self.content = dict[int, bytes]()
        for path in sorted(top.rglob("*")):
            self.names[path] = None if path.is_dir() else path.stat().st_ino
            if path.is_file():
                self.content[path.stat().st_ino] = path.read_bytes()

    def copy(self) -> Disk:
        other = object.__new__(Disk)
        other.names, other.content = dict(self.names), dict(self.content)
        return other

    def do(self, call: Call, *, moved: int | None = None) -> None:
        """Do a call. Of a rename `moved` is the file: its old name may have been lost."""
        if call.name == "open":
            self.names[call.path] = call.inode
            self.content.setdefault(call.inode, b"")
        elif call.name == "mkdir":
            self.names[call.path] = None
        elif call.name in ("rmdir", "unlink"):
            self.names.pop(call.path, None)
        elif call.name == "rename" and call.target is not None:
            self.names.pop(call.path, None)
            self.names[call.target] = moved
            self.content.setdefault(moved or 0, b"")
        elif call.name == "write":
            before = self.content.get(call.inode, b"").ljust(call.offset, b"\0")
            self.content[call.inode] = (
                before[: call.offset] + call.data + before[call.offset + len(call.data) :]
            )

    def tree(self, top: Path) -> Tree:
        """What a reader finds: names whose folders are there."""
        found = Tree()
        for path, inode in sorted(self.names.items()):
            parents = [parent for parent in path.parents if parent.is_relative_to(top) and parent != top]
            if all(self.names.get(parent, 0) is None for parent in parents):
                name = str(path.relative_to(top))
                found.update({f"{name}/": b""} if inode is None else {name: self.content[inode]})
        return found


def lay_out(tree: Tree, top: Path) -> None:
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    for name, content in tree.items():
        if name.endswith("/"):
            (top / name).mkdir(exist_ok=True)
        else:
            (top / name).write_bytes(content)


@dataclass
class Recording:
    """The disk as it was, and what a build did to it."""

    top: Path
    start: Disk
    calls: list[Call]

    def moved(self) -> dict[int, int]:
        """Of each rename, by its place: the file that it gave its name."""
        disk, found = self.start.copy(), dict[int, int]()
        for place, call in enumerate(self.calls):
            inode = disk.names.get(call.path)
            if call.name == "rename":
                assert inode is not None
                found[place] = inode
            disk.do(call, moved=inode)
        return found

    def is_flushed(self, place: int, crash: int) -> bool:
        """Whether a change had been flushed when the crash came after so many calls."""
        call, later = self.calls[place], self.calls[place + 1 : crash]
        flushed = {
            flush.inode if call.name == "write" else flush.path for flush in later if flush.name == "fsync"
        }
        return (call.inode if call.name == "write" else (call.target or call.path).parent) in flushed

    def states(
        self, rng: random.Random, drawn: int, crashes: Iterable[int] | None = None
    ) -> Iterator[tuple[int, Tree]]:
        """Crashes after each call, or these: how many calls were done, and what is found on the disk."""
        moved = self.moved()
        for crash in range(len(self.calls) + 1) if crashes is None else crashes:
            changes = [place for place in range(crash) if self.calls[place].name != "fsync"]
            pending = [place for place in changes if not self.is_flushed(place, crash)]
            fates = [dict.fromkeys(pending, 1.0), dict.fromkeys(pending, 0.0)]
            fates += [dict.fromkeys(pending, 1.0) | {place: 0.0} for place in pending[-drawn:]]
            fates += [dict.fromkeys(pending, 0.0) | {place: 1.0} for place in pending[-drawn:]]
            fates += [{place: rng.choice((0.0, 0.5, 1.0)) for place in pending} for _ in range(drawn)]
            for fate in fates:
                disk = self.start.copy()
                for place in changes:
                    do_partly(disk, self.calls[place], moved.get(place), fate.get(place, 1.0))
                yield crash, disk.tree(self.top)


def do_partly(disk: Disk, call: Call, moved: int | None, part: float) -> None:
    """Do a call, or not, or (a write) half of it."""
    if call.name == "write" and part == 0.5:
        half = call.data[: len(call.data) // 2]
        disk.do(Call("write", call.path, data=half, offset=call.offset, inode=call.inode))
    elif part >= 0.5:
        disk.do(call, moved=moved)


def record(
    top: Path,
    model: Model,
    failing: Callable[[Call], bool] = lambda _: False,
    do: Callable[[Path], object] | None = None,
) -> Recording:
    """Build the other gallery into `toy`, or do something else to it; the recording must lack nothing."""
    start, log = Disk(top), Log(failing=failing)
    try:
        with watched(top, log):
            do(top / "toy") if do else build_index(OTHER, model, top / "toy")
    except BadInputError:
        assert failing(Call("fsync", top / "toy"))
    recording, disk = Recording(top, start, log.calls), start.copy()
    moved = recording.moved()
    for place, call in enumerate(log.calls):
        disk.do(call, moved=moved.get(place))
    assert disk.tree(top) == Disk(top).tree(top)
    return recording


def outcome(folder: Path) -> str:
    """The gallery that the folder holds, whole and unmixed, or how it is refused."""
    try:
        return held(folder)
    except (BrokenBundleError, MissingBundleError) as error:
        return type(error).__name__ if "\n" not in error.message else error.message


def outcomes(recording: Recording, model: Model, crashed: Path, drawn: int = DRAWN) -> list[tuple[int, str]]:
    """What each state holds. After some of them a build is made, which must tidy up."""
    found, known, rng = [], dict[frozenset[tuple[str, bytes]], str](), random.Random(14)
    for crash, tree in recording.states(rng, drawn):
        key = frozenset(tree.items())
        if key not in known:
            lay_out(tree, crashed)
            known[key] = outcome(crashed / "toy")
            if rng.random() < 0.05:
                build_index(OTHER, model, crashed / "toy")
                assert_holds(crashed / "toy", OTHER)
                assert_tidy(crashed / "toy")
        found.append((crash, known[key]))
    return found


def committed(recording: Recording) -> tuple[int, int]:
    """How many calls were done after the rename of the manifest, and after the flush that follows."""
    places = range(len(recording.calls))
    renamed = next(
        place for place in places if recording.calls[place].target == recording.top / "toy" / MANIFEST
    )
    flushed = next(place for place in places[renamed:] if recording.calls[place].name == "fsync")
    return renamed + 1, flushed + 1


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top").mkdir()
    return tmp_path / "top"


def test_a_crash_in_a_rebuild_leaves_the_old_index_or_the_new_one(
    top: Path, toy_model: Model, tmp_path: Path
) -> None:
    build_index(GALLERY, toy_model, top / "toy")
    recording = record(top, toy_model)
    renamed, flushed = committed(recording)
    found = outcomes(recording, toy_model, tmp_path / "crashed")
    assert {state for crash, state in found if crash < renamed} == {"toy"}
    assert {state for crash, state in found if renamed <= crash < flushed} == {"toy", "other"}
    assert {state for crash, state in found if crash >= flushed} == {"other"}


def test_a_crash_in_a_first_build_leaves_no_index_or_the_new_one(
    top: Path, toy_model: Model, tmp_path: Path
) -> None:
    recording = record(top, toy_model)
    renamed, flushed = committed(recording)
    found = outcomes(recording, toy_model, tmp_path / "crashed")
    assert {state for crash, state in found if crash < renamed} == {"MissingBundleError"}
    assert {state for crash, state in found if renamed <= crash < flushed} == {"MissingBundleError", "other"}
    assert {state for crash, state in found if crash >= flushed} == {"other"}


def test_a_crash_after_a_last_flush_that_failed_leaves_the_old_index_or_the_new_one(
    top: Path, toy_model: Model, tmp_path: Path
) -> None:
    """The new manifest is in place, perhaps not for good: the old index's files must stay."""
    build_index(GALLERY, toy_model, top / "toy")

    def is_last(call: Call) -> bool:
        return (call.name, call.path) == ("fsync", top / "toy") and read_manifest(
            top / "toy"
        ).dataset == "other"

    recording = record(top, toy_model, is_last)
    assert {state for _, state in outcomes(recording, toy_model, tmp_path / "crashed")} == {"toy", "other"}


@pytest.mark.parametrize("lying", ["files", "folders"])
def test_a_disk_that_does_not_flush_loses_an_index_and_never_mixes_two(
    top: Path, toy_model: Model, tmp_path: Path, lying: str
) -> None:
    """And the replay finds what a missing flush would cost."""
    build_index(GALLERY, toy_model, top / "toy")
    recording = record(top, toy_model)
    recording.calls = [
        call
        for call in recording.calls
        if call.name != "fsync" or (call.path == top / "toy") == (lying == "files")
    ]
    found = outcomes(recording, toy_model, tmp_path / "crashed")
    assert {state for _, state in found} == {"toy", "other", "BrokenBundleError"}


def sources(folder: Path) -> list[str]:
    """What the folder's index holds; opening it looks at every file."""
    try:
        return list(open_bundle(folder, threads=1).sources)
    except MissingBundleError as error:
        return [type(error).__name__]


@pytest.mark.parametrize("change", CHANGES)
def test_a_crash_in_a_change_leaves_the_index_before_it_or_after_it(
    top: Path, plain_model: Model, tmp_path: Path, change: str
) -> None:
    follow(top / "toy", tmp_path / "pictures", plain_model)
    before = read_manifest(top / "toy"), sources(top / "toy")
    recording = record(top, plain_model, do=lambda folder: CHANGES[change](Index.open(folder, threads=1)))
    after = read_manifest(top / "toy"), sources(top / "toy")
    renamed, flushed = committed(recording)
    known = dict[frozenset[tuple[str, bytes]], tuple[Manifest, list[str]]]()
    chosen = random.Random(15)
    around = {renamed - 1, renamed, flushed - 1, flushed}
    crashes = sorted({*range(0, len(recording.calls) + 1, APART), len(recording.calls), *around})
    for crash, tree in recording.states(random.Random(14), 0, crashes):
        key = frozenset(tree.items())
        if key not in known and chosen.random() > LOOKED_AT:
            continue
        if key not in known:
            lay_out(tree, tmp_path / "crashed")
            folder = tmp_path / "crashed" / "toy"
            known[key] = read_manifest(folder), sources(folder)
        found = known[key]
        assert found in (before, after)
        if crash < renamed:
            assert found == before
        if crash >= flushed:
            assert found == after
