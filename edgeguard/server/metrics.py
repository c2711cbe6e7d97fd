"""What `/metrics` shows: counts and times, never a text and never a name that a client chose.

A registry of our own, so that two servers in one process, or a program that has metrics already,
do not mix. This module measures nothing by itself but the queue's depth, when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from edgeguard.protocol.names import MODES, SEVERITIES
from edgeguard.verdict import Verdict

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The metrics of one server."""

    def __init__(self, depth: Callable[[], int], ready: Callable[[], bool]) -> None:
        """``depth`` and ``ready`` are asked when the metrics are read."""
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "edgeguard_requests",
            "Requests answered, by route and HTTP status (499: the client left).",
            ["route", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            "edgeguard_request_seconds",
            "Seconds from a request's arrival to its answer, waiting included.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._verdicts = Counter(
            "edgeguard_verdicts",
            "Verdicts, by what was judged and by severity.",
            ["mode", "severity"],
            registry=registry,
        )
        self._seconds = Histogram(
            "edgeguard_verdict_seconds",
            "Seconds that the model took for a verdict, without waiting.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(
            "edgeguard_read_tokens", "Tokens of the questions asked.", registry=registry
        )
        queue = Gauge(
            "edgeguard_queue_depth", "Requests that wait for the model.", registry=registry
        )
        queue.set_function(lambda: float(depth()))
        up = Gauge("edgeguard_ready", "1 if the test verdicts have passed.", registry=registry)
        up.set_function(lambda: float(ready()))
        for mode in MODES:
            for severity in SEVERITIES:
                self._verdicts.labels(mode, severity)  # 0 is shown, not absent

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def verdict(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self._verdicts.labels(verdict.mode, verdict.severity).inc()
        self._seconds.observe(verdict.seconds)
        self._tokens.inc(verdict.tokens)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
