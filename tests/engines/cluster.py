"""A Milvus cluster of separate processes: etcd, a broker, coordinators, a proxy, nodes that can be killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from engines.single import ROLES, programs, template, wait_healthy

_PORTS = {"coord": 0, "proxy": 10, "datanode": 20, "indexnode": 30, "querynode": 40}
_READY_S = 120.0
_SETTINGS = {
    "embed: true": "embed: false",
    "localhost:2379": "127.0.0.1:2379",
    "type: rocksmq": "type: kafka",
    "address: localhost # Address of pulsar": "address: 127.0.0.1",
    "ttl: 30 ": "ttl: 10 ",  # seconds until a node that is gone is missed
}
_BROKER = "\nkafka:\n  brokerList: 127.0.0.1:9092\n"


class Cluster:
    """Processes by role, such as `querynode2`; what they keep lies in a folder."""

    def __init__(self, folder: Path, *, query_nodes: int) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.nodes = ["datanode1", "indexnode1", *(f"querynode{n + 1}" for n in range(query_nodes))]
        text = template(folder)
        for before, after in _SETTINGS.items():
            text = text.replace(before, after)
        for part in ("conf", "run", "objects"):
            (folder / part).mkdir(parents=True)
        (folder / "conf" / "milvus.yaml").write_text(text + _BROKER)
        (folder / "conf" / "glog.conf").write_text("--logtostderr=true\n")

    def start(self) -> None:
        """Start everything, and wait until every process says that it is ready."""
        etcd = "http://127.0.0.1:2379"
        peers = ["--listen-peer-urls", "http://127.0.0.1:2380"]
        clients = ["--listen-client-urls", etcd, "--advertise-client-urls", etcd]
        self._run("etcd", ["etcd", "--data-dir", f"{self._folder}/etcd", *clients, *peers])
        self._run("broker", [sys.executable, str(Path(__file__).with_name("broker.py")), "9092"])
        time.sleep(2)
        for role in ("coord", *self.nodes, "proxy"):
            self.start_node(role)
        for role in ("coord", *self.nodes, "proxy"):
            wait_healthy(_metrics_port(role), _READY_S, self._processes[role], self._folder / f"{role}.log")

    def start_node(self, role: str) -> None:
        """Start one Milvus process."""
        kind, number = _parts(role)
        binaries = programs() / "milvus"
        environment = {
            **{f"{name}_IP": "127.0.0.1" for name in ROLES},
            "MILVUSCONF": f"{self._folder}/conf",
            "LD_LIBRARY_PATH": str(binaries),
            "DEPLOY_MODE": "DISTRIBUTED",
            "LOCALSTORAGE_PATH": f"{self._folder}/objects/",
            "MILVUS_RUN_DIR": f"{self._folder}/run",
            "METRICS_PORT": str(_metrics_port(role)),
        }
        command = [str(binaries / "milvus"), "run", kind]
        if kind == "coord":
            command[2:] = ["mixture", "-rootcoord", "-querycoord", "-indexcoord", "-datacoord"]
        elif kind != "proxy":
            environment[f"{kind.upper()}_PORT"] = str(_metrics_port(role) + 12_000)
        if number > 1:
            command += ["-alias", str(number)]
        self._run(role, command, environment)

    def kill(self, role: str) -> None:
        """End one process as a power cut would."""
        self._processes[role].kill()
        self._processes[role].wait()

    def memory(self) -> dict[str, int]:
        """Resident memory of each process that runs, in MB."""
        found = {}
        for role, process in self._processes.items():
            with contextlib.suppress(OSError, TypeError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                found[role] = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024
        return found

    def stop(self) -> None:
        """End everything, and delete its data."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, role: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        with (self._folder / f"{role}.log").open("ab") as log:
            self._processes[role] = subprocess.Popen(
                command,
                cwd=self._folder,
                env={**os.environ, **(environment or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _parts(role: str) -> tuple[str, int]:
    kind = role.rstrip("0123456789")
    return kind, int(role.removeprefix(kind) or 0)


def _metrics_port(role: str) -> int:
    kind, number = _parts(role)
    return 9100 + _PORTS[kind] + number
