"""Every metric of the workers. A scrape of one worker speaks for all workers of this gunicorn."""

import os
from bisect import bisect_left
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from autobatch_proxy.queue.client import QueueCounts
from autobatch_proxy.requests.alone import Alone
from autobatch_shared.count import Count
from autobatch_shared.metric_buckets import LATENCY_BUCKETS_S
from autobatch_shared.redis.result_cache import CacheCounts

CONTENT_TYPE = CONTENT_TYPE_LATEST
NO_MODEL = b'model="",'  # to Prometheus a label without a value is none
OnTaken = Callable[[int, int, tuple[float, ...], list[int]], None]
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the workers of one gunicorn put their numbers


class _Tally:
    """Answers of one kind since they were last brought over.

    A shared metric is changed through a file mapping: 3 us for a request's three numbers, here 0.4.
    """

    def __init__(self) -> None:
        self.count = 0
        self._seconds = 0.0
        self.buckets = [0] * (len(LATENCY_BUCKETS_S) + 1)

    def add(self, seconds: float) -> None:
        self.count += 1
        self._seconds += seconds
        self.buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1

    def pour_into(self, histogram: Histogram) -> None:
        """Add everything to a histogram of these buckets, and begin anew."""
        # The client library observes one value at a time only; its parts are plain counters.
        histogram._sum.inc(self._seconds)  # noqa: SLF001
        for bucket, count in zip(histogram._buckets, self.buckets, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        self.count, self._seconds, self.buckets = 0, 0.0, [0] * len(self.buckets)


class WorkerMetrics:
    """Made once in each worker, after the fork."""

    def __init__(self) -> None:
        if SHARED_FOLDER in os.environ:
            pid = os.getpid()  # asked for once: three system calls a request were 6 % of a worker's time
            values.ValueClass = values.MultiProcessValue(lambda: pid)  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "autobatch_http_requests", "Requests answered.", ["route", "code", "model"], registry=self._registry
        )
        self._unbatched = Counter(
            "autobatch_unbatched_requests",
            "Requests whose upstream call was theirs alone, by why; docs/batching.md describes each reason.",
            ["route", "reason"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "autobatch_http_request_duration_seconds",
            "From the headers to the answer.",
            ["route", "model"],
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "autobatch_in_flight_inputs",
            "Inputs of requests that wait for their answer.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        #: Each count is made beside its metric: one without the other does not pass the type checker.
        self._counts: list[tuple[Count, Counter]] = []
        self.queue = QueueCounts(
            late_replies=self._count("late_replies", "Replies that came when their request had ended."),
            broken_replies=self._count("broken_replies", "Replies whose checksum or version was wrong."),
            departures=self._count("departures", "Requests whose client left before the answer."),
        )
        self.cache = CacheCounts(
            hits=self._count("cache_hits", "Inputs answered from the result cache."),
            misses=self._count("cache_misses", "Inputs that the result cache did not have."),
            broken=self._count("cache_broken", "Of these, inputs whose value there was not what had been stored."),
            bypasses=self._count(
                "cache_bypasses",
                "Requests that were not looked up: they share no call, or the upstreams do not name one model.",
            ),
        )
        self._tallies: dict[tuple[str, int, str], _Tally] = {}
        #: Is told what is brought over: status, count, bounds of the buckets in seconds, counts in the buckets.
        self.on_taken: OnTaken = lambda *_: None

    def answered(self, route: str, code: int, seconds: float, model: str = "") -> None:
        """Count one answer; `model` is the name of the model that was asked, empty where it has none."""
        tally = self._tallies.get((route, code, model))
        if tally is None:
            tally = self._tallies[route, code, model] = _Tally()
        tally.add(seconds)

    def shares_no_call(self, route: str, reason: Alone) -> None:
        """Count one request that shares no upstream call."""
        self._unbatched.labels(route, reason).inc()

    def take(self, inputs_in_flight: int) -> None:
        """Bring over what was counted since the last time, and how many inputs wait for their answer."""
        for (route, code, model), tally in self._tallies.items():
            self._requests.labels(route, code, model).inc(tally.count)
            if tally.count:
                self.on_taken(code, tally.count, LATENCY_BUCKETS_S, tally.buckets)
            tally.pour_into(self._durations.labels(route, model))
        self._in_flight.set(inputs_in_flight)
        for count, metric in self._counts:
            metric.inc(count.taken())

    def render(self) -> bytes:
        """Prometheus text of all workers, or of this one where there is no shared folder."""
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry).replace(NO_MODEL, b"")

    def _count(self, name: str, description: str) -> Count:
        count = Count()
        self._counts.append((count, Counter(f"autobatch_{name}", description, registry=self._registry)))
        return count
