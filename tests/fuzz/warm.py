"""`python -m simsearch` as a fork of a process in which everything is loaded already: it costs no imports.

`warmed()` puts a class in the place of `subprocess.Popen` that starts simsearch so, and all else as ever.
What is started is a child of the process that asked, with its signals, streams, environment and folder; only
what happens while modules are loaded cannot be tried so. Linux only: `prctl` makes the asker the parent.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

ROOT = Path(__file__).parents[2]
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_STARTED = ("-m", "simsearch")
_HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LENGTH = 8


class Nursery:
    """A process that has loaded simsearch, and forks it as often as it is asked."""

    def __init__(self, *, trains: bool) -> None:
        """Start it; with torch, too, or with all that needs none."""
        self._socket, there = socket.socketpair()
        command = [sys.executable, "-W", "ignore", __file__, str(there.fileno()), str(int(trains))]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(command, pass_fds=[there.fileno()], env=environment)
        there.close()

    def fork(self, job: dict[str, Any], streams: list[int]) -> int:
        """Run simsearch; its process id."""
        content = json.dumps(job).encode()
        socket.send_fds(self._socket, [len(content).to_bytes(_LENGTH, "big")], streams)
        self._socket.sendall(content)
        return int.from_bytes(_exactly(self._socket, _LENGTH), "big")

    def close(self) -> None:
        """End it; what it has forked goes on."""
        self._socket.close()
        self._process.wait()


@contextmanager
def warmed() -> Iterator[None]:
    """Within, `subprocess` starts simsearch by forks."""
    nurseries: dict[bool, Nursery] = {}

    class Forked(subprocess.Popen):  # type: ignore[type-arg]
        """A process that was not made by `exec`, if it is simsearch."""

        def _execute_child(self, args: Any, executable: Any, *rest: Any) -> None:
            streams = rest[8:14]  # each pair, of which one end is this process's own
            if not isinstance(args, list) or tuple(args[1:3]) != _STARTED:
                return super()._execute_child(args, executable, *rest)  # type: ignore[misc,no-any-return]
            trains, cwd, environment = args[3:4] == ["train"], rest[3], rest[4]
            if trains not in nurseries:
                nurseries[trains] = Nursery(trains=trains)
            job = {
                "arguments": args[3:],
                "cwd": str(cwd or Path.cwd()),
                "environment": dict(os.environ if environment is None else environment),
                "ignored": [number for number in _HEEDED if signal.getsignal(number) == signal.SIG_IGN],
            }
            wanted = (streams[0], streams[3], streams[5])
            self.pid = nurseries[trains].fork(
                job, [own if own >= 0 else number for number, own in enumerate(wanted)]
            )
            self._child_created = True
            self._close_pipe_fds(*streams)  # type: ignore[attr-defined]
            return None

    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        with mock.patch.object(subprocess, "Popen", Forked):
            yield
    finally:
        for nursery in nurseries.values():
            nursery.close()


# --- the process that forks


def _load(*, trains: bool) -> None:
    """Import whatever commands import while they run."""
    import importlib
    import pkgutil

    import simsearch

    for module in pkgutil.walk_packages(simsearch.__path__, "simsearch."):
        if trains or not module.name.startswith("simsearch.train"):
            with suppress(ImportError):
                importlib.import_module(module.name)
    if trains:
        import torch._dynamo  # noqa: F401  the optimizer imports it
    elif "torch" in sys.modules:
        raise AssertionError("torch came with what needs none")
    else:
        import uvicorn.lifespan.on  # noqa: F401
        from PIL import Image

        Image.preinit()


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def _serve(asker: socket.socket) -> None:
    while True:
        head, streams, _, _ = socket.recv_fds(asker, _LENGTH, 3)
        if not head:
            return
        head += _exactly(asker, _LENGTH - len(head))
        job = json.loads(_exactly(asker, int.from_bytes(head, "big")))
        reading, writing = os.pipe()
        between = os.fork()
        if not between:  # whose child is handed on to the asker when it has ended
            child = os.fork()
            if not child:
                for other in (asker.fileno(), reading, writing):
                    os.close(other)
                _become(job, streams)
            os.write(writing, child.to_bytes(_LENGTH, "big"))
            os._exit(0)
        os.waitpid(between, 0)  # only now can the asker wait for the child
        asker.sendall(os.read(reading, _LENGTH))
        for stream in (reading, writing, *streams):
            os.close(stream)


def _become(job: dict[str, Any], streams: list[int]) -> NoReturn:
    """What `python -m simsearch` is once it has started."""
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0)))
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")))
        errors = io.BufferedWriter(io.FileIO(2, "w"))
        sys.stderr = io.TextIOWrapper(errors, errors="backslashreplace", write_through=True)
        os.chdir(job["cwd"])
        os.environ.clear()
        os.environ.update(job["environment"])
        for number in _HEEDED:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if number in job["ignored"] else usual)
        import simsearch.__main__ as program

        sys.modules["__main__"], sys.argv = program, [program.__file__, *job["arguments"]]
        program.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _load(trains=sys.argv[2] == "1")
        _serve(socket.socket(fileno=int(sys.argv[1])))
