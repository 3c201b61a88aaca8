"""Each system call of a writer fails in each way it can: the old index answers, and the next build tidies up.

Each call fails in one of its ways, in turn; with `SIMSEARCH_SLOW=1` in all of them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import CHANGES, assert_tidy, follow
from faults import GALLERY, OTHER
from test_bundle import assert_holds

from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError, BrokenBundleError
from simsearch.index.build import build_index
from simsearch.index.bundle import MANIFEST, open_bundle, read_manifest
from simsearch.index.stores.base import gather
from simsearch.index.update import Index

pytest.importorskip("fcntl", reason="replaces the system calls of POSIX")

from syscalls import Call, Watch, watched

SHORT = 0  # no error: half of it is written
FAULTS = {
    "open": (errno.EMFILE, errno.ENOMEM, errno.ENOSPC, errno.EIO, errno.EINTR),
    "write": (errno.EIO, errno.ENOSPC, errno.EINTR, errno.EDQUOT, SHORT),
    "read": (errno.EIO, errno.ENOMEM, errno.EINTR),
    "fsync": (errno.EIO, errno.ENOSPC, errno.EINTR),
    "rename": (errno.EIO, errno.ENOSPC, errno.ENOMEM, errno.EINTR),
    "mkdir": (errno.EIO, errno.ENOSPC, errno.ENOMEM, errno.EMLINK),
    "unlink": (errno.EIO, errno.EBUSY, errno.ENOMEM),
    "rmdir": (errno.EIO, errno.EBUSY, errno.ENOMEM),
    "scandir": (errno.EIO, errno.EMFILE, errno.ENOMEM),
    "listdir": (errno.EIO, errno.EMFILE, errno.ENOMEM),
    "flock": (errno.EIO, errno.ENOLCK, errno.EINTR),
}
SLOW = bool(os.environ.get("SIMSEARCH_SLOW"))  # each call in each way; else each call in one way


class Failing(Watch):
    """The n-th call of a name (from 0) fails, or each from there on."""

    def __init__(self, name: str, number: int, step: int, *, for_good: bool) -> None:
        self.name, self.number, self.step, self.for_good = name, number, step, for_good
        self.seen, self.failed = 0, None

    def before(self, call: Call) -> None:
        if call.name != self.name:
            return
        self.seen += 1
        if self.seen <= self.step or (self.failed and not self.for_good):
            return
        self.failed = self.failed or call
        if self.number == SHORT:
            call.data = call.data[: max(1, len(call.data) // 2)]
        else:
            raise OSError(self.number, os.strerror(self.number), str(call.path))


def faults_of(name: str, *, for_good: bool = False, stride: int = 1) -> Iterator[Failing]:
    """One fault after another, until a build ends before its turn comes."""
    numbers = [
        number for number in FAULTS[name] if not (for_good and number == errno.EINTR)
    ]  # tried for ever
    for step in range(0, 1_000, 1 if SLOW else stride):
        for turn in range(len(numbers) if SLOW else 1):
            failing = Failing(name, numbers[(step + turn) % len(numbers)], step, for_good=for_good)
            yield failing
        if failing.failed is None:
            assert step > 0, "no such call was ever made"
            return
    pytest.fail("it never ends")


@pytest.fixture
def old(tmp_path: Path, toy_model: Model) -> Path:
    """An index that is to be replaced; tests work on copies of it."""
    build_index(GALLERY, toy_model, tmp_path / "old" / "toy")
    return tmp_path / "old" / "toy"


def refused(model: Model, folder: Path, failing: Failing) -> str | None:
    """Build the other gallery meanwhile: the error's line, None if there was none."""
    try:
        with watched(folder.parent, failing):
            build_index(OTHER, model, folder)
    except BadInputError as error:
        return line_of(error, failing)
    return None


def line_of(error: BadInputError, failing: Failing) -> str:
    assert error.exit_code == 2
    assert error.message.startswith("cannot write ")
    assert error.message.endswith(os.strerror(failing.number).lower())
    assert "\n" not in error.message
    return error.message


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_next_build_tidies_up(folder: Path, model: Model) -> None:
    build_index(OTHER, model, folder)
    assert_holds(folder, OTHER)
    assert_tidy(folder)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_a_call_that_fails_leaves_the_old_index_and_the_next_build_tidies_up(
    old: Path, toy_model: Model, tmp_path: Path, name: str, for_good: bool
) -> None:
    folder = tmp_path / "work" / "toy"
    for failing in faults_of(name, for_good=for_good, stride=5 if for_good else 1):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old, folder)
        said = refused(toy_model, folder, failing)
        in_place = read_manifest(folder).dataset == "other"
        if said is None:
            assert in_place
        elif in_place:  # whether it stays there when the power fails is what the flush did not say
            assert f"cannot write {folder / MANIFEST}" in said
            assert failing.name in ("fsync", "open")
        assert_holds(folder, OTHER if in_place else GALLERY)
        if names(folder) != names(old):
            assert_next_build_tidies_up(folder, toy_model)


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "unlink"])  # it deletes no file
def test_a_call_of_a_first_build_that_fails_leaves_nothing(
    toy_model: Model, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "new" / "toy"
    for failing in faults_of(name, stride=3):
        shutil.rmtree(folder.parent, ignore_errors=True)
        said = refused(toy_model, folder, failing)
        if said is None or (folder / MANIFEST).exists():
            assert_holds(folder, OTHER)
        elif folder.exists():
            assert failing.name in ("rmdir", "scandir", "listdir"), failing.failed
            assert_next_build_tidies_up(folder, toy_model)


# --- changes


def items(folder: Path) -> list[tuple[int, str, bytes]]:
    """Id, source and vector of each item."""
    bundle = open_bundle(folder, threads=1)
    vectors = gather(bundle.store).vectors
    return [
        (item, source, vector.tobytes())
        for item, source, vector in zip(bundle.ids.tolist(), bundle.sources, vectors, strict=True)
    ]


def refused_change(change: str, folder: Path, failing: Failing) -> str:
    """Change an index meanwhile: the error's line, nothing if there was none."""
    try:
        with watched(folder.parent, failing):
            CHANGES[change](Index.open(folder, threads=1))
    except BadInputError as error:
        return error.message
    except BrokenBundleError as error:
        if failing.name not in ("open", "read"):
            raise
        return error.message  # what cannot be read is called broken
    return ""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["open", "write", "read", "fsync", "rename"])
def test_a_call_of_a_change_that_fails_leaves_the_index_before_it_or_after_it(
    plain_model: Model, tmp_path: Path, change: str, name: str
) -> None:
    old = tmp_path / "old" / "toy"
    follow(old, tmp_path / "pictures", plain_model)
    before, manifest = items(old), read_manifest(old)
    folder = tmp_path / "work" / "toy"
    shutil.copytree(old, folder)
    CHANGES[change](Index.open(folder, threads=1))
    after = items(folder)
    for failing in faults_of(name, stride=31 if name == "read" else 11):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old, folder)
        said = refused_change(change, folder, failing)
        in_place = read_manifest(folder) != manifest
        assert in_place or said
        assert "\n" not in said
        assert items(folder) == (after if in_place else before)
        if names(folder) != names(old) and not in_place:
            assert_next_build_tidies_up(folder, plain_model)
