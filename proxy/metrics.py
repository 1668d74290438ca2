"""Every metric of the workers. A scrape of one worker speaks for all workers of this gunicorn."""

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from autobatch.buckets import LATENCY_BUCKETS_S

if TYPE_CHECKING:
    from proxy.desk import Desk

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the workers of one gunicorn put their numbers


class Metrics:
    """Made once in each worker, after the fork."""

    def __init__(self) -> None:
        if SHARED_FOLDER in os.environ:
            pid = os.getpid()  # asked for once: three system calls a request were 6 % of a worker's time
            values.ValueClass = values.MultiProcessValue(lambda: pid)  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "autobatch_http_requests", "Requests answered.", ["route", "code"], registry=self._registry
        )
        self._durations = Histogram(
            "autobatch_http_request_duration_seconds",
            "From the first byte of the body to the answer.",
            ["route"],
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "autobatch_in_flight_inputs",
            "Inputs of requests that wait for their answer.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._counts = {
            name: Counter(f"autobatch_{name}", text, registry=self._registry)
            for name, text in (
                ("late_replies", "Replies that came when nobody waited any more."),
                ("broken_replies", "Replies whose checksum or version was wrong."),
                ("departures", "Requests whose client left, or whose time was over, before the answer."),
            )
        }
        self._counted = dict.fromkeys(self._counts, 0)
        # `labels()` costs 2 us a call; a route has few codes.
        self._bound: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count one answer."""
        bound = self._bound.get((route, code))
        if bound is None:
            bound = self._requests.labels(route, code), self._durations.labels(route)
            self._bound[route, code] = bound
        bound[0].inc()
        bound[1].observe(seconds)

    def take(self, desk: "Desk") -> None:
        """Bring the desk's own counts over."""
        self._in_flight.set(desk.inputs_in_flight)
        for name, counter in self._counts.items():
            total = getattr(desk.counts, name)
            counter.inc(total - self._counted[name])
            self._counted[name] = total

    def render(self) -> bytes:
        """Prometheus text of all workers, or of this one where there is no shared folder."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
