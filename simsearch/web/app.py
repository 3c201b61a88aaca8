"""The app: the page, the API and what an operator asks, behind the guard.

The page's files are read once: what a request names is looked up among them, never on the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from simsearch import __version__
from simsearch.errors import BadInputError
from simsearch.evaluate.saved_report import read_report
from simsearch.web.activations import ACTIVATION_SCHEMAS
from simsearch.web.api import make_router
from simsearch.web.connections import Unread
from simsearch.web.engine import Engine
from simsearch.web.guard import Guard
from simsearch.web.mistakes import MISTAKE_SCHEMAS, check_evaluations
from simsearch.web.monitoring import Measured, Monitor
from simsearch.web.openapi import answer, describe
from simsearch.web.problems import handle_problems
from simsearch.web.registry import Registry
from simsearch.web.settings import Settings
from simsearch.web.steps import STEP_SCHEMAS
from simsearch.web.vectors import VECTOR_SCHEMAS

_READ = ["GET", "HEAD"]
_OPERATION: dict[str, Any] = {
    "tags": ["operations"],
    "response_model": None,
    "generate_unique_id_function": lambda route: route.name,
}
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def create_app(folders: Mapping[str, Path], settings: Settings, unread: Unread | None = None) -> ASGIApp:
    """An app that answers from these indexes; the first is the default.

    :param folders: The folder of each index, by name. They are opened here and closed with the app.
    :param unread: What its answers wait for, as the connections count it; None where another server runs it.
    :raises NotUsableError: If an index is missing or broken.
    :raises BadInputError: If an evaluation cannot be read, or is of none of the indexes.
    """
    reports = [read_report(path) for path in settings.evaluations]
    unread = unread or Unread(settings.max_answers)
    monitor = Monitor()
    registry = Registry(
        folders,
        interval=settings.reload_interval,
        patience=settings.reload_patience,
        on_reload=monitor.reloaded,
    )
    try:
        check_evaluations(reports, [registry[name].searcher.bundle for name in registry.names])
    except BadInputError:
        registry.close()
        raise
    engine = Engine(
        settings.workers,
        batch=settings.batch,
        capacity=settings.queue,
        patience=settings.decode_timeout,
        warm=settings.warm,
        on_batch=monitor.batches.observe,
    )
    monitor.waiting.set_function(engine.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        registry.close()
        engine.close(settings.shutdown_timeout)

    app = FastAPI(
        title="simsearch",
        version=__version__,
        description="Learned visual similarity search.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    handle_problems(app)
    app.include_router(make_router(registry, engine, settings, reports))
    _add_page(app)
    _add_operations(app, registry, monitor)
    describe(
        app,
        token=settings.token is not None,
        further={**VECTOR_SCHEMAS, **ACTIVATION_SCHEMAS, **MISTAKE_SCHEMAS, **STEP_SCHEMAS},
    )
    return Guard(
        Measured(app, monitor), settings, unread, lambda status: monitor.refused.labels(status).inc()
    )


def _add_page(app: FastAPI) -> None:
    pages = load_pages()

    @app.api_route("/", methods=_READ, include_in_schema=False)
    async def page(request: Request) -> Response:
        return pages["index.html"].response(request)

    @app.api_route("/static/{name}", methods=_READ, include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        if name not in pages:
            raise HTTPException(404)
        return pages[name].response(request)


def _add_operations(app: FastAPI, registry: Registry, monitor: Monitor) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", summary="The process answers", responses=answer("Health"), **_OPERATION)
    async def healthz() -> dict[str, Any]:
        return {"status": "ok"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", summary="The indexes are open", responses=answer("Readiness"), **_OPERATION)
    async def readyz() -> dict[str, Any]:
        return {"status": "ok", "indexes": list(registry.names)}

    @app.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        **_OPERATION,
    )
    async def metrics() -> Response:
        for name in registry.names:
            monitor.items.labels(name).set(len(registry[name].searcher))
        return Response(monitor.exposition(), media_type=_METRICS)


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
