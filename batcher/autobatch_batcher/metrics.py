"""Every metric of the batcher. One process, one registry.

More than 250 lines, because all that is declared is here: docs/metrics.md is made of it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from autobatch_batcher.forming.lanes import Batch, Reason
from autobatch_batcher.tuning.cost import CostLaw
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.replica_state import ReplicaState
from autobatch_shared.install_hints import DISTRIBUTION
from autobatch_shared.measuring.buckets import BATCH_INPUTS_BUCKETS, BYTES_BUCKETS, LATENCY_BUCKETS_S, SHARE_BUCKETS
from autobatch_shared.measuring.process_use import CPU_WAIT_TEXT, ProcessUse
from autobatch_shared.measuring.tally import Tally

#: The bucket of a wait of so many milliseconds: to look it up takes 0.2 us a job less than to search.
PLACES = tuple(bisect_left(LATENCY_BUCKETS_S, ms / 1000) for ms in range(1000))


class Metrics:
    """Made once, at start."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time of birth for each series would double the page
        self.registry = registry = CollectorRegistry()
        self._tallies: list[tuple[Tally, Histogram]] = []
        #: Set with each claim and batch, and brought over: to set a gauge each time was 1 % of a batcher.
        self.queue_age_s, self.held_inputs = 0.0, 0
        #: Is told how long jobs waited, by bounds in seconds and counts between them, before that is brought over.
        self.on_waits: Callable[[Sequence[float], Sequence[int]], None] = lambda *_: None
        self._batches = Counter(
            "autobatch_batches",
            "Batches sent, by why they left and their route.",
            ["reason", "route"],
            registry=registry,
        )
        self._batches_sent: dict[tuple[Reason, str], int] = {}
        self._inputs = self._tallied("batch_inputs", "Inputs in a batch.", BATCH_INPUTS_BUCKETS)
        self._jobs = self._tallied("batch_jobs", "Jobs in a batch.", BATCH_INPUTS_BUCKETS)
        self._bytes = self._tallied("batch_bytes", "Bytes of a batch's inputs, as JSON.", BYTES_BUCKETS)
        self._queue_wait = self._tallied(
            "queue_wait_seconds",
            "From the arrival of a job to its call, of every job; of one that was called in vain, without what that took.",
            LATENCY_BUCKETS_S,
        )
        self._fill = self._tallied(
            "batch_fill_ratio", "Inputs in a batch over the most that its call could carry.", SHARE_BUCKETS
        )
        self._padding = self._tallied(
            "batch_padding_ratio",
            "Share of a batch that is padding, where the upstream pads: 1 - sum of lengths / (inputs x longest).",
            SHARE_BUCKETS,
        )
        self._text_tokens, self._padding_tokens = 0, 0
        self._tokens = Counter(
            "autobatch_batch_tokens",
            "Tokens of the inputs that were sent, or about as many: four characters are one where workers have no tokenizer.",
            registry=registry,
        )
        self._padded = Counter(
            "autobatch_batch_padding_tokens",
            "What an upstream that pads computes beside autobatch_batch_tokens_total, in the same unit.",
            registry=registry,
        )
        self._queue_age = Gauge(
            "autobatch_queue_oldest_age_seconds",
            "Age of the oldest job held after the last claim.",
            registry=registry,
        )
        self._upstream_calls = Counter(
            "autobatch_upstream_calls",
            "Calls to the upstream, retries and splits included; code 0 is no answer.",
            ["upstream", "code"],
            registry=registry,
        )
        self._calls_made: dict[tuple[str, int], int] = {}
        self._failures = Counter(
            "autobatch_upstream_failures",
            "Calls that failed, by upstream and cause: HTTP and the status, or why there was no answer. 400, 413 and 422 are no failures.",
            ["upstream", "cause"],
            registry=registry,
        )
        self._failures_noted: dict[tuple[str, str], int] = {}
        self._upstream_seconds = Histogram(
            "autobatch_upstream_call_seconds",
            "Duration of one call.",
            ["upstream"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._call_tallies: dict[str, Tally] = {}
        self.retries = Counter("autobatch_upstream_retries", "Calls repeated after an outage.", registry=registry)
        self.sent_again = Counter(
            "autobatch_upstream_calls_sent_again",
            "Calls sent a second time, because the upstream had closed their kept connection.",
            registry=registry,
        )
        self.hedges = Counter(
            "autobatch_upstream_hedges",
            "Second calls on another upstream, instead of late ones, by whether their answer was used.",
            ["answer"],
            registry=registry,
        )
        self.splits = Counter("autobatch_batch_splits", "Batches halved after an input error.", registry=registry)
        self.jobs_dropped = Counter(
            "autobatch_jobs_dropped",
            "Jobs not worked on: client gone, deadline passed, no answer in time for TARGET_P99_MS, frame malformed or of another version.",
            ["reason"],
            registry=registry,
        )
        self.paced_claims = Counter(
            "autobatch_claims_paced",
            "Claims that brought no jobs because UPSTREAM_RPM or UPSTREAM_TPM was spent.",
            registry=registry,
        )
        self.jobs_reclaimed = Counter(
            "autobatch_jobs_reclaimed", "Jobs of dead batchers given back to the queue.", registry=registry
        )
        self.jobs_dead = Counter(
            "autobatch_jobs_dead", "Jobs given up after three batchers, or the upstream twice, died.", registry=registry
        )
        self.late_replies = Counter(
            "autobatch_late_replies", "Replies dropped because the lease had ended.", registry=registry
        )
        self._held_inputs = Gauge("autobatch_held_inputs", "Inputs claimed and not yet sent.", registry=registry)
        self._in_flight = Gauge("autobatch_calls_in_flight", "Calls to the upstream.", ["upstream"], registry=registry)
        self._upstream_up = Gauge(
            "autobatch_upstream_up",
            "1 while an upstream is well and serves the namespace's model, by its last probe and calls.",
            ["upstream"],
            registry=registry,
        )
        self._breaker_open = Gauge(
            "autobatch_upstream_breaker_open",
            "1 while an upstream is only tried with single calls, because its calls fail one after the other.",
            ["upstream"],
            registry=registry,
        )
        self._upstream_trouble = Gauge(
            "autobatch_upstream_trouble",
            "1: why an upstream is not as it should be, also the status by which it refuses us, in the words of autobatch_upstream_failures_total; missing while it is.",
            ["upstream", "cause"],
            registry=registry,
        )
        self._upstream_info = Gauge(
            "autobatch_upstream_info",
            "1: what an upstream serves, the fingerprint of that, and the API that it speaks.",
            ["upstream", "served", "fingerprint", "dialect"],
            registry=registry,
        )
        self._upstream_excluded = Gauge(
            "autobatch_upstream_excluded",
            "1 while an upstream is not called, because it serves another model than the namespace's or has not said which.",
            ["upstream"],
            registry=registry,
        )
        self._upstream_on_duty = Gauge(
            "autobatch_upstream_on_duty",
            "1 while this batcher calls an upstream, 0 while it stands by for another one that does.",
            ["upstream"],
            registry=registry,
        )
        self._tuned_law = Gauge(
            "autobatch_tuned_law",
            "1 for the law that explains what calls cost: padded, by inputs x longest input; summed, by the sum of lengths; "
            "counted, by the number of inputs, each of 128 units.",
            ["upstream", "law"],
            registry=registry,
        )
        self._calls_max, self._units_max, self._padding_max, self._fixed_s, self._unit_s, self._knee_units = (
            Gauge(f"autobatch_tuned_{name}", text, ["upstream"], registry=registry)
            for name, text in (
                ("calls_max", "Calls that are made at once now."),
                ("units_max", "Units, by the law, of a call and one more of its longest input; 0 is no limit."),
                ("padding_max", "Padding in one batch that costs as much as one more call; 0 is no limit."),
                ("call_fixed_seconds", "What a call costs whatever it carries."),
                ("unit_seconds", "What each unit above the knee costs."),
                ("knee_units", "Units of a call up to which size costs nothing."),
            )
        )
        self._round_trip = Gauge(
            "autobatch_redis_round_trip_seconds", "Of this batcher's last report to Redis.", registry=registry
        )
        self._clock_ahead = Gauge(
            "autobatch_redis_clock_ahead_seconds",
            "How far Redis's clock is ahead of this process's. All times are Redis's: only a difference that jumps does harm.",
            registry=registry,
        )
        self._redis_up = Gauge(
            "autobatch_redis_up", "1 while this process reaches Redis, by its last report.", registry=registry
        )

    def note_upstream(self, upstream: ReplicaState) -> None:
        """Take note of how an upstream is, and of how it is called now and why."""
        name = upstream.name
        self._in_flight.labels(name).set(upstream.load.calls)
        self._upstream_up.labels(name).set(upstream.is_usable)
        self._breaker_open.labels(name).set(not upstream.breaker.is_closed)
        self._upstream_trouble.remove_by_labels({"upstream": name})
        if upstream.trouble:
            self._upstream_trouble.labels(name, upstream.trouble).set(1)
        self._note_failures(name, upstream.failures.causes)
        self._upstream_on_duty.labels(name).set(upstream.duty.is_on)
        self._upstream_excluded.labels(name).set(not upstream.is_included)
        if (served := upstream.standing.served) is not None:
            self._upstream_info.remove_by_labels({"upstream": name})
            self._upstream_info.labels(name, served.name, served.fingerprint, upstream.dialect.kind).set(1)
        self.note_tuning(name, upstream.tuner)

    def _note_failures(self, name: str, causes: Mapping[str, int]) -> None:
        for cause, count in causes.items():
            self._failures.labels(name, cause).inc(count - self._failures_noted.get((name, cause), 0))
            self._failures_noted[name, cause] = count

    def note_tuning(self, name: str, tuner: Tuner) -> None:
        """Take note of how an upstream is called now, and why."""
        cost = tuner.cost
        for law in CostLaw:
            self._tuned_law.labels(name, law).set(law is cost.law)
        self._calls_max.labels(name).set(tuner.setting.calls)
        self._units_max.labels(name).set(tuner.setting.units_max or 0)
        self._padding_max.labels(name).set(tuner.shape.padding_max or 0)
        self._fixed_s.labels(name).set(cost.flat_s)
        self._unit_s.labels(name).set(cost.per_unit_s)
        self._knee_units.labels(name).set(cost.knee_units)

    def note_redis(self, *, is_reached: bool, round_trip_s: float, clock_ahead_s: float) -> None:
        """Take note of the last report to Redis."""
        self._redis_up.set(is_reached)
        self._round_trip.set(round_trip_s)
        self._clock_ahead.set(clock_ahead_s)

    def note_call(self, upstream: str, code: int, seconds: float) -> None:
        """Take note of a call that has ended; code 0: without an answer."""
        self._calls_made[upstream, code] = self._calls_made.get((upstream, code), 0) + 1
        tally = self._call_tallies.get(upstream)
        if tally is None:
            tally = self._call_tallies[upstream] = Tally(LATENCY_BUCKETS_S)
            self._tallies.append((tally, self._upstream_seconds.labels(upstream)))
        tally.total += seconds
        tally.counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1

    def note_batch(self, batch: Batch, inputs_max: int, now_ms: int, held: int) -> None:
        """Take note of a batch that leaves now, on Redis's clock, and of the inputs still held."""
        first, inputs, units, waits = batch.jobs[0], batch.inputs, batch.units, self._queue_wait
        batches = self._batches_sent
        batches[batch.reason, first.header.route] = batches.get((batch.reason, first.header.route), 0) + 1
        body_bytes = waited_ms = 0
        for job in batch.jobs:
            ms = max(now_ms - job.header.at - job.called_us // 1000, 0)
            body_bytes += len(job.body)
            waited_ms += ms
            waits.counts[PLACES[ms] if ms < len(PLACES) else bisect_left(LATENCY_BUCKETS_S, ms / 1000)] += 1
        waits.total += waited_ms / 1000
        _add(self._inputs, inputs, BATCH_INPUTS_BUCKETS)
        _add(self._jobs, len(batch.jobs), BATCH_INPUTS_BUCKETS)
        _add(self._bytes, body_bytes, BYTES_BUCKETS)
        _add(self._fill, inputs / inputs_max, SHARE_BUCKETS)
        if units:
            _add(self._padding, 1 - batch.useful / units, SHARE_BUCKETS)
            self._text_tokens += batch.useful // first.per_token
            self._padding_tokens += (units - batch.useful) // first.per_token
        self.held_inputs = held

    def take(self) -> None:
        """Bring over what was counted since the last time."""
        self.on_waits(LATENCY_BUCKETS_S, self._queue_wait.counts)
        for tally, histogram in self._tallies:
            tally.pour_into(histogram)
        for (reason, route), count in self._batches_sent.items():
            self._batches.labels(reason, route).inc(count)
        for (upstream, code), count in self._calls_made.items():
            self._upstream_calls.labels(upstream, code).inc(count)
        self._batches_sent, self._calls_made = {}, {}
        self._tokens.inc(self._text_tokens)
        self._padded.inc(self._padding_tokens)
        self._text_tokens = self._padding_tokens = 0
        self._queue_age.set(self.queue_age_s)
        self._held_inputs.set(self.held_inputs)

    def _tallied(self, name: str, text: str, buckets: Sequence[float]) -> Tally:
        tally = Tally(buckets)
        histogram = Histogram(f"autobatch_{name}", text, buckets=buckets, registry=self.registry)
        self._tallies.append((tally, histogram))
        return tally


def _add(tally: Tally, value: float, bounds: Sequence[float]) -> None:
    tally.total += value
    tally.counts[bisect_left(bounds, value)] += 1


class ProcessMetrics:
    """What is said of the process once, however many models it serves."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._cpu_cores = Gauge(
            "autobatch_process_cpu_cores",
            "How many cores this process used in the last second or two.",
            registry=registry,
        )
        self._cpu_wait = Gauge("autobatch_process_cpu_wait_cores", CPU_WAIT_TEXT, registry=registry)
        build = Gauge("autobatch_build_info", "1: the version of this process.", ["version"], registry=registry)
        build.labels(version(DISTRIBUTION)).set(1)

    def note(self, use: ProcessUse) -> None:
        """Take note of what the process uses."""
        self._cpu_cores.set(use.cpu_cores)
        self._cpu_wait.set(use.cpu_wait_cores)


class _OfSeveralModels:
    """The metrics of several models as one registry: each sample of a named model has its name as `model`."""

    def __init__(self, models: Sequence[tuple[str, CollectorRegistry]]) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        """Return each metric once, with the samples of all models."""
        found: dict[str, Metric] = {}
        for model, registry in self._models:
            for metric in registry.collect():
                if model:
                    metric.samples = [each._replace(labels={**each.labels, "model": model}) for each in metric.samples]
                if metric.name in found:
                    found[metric.name].samples += metric.samples
                else:
                    found[metric.name] = metric
        return found.values()


def render(models: Sequence[tuple[str, Metrics]], process: ProcessMetrics) -> bytes:
    """Prometheus text of one process and the models that it serves, by name; the unnamed one's is empty."""
    for _, metrics in models:
        metrics.take()
    registries = [("", process.registry), *((model, metrics.registry) for model, metrics in models)]
    return generate_latest(_OfSeveralModels(registries))  # it only collects
