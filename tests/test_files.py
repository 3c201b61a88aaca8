"""A file is replaced whole or not at all, and a failure leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simsearch import files as atomic
from simsearch.errors import BadInputError
from simsearch.files import sweep_temporaries, sync_folder, write_atomically, write_durably

every_writer = pytest.mark.parametrize("write", [write_atomically, write_durably])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@every_writer
@pytest.mark.parametrize("data", [b"", b"new", bytes(range(256)) * 1000])
def test_a_file_is_created_or_replaced_with_exactly_this_content(tmp_path, write, data):
    (tmp_path / "old").write_bytes(b"old and longer than new")
    write(tmp_path / "old", data)
    write(tmp_path / "new", data)
    assert contents(tmp_path) == {"old": data, "new": data}


@every_writer
def test_a_reader_that_has_the_old_file_open_keeps_it(tmp_path, write):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write(path, b"new")
        assert (reader.read(), path.read_bytes()) == (b"old", b"new")


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_file_has_the_mode_of_any_other_new_file(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_durably(tmp_path / "file", b"")
        assert os.umask(mask) == mask  # the process's mask is as it was
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


@every_writer
@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_any_step_leaves_the_old_file_alone(tmp_path, monkeypatch, write, failing, error):
    def fail(*_, **__):
        raise error

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, failing, fail)
    with pytest.raises((type(error), BadInputError)) as caught:
        write(tmp_path / "file", b"new")
    monkeypatch.undo()
    assert error in (caught.value, caught.value.__cause__)
    assert contents(tmp_path) == {"file": b"old"}


def test_the_content_is_on_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    steps = []
    flush, rename = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        target = "folder" if Path(f"/dev/fd/{descriptor}").is_dir() else os.fstat(descriptor).st_size
        steps.append(("flush", target))

    def replace(source, target) -> None:
        steps.append(("rename", Path(target).name))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomically(tmp_path / "file", b"12345")
    assert steps == [("flush", 5), ("rename", "file"), ("flush", "folder")]


def test_a_missing_folder_or_a_folder_in_the_way_is_an_error(tmp_path):
    with pytest.raises(BadInputError, match=r"^cannot write .*absent/file: no such file or directory$"):
        write_atomically(tmp_path / "absent" / "file", b"")
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "absent")
    (tmp_path / "taken").mkdir()
    with pytest.raises(BadInputError, match=r"^cannot write .*taken: is a directory$"):
        write_atomically(tmp_path / "taken", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / ".tmp-deeper").write_bytes(b"kept")
    (tmp_path / "file.tmp-1").write_bytes(b"kept")
    (tmp_path / ".tmp").write_bytes(b"kept")
    (tmp_path / ".tmp-file").write_bytes(b"left")
    (tmp_path / ".tmp-folder" / "deep").mkdir(parents=True)
    (tmp_path / ".tmp-folder" / "deep" / "file").write_bytes(b"left")
    (tmp_path / ".tmp-link").symlink_to(tmp_path / "kept")
    sweep_temporaries(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        ".tmp",
        "file.tmp-1",
        "kept",
        "kept/.tmp-deeper",
    ]


def test_on_windows_a_rename_waits_for_a_reader_and_at_last_gives_up(tmp_path, monkeypatch):
    tries, naps = [], []
    rename = os.replace

    def blocked(source, target) -> None:
        tries.append(target)
        if len(tries) <= blocking:
            raise PermissionError(13, "open elsewhere")
        rename(source, target)

    monkeypatch.setattr(atomic.time, "sleep", naps.append)
    monkeypatch.setattr(os, "replace", blocked)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    blocking = 1
    with pytest.raises(PermissionError):  # elsewhere a refusal is final
        atomic.replace_file(source, target)
    assert (len(tries), naps) == (1, [])
    monkeypatch.setattr(atomic, "os", type("Windows", (), {"name": "nt"}))
    blocking = 4
    atomic.replace_file(source, target)
    assert (len(tries), naps, target.read_bytes()) == (5, [0.05] * 3, b"new")
    source.write_bytes(b"newer")
    blocking = 100
    with pytest.raises(PermissionError):
        atomic.replace_file(source, target)
    assert (len(tries), len(naps), target.read_bytes()) == (25, 22, b"new")
