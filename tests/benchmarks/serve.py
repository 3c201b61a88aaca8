"""The HTTP API under load, beside a bare FastAPI endpoint and beside the same search called directly.

Load comes from wrk (`apt-get install wrk`) over loopback: a drawing as PNG, sent to `/api/search` by 1, 16
and 64 clients. The bare endpoint reads the same body and sends as many bytes back. Directly, 1 and 2 threads
call `Searcher.query` with the same PNG. Also measured without batches, each query encoded and searched alone.
The load generator shares the machine's cores with what it asks. Everything is measured in turns, so that
ratios of one round hold on a machine that is busy with other things; medians of the rounds are printed.

    python tests/benchmarks/serve.py --seconds 5 --rounds 3
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import uvicorn
from fastapi import FastAPI, Request, Response
from PIL import Image, ImageDraw
from threadpoolctl import threadpool_limits

from simsearch.search.searcher import Searcher
from simsearch.web.server import listen, make_server
from simsearch.web.settings import Settings

INDEX = Path(__file__).parents[2] / "indexes" / "mnist-test"
CLIENTS = (1, 16, 64)
LIBRARIES = ("fastapi", "uvicorn", "httptools", "onnxruntime", "faiss-cpu", "numpy")
REQUEST = """
local file = io.open("{picture}", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = "image/png"
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests a second, latencies in milliseconds, and how many requests failed."""

    rate: float
    p50: float
    p99: float
    errors: int


class Running(NamedTuple):
    """A server in a process of its own."""

    url: str
    pid: int

    def peak(self) -> float:
        """The largest resident memory of it and of its decoders so far, added up, in megabytes: what they
        share counts in each. NaN where there is no /proc.
        """
        found = [
            process_peak(pid)
            for pid in (self.pid, *children(self.pid))
            if Path("/proc", str(pid), "status").exists()
        ]
        return sum(found) if found else float("nan")


def children(pid: int) -> list[int]:
    """The processes that a process started, and those that these did."""
    threads = Path("/proc", str(pid), "task").glob("*/children")
    own = [int(child) for path in threads for child in path.read_text().split()]
    return own + [grandchild for child in own for grandchild in children(child)]


def process_peak(pid: int) -> float:
    """Of one process."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc", str(pid), "status").read_text())
    return int(found[1]) / 1e3 if found else 0.0


def drawing() -> bytes:
    """A seven as the page sends it."""
    image = Image.new("L", (280, 280))
    ImageDraw.Draw(image).line([(80, 60), (200, 60), (120, 230)], fill=255, width=24, joint="curve")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def serve(kind: str, workers: int) -> None:
    """Be a server, and print the port."""
    listener = listen("127.0.0.1", 0)
    if kind == "bare":
        app, answer = FastAPI(), bytes(4_500)

        @app.post("/api/search")
        async def search(request: Request) -> Response:
            await request.body()
            return Response(answer, media_type="application/json")

        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    else:
        threadpool_limits(1)
        batch = 1 if kind == "alone" else Settings().batch
        server = make_server({"mnist-test": INDEX}, Settings(workers=workers, batch=batch))
    print(listener.getsockname()[1], flush=True)
    server.run(sockets=[listener])


@contextmanager
def served(kind: str, workers: int) -> Iterator[Running]:
    """A server in a process of its own."""
    command = [sys.executable, __file__, "--serve", kind, "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield Running(f"http://127.0.0.1:{process.stdout.readline().strip()}", process.pid)
        finally:
            process.terminate()


def load(url: str, clients: int, seconds: int, script: Path) -> Load:
    """Send requests with wrk, each client its next when its last is answered."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    done = subprocess.run(
        [*command, "-s", str(script), f"{url}/api/search"], capture_output=True, text=True, check=True
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert rate is not None, done.stdout
    complaints = " ".join(re.findall(r"(?:Socket errors|Non-2xx or 3xx responses):(.*)", done.stdout))
    failed = sum(map(int, re.findall(r"\d+", complaints)))
    return Load(float(rate[1]), latency(done.stdout, 50), latency(done.stdout, 99), failed)


def latency(text: str, share: int) -> float:
    """A percentile in wrk's output, in milliseconds."""
    found = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s)\s*$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]


def direct(threads: int, seconds: int) -> Load:
    """Call the search from some threads, without any server, in a process of its own."""
    command = [sys.executable, __file__, "--direct", str(threads), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Load(*map(float, done.stdout.split()), errors=0)


def call(threads: int, seconds: int) -> None:
    """Be that process, and print what it measured."""
    searcher, picture, times = Searcher.open(INDEX, threads=1), drawing(), []
    threadpool_limits(1)
    searcher.query(picture)
    end = time.perf_counter() + seconds

    def work() -> None:
        while (started := time.perf_counter()) < end:
            searcher.query(picture)
            times.append(1e3 * (time.perf_counter() - started))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    times.sort()
    print(len(times) / seconds, times[len(times) // 2], times[int(0.99 * len(times))])


def median(loads: list[Load]) -> Load:
    """The medians of several loads, and all their errors."""
    rates, halves, ends = zip(*((load.rate, load.p50, load.p99) for load in loads), strict=True)
    total = sum(load.errors for load in loads)
    return Load(statistics.median(rates), statistics.median(halves), statistics.median(ends), total)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--serve", choices=("simsearch", "alone", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--direct", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.workers)
    elif options.direct:
        call(options.direct, options.seconds)
    else:
        compare(options.seconds, options.rounds, options.workers)


def compare(seconds: int, rounds: int, workers: int) -> None:
    """Measure everything in turns, and print it."""
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    found: defaultdict[str, list[Load]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory() as folder,
        served("simsearch", workers) as ours,
        served("alone", workers) as alone,
        served("bare", workers) as bare,
    ):
        picture, script = Path(folder) / "seven.png", Path(folder) / "post.lua"
        picture.write_bytes(drawing())
        script.write_text(REQUEST.format(picture=picture))
        for server in (ours, alone, bare):
            load(server.url, 4, 1, script)
        for _ in range(rounds):
            for threads in (1, 2):
                found[f"directly, {threads} threads"].append(direct(threads, seconds))
            for clients in CLIENTS:
                for name, server in (
                    ("served", ours),
                    ("served, no batches", alone),
                    ("bare endpoint", bare),
                ):
                    found[f"{name}, {clients} clients"].append(load(server.url, clients, seconds, script))
        peak = ours.peak()
    print(f"\n{'':32s} requests/s  p50 ms  p99 ms  errors   medians of {rounds} rounds")
    for name, loads in found.items():
        middle = median(loads)
        print(f"{name:32s} {middle.rate:10.0f} {middle.p50:7.2f} {middle.p99:7.2f} {middle.errors:7d}")
    print(f"peak memory of the server and its {workers} decoders: {peak:.0f} MB")
    for clients in CLIENTS:
        for name in ("served", "served, no batches"):
            shares = [
                served.rate / max(found[f"directly, {threads} threads"][turn].rate for threads in (1, 2))
                for turn, served in enumerate(found[f"{name}, {clients} clients"])
            ]
            share = statistics.median(shares)
            print(f"{name}, {clients} clients: {share:.0%} of the direct throughput in the same round")


if __name__ == "__main__":
    main()
