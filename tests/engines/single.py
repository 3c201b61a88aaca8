"""One Milvus server, as the package `milvus` brings it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

URI = "http://127.0.0.1:19530"
PASSWORD = "Hidden-Secret-7"  # of a server that asks for one
ROLES = ("PROXY", "ROOTCOORD", "DATACOORD", "QUERYCOORD", "INDEXCOORD", "DATANODE", "INDEXNODE", "QUERYNODE")
_READY_S = 120.0


def programs() -> Path:
    """The folder that `.ci/engines` filled; without one, the test is skipped."""
    folder = os.environ.get("SIMSEARCH_ENGINES")
    if not folder:
        pytest.skip("no engines: `.ci/engines` installs them and runs these tests")
    return Path(folder)


def template(folder: Path) -> str:
    """The configuration that the package `milvus` brings, with its defaults and these folders filled in."""
    (path,) = programs().glob("server/lib/python3*/site-packages/milvus/data/config.yaml.template")
    text = re.sub(r"\{\{\s*\w+(?:\(\w+\))?\s*:\s*([^}]*?)\s*\}\}", r"\1", path.read_text())
    values = {
        "{{ local_storage_dir }}": f"{folder}/objects/",
        "{{ etcd_data_dir }}": f"{folder}/etcd-embedded",
        "{{ rocksmq_data_dir }}": f"{folder}/rocksmq",
        "{{ system_log_path }}": '""',
    }
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


class Single:
    """A single server with its data in a folder, that asks for the password."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._process = folder, None
        for part in ("configs", "objects"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        text = template(folder).replace("authorizationEnabled: false", "authorizationEnabled: true")
        (folder / "configs" / "milvus.yaml").write_text(text)
        (folder / "configs" / "glog.conf").write_text("--logtostderr=true\n")

    def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        binaries = programs() / "milvus"
        here = {f"{role}_IP": "127.0.0.1" for role in ROLES}
        environment = {
            **os.environ,
            **here,
            "MILVUSCONF": f"{self._folder}/configs",
            "LD_LIBRARY_PATH": str(binaries),
            "DEPLOY_MODE": "STANDALONE",
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binaries / "milvus", "run", "standalone"],
                cwd=self._folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_healthy(9091, _READY_S, self._process, self._folder / "log")

    @property
    def process(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def set_password(self) -> None:
        """Give the only user its password, as soon as there is that user."""
        from pymilvus import MilvusClient, MilvusException

        end = time.monotonic() + _READY_S
        while True:
            try:
                client = MilvusClient(URI, token="root:Milvus", timeout=10, dedicated=True)
                client.update_password("root", "Milvus", PASSWORD, reset_connection=False)
                client.close()
                return
            except MilvusException:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, and delete its data."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def wait_healthy(port: int, seconds: float, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a Milvus process says OK on its port of metrics."""
    import urllib.request

    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer,
        ):
            if b"OK" in answer.read():
                return
        time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
