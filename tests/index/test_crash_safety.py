"""Whatever kills a writer or refuses it space: the old files or the new ones, and no litter after the next.

`test_bundle.py` kills builds at every step and `test_mnist.py` a fetch half-way. Here are the other writers,
disks that are really full, folders that may not be written, and several processes at once. The long run is
`python tests/fuzz/crash.py --minutes N`. `SIMSEARCH_SLOW=1` looks at all
steps and at 20 levels of free space.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from bundles import CHANGES, assert_tidy, follow
from faults import ENDED_OUTSIDE, GALLERY, OTHER, SPLITS, Faults, evaluation_outputs
from test_bundle import assert_holds, held

from simsearch.data.mnist_files import FILES, find_defects, raw_dir
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle, read_manifest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills and limits processes the POSIX way")

KILLED = -signal.SIGKILL
NOBODY = 65534
RUN_FILES = ["best_model.pt", "encoder.onnx", "history.csv", "last.pt", "model.json"]
IS_SLOW = bool(os.environ.get("SIMSEARCH_SLOW"))
LEVELS = 20 if IS_SLOW else 5  # of free space
KILL_STRIDE = 1 if IS_SLOW else 5  # of the writers that take a second or more
APART = 1 if IS_SLOW else 23  # steps of a change from one kill to the next


@pytest.fixture(scope="module")
def faults() -> Iterator[Faults]:
    process = Faults()
    yield process
    process.close()


@pytest.fixture
def parts(tmp_path: Path, toy_model: Model) -> Path:
    """What another process needs to have the toy model."""
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "onnx").write_bytes(toy_model.encoder.model)
    (folder / "card").write_bytes(toy_model.card.to_json())
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root and mount")
    command = [mount, "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free_bytes(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def leave(disk: Path, size: int) -> None:
    """Fill the disk until only so many bytes are free."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    ballast.write_bytes(bytes(max(0, free_bytes(disk) - size)))


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True, capture_output=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def names(folder: Path) -> list[str]:
    """What lies in a folder, without its lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def kill_everywhere(do: Callable[[int], int], stride: int = 1) -> int:
    """Call with 0, 1, 2, ... times the stride until the process outlives its kill: about how many steps."""
    for step in range(0, 1_000, stride):
        code = do(step)
        assert code in (KILLED, 0)
        if code == 0:
            return step
    pytest.fail("it never ends")


# --- kill -9 at every step


def items_of(folder: Path) -> list[tuple[int, str, int, bytes]]:
    """Id, source, class and picture of each item; opening looks at every file."""
    bundle = open_bundle(folder, threads=1)
    assert bundle.labels is not None
    pictures = [picture.tobytes() for picture in bundle.thumbnails[:]]
    return list(zip(bundle.ids.tolist(), bundle.sources, bundle.labels.tolist(), pictures, strict=True))


@pytest.mark.parametrize("kind", CHANGES)
def test_a_writer_that_is_killed_anywhere_loses_its_own_change_only(
    faults: Faults, plain_model: Model, tmp_path: Path, kind: str
) -> None:
    old, folder = tmp_path / "old", tmp_path / "toy"
    follow(old, tmp_path / "pictures", plain_model)
    before, found = items_of(old), set()

    def killed(step: int) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old, folder)
        code, said = faults.do("change", folder, kind=kind, kill=APART * step)
        assert not said
        in_place = read_manifest(folder) != read_manifest(old)
        found.add(in_place)
        if in_place:
            after.append(items_of(folder))
        else:
            assert items_of(folder) == before
        if APART == 1 or step == 2:
            assert faults.do("change", folder, kind="compact") == (0, "")
            assert_tidy(folder)
        return code

    after: list[list[tuple[int, str, int, bytes]]] = []
    assert kill_everywhere(killed) > 2
    assert found == {False, True}
    assert all(items == after[-1] for items in after)


@pytest.fixture
def old_checkpoint(tmp_path: Path) -> Path:
    """A folder with a checkpoint in it."""
    torch = pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    from faults import OLD

    from simsearch.train.checkpoints import save_checkpoint

    folder = tmp_path / "run"
    folder.mkdir()
    save_checkpoint(folder / "last.pt", {key: torch.tensor(value) for key, value in OLD.items()})
    return folder


def weights_in(folder: Path) -> list[float]:
    from simsearch.train.checkpoints import read_checkpoint

    found: list[float] = read_checkpoint(folder / "last.pt")["weights"].tolist()
    return found


def test_a_checkpoint_is_the_old_one_or_the_new_one(faults: Faults, old_checkpoint: Path) -> None:
    from faults import NEW, OLD

    before = (old_checkpoint / "last.pt").read_bytes()
    outcomes = []

    def step(number: int) -> int:
        for path in old_checkpoint.iterdir():
            path.unlink()
        (old_checkpoint / "last.pt").write_bytes(before)
        code, _ = faults.do("checkpoint", old_checkpoint, kill=number)
        weights = weights_in(old_checkpoint)
        assert weights in (OLD["weights"], NEW["weights"])
        outcomes.append(weights == NEW["weights"])
        return code

    steps = kill_everywhere(step)
    assert steps >= 4  # open, flush, rename, flush the folder
    assert outcomes == sorted(outcomes)
    assert outcomes[0] is False


def test_a_run_killed_anywhere_goes_on_to_the_same_weights(faults: Faults, tmp_path: Path) -> None:
    """Each step of a whole run: its two epochs with both checkpoints and the history, encoder and card."""
    pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    assert faults.do("train", tmp_path / "whole") == (0, "")
    whole = contents(tmp_path / "whole")
    anew = []

    def step(number: int) -> int:
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        code, _ = faults.do("train", folder, kill=number)
        if code:
            again, said = faults.do("train", folder, resume=True)
            if again:  # killed before the first epoch was over: refused in words, and free to start
                assert said.startswith("MissingModelError: there is no run to continue")
                anew.append(number)
                assert faults.do("train", folder) == (0, "")
        assert names(folder) == RUN_FILES
        found = contents(folder)
        for name in ("best_model.pt", "encoder.onnx"):
            assert found[name] == whole[name], (number, name)
        assert len(found["history.csv"].splitlines()) == len(whole["history.csv"].splitlines())
        return code

    steps = kill_everywhere(step, KILL_STRIDE)
    assert steps > 30
    assert anew == list(range(0, KILL_STRIDE * len(anew), KILL_STRIDE))


def test_each_file_of_an_evaluation_is_the_old_one_or_the_new_one(
    faults: Faults, build_toy, toy_gallery, tmp_path: Path
) -> None:
    folder, index = tmp_path / "out", build_toy(toy_gallery)
    folder.mkdir()
    assert faults.do("evaluate", folder, index=str(index)) == (0, "")
    new = contents(folder)
    old = {path.name: b"old" for path in evaluation_outputs(folder).paths()}
    assert new.keys() == old.keys()

    def step(number: int) -> int:
        shutil.rmtree(folder)
        folder.mkdir()
        for name, content in old.items():
            (folder / name).write_bytes(content)
        code, _ = faults.do("evaluate", folder, index=str(index), kill=number)
        found = contents(folder)
        litter = [name for name in found if name not in old]
        assert len(litter) <= (code == KILLED)  # one temporary file: nobody owns a folder of the user's
        assert all(name.startswith(".tmp-") for name in litter)
        whole = [name for name in old if len(found[name]) == len(new[name])]
        assert all(found[name] == b"old" for name in old if name not in whole)
        assert whole == list(old)[: len(whole)]  # in the order in which they are written
        return code

    assert kill_everywhere(step, KILL_STRIDE) >= 12


def test_a_fetch_killed_anywhere_leaves_verified_files_only(
    faults: Faults, mnist_dir: Path, tmp_path: Path
) -> None:
    raw, missing = raw_dir(mnist_dir), FILES[3]

    def step(number: int) -> int:
        own = raw_dir(tmp_path / "data")
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        for file in FILES[:3]:
            (own / file.name).symlink_to(raw / file.name)
        code, _ = faults.do("fetch", tmp_path / "data", raw=str(raw), kill=number)
        assert not (own / missing.name).exists() or not find_defects(own, [missing])
        if code:
            assert faults.do("fetch", tmp_path / "data", raw=str(raw)) == (0, "")
        assert find_defects(own, [missing]) == {}
        assert names(own) == sorted(file.name for file in FILES)
        return code

    assert kill_everywhere(step, KILL_STRIDE) >= 10


# --- signals at every step

STRIDE = 1 if IS_SLOW else 211  # odd, so that the signals take turns
LONG_STRIDE = 1 if IS_SLOW else 1_409  # for what is opened again after each step
ENDINGS = {signal.SIGHUP: "HungUp: ", signal.SIGTERM: "Terminated: "}


def told_to_end_everywhere(do: Callable[[int, int], tuple[int, str]], stride: int = STRIDE) -> int:
    """Call with 0, the stride, ... and a signal until the step lies behind the end: about how many steps."""
    for step in range(0, 10**6, stride):
        number = list(ENDINGS)[step % 2]
        ended = do(step, number)
        if ended == (0, ""):
            return step
        assert ended == (1, ENDINGS[number]), step
    pytest.fail("it never ends")


def test_a_build_that_is_told_to_end_at_any_step_leaves_nothing_or_the_index(
    faults: Faults, parts: Path, tmp_path: Path
) -> None:
    """Between making the folder and guarding it, within the clean-up, anywhere: nothing half done stays."""
    top, outcomes = tmp_path / "indexes", []

    def step(number: int, sent: int) -> tuple[int, str]:
        shutil.rmtree(top, ignore_errors=True)
        ended = faults.do("build", top / "new", split="other", parts=str(parts), signal=[number, sent])
        if top.exists():
            assert_holds(top / "new", OTHER)
            assert_tidy(top / "new")
        outcomes.append(top.exists())
        return ended

    assert told_to_end_everywhere(step) > 1_000
    assert outcomes.count(False) * STRIDE > 500
    assert outcomes == sorted(outcomes)


def test_a_rebuild_that_is_told_to_end_at_any_step_leaves_the_old_index_or_the_new_one(
    faults: Faults, toy_model: Model, parts: Path, tmp_path: Path
) -> None:
    folder, outcomes = tmp_path / "toy", []

    def step(number: int, sent: int) -> tuple[int, str]:
        build_index(GALLERY, toy_model, folder)
        ended = faults.do("build", folder, split="other", parts=str(parts), signal=[number, sent])
        outcomes.append(read_manifest(folder).dataset)
        assert_holds(folder, SPLITS[outcomes[-1]])
        assert_tidy(folder)
        return ended

    assert told_to_end_everywhere(step) > 1_000
    assert outcomes.count("toy") * STRIDE > 250
    assert outcomes == sorted(outcomes, reverse=True)


@pytest.mark.parametrize("job", ["checkpoint", "evaluate", "fetch"])
def test_any_other_writer_that_is_told_to_end_at_any_step_leaves_no_temporary_file(
    faults: Faults, build_toy, toy_gallery, mnist_dir: Path, tmp_path: Path, job: str
) -> None:
    if job == "checkpoint":
        pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    index, raw = build_toy(toy_gallery), raw_dir(mnist_dir)
    folder = tmp_path / "out"

    def step(number: int, sent: int) -> tuple[int, str]:
        shutil.rmtree(folder, ignore_errors=True)
        own = raw_dir(folder)
        own.mkdir(parents=True)
        for file in FILES[:3] if job == "fetch" else ():
            (own / file.name).symlink_to(raw / file.name)
        ended = faults.do(job, folder, index=str(index), raw=str(raw), signal=[number, sent])
        assert not list(folder.rglob(".tmp-*")), number
        return ended

    assert told_to_end_everywhere(step) > 20


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_that_is_told_to_end_at_any_step_is_made_whole_or_not_at_all(
    faults: Faults, plain_model: Model, tmp_path: Path, kind: str
) -> None:
    """Also amid the pictures that it decodes, where signals are not held."""
    old, folder, after = tmp_path / "old", tmp_path / "toy", []
    follow(old, tmp_path / "pictures", plain_model)
    before = items_of(old)

    def step(number: int, sent: int) -> tuple[int, str]:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old, folder)
        ended = faults.do("change", folder, kind=kind, signal=[number, sent])
        if read_manifest(folder) == read_manifest(old):
            assert items_of(folder) == before
        else:
            after.append(items_of(folder))
        assert_tidy(folder)
        return ended

    assert told_to_end_everywhere(step, LONG_STRIDE) > 500
    assert all(items == after[-1] for items in after)


@pytest.mark.signals
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_that_is_told_to_end_from_outside_at_any_moment_is_made_whole_or_not_at_all(
    faults: Faults, plain_model: Model, tmp_path: Path, kind: str
) -> None:
    """Where no line of Python runs, too: whatever the moment, the index is the old one or the new one."""
    old, folder = tmp_path / "old", tmp_path / "toy"
    follow(old, tmp_path / "pictures", plain_model)
    shutil.copytree(old, folder)
    started = time.monotonic()
    assert faults.do("change", folder, kind=kind) == (0, "")
    longest = 1.2 * (time.monotonic() - started)
    outcomes = [items_of(old), items_of(folder)]
    for number, said in ENDINGS.items():
        shutil.rmtree(folder)
        shutil.copytree(old, folder)
        ended = faults.do("change", folder, kind=kind, told=[random.uniform(0, longest), number])
        assert ended in ((0, ""), (1, said), (ENDED_OUTSIDE, ""))
        assert items_of(folder) == outcomes[read_manifest(folder) != read_manifest(old)]
        assert_tidy(folder)


# --- no space


def test_a_full_disk_at_any_level_leaves_the_old_index(disk: Path, toy_model: Model) -> None:
    folder = disk / "toy"
    build_index(OTHER, toy_model, folder)
    new = [path for path in folder.iterdir() if not path.name.startswith("encoder-")]  # both have the same
    needed = sum(-(-path.stat().st_size // 4096) * 4096 for path in new)
    build_index(GALLERY, toy_model, folder)
    for level in range(LEVELS):
        leave(disk, needed * level // LEVELS)
        with pytest.raises(Exception, match="no space left on device") as caught:
            build_index(OTHER, toy_model, folder)
        assert (type(caught.value).__name__, caught.value.exit_code) == ("BadInputError", 2)
        assert_holds(folder, GALLERY)
        assert_tidy(folder)
    (disk / "ballast").unlink()
    build_index(OTHER, toy_model, folder)
    assert held(folder) == "other"
    assert_tidy(folder)


def test_a_first_build_on_a_full_disk_leaves_no_folder(disk: Path, toy_model: Model) -> None:
    leave(disk, 8192)
    with pytest.raises(Exception, match="no space left on device"):
        build_index(OTHER, toy_model, disk / "new")
    assert names(disk) == ["ballast"]


def test_a_full_disk_at_any_level_leaves_the_old_checkpoint(
    disk: Path, old_checkpoint: Path, faults: Faults, tmp_path: Path
) -> None:
    from faults import NEW, OLD

    shutil.copy(old_checkpoint / "last.pt", disk / "last.pt")
    assert faults.do("checkpoint", tmp_path) == (0, "")
    size = (tmp_path / "last.pt").stat().st_size
    for level in range(LEVELS):
        leave(disk, size * level // LEVELS)
        code, said = faults.do("checkpoint", disk)
        assert (code, said) == (1, f"BadInputError: cannot write {disk}/last.pt: no space left on device")
        assert weights_in(disk) == OLD["weights"]
        assert names(disk) == ["ballast", "last.pt"]
    (disk / "ballast").unlink()
    assert faults.do("checkpoint", disk) == (0, "")
    assert weights_in(disk) == NEW["weights"]


def test_training_on_a_full_disk_is_refused_in_words_and_can_be_resumed(disk: Path, faults: Faults) -> None:
    """The disk is full before the first checkpoint, and then before the third epoch's."""
    pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    from simsearch.train.checkpoints import load_model

    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True, capture_output=True)
    leave(disk, 8192)
    code, said = faults.do("train", disk / "new" / "run")
    assert (code, said) == (
        1,
        f"BadInputError: cannot write {disk}/new/run/last.pt: no space left on device",
    )
    assert names(disk) == ["ballast"]

    (disk / "ballast").unlink()
    leave(disk, 9 * 2**20)  # of two checkpoints, 2 and 5 MB, that are written anew beside their old ones
    code, said = faults.do("train", disk / "run")
    assert code == 1
    assert said.startswith(f"BadInputError: cannot write {disk}/run/")
    assert said.endswith(": no space left on device")
    assert not list((disk / "run").glob(".tmp-*"))
    load_model(disk / "run" / "best_model.pt")
    (disk / "ballast").unlink()
    assert faults.do("train", disk / "run", resume=True) == (0, "")


