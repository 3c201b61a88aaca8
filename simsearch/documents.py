"""JSON documents with a checksum of their own, so that a flipped bit in a number is noticed, and their files.

The checksum is the SHA-256 of everything else in the document, independent of layout. Documents from before
it was introduced have none, and are taken as they are.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SEAL = "sha256"


def seal(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, its checksum last."""
    return (json.dumps({**document, SEAL: _digest(document)}, indent=2) + "\n").encode()


def check_seal(document: dict[str, Any]) -> None:
    """Take the checksum out of a parsed document.

    :raises ValueError: If it is not that of the rest.
    """
    if SEAL in document and document.pop(SEAL) != _digest(document):
        raise ValueError("it is damaged: its checksum is wrong")


def read_small_file(path: Path, most: int) -> bytes | None:
    """Read a regular file of at most `most` bytes; None if it has more. A pipe is refused, never waited for.

    :raises OSError: If it cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        data = file.read(most + 1)
    return data if len(data) <= most else None


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
