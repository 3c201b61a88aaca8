"""Every call by which this process reads or changes files below a folder: watched, and made to fail.

Python's own functions are replaced while `watched` lasts (`os.open`, `os.fsync`, ..., the raw file under
every buffer, `flock`); the package knows nothing of it. What comes back from `before` and `after` decides.
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Call:
    """One call: its name, the paths it is about, and what a write writes, and where."""

    name: str
    path: Path
    target: Path | None = None
    data: bytes = b""
    offset: int = 0
    flags: int = 0
    inode: int = 0  # of the file or folder that `path` is


class Watch:
    """What is told of each call below the folder, before it is made and after it succeeded."""

    def before(self, call: Call) -> None:
        """May raise an OSError instead of the call, or shorten what it writes."""

    def after(self, call: Call) -> None:
        """It is done."""


@contextlib.contextmanager
def watched(folder: Path, watch: Watch) -> Iterator[None]:
    """Show each call of this process below the folder to `watch`."""
    calls = _Calls(folder, watch)
    kept = [(module, name, getattr(module, name)) for module, name, _ in calls.replacements()]
    try:
        for module, name, replacement in calls.replacements():
            setattr(module, name, replacement)
        yield
    finally:
        for module, name, original in kept:
            setattr(module, name, original)


class _Calls:
    """The replacements of Python's functions."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        self.folder, self.watch, self.paths = folder, watch, dict[int, Path]()
        self.real_open, self.os_open = io.open, os.open

    def replacements(self) -> list[tuple[Any, str, Any]]:
        found: list[tuple[Any, str, Any]] = [(io, "open", self.open_file), (builtins, "open", self.open_file)]
        found += [(os, "open", self.open), (os, "scandir", self._on_path("scandir", os.scandir))]
        for name in ("mkdir", "rmdir", "unlink", "listdir"):
            found.append((os, name, self._on_path(name, getattr(os, name))))
        for name in ("replace", "rename"):
            found.append((os, name, self._on_two("rename", getattr(os, name))))
        found += [(os, "fsync", self._on_path("fsync", os.fsync)), (fcntl, "flock", self._flock(fcntl.flock))]
        return found

    def where(self, name: Any, dir_fd: int | None = None) -> Path | None:
        """The path that a name or a descriptor stands for, if it is below the folder."""
        if isinstance(name, int):
            path = self.paths.get(name)
        else:
            path = (self.paths[dir_fd] if dir_fd in self.paths else Path()) / os.fspath(name)
        return path if path is not None and path.is_relative_to(self.folder) else None

    def call(self, call: Call, do: Callable[[], Any]) -> Any:
        self.watch.before(call)
        done = do()
        self.watch.after(call)
        return done

    def open(self, name: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        path = self.where(name, dir_fd)
        if path is None:
            return self.os_open(name, flags, mode, dir_fd=dir_fd)
        call = Call("open", path, flags=flags)
        self.watch.before(call)
        descriptor = self.os_open(name, flags, mode, dir_fd=dir_fd)
        self.paths[descriptor], call.inode = path, os.fstat(descriptor).st_ino
        self.watch.after(call)
        return descriptor

    def open_file(self, file: Any, mode: str = "r", *rest: Any, opener: Any = None, **options: Any) -> Any:
        if isinstance(file, int) or "b" not in mode or self.where(file) is None:
            return self.real_open(file, mode, *rest, opener=opener, **options)
        raw = _Raw(
            file, mode.replace("b", ""), opener=opener or (lambda name, flags: os.open(name, flags, 0o666))
        )
        raw.calls = self
        if "+" in mode:
            return io.BufferedRandom(raw)
        return io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)

    def _on_path(self, called: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(name: Any = ".", *rest: Any, **options: Any) -> Any:
            path = self.where(name, options.get("dir_fd"))
            if path is None:
                return real(name, *rest, **options)
            inode = os.stat(name, dir_fd=options.get("dir_fd")).st_ino if called == "fsync" else 0
            return self.call(Call(called, path, inode=inode), lambda: real(name, *rest, **options))

        return replacement

    def _on_two(self, called: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(source: Any, target: Any, **options: Any) -> Any:
            path = self.where(source)
            if path is None:
                return real(source, target, **options)
            return self.call(Call(called, path, Path(target)), lambda: real(source, target, **options))

        return replacement

    def _flock(self, real: Callable[[int, int], Any]) -> Callable[[int, int], Any]:
        def replacement(descriptor: int, operation: int) -> Any:
            path = self.where(descriptor)
            if path is None or operation & fcntl.LOCK_UN:
                return real(descriptor, operation)
            return self.call(Call("flock", path), lambda: real(descriptor, operation))

        return replacement


class _Raw(io.FileIO):
    """An unbuffered file whose reads and writes are watched."""

    calls: _Calls

    def _is(self, name: str, data: bytes = b"") -> Call:
        return Call(name, self.calls.paths[self.fileno()], data=data, inode=os.fstat(self.fileno()).st_ino)

    def write(self, data: Any) -> int:
        call = self._is("write", bytes(data))
        self.calls.watch.before(call)
        call.offset = self.tell()
        written = super().write(call.data)
        call.data = call.data[:written]
        self.calls.watch.after(call)
        return written

    def readinto(self, buffer: Any) -> int | None:
        return self.calls.call(self._is("read"), lambda: io.FileIO.readinto(self, buffer))

    def readall(self) -> bytes:
        return self.calls.call(self._is("read"), lambda: io.FileIO.readall(self))
