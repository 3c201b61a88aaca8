"""The page's files, read once: what a request names is looked up among them, never on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Page:
    """One file of the page."""

    content: bytes
    media_type: str
    tag: str

    def response(self, request: Request) -> Response:
        """The file, or that the browser's copy of it is current."""
        headers = {"ETag": self.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


def load_pages() -> dict[str, Page]:
    """Every file of the page by name."""
    return {file.name: _page(file) for file in _files()}


def _files() -> Iterator[Traversable]:
    package = resources.files("simsearch")
    yield package.joinpath("show", "html", "palette.css")
    for file in package.joinpath("web", "static").iterdir():
        if file.name.rpartition(".")[2] in _TYPES:
            yield file


def _page(file: Traversable) -> Page:
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return Page(content, _TYPES[file.name.rpartition(".")[2]], tag)
