"""Every metric of the workers. A scrape of one worker speaks for all workers of this gunicorn.

What is declared here is all that there is: docs/metrics.md is made of it.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from autobatch_proxy.dead_workers import forget_dead_workers
from autobatch_proxy.queue.in_flight import QueueCounts
from autobatch_proxy.requests.alone import Alone
from autobatch_shared.contract.frames import ReplyHeader
from autobatch_shared.install_hints import DISTRIBUTION
from autobatch_shared.measuring.buckets import BATCH_INPUTS_BUCKETS, BYTES_BUCKETS, LATENCY_BUCKETS_S
from autobatch_shared.measuring.count import Count
from autobatch_shared.measuring.process_use import CPU_WAIT_TEXT, ProcessUse, resident_bytes
from autobatch_shared.measuring.tally import Tally
from autobatch_shared.redis.result_cache import CacheCounts

CONTENT_TYPE = CONTENT_TYPE_LATEST
NO_MODEL = b'model="",'  # to Prometheus a label without a value is none
OnTaken = Callable[[int, Sequence[float], Sequence[int]], None]
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the workers of one gunicorn put their numbers
HEAD = b"""\
# These are the numbers of the workers of one gunicorn, or of all that one `autobatch up` has started.
# The next scrape through a load balancer may be another machine's: scrape each by its own address, and each batcher at
# its BATCHER_PORT (docs/metrics.md). The upstreams' own metrics are there at /metrics?upstream=1.
# autobatch_fleet_* are of the whole fleet, the same at every worker: take their maximum, not their sum.
"""


class FleetGauge(NamedTuple):
    """A figure of the whole fleet, which a worker looks up when it is asked for its metrics."""

    name: str
    text: str
    labels: tuple[str, ...] = ("model",)


FLEET = (
    FleetGauge("redis_up", "1 while this worker reaches Redis; 0: the figures of the fleet are missing.", ()),
    FleetGauge("redis_round_trip_seconds", "What one round trip to Redis took, for these figures.", ()),
    FleetGauge(
        "redis_clock_ahead_seconds",
        "How far Redis's clock is ahead of this process's. All times are Redis's: only a difference that jumps does harm.",
        (),
    ),
    FleetGauge("fleet_queue_jobs", "Jobs that wait in the queue.", ("model", "queue")),
    FleetGauge(
        "fleet_queue_expired_jobs",
        "Jobs of these, about, whose deadline has passed: no client waits for them, and the next batcher drops them.",
        ("model", "queue"),
    ),
    FleetGauge(
        "fleet_queue_inputs",
        "What they weigh: a job weighs its inputs, or one for each 8 kB if that is more. MAX_QUEUE_SIZE bounds it.",
        ("model", "queue"),
    ),
    FleetGauge("fleet_queue_bytes", "Memory of Redis that they take, about.", ("model", "queue")),
    FleetGauge("fleet_queue_oldest_age_seconds", "Age of the oldest job that waits.", ("model", "queue")),
    FleetGauge("fleet_jobs_dead", "Jobs in the dead list: given up after batchers or the upstream died with them."),
    FleetGauge("fleet_batchers", "Batchers that have reported within 3 s."),
    FleetGauge(
        "fleet_upstreams",
        "Upstreams of these batchers. Which they are is said on the batchers' port: this one is public.",
    ),
    FleetGauge("fleet_upstreams_up", "Upstreams that some batcher may call."),
    FleetGauge(
        "fleet_drain_seconds",
        "How long the fleet needs for what waits and is being worked on, at its measured rate; missing while that is unknown.",
    ),
    FleetGauge(
        "fleet_saturation_ratio",
        "For autoscalers. 0: nothing waits; 1: requests are refused, as they would wait too long, the queue is full, or this worker has all it may have in flight.",
    ),
    FleetGauge("cache_rows", "Rows in the result cache.", ()),
    FleetGauge("cache_bytes", "Memory of Redis that they take, about; CACHE_MAX_MB bounds it.", ()),
)

NONE: Mapping[int, int] = MappingProxyType({})
FleetFigures = Mapping[
    str, Sequence[tuple[tuple[str, ...], float]]
]  # of a gauge of FLEET: (values of its labels, figure)


class WorkerMetrics:
    """Made once in each worker, after the fork."""

    def __init__(self) -> None:
        if SHARED_FOLDER in os.environ:
            pid = os.getpid()  # asked for once: three system calls a request were 6 % of a worker's time
            values.ValueClass = values.MultiProcessValue(lambda: pid)  # type: ignore[no-untyped-call]
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time of birth for each series would double the page
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "autobatch_http_requests",
            "Requests answered; the route of an unknown path is none.",
            ["route", "code", "model"],
            registry=registry,
        )
        self._refusals = Counter(
            "autobatch_http_refusals",
            "Requests answered 400 or more, by why: the code of our error, or upstream_ and the status that the upstream gave.",
            ["route", "reason"],
            registry=registry,
        )
        self._by_key = Counter(
            "autobatch_key_requests",
            "Requests let in, by the API key's place: those of API_KEYS from 1, then the lines of API_KEYS_FILE; the last may be that with which `autobatch up` asks itself.",
            ["key"],
            registry=registry,
        )
        self._unbatched = Counter(
            "autobatch_unbatched_requests",
            "Requests whose upstream call was theirs alone, by why; docs/batching.md describes each reason.",
            ["route", "reason"],
            registry=registry,
        )
        self._durations = Histogram(
            "autobatch_http_request_duration_seconds",
            "From the headers to the answer.",
            ["route", "code", "model"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._phases = Counter(
            "autobatch_http_request_phase_seconds",
            "Where the time of the requests went that came back from the queue: upstream, in calls, those that failed included; "
            "queue, waiting for a call, or between two; own, all else.",
            ["phase"],
            registry=registry,
        )
        self._request_inputs = Histogram(
            "autobatch_http_request_inputs", "Inputs of a request.", buckets=BATCH_INPUTS_BUCKETS, registry=registry
        )
        self._request_bytes = Histogram(
            "autobatch_http_request_body_bytes", "Bytes of a request's body.", buckets=BYTES_BUCKETS, registry=registry
        )
        self._in_flight = self._gauge("in_flight_inputs", "Inputs of requests that wait for their answer.", "livesum")
        self._cpu_cores = self._gauge(
            "process_cpu_cores", "How many cores this process used in the last second or two."
        )
        self._cpu_wait = self._gauge("process_cpu_wait_cores", CPU_WAIT_TEXT)
        self._memory = self._gauge("process_memory_bytes", "Resident memory of this process (Linux).")
        self._loop_lag = self._gauge(
            "event_loop_lag_seconds", "How late this process's once-a-second look was: as late was every answer."
        )
        build = Gauge(
            "autobatch_build_info",
            "1: the version of this process.",
            ["version"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        build.labels(version(DISTRIBUTION)).set(1)
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
            evictions=self._count("cache_evictions", "Rows that made room for others before their time."),
            bypasses=self._count(
                "cache_bypasses",
                "Requests that were not looked up: they share no call, or the upstreams do not name one model.",
            ),
        )
        self.open_files_exhausted_s = self._count(
            "open_files_exhausted_seconds",
            "Seconds in which a worker had no file descriptor left (ulimit -n), by a look each second: new connections are closed unanswered.",
        )
        self._tallies: dict[tuple[str, int, str], Tally] = {}
        self._inputs_tally, self._bytes_tally = Tally(BATCH_INPUTS_BUCKETS), Tally(BYTES_BUCKETS)
        self._queue_us = self._upstream_us = 0
        self._replied_s = 0.0
        self.use = ProcessUse()
        #: Is told of what is brought over: status, bounds of the buckets in seconds, counts in the buckets.
        self.on_taken: OnTaken = lambda *_: None
        #: The same of requests by the place of their key.
        self.on_keys: Callable[[Mapping[int, int]], None] = lambda _: None

    def answered(self, route: str, code: int, seconds: float, model: str = "") -> None:
        """Count one answer; `model` is the name of the model that was asked, empty where it has none."""
        tally = self._tallies.get((route, code, model))
        if tally is None:
            tally = self._tallies[route, code, model] = Tally(LATENCY_BUCKETS_S)
        tally.total += seconds
        tally.counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1

    def replied(self, reply: ReplyHeader, inputs: int, body_bytes: int, seconds: float) -> None:
        """Count one request that came back from the queue.

        Args:
            reply: To it, or to one of its jobs.
            inputs: Number of inputs of the request.
            body_bytes: Of the request.
            seconds: Since it came.
        """
        self._queue_us += reply.queue_us
        self._upstream_us += reply.upstream_us
        self._replied_s += seconds
        tally = self._inputs_tally
        tally.total += inputs
        tally.counts[bisect_left(BATCH_INPUTS_BUCKETS, inputs)] += 1
        tally = self._bytes_tally
        tally.total += body_bytes
        tally.counts[bisect_left(BYTES_BUCKETS, body_bytes)] += 1

    def refused(self, route: str, reason: str) -> None:
        """Count one request that was answered with an error."""
        self._refusals.labels(route, reason).inc()

    def refused_at_once(self, route: str, code: int, reason: str) -> None:
        """Count one request that was refused before it got to a handler, in microseconds."""
        self.answered(route, code, 0.0)
        self.refused(route, reason)

    def shares_no_call(self, route: str, reason: Alone) -> None:
        """Count one request that shares no upstream call."""
        self._unbatched.labels(route, reason).inc()

    def look(self, late_s: float) -> None:
        """Take note of what this process uses; to be called once a second, `late_s` seconds after it was due."""
        self.use.look()
        self._cpu_cores.set(self.use.cpu_cores)
        self._cpu_wait.set(self.use.cpu_wait_cores)
        self._loop_lag.set(late_s)
        if (memory_bytes := resident_bytes()) is not None:
            self._memory.set(memory_bytes)

    def take(self, inputs_in_flight: int, by_key: Mapping[int, int] = NONE) -> None:
        """Bring over what was counted since the last time, how many inputs wait for their answer, and requests by key."""
        self.on_keys(by_key)
        for place, requests in by_key.items():
            self._by_key.labels(place).inc(requests)
        for (route, code, model), tally in self._tallies.items():
            self._requests.labels(route, code, model).inc(tally.count)
            self.on_taken(code, LATENCY_BUCKETS_S, tally.counts)
            tally.pour_into(self._durations.labels(route, code, model))
        self._inputs_tally.pour_into(self._request_inputs)
        self._bytes_tally.pour_into(self._request_bytes)
        queue_s, upstream_s = self._queue_us / 1e6, self._upstream_us / 1e6
        self._phases.labels("queue").inc(queue_s)
        self._phases.labels("upstream").inc(upstream_s)
        self._phases.labels("own").inc(max(self._replied_s - queue_s - upstream_s, 0.0))
        self._queue_us, self._upstream_us, self._replied_s = 0, 0, 0.0
        self._in_flight.set(inputs_in_flight)
        for count, metric in self._counts:
            metric.inc(count.taken())

    def render(self, fleet: FleetFigures) -> bytes:
        """Prometheus text of all workers, or of this one where there is no shared folder, and of the fleet."""
        registry = self.registry
        if SHARED_FOLDER in os.environ:
            forget_dead_workers(Path(os.environ[SHARED_FOLDER]))
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text = generate_latest(registry) + generate_latest(_Fleet(fleet))  # it only collects
        return HEAD + text.replace(NO_MODEL, b"").replace(b'{model=""}', b"")

    def _gauge(self, name: str, text: str, mode: Literal["livesum", "liveall"] = "liveall") -> Gauge:
        return Gauge(f"autobatch_{name}", text, multiprocess_mode=mode, registry=self.registry)

    def _count(self, name: str, description: str) -> Count:
        count = Count()
        self._counts.append((count, Counter(f"autobatch_{name}", description, registry=self.registry)))
        return count


class _Fleet:
    """The figures of the fleet as a registry."""

    def __init__(self, figures: FleetFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for gauge in FLEET:
            if figures := self._figures.get(gauge.name):
                family = GaugeMetricFamily(f"autobatch_{gauge.name}", gauge.text, labels=gauge.labels)
                for labels, figure in figures:
                    family.add_metric(labels, figure)
                yield family
