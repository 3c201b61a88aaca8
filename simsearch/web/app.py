"""The app: the page, the API and what an operator asks, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from simsearch import __version__
from simsearch.web.api import make_router
from simsearch.web.engine import Engine
from simsearch.web.guard import Guard
from simsearch.web.monitoring import Measured, Monitor
from simsearch.web.openapi import describe
from simsearch.web.pages import load_pages
from simsearch.web.problems import handle_problems
from simsearch.web.registry import Registry
from simsearch.web.settings import Settings

_READ = ["GET", "HEAD"]
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def create_app(folders: Mapping[str, Path], settings: Settings) -> ASGIApp:
    """An app that answers from these indexes; the first is the default.

    :param folders: The folder of each index, by name. They are opened here and closed with the app.
    :raises NotUsableError: If an index is missing or broken.
    """
    monitor = Monitor()
    registry = Registry(folders, interval=settings.reload_interval, on_reload=monitor.reloaded)
    engine = Engine(
        settings.workers, batch=settings.batch, capacity=settings.queue, on_batch=monitor.batches.observe
    )
    monitor.waiting.set_function(engine.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        registry.close()
        engine.close()

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
    app.include_router(make_router(registry, engine, settings))
    _add_page(app)
    _add_operations(app, registry, monitor)
    describe(app)
    return Guard(Measured(app, monitor), settings, lambda status: monitor.refused.labels(status).inc())


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
    @app.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", summary="The indexes are open")
    async def readyz() -> dict[str, Any]:
        return {"status": "ok", "indexes": list(registry.names)}

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        for name in registry.names:
            monitor.items.labels(name).set(len(registry[name].searcher))
        return Response(monitor.exposition(), media_type=_METRICS)
