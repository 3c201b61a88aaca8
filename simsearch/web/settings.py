"""How a server behaves: whom it answers, and every limit, in one record."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_K = 1_000
DECODE_TIMEOUT_S = 3.0  # of a processor for one picture to be decoded and prepared: most take a hundredth


@dataclass(frozen=True)
class Settings:
    """Settings of one server; sizes in bytes, times in seconds."""

    hosts: frozenset[str] = LOOPBACK_HOSTS  # the names in a Host header that are answered, in lower case
    any_address: bool = False  # answer to every IP address as well: a stolen name cannot be one
    token: str | None = None
    root_path: str = ""  # the path below which a proxy offers the server, such as "/digits"
    evaluations: tuple[Path, ...] = ()  # stored ones, as `evaluate --json` writes them
    workers: int = os.cpu_count() or 1  # threads that decode, encode and search
    batch: int = 16  # most pictures that are encoded together
    queue: int = 256  # pictures that may wait; more are refused
    max_head: int = 64 * 2**10  # of a request's line and headers; exceeded by at most one read
    max_body: int = 2 * 2**20
    max_bodies: int = 64 * 2**20  # of all requests that are being read or answered, together
    max_answers: int = 32 * 2**20  # of all answers that their clients have not taken yet, together
    max_pictures: int = 64  # in one request
    max_hits: int = 10_000  # in one answer
    decode_timeout: float = DECODE_TIMEOUT_S
    warm: bool = False  # start the processes that decode pictures before the first one comes
    max_connections: int = 1_000  # fewer where the system allows fewer open files
    max_pipeline: int = 16  # requests that a client may send before it has read an answer
    head_timeout: float = 10.0  # for a request's line and headers
    body_timeout: float = 10.0
    request_timeout: float = 30.0  # until its answer begins
    write_timeout: float = 10.0  # for a client to take an answer, and a second more for every `write_rate`
    write_rate: int = 64 * 2**10
    shutdown_timeout: int = 10  # for requests that are being answered when the server is told to stop
    reload_interval: float = 1.0  # how often manifests are looked at
    reload_patience: float = 60.0  # at most between two tries to open an index again


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine can reach an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
