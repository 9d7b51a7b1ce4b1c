"""Metrics: what `GET /metrics` tells Prometheus of the index, and of what this process has served.

No label holds text of an article, a question, an address or a path: kinds of parts, routes and status codes alone.
"""

import time
from collections import Counter as Tally
from collections.abc import Iterator
from datetime import UTC, datetime

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from searchsvc.errors import SearchsvcError
from searchsvc.library import Library, Status
from searchsvc.service.jobs import Jobs

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # bounds of the histogram's buckets
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
KINDS = ("feed", "files", "watching", "watch", "near-duplicates", "resplitting", "jobs", "warming", "workers")


class Metrics:
    """The metrics of one process of a server."""

    def __init__(self, library: Library, jobs: Jobs) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_IndexCollector(library))
        self.registry.register(_JobsCollector(jobs))
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "searchsvc_requests",
            "Requests that this process has answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "searchsvc_request_seconds",
            "Seconds until an answer of this process was sent.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )


class MetricsMiddleware:
    """ASGI middleware that counts requests by route, method and status, and how long they took."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and count it; one whose client has gone before any answer counts with status 0."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path", "none")  # as it is declared, never as it was requested
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)


class _IndexCollector(Collector):
    """What is in the index, and what is failing; where it cannot be read, only that."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def collect(self) -> Iterator[Metric]:
        try:
            status = self._library.status()
        except SearchsvcError:
            status = None
        yield _gauge("index_readable", "Whether there is an index that can be read.", status is not None)
        if status is not None:
            yield from _sizes(status)
        parts = self._library.health.own() if status is None else status.parts
        failing = GaugeMetricFamily(
            "searchsvc_parts_failing", "Parts of all processes that are failing, by kind.", labels=["part"]
        )
        failures = GaugeMetricFamily(
            "searchsvc_part_failures", "How often in a row these have failed, added up.", labels=["part"]
        )
        counts, sums = Tally[str](), Tally[str]()
        for part in parts:
            kind = part.name.partition(" ")[0]
            counts[kind] += 1
            sums[kind] += part.failures
        for kind in KINDS:
            failing.add_metric([kind], counts[kind])
            failures.add_metric([kind], sums[kind])
        yield failing
        yield failures


class _JobsCollector(Collector):
    """The jobs of this process."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        running = self._jobs.running()
        age = (datetime.now(UTC) - running[0].began).total_seconds() if running else 0.0
        yield _gauge("jobs_running", "Jobs of this process that have not ended.", len(running))
        yield _gauge("oldest_job_seconds", "Seconds since the oldest of these began; 0 without any.", age)


def add_metrics_route(app: FastAPI, metrics: Metrics) -> None:
    """Let an application answer `GET /metrics`."""

    @app.get("/metrics", include_in_schema=False)
    def state() -> Response:
        """Tell Prometheus how the index and this process fare."""
        body = generate_latest(metrics.registry)
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})


def _sizes(status: Status) -> Iterator[Metric]:
    yield _gauge("articles", "Articles in the index.", status.articles)
    yield _gauge("passages", "Passages in the index.", status.passages)
    yield _gauge("generation", "Number of the last change.", status.generation)
    yield _gauge("pending_changes", "Changes that are committed and not yet searchable.", status.pending)
    yield _gauge("index_bytes", "Bytes of the index on the disk.", status.bytes_on_disk)
    yield _gauge("unused_bytes", "Bytes of the catalogue that hold nothing.", status.unused_bytes)
    if status.updated is not None:
        about = "When the index was last changed, in seconds since 1970."
        yield _gauge("updated_timestamp_seconds", about, status.updated.timestamp())


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"searchsvc_{name}", about, value=value)
