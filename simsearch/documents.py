"""JSON documents that simsearch writes: their checksum, and which versions made them.

A document's checksum lies inside it, so that a flipped bit in a number is noticed: the SHA-256 of everything
else, independent of layout. Documents from before it was introduced have none, and are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from simsearch import __version__

SEAL = "sha256"
MAX_DEPTH = 32  # of lists and objects within each other; Python reads more than it can write


def parse_json(data: bytes) -> Any:
    """The value of a JSON document that is nested at most `MAX_DEPTH` deep.

    :raises ValueError: If it is no JSON, or nested more deeply.
    """
    try:
        value: Any = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    layer, depth = _holders([value]), 0
    while layer:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        layer = _holders(part for holder in layer for part in _parts(holder))
    return value


def _holders(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]


def _parts(holder: Any) -> Iterable[Any]:
    return holder.values() if isinstance(holder, dict) else holder


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


def installed_versions(*libraries: str) -> dict[str, str]:
    """The versions of simsearch, Python and those of these distributions that are installed."""
    versions = {"simsearch": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