def test_a_full_disk_at_any_level_leaves_whole_files_of_an_evaluation(
    disk: Path, faults: Faults, build_toy, toy_gallery
) -> None:
    index, folder = build_toy(toy_gallery), disk / "out"
    folder.mkdir()
    assert faults.do("evaluate", folder, index=str(index)) == (0, "")
    new = {name: len(content) for name, content in contents(folder).items()}
    needed = sum(-(-size // 4096) * 4096 for size in new.values())
    for level in range(LEVELS):
        for path in folder.iterdir():
            path.unlink()
        leave(disk, needed * level // LEVELS)
        code, said = faults.do("evaluate", folder, index=str(index))
        assert code == 1
        assert said.startswith(f"BadInputError: cannot write {folder}")
        assert said.endswith("no space left on device")
        written = {name: len(content) for name, content in contents(folder).items()}
        assert written.items() <= new.items()


def test_a_full_disk_at_any_level_leaves_no_half_of_mnist(
    disk: Path, faults: Faults, mnist_dir: Path
) -> None:
    raw, missing = raw_dir(mnist_dir), FILES[3]  # once staged, once written: twice its 12 kB
    own = raw_dir(disk)
    own.mkdir(parents=True)
    for file in FILES[:3]:
        (own / file.name).symlink_to(raw / file.name)
    for level in range(LEVELS):
        leave(disk, 6 * 4096 * level // LEVELS)
        code, said = faults.do("fetch", disk, raw=str(raw))
        assert code == 1
        assert said.startswith("DatasetUnavailableError: ")
        assert names(own) == sorted(file.name for file in FILES if file != missing)
    (disk / "ballast").unlink()
    assert faults.do("fetch", disk, raw=str(raw)) == (0, "")
    assert find_defects(own) == {}


@pytest.mark.parametrize("limit", [0, 1, 4096, 50_000])
def test_a_limit_on_file_sizes_leaves_the_old_files(
    faults: Faults, old_checkpoint: Path, build_toy, toy_gallery, tmp_path: Path, limit: int
) -> None:
    """RLIMIT_FSIZE, as batch systems set it."""
    from faults import OLD

    code, said = faults.do("checkpoint", old_checkpoint, limit=limit)
    assert (code, said) == (1, f"BadInputError: cannot write {old_checkpoint}/last.pt: file too large")
    assert weights_in(old_checkpoint) == OLD["weights"]
    assert names(old_checkpoint) == ["last.pt"]
    index, folder = build_toy(toy_gallery), tmp_path / "out"
    folder.mkdir()
    code, said = faults.do("evaluate", folder, index=str(index), limit=min(limit, 100))
    assert (code, said) == (1, f"BadInputError: cannot write {folder / 'report.html'}: file too large")
    assert names(folder) == []


def test_an_array_cut_short_by_any_number_of_bytes_is_noticed(
    faults: Faults, toy_model: Model, parts: Path, tmp_path: Path
) -> None:
    """NumPy writes the end of an array without looking; an index was once committed with half of them."""
    folder = tmp_path / "toy"
    build_index(OTHER, toy_model, folder)
    largest = max(path.stat().st_size for path in folder.glob("thumbnails-*"))
    build_index(GALLERY, toy_model, folder)
    for limit in [*range(0, largest, 61), largest - 1]:
        code, said = faults.do("build", folder, split="other", parts=str(parts), limit=limit)
        assert (code, said) == (1, f"BadInputError: cannot write {folder}: file too large"), limit
        assert_holds(folder, GALLERY)
        assert_tidy(folder)


# --- folders that may not be written


def test_a_read_only_disk_is_searched_and_not_written(
    disk: Path, toy_model: Model, faults: Faults, parts: Path, tmp_path: Path
) -> None:
    folder = disk / "toy"
    build_index(GALLERY, toy_model, folder)
    before = contents(folder)
    remount(disk, "ro")
    try:
        assert_holds(folder, GALLERY)
        assert faults.do("read_rounds", folder, rounds=1) == (0, "")
        for target in (folder, disk / "new"):
            code, said = faults.do("build", target, split="other", parts=str(parts))
            assert (code, said) == (1, f"BadInputError: cannot write {target}: read-only file system")
        index = str(folder)
        code, said = faults.do("evaluate", disk, index=index)
        assert (code, said) == (1, f"BadInputError: cannot write {disk}/report.html: read-only file system")
        code, said = faults.do("fetch", disk, raw=str(tmp_path))
        assert code == 1
        assert said.startswith("DatasetUnavailableError: MNIST cannot be stored in")
        if find_spec("torch"):
            code, said = faults.do("train", disk / "run")
            assert (code, said) == (1, f"BadInputError: cannot write {disk}/run: read-only file system")
    finally:
        remount(disk, "rw")
    assert contents(folder) == before
    build_index(OTHER, toy_model, folder)
    assert_tidy(folder)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")
def test_another_users_folder_is_searched_and_not_written(
    faults: Faults, toy_model: Model, parts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "toy"
    build_index(GALLERY, toy_model, folder)
    for parent in (folder, *folder.parents):
        if parent.owner() == "root" and parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)
    before = contents(folder)
    read = faults.do("read_rounds", folder, rounds=1, uid=NOBODY)
    if "No module named" in read[1]:
        pytest.skip("another user cannot read this checkout")
    assert read == (0, "")
    code, said = faults.do("build", folder, split="other", parts=str(parts), uid=NOBODY)
    assert (code, said) == (1, f"BadInputError: cannot write {folder}: permission denied")
    if find_spec("torch"):
        code, said = faults.do("train", folder, uid=NOBODY)
        assert (code, said) == (1, f"BadInputError: cannot write {folder}: permission denied")
    code, said = faults.do("evaluate", tmp_path, index=str(folder), uid=NOBODY)
    assert (code, said) == (1, f"BadInputError: cannot write {tmp_path}/report.html: permission denied")
    assert contents(folder) == before


# --- several at once


def test_two_that_change_an_index_and_two_that_read_it_at_once(
    faults: Faults, plain_model: Model, tmp_path: Path
) -> None:
    follow(tmp_path / "toy", tmp_path / "pictures", plain_model)
    before = items_of(tmp_path / "toy")
    jobs = [
        {"job": name, "folder": str(tmp_path / "toy"), "rounds": 3}
        for name in ("add_rounds", "open_rounds") * 2
    ]
    assert faults.do_together(jobs) == [(0, "")] * 4
    assert items_of(tmp_path / "toy") == before
    assert read_manifest(tmp_path / "toy").next_id == before[-1][0] + 1 + 6
    assert_tidy(tmp_path / "toy")


def test_two_writers_and_four_readers_at_once(
    faults: Faults, toy_model: Model, parts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "toy"
    build_index(GALLERY, toy_model, folder)
    writer = {"job": "write_rounds", "folder": str(folder), "rounds": 20, "parts": str(parts)}
    reader = {"job": "read_rounds", "folder": str(folder), "rounds": 60}
    assert faults.do_together([writer, reader, reader, writer, reader, reader]) == [(0, "")] * 6
    assert open_bundle(folder).manifest.dataset == "other"  # the last round of either writer
    assert_tidy(folder)
