"""The metrics at `/metrics`: counts and times, never a text or a name that a client chose.

They are in a registry of their own, so that they do not mix with those of another server in the
process or of a program with its own metrics. This module measures nothing itself; values that
change all the time are read when the metrics are.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from edgeguard._version import __version__
from edgeguard.protocol.names import CATEGORIES, MODES, SEVERITIES
from edgeguard.server.connection_limit import ConnectionLimit
from edgeguard.verdict import Verdict
from edgeguard.worker.worker import Worker

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_ENDED = ("too_many", "head_timeout", "answer_timeout", "no_files")


class Metrics:
    """The metrics of one server."""

    def __init__(self, worker: Worker, connection_limit: ConnectionLimit) -> None:
        """Both are asked when the metrics are read."""
        self._registry = CollectorRegistry()
        self._worker = worker
        self._requests = self._counter(
            "http_requests",
            "Requests answered, by route, method and HTTP status (499: the client left).",
            ["route", "method", "status"],
        )
        self._latency = self._histogram(
            "http_request_duration_seconds",
            "Seconds from a request's arrival to its answer, waiting included.",
            ["route"],
        )
        self._verdicts = self._counter(
            "verdicts",
            "Verdicts, by what was judged, by severity and by what the policy says.",
            ["mode", "severity", "flagged"],
        )
        self._categories = self._counter(
            "verdict_categories", "Verdicts that name a category.", ["category"]
        )
        self._failures = self._counter(
            "failed_texts", "Texts that were not judged, by the error's code.", ["code"]
        )
        self._seconds = self._histogram(
            "verdict_duration_seconds", "Seconds that the model took for a verdict.", []
        )
        self._tokens = self._counter("read_tokens", "Tokens of the questions asked.", [])
        self._ended = self._counter(
            "connections_ended", "Connections that the server ended, by the reason.", ["reason"]
        )
        connection_limit.counted = lambda why: self._ended.labels(why).inc()
        self._gauges(worker, connection_limit)
        self._build = Info("edgeguard_build", "What runs.", registry=self._registry)
        self._build.info({"version": __version__})
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._show_zeros()

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(route, method, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def verdict(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self._verdicts.labels(verdict.mode, verdict.severity, _word(verdict.flagged)).inc()
        for category in verdict.categories:
            self._categories.labels(category).inc()
        self._seconds.observe(verdict.seconds)
        self._tokens.inc(verdict.tokens)

    def failure(self, code: str) -> None:
        """Count a text without a verdict."""
        self._failures.labels(code).inc()

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        guard = self._worker.guard
        if guard is not None:
            model = {"model": guard.model.name, "type": guard.model.type, "device": guard.device}
            self._build.info({"version": __version__, **model})
        return generate_latest(self._registry)

    def _gauges(self, worker: Worker, connection_limit: ConnectionLimit) -> None:
        queue = worker.queue
        self._gauge("ready", "1 if the test verdicts have passed.", lambda: worker.state == "ready")
        self._gauge(
            "model_loaded",
            "1 if the model is in memory; 0 while it loads, failed, or was given back when idle.",
            lambda: worker.guard is not None and worker.guard.is_loaded,
        )
        self._gauge("queue_requests", "Requests that wait for the model.", lambda: queue.depth)
        self._gauge(
            "queue_capacity_requests", "Requests that may wait for it.", lambda: queue.places or 0
        )
        self._gauge(
            "in_flight_requests",
            "Requests that wait or are being judged.",
            lambda: queue.in_flight[0],
        )
        self._gauge("in_flight_texts", "Texts that they still have.", lambda: queue.in_flight[1])
        self._gauge(
            "queue_oldest_wait_seconds",
            "How long the oldest request has waited for its first turn.",
            lambda: queue.oldest_wait,
        )
        self._gauge(
            "busy_seconds",
            "How long the model has been judging without a pause.",
            lambda: queue.busy_seconds,
        )
        self._gauge(
            "cache_hits",
            "Questions that the cache of answers knew, since the start; 0 without one.",
            lambda: _cache(worker)[0],
        )
        self._gauge("cache_misses", "Questions that it did not know.", lambda: _cache(worker)[1])
        self._gauge("connections", "Open connections.", lambda: len(connection_limit))
        self._gauge("connections_limit", "How many may be open.", lambda: connection_limit.most)

    def _show_zeros(self) -> None:
        """What has not happened yet is 0, not absent."""
        for mode in MODES:
            for severity in SEVERITIES:
                for flagged in (False, True):
                    self._verdicts.labels(mode, severity, _word(flagged))
        for category in CATEGORIES:
            self._categories.labels(category)
        for reason in _ENDED:
            self._ended.labels(reason)

    def _counter(self, name: str, help_: str, labels: list[str]) -> Counter:
        return Counter(f"edgeguard_{name}", help_, labels, registry=self._registry)

    def _histogram(self, name: str, help_: str, labels: list[str]) -> Histogram:
        return Histogram(
            f"edgeguard_{name}", help_, labels, buckets=_SECONDS, registry=self._registry
        )

    def _gauge(self, name: str, help_: str, ask: Callable[[], float]) -> None:
        gauge = Gauge(f"edgeguard_{name}", help_, registry=self._registry)
        gauge.set_function(lambda: float(ask()))


def _cache(worker: Worker) -> tuple[int, int]:
    info = None if worker.guard is None else worker.guard.cache_info()
    return (0, 0) if info is None else (info.hits, info.misses)


def _word(flag: bool) -> str:
    return "true" if flag else "false"
