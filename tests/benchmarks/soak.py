"""A server under all that may come, for minutes: its memory, threads and open files end where they began.

Against `simsearch serve` in a process of its own, at once: clients that draw, clients that ask for large
answers, clients that go away amid a request or never read, pictures that are bombs, forms, nonsense, and an
index that is built again every few seconds. What the server holds is read from /proc after a first minute
of all this, and after every further one, each time after a pause; at the end it is told to stop.

    python tests/benchmarks/soak.py --minutes 10
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1]))
from pngs import black_png

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "indexes" / "mnist-test"
PNG = {"Content-Type": "image/png"}
QUIET_S = 12.0  # until connections that nobody uses are closed, and decoders that were killed replaced
ALLOWED = {"memory MB": 1.15, "threads": 1.0, "files": 1.0, "processes": 1.0}  # times what there was at first


def drawing(seed: int) -> bytes:
    """A stroke or two, as the page sends them."""
    chance, image = random.Random(seed), Image.new("L", (280, 280))
    points = [(chance.randint(60, 220), chance.randint(60, 220)) for _ in range(4)]
    ImageDraw.Draw(image).line(points, fill=255, width=24, joint="curve")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def many_scans(count: int = 2_000) -> bytes:
    """A progressive JPEG with scans that add nothing."""
    buffer = io.BytesIO()
    Image.new("L", (2_000, 2_000), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


@dataclass(frozen=True)
class Held:
    """What a server and its helpers hold."""

    figures: dict[str, float]

    @classmethod
    def of(cls, pid: int) -> Held:
        """Read it from /proc."""
        folder = Path(f"/proc/{pid}")
        helpers = [
            child for task in (folder / "task").iterdir() for child in (task / "children").read_text().split()
        ]
        return cls(
            {
                "memory MB": sum(anonymous(int(process)) for process in (pid, *helpers)),
                "threads": len(list((folder / "task").iterdir())),
                "files": len(list((folder / "fd").iterdir())),
                "processes": len(helpers),
            }
        )

    def __str__(self) -> str:
        """The figures in a line."""
        return "   ".join(f"{name} {value:7.1f}" for name, value in self.figures.items())


def anonymous(pid: int) -> float:
    """The megabytes that a process has for itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


