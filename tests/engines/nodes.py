"""A Ray cluster of several nodes on one machine, each at an address of its own."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ADDRESS = "127.0.0.1:6390"
_START_S = 60.0
_MEMORY = 100_000_000  # bytes of shared memory a node


class Nodes:
    """Nodes at 127.0.0.1, 127.0.0.2 and so on; the first is the head."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._processes = folder, []
        self._sockets = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # paths of sockets are short
        (folder / "token").write_text(secrets.token_hex(32))
        (folder / "token").chmod(0o600)
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, cores: int = 1) -> None:
        """Start another node, and wait until it says so."""
        number = len(self._processes)
        place = [f"--address={ADDRESS}"]
        if not number:
            port = ADDRESS.partition(":")[2]
            place = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self._sockets}"]
        command = [str(Path(sys.executable).with_name("ray")), "start", *place, "--block"]
        command += [f"--node-ip-address=127.0.0.{number + 1}", f"--num-cpus={cores}"]
        command += [f"--object-store-memory={_MEMORY}", "--disable-usage-stats"]
        log = self._folder / f"node{number}.log"
        with log.open("wb") as file:
            self._processes.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, **self.environment},
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            )
        end = time.monotonic() + _START_S
        while "Ray runtime started" not in log.read_text(errors="replace"):
            if time.monotonic() > end or self._processes[-1].poll() is not None:
                pytest.fail(f"the node did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)

    def kill(self, number: int) -> None:
        """End a node's every process as a power cut would."""
        for group in self._groups(number):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._processes[number].wait()

    def stop(self) -> None:
        """End all nodes, and delete what they left."""
        for number in reversed(range(len(self._processes))):
            self.kill(number)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _groups(self, number: int) -> set[int]:
        """The process groups of a node: its own, and those of the processes below it."""
        parents: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                found = re.search(r"^PPid:\s+(\d+)", (folder / "status").read_text(), re.MULTILINE)
                parents.setdefault(int(found[1]) if found else 0, []).append(int(folder.name))
        waiting, groups = [self._processes[number].pid], {self._processes[number].pid}
        while waiting:
            for child in parents.get(waiting.pop(), ()):
                waiting.append(child)
                with contextlib.suppress(ProcessLookupError):
                    groups.add(os.getpgid(child))
        return groups - {os.getpgid(0)}
