"""Which versions made something: recorded beside every model, index and report."""

from __future__ import annotations

import platform
from importlib import metadata

from simsearch import __version__


def installed_versions(*libraries: str) -> dict[str, str]:
    """The versions of simsearch, Python and those of these distributions that are installed."""
    versions = {"simsearch": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
