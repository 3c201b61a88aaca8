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
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Generic, Protocol, TypeAlias, TypeVar

from simsearch.errors import BadImageError
from simsearch.prepare.inputs import Picture
from simsearch.prepare.transfer import MAX_MESSAGE_BYTES, joined, parted, picture_fields, picture_of

Decoded = TypeVar("Decoded")  # what is made of a file, such as uint8 pixels
Entry = TypeVar("Entry")
FileName: TypeAlias = Path | str
Prepare: TypeAlias = Callable[[Path], Decoded]  # importable by its name; raises BadImageError

_FIRST = 64  # files that are decoded here, to see how long they take
_WORTH = 1.0  # seconds of work that are left, from which on processes are started
_CHUNK_SECONDS = 0.25
_MOST_FILES = 256  # in a chunk
_AHEAD = 2  # chunks a process: those that wait take memory
_COMMAND = "from simsearch.data.decoding import serve; serve()"
_LENGTH = struct.Struct("<I")  # before each message; 0 stands after those of a request
_DIED = "decoding it ended the process"
_MADE, _REFUSED = b"made", b"refused"
_TEXT = ("utf-8", "surrogatepass")  # names of files may hold half a character


class Codec(Protocol[Decoded]):
    """How what was made of a file travels: as fields of bytes, which hold no code."""

    def pack(self, made: Decoded, /) -> Sequence[bytes]:
        """The fields."""

    def unpack(self, fields: Sequence[bytes], /) -> Decoded:
        """What they stand for.

        :raises ValueError: If they stand for nothing.
        """


class Pixels:
    """Pictures as their pixels."""

    def pack(self, made: Picture) -> Sequence[bytes]:
        """The shape, and the numbers."""
        return picture_fields(made)

    def unpack(self, fields: Sequence[bytes]) -> Picture:
        """The picture."""
        if len(fields) != 2:
            raise ValueError(f"a picture of {len(fields)} fields")
        return picture_of(*fields)


PIXELS = Pixels()


def decode_files(
    files: Sequence[FileName],
    prepare: Prepare[Decoded],
    *,
    processes: int = 0,
    codec: Codec[Decoded] = PIXELS,  # type: ignore[assignment]  # pictures, unless another is given
) -> Generator[Decoded | str, None, None]:
    """Decode files in their order; of each what is made of it, or why nothing is.

    :param prepare: What makes it of a file; it is sent to other processes.
    :param processes: How many decode side by side, where the work is worth it; 0 uses every core.
    """
    with closing(decode_chunks(files, prepare, processes=processes, codec=codec)) as chunks:
        for chunk in chunks:
            yield from chunk


def decode_chunks(
    files: Sequence[FileName], prepare: Prepare[Decoded], *, processes: int, codec: Codec[Decoded]
) -> Generator[list[Decoded | str], None, None]:
    """The same, some files at a time: between them nothing is waited for; see `decode_files`."""
    head: list[Decoded | str] = []
    started = time.perf_counter()
    while len(head) < min(_FIRST, len(files)) and time.perf_counter() - started < _CHUNK_SECONDS:
        head.append(pixels_or_reason(files[len(head)], prepare))
    each = (time.perf_counter() - started) / max(1, len(head))
    yield head
    rest, processes = files[len(head) :], processes or available_cores()
    if processes == 1 or each * len(rest) < _WORTH:
        yield from ([pixels_or_reason(file, prepare)] for file in rest)
    else:
        with Decoders(prepare, processes, codec) as decoders:
            yield from decoders.decode(rest, max(1, min(_MOST_FILES, int(_CHUNK_SECONDS / each))))


def while_released(
    found: Iterator[Entry], released: Callable[[], AbstractContextManager[None]]
) -> Iterator[Entry]:
    """Entries, each waited for in such a block: there signals that are held otherwise raise at once.

    A decoder may take seconds, here or in another process, and nothing is written meanwhile.
    """
    while True:
        with released():
            try:
                entry = next(found)
            except StopIteration:
                return
        yield entry


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pixels_or_reason(file: FileName, prepare: Prepare[Decoded]) -> Decoded | str:
    """Decode one file in this process."""
    try:
        return prepare(Path(file))
    except BadImageError as error:
        return str(error).replace(str(file), "it")
    except OSError as error:
        return f"cannot read it: {(error.strerror or str(error)).lower()}"


class Decoders(Generic[Decoded]):
    """Processes that decode, while the block lasts."""

    def __init__(
        self,
        prepare: Prepare[Decoded],
        processes: int,
        codec: Codec[Decoded] = PIXELS,  # type: ignore[assignment]  # as for `decode_files`
    ) -> None:
        """Start them."""
        self._prepare, self._codec = prepare, codec
        self._most, self._ended = processes * _AHEAD, False
        self._all: list[subprocess.Popen[bytes]] = []
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._threads = ThreadPoolExecutor(processes)  # each waits for one process
        for _ in range(processes):
            self._idle.put(self._start())

    def __enter__(self) -> Decoders[Decoded]:
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

    def decode(self, files: Sequence[FileName], chunk: int) -> Iterator[list[Decoded | str]]:
        """Decode files in their order, so many at a time; of each what is made of it, or why nothing is."""
        waiting: deque[Future[list[Decoded | str]]] = deque()
        for start in range(0, len(files), chunk):
            if len(waiting) == self._most:
                yield waiting.popleft().result()
            names = [str(file) for file in files[start : start + chunk]]
            waiting.append(self._threads.submit(self._ask, names))
        while waiting:
            yield waiting.popleft().result()

    def _ask(self, files: Sequence[str]) -> list[Decoded | str]:
        """Have a process decode files; halve those on which it dies, until one is left."""
        process = self._idle.get()
        try:
            return self._exchange(process, files)
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
            self._exchange(process, [])
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

    def _exchange(self, process: subprocess.Popen[bytes], files: Sequence[str]) -> list[Decoded | str]:
        """What a process makes of files.

        :raises OSError: If it is gone.
        :raises ValueError: If it sends anything else than what was made and reasons, one a file.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump((self._prepare, self._codec, files), process.stdin)
        process.stdin.flush()
        decoded = [self._received(process.stdout) for _ in files]
        if _message(process.stdout):
            raise ValueError("more messages than files")
        return decoded

    def _received(self, answers: IO[bytes]) -> Decoded | str:
        kind, *fields = parted(_message(answers))
        if kind == _MADE:
            return self._codec.unpack(fields)
        if kind == _REFUSED and len(fields) == 1:
            return fields[0].decode(*_TEXT)
        raise ValueError("a message of no known kind")


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
            prepare, codec, files = pickle.load(sys.stdin.buffer)  # from the process that started this one
            for file in files:
                found = pixels_or_reason(file, prepare)
                is_reason = isinstance(found, str)
                fields = (_REFUSED, found.encode(*_TEXT)) if is_reason else (_MADE, *codec.pack(found))
                message = joined(fields)
                answers.write(_LENGTH.pack(len(message)) + message)
            answers.write(_LENGTH.pack(0))
            answers.flush()
    except (EOFError, BrokenPipeError):
        return