class Crowd:
    """Clients of all kinds, each a thread that goes on until it is told to pause or stop."""

    def __init__(self, url: str, index: Path) -> None:
        """Know whom to ask, and which index to build again."""
        self.url, self.index = url, index
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._going, self._stopped = threading.Event(), threading.Event()
        kinds: tuple[Callable[[random.Random], None], ...] = (
            *(self.draw, self.draw, self.draw, self.large, self.batch, self.bomb, self.leave),
            *(self.never_read, self.nonsense, self.look_around, self.rebuild),
        )
        self._idle = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._run, args=(kind, seed), daemon=True)
            for seed, kind in enumerate(kinds)
        ]
        for thread in self._threads:
            thread.start()

    def work(self, seconds: float) -> None:
        """Have everyone at work for so long."""
        self._going.set()
        time.sleep(seconds)
        self._going.clear()
        for _ in self._threads:
            self._idle.acquire(timeout=90)

    def stop(self) -> None:
        """Send everyone home."""
        self._stopped.set()
        self._going.set()
        for thread in self._threads:
            thread.join(90)

    def _run(self, kind: Callable[[random.Random], None], seed: int) -> None:
        chance, at_work = random.Random(seed), False
        while not self._stopped.is_set():
            if not self._going.is_set():
                if at_work:
                    self._idle.release()
                at_work = False
                self._going.wait()
                continue
            at_work = True
            try:
                kind(chance)
            except (httpx.TransportError, OSError) as error:
                self.seen[f"{kind.__name__}: {type(error).__name__}"] += 1

    def _ask(self, kind: str, allowed: set[int], method: str, path: str, **request: object) -> None:
        answer = httpx.request(method, self.url + path, timeout=60, **request)  # type: ignore[arg-type]
        self.seen[f"{kind}: {answer.status_code}"] += 1
        if answer.status_code not in allowed:
            self.wrong.append(f"{kind}: {answer.status_code} {answer.text[:200]}")

    def draw(self, chance: random.Random) -> None:
        """Search for a drawing."""
        content = drawing(chance.randrange(10**6))
        path = "/api/search?pictures=true&index=mnist-test"
        self._ask("draw", {200, 422, 503}, "POST", path, content=content, headers=PNG)

    def large(self, chance: random.Random) -> None:
        """Ask for a thousand hits with pictures."""
        path = f"/api/items/{chance.randrange(10_000)}/neighbors?k=1000&pictures=true&index=mnist-test"
        self._ask("large", {200, 503}, "GET", path)

    def batch(self, chance: random.Random) -> None:
        """Send a form."""
        files = [("images", (str(n), drawing(chance.randrange(10**6)))) for n in range(20)]
        self._ask("batch", {200, 503}, "POST", "/api/search/batch?index=changing", files=files)

    def bomb(self, chance: random.Random) -> None:
        """Send a picture that costs more than it weighs."""
        content = chance.choice((lambda: black_png(12_000, 12_000), many_scans, lambda: bytes(2**21)))()
        self._ask("bomb", {422, 503}, "POST", "/api/search", content=content, headers=PNG)
        time.sleep(1)

    def leave(self, chance: random.Random) -> None:
        """Go away amid a request, or before its answer."""
        with self._connect() as connection:
            head = "POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            whole = f"{head}Content-Length: 100000\r\n\r\n".encode() + bytes(100)
            connection.sendall(whole[: chance.randint(1, len(whole))])
            time.sleep(chance.random() / 10)
        self.seen["leave"] += 1

    def never_read(self, chance: random.Random) -> None:
        """Ask for much and read nothing of it."""
        with self._connect(2_048) as connection:
            path = "/api/items/1/neighbors?k=1000&pictures=true"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 3)
            time.sleep(chance.choice((0.1, 1, 15)))
        self.seen["never_read"] += 1

    def nonsense(self, chance: random.Random) -> None:
        """Send what is no request."""
        with self._connect() as connection:
            connection.sendall(chance.randbytes(chance.randint(1, 2_000)) + b"\r\n\r\n")
            connection.settimeout(15)
            connection.recv(1_000)
        self.seen["nonsense"] += 1
        time.sleep(0.05)

    def look_around(self, chance: random.Random) -> None:
        """Ask for pages, figures and documents."""
        path = chance.choice(
            ("/", "/static/page.js", "/api/indexes", "/metrics", "/openapi.json", "/nothing")
        )
        self._ask("look_around", {200, 404}, "GET", path)
        time.sleep(0.02)

    def rebuild(self, chance: random.Random) -> None:
        """Build the changing index again, from other pictures, while it is asked."""
        with tempfile.TemporaryDirectory() as aside:
            for label in ("a", "b"):
                folder = Path(aside) / label
                folder.mkdir()
                for n in range(chance.randint(5, 30)):
                    (folder / f"{n}.png").write_bytes(drawing(chance.randrange(10**6)))
            command = [
                sys.executable,
                "-m",
                "simsearch",
                "build-index",
                "--dataset",
                aside,
                "--name",
                "changing",
                "--replace",  # each is of another folder
            ]
            done = subprocess.run(
                [*command, "--index-dir", str(self.index.parent)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
        self.seen[f"rebuild: {done.returncode}"] += 1
        if done.returncode:
            self.wrong.append(f"rebuild: {done.returncode} {done.stderr[:200]}")
        time.sleep(3)

    def _connect(self, buffer: int | None = None) -> socket.socket:
        connection = socket.socket()
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.connect(("127.0.0.1", int(self.url.rpartition(":")[2])))
        return connection


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A server of the shipped index and the changing one, and its URL."""
    command = [sys.executable, "-m", "simsearch", "serve", "--port", "0", "--index-dir", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    return process, "http://" + line.partition("http://")[2].split("/")[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mnist-test").symlink_to(SHIPPED)
        crowd = Crowd("", folder / "changing")
        crowd.rebuild(random.Random(0))
        process, crowd.url = serve(folder)
        try:
            return soak(process, crowd, options.minutes)
        finally:
            process.kill()


def soak(process: subprocess.Popen[str], crowd: Crowd, minutes: float) -> int:
    """Let the crowd in, look at what is held, and say whether it grew."""
    laps = max(1, round(minutes))
    first = last = Held({})
    for lap in range(laps + 1):
        crowd.work(60 * minutes / laps if lap else min(60.0, 60 * minutes))
        time.sleep(QUIET_S)
        last = Held.of(process.pid)
        first = last if not lap else first
        print(f"after {'warming up' if not lap else f'lap {lap}':10s}   {last}", flush=True)
    crowd.stop()
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    _, log = process.communicate(timeout=60)
    print(
        f"ended after {time.monotonic() - started:.1f} s with {process.returncode}; log: {len(log):,} bytes"
    )
    print(log[-1_500:])
    for kind, count in sorted(crowd.seen.items()):
        print(f"{count:8,}  {kind}")
    grown = [name for name, limit in ALLOWED.items() if last.figures[name] > limit * first.figures[name]]
    for complaint in (*crowd.wrong[:10], *(f"grew: {name}" for name in grown)):
        print(complaint)
    return 1 if crowd.wrong or grown or process.returncode != 128 + signal.SIGTERM else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
