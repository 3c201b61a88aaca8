"""How a server behaves: whom it answers, and every limit, in one record."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_K = 1_000


@dataclass(frozen=True)
class Settings:
    """Settings of one server; sizes in bytes, times in seconds."""

    hosts: frozenset[str] = LOOPBACK_HOSTS  # the names in a Host header that are answered, in lower case
    any_address: bool = False  # answer to every IP address as well: a stolen name cannot be one
    token: str | None = None
    workers: int = os.cpu_count() or 1  # threads that decode, encode and search
    batch: int = 16  # most pictures that are encoded together
    queue: int = 256  # pictures that may wait; more are refused
    max_body: int = 2 * 2**20
    max_bodies: int = 64 * 2**20  # of all requests that are being read or answered, together
    max_pictures: int = 64  # in one request
    max_hits: int = 10_000  # in one answer
    max_connections: int = 1_000
    head_timeout: float = 10.0  # for a request's line and headers
    body_timeout: float = 10.0
    request_timeout: float = 30.0
    shutdown_timeout: int = 10  # for requests that are being answered when the server is told to stop
    reload_interval: float = 1.0  # how often manifests are looked at


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine can reach an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
