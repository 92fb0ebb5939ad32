"""Metrics of serving for Prometheus."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ANSWER_BUCKETS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0)
SPEED_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 1024)


class ServingMetrics:
    """Counters of one serving process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "tuneline_predict_requests", "Requests by outcome", ["model", "outcome"], registry=self._registry
        )
        self.predictions = Counter(
            "tuneline_predictions", "Texts answered", ["model", "version", "label"], registry=self._registry
        )
        self.latency = Histogram(
            "tuneline_request_seconds", "Time to answer", ["model"], buckets=LATENCY_BUCKETS_S, registry=self._registry
        )
        self.batch = Histogram(
            "tuneline_batch_texts", "Texts in one run", ["model"], buckets=BATCH_BUCKETS, registry=self._registry
        )
        self.version = Gauge("tuneline_served_version", "Version served", ["model"], registry=self._registry)
        self.stability = Gauge(
            "tuneline_drift_psi",
            "Population stability index of the newest predictions",
            ["model", "version", "signal"],
            registry=self._registry,
        )
        self.cache_lookups = Counter(
            "tuneline_answer_cache_lookups",
            "Texts looked for in the answer cache: hit, miss or error",
            ["model", "found"],
            registry=self._registry,
        )
        self.dropped = Counter(
            "tuneline_history_dropped", "Predictions not kept in the history", registry=self._registry
        )
        self.prompt_tokens = Counter(
            "tuneline_prompt_tokens", "Tokens of prompts", ["model", "version"], registry=self._registry
        )
        self.generated_tokens = Counter(
            "tuneline_generated_tokens", "Tokens generated", ["model", "version"], registry=self._registry
        )
        self.answer_latency = Histogram(
            "tuneline_answer_seconds",
            "Time to a decoder's whole answer",
            ["model"],
            buckets=ANSWER_BUCKETS_S,
            registry=self._registry,
        )
        self.speed = Histogram(
            "tuneline_generated_tokens_per_second",
            "Tokens of an answer by its time, the wait included",
            ["model"],
            buckets=SPEED_BUCKETS,
            registry=self._registry,
        )

    def render(self, versions: Mapping[str, int], drift: Sequence[Mapping[str, Any]] = ()) -> bytes:
        """Return all metrics in Prometheus's text form; `versions`: what is served now; `drift`: as `/drift` has it."""
        self.stability.clear()
        for one in drift:
            for signal, found in one["signals"].items():
                self.stability.labels(one["model"], one["version"], signal).set(found["psi"])
        for model, version in versions.items():
            self.version.labels(model).set(version)
        return generate_latest(self._registry)
