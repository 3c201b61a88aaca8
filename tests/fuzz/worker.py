"""A process that opens one case after the other, watched: 2 s each, and 300 MB above where it began.

The 2 s are of the processor's time, or a busy machine would make findings; 20 s of any time are a hang too.
`python worker.py` is that process: it reads a kind and a folder a line and writes an outcome a line. Memory
is the peak of the resident set since the case began, which Linux counts anew when told to; a limit on
address space would not do, because FAISS's and onnxruntime's threads reserve gigabytes they never touch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
LIMIT_S = 2.0  # of the processor
_PATIENCE_S = 20.0
LIMIT_MB = 300.0
_WARM_UP_S = 60.0
_POLL_S = 0.02


@dataclass(frozen=True)
class Outcome:
    """What became of a case: `answered`, `refused` (a SimsearchError of exit code 2 or 3), or a fault."""

    what: str  # answered, refused, foreign, crash, hang, memory
    detail: Any
    seconds: float  # of the processor
    megabytes: float


class Worker:
    """The watched process; a new one is started after each fault."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[str] | None = None

    def ask(self, kind: str, folder: Path, limited: bool = True) -> Outcome:
        """Open a case; without limits to warm up, since libraries are loaded then."""
        limit_s, limit_mb = (LIMIT_S, LIMIT_MB) if limited else (_WARM_UP_S, math.inf)
        patience_s = _PATIENCE_S if limited else 10 * _WARM_UP_S
        if self._process is None:
            self._start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        base, started, worked = _status(process.pid, "VmRSS"), time.monotonic(), _worked(process.pid)
        process.stdin.write(json.dumps([kind, str(folder)]) + "\n")
        process.stdin.flush()
        while not select.select([process.stdout], [], [], _POLL_S)[0]:
            spent, grown = _worked(process.pid) - worked, _status(process.pid, "VmRSS") - base
            hangs = spent > limit_s or time.monotonic() - started > patience_s
            if hangs or grown > limit_mb:
                self.close()
                return Outcome("hang" if hangs else "memory", "stopped", spent, grown)
        line = process.stdout.readline()
        spent = _worked(process.pid) - worked
        if not line:
            code = process.wait()
            self.close()
            return Outcome("crash", f"exit status {code}", spent, 0.0)
        what, detail, megabytes = json.loads(line)
        if megabytes > limit_mb:
            what = "memory"
        return Outcome(what, detail, spent, megabytes)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def _start(self) -> None:
        command = [sys.executable, "-W", "ignore", __file__]
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], 10 * _WARM_UP_S)[0]:
            raise RuntimeError("the worker does not start")
        self._process.stdout.readline()


def serve() -> None:
    """The watched process: outcomes go to the first stdout, all that libraries print goes nowhere."""
    out = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    import simsearch.search.searcher  # noqa: F401  so that no case pays for it

    print("ready", file=out, flush=True)
    for line in sys.stdin:
        kind, folder = json.loads(line)
        print(json.dumps(_outcome(kind, Path(folder))), file=out, flush=True)


def _outcome(kind: str, folder: Path) -> tuple[str, Any, float]:
    import traceback

    from fuzz.cases import answer
    from simsearch.errors import SimsearchError

    if kind == "checkpoint":
        import simsearch.train.checkpoints  # noqa: F401
    base = _status(os.getpid(), "VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    what, detail = "answered", None
    try:
        detail = answer(kind, folder)
    except SimsearchError as error:
        known = error.exit_code in (2, 3) and "\n" not in error.message + error.hint
        what, detail = "refused" if known else "foreign", f"{type(error).__name__}: {error.message}"
    except BaseException:
        what, detail = "foreign", traceback.format_exc()[-1500:]
    return what, detail, _status(os.getpid(), "VmHWM") - base


def _worked(process: int) -> float:
    """Seconds that a process has kept the processors busy; 0 where the kernel does not say."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # in user and in system mode
    return 0.0


def _status(process: int, field: str) -> float:
    """A number of megabytes from the kernel's account of a process; 0 where there is none."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    serve()
