"""The metrics of a proxy, in addition to a server's: what was blocked, and what was held back."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

_STAGES = ("prompt", "answer")
ACTIONS = ("passed", "blocked", "observed", "refused", "failed", "failed_open")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Counts:
    """Counts of one proxy."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._actions = Counter(
            "edgeguard_proxy_decisions",
            "What was done with prompts and answers.",
            ["stage", "action"],
            registry=self._registry,
        )
        self._first = Histogram(
            "edgeguard_proxy_first_text_seconds",
            "Seconds from a request's arrival to the first text of its streamed answer.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._lost = Counter(
            "edgeguard_proxy_audit_lines_lost",
            "Lines that the audit log could not be given.",
            registry=self._registry,
        )
        for stage in _STAGES:
            for action in ACTIONS:
                self._actions.labels(stage, action)

    def decided(self, stage: str, action: str) -> None:
        """Count a decision."""
        self._actions.labels(stage, action).inc()

    def lost(self) -> None:
        """Count a lost line of the audit log."""
        self._lost.inc()

    def first(self, seconds: float) -> None:
        """Count the time until the first text was released."""
        self._first.observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
