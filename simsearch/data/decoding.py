"""Many picture files -> pixels, in order, side by side where that pays.

Threads that decode small files wait for each other, so this is done by processes of their own: each is sent
the names of a chunk of files and sends back pixels or reasons, in messages that hold no code. They end when
their input does, whatever becomes of this process; a file on which one dies is named, and the others are
decoded nonetheless.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TypeAlias

from simsearch.errors import BadImageError
from simsearch.prepare.inputs import Picture
from simsearch.prepare.prepare import PreparedImage
from simsearch.prepare.transfer import MAX_MESSAGE_BYTES, result_from_bytes, result_to_bytes

Decoded: TypeAlias = Picture | str  # uint8 pixels, or why there are none
Prepare: TypeAlias = Callable[[Path], Picture]  # importable by its name; raises BadImageError

_FIRST = 64  # files that are decoded here, to see how long they take
_WORTH = 1.0  # seconds of work that are left, from which on processes are started
_CHUNK_SECONDS = 0.25
_MOST_FILES = 256  # in a chunk
_AHEAD = 2  # chunks a process: those that wait take memory
_COMMAND = "from simsearch.data.decoding import serve; serve()"
_LENGTH = struct.Struct("<I")  # before each message; 0 stands after those of a request
_DIED = "decoding it ended the process"


def decode_files(files: Sequence[Path], prepare: Prepare, *, processes: int = 0) -> Iterator[Decoded]:
    """Decode files in their order; of each its pixels, or why it has none.

    :param prepare: What makes pixels of a file; it is sent to other processes.
    :param processes: How many decode side by side, where the work is worth it; 0 uses every core.
    """
    head: list[Decoded] = []
    started = time.perf_counter()
    while len(head) < min(_FIRST, len(files)) and time.perf_counter() - started < _CHUNK_SECONDS:
        head.append(pixels_or_reason(files[len(head)], prepare))
    each = (time.perf_counter() - started) / max(1, len(head))
    yield from head
    rest, processes = files[len(head) :], processes or _cores()
    if processes == 1 or each * len(rest) < _WORTH:
        yield from (pixels_or_reason(file, prepare) for file in rest)
    else:
        with Decoders(prepare, processes) as decoders:
            yield from decoders.decode(rest, max(1, min(_MOST_FILES, int(_CHUNK_SECONDS / each))))


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pixels_or_reason(file: Path, prepare: Prepare) -> Decoded:
    """Decode one file in this process."""
    try:
        return prepare(file)
    except (BadImageError, OSError) as error:
        return str(error).replace(str(file), "it")


class Decoders:
    """Processes that decode, while the block lasts."""

    def __init__(self, prepare: Prepare, processes: int) -> None:
        """Start them."""
        self._prepare, self._most, self._ended = prepare, processes * _AHEAD, False
        self._all: list[subprocess.Popen[bytes]] = []
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._threads = ThreadPoolExecutor(processes)  # each waits for one process
        for _ in range(processes):
            self._idle.put(self._start())

    def __enter__(self) -> Decoders:
        """Be of use."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes; what they were doing is lost."""
        self._ended = True
        for process in self._all:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.communicate()

    def decode(self, files: Sequence[Path], chunk: int) -> Iterator[Decoded]:
        """Decode files in their order, so many at a time."""
        waiting: deque[Future[list[Decoded]]] = deque()
        for start in range(0, len(files), chunk):
            if len(waiting) == self._most:
                yield from waiting.popleft().result()
            waiting.append(self._threads.submit(self._ask, files[start : start + chunk]))
        while waiting:
            yield from waiting.popleft().result()

    def _ask(self, files: Sequence[Path]) -> list[Decoded]:
        """Have a process decode files; halve those on which it dies, until one is left."""
        process = self._idle.get()
        try:
            return _exchange(process, self._prepare, files)
        except (OSError, ValueError):
            process = self._replace(process)
        finally:
            self._idle.put(process)
        if len(files) < 2 or self._ended:
            return [_DIED] * len(files)
        half = len(files) // 2
        return self._ask(files[:half]) + self._ask(files[half:])

    def _replace(self, dead: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Start another process.

        :raises RuntimeError: If it cannot even decode nothing.
        """
        dead.kill()
        if self._ended:
            return dead
        process = self._start()
        try:
            _exchange(process, self._prepare, [])
        except (OSError, ValueError) as error:
            raise RuntimeError(f"{sys.executable} cannot decode pictures in a process of its own") from error
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        paths = [path or str(Path.cwd()) for path in sys.path]
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is this process's affair
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # and on Windows
        )
        self._all.append(process)
        return process


def _exchange(process: subprocess.Popen[bytes], prepare: Prepare, files: Sequence[Path]) -> list[Decoded]:
    """What a process makes of files.

    :raises OSError: If it is gone.
    :raises ValueError: If it sends anything else than pictures and reasons, one a file.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump((prepare, files), process.stdin)
    process.stdin.flush()
    decoded = [_received(process.stdout) for _ in files]
    if _message(process.stdout):
        raise ValueError("more messages than files")
    return decoded


def _received(answers: IO[bytes]) -> Decoded:
    result = result_from_bytes(_message(answers))
    if isinstance(result, RuntimeError):
        raise ValueError(str(result))
    return result.pixels if isinstance(result, PreparedImage) else result.message


def _message(answers: IO[bytes]) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(answers, _LENGTH.size))
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length:,} bytes")
    return _exactly(answers, length)


def _exactly(answers: IO[bytes], size: int) -> bytes:
    data = answers.read(size)
    if len(data) < size:
        raise ConnectionError("the process has ended")
    return data


def serve() -> None:
    """What each process does: answer requests until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    try:
        while True:
            prepare, files = pickle.load(sys.stdin.buffer)  # from the process that started this one
            for file in files:
                found = pixels_or_reason(file, prepare)
                result = BadImageError(found) if isinstance(found, str) else PreparedImage(found)
                message = result_to_bytes(result)
                answers.write(_LENGTH.pack(len(message)) + message)
            answers.write(_LENGTH.pack(0))
            answers.flush()
    except (EOFError, BrokenPipeError):
        return
