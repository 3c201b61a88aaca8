"""JSON documents with a checksum of their own, so that a flipped bit in a number is noticed.

The checksum is the SHA-256 of everything else in the document, independent of layout. Documents from before
it was introduced have none, and are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
