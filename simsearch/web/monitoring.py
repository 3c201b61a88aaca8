"""What a server counts about itself, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
NO_ROUTE = "none"


class Monitor:
    """The counters of one server."""

    def __init__(self) -> None:
        """Start from zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "simsearch_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "simsearch_request_seconds",
            "From the headers to the end of the answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter(
            "simsearch_refused",
            "Requests refused before they reached a route.",
            ("status",),
            registry=self.registry,
        )
        self.batches = Histogram(
            "simsearch_batch_size", "Pictures answered together.", buckets=_SIZES, registry=self.registry
        )
        self.waiting = Gauge("simsearch_waiting", "Pictures that wait.", registry=self.registry)
        self.items = Gauge("simsearch_items", "Items of an index.", ("index",), registry=self.registry)
        self.reloads = Counter(
            "simsearch_reloads", "Indexes opened again.", ("index", "outcome"), registry=self.registry
        )

    def reloaded(self, index: str, succeeded: bool) -> None:
        """Count a reload of an index."""
        self.reloads.labels(index, "opened" if succeeded else "failed").inc()

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)


class Measured:
    """ASGI middleware that counts and times requests by route; addresses that are no route count as one."""

    def __init__(
        self, app: ASGIApp, monitor: Monitor, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Measure an app."""
        self._app, self._monitor, self._clock = app, monitor, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = self._clock(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path_format", NO_ROUTE)
            self._monitor.requests.labels(scope["method"], route, status).inc()
            self._monitor.seconds.labels(route).observe(self._clock() - started)
