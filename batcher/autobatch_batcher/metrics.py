"""Every metric of the batcher. One process, one registry."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest

from autobatch_batcher.forming.lanes import Batch
from autobatch_batcher.tuning.cost import CostLaw
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_shared.metric_buckets import BATCH_INPUTS_BUCKETS, LATENCY_BUCKETS_S, SHARE_BUCKETS


class Metrics:
    """Made once, at start."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.batches = Counter("autobatch_batches", "Batches sent, by why they left.", ["reason"], registry=registry)
        self.batch_inputs = Histogram(
            "autobatch_batch_inputs", "Inputs in a batch.", buckets=BATCH_INPUTS_BUCKETS, registry=registry
        )
        self.batch_jobs = Histogram(
            "autobatch_batch_jobs", "Jobs in a batch.", buckets=BATCH_INPUTS_BUCKETS, registry=registry
        )
        self.queue_wait = Histogram(
            "autobatch_queue_wait_seconds",
            "From the arrival of a batch's oldest job to its call.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.fill = Histogram(
            "autobatch_batch_fill_ratio",
            "Inputs in a batch over the most that its call could carry.",
            buckets=SHARE_BUCKETS,
            registry=registry,
        )
        self.padding = Histogram(
            "autobatch_batch_padding_ratio",
            "Share of a batch that is padding, where the upstream pads: 1 - sum of lengths / (inputs x longest).",
            buckets=SHARE_BUCKETS,
            registry=registry,
        )
        self.queue_age = Gauge(
            "autobatch_queue_oldest_age_seconds",
            "Age of the oldest job held after the last claim.",
            registry=registry,
        )
        self.upstream_calls = Counter(
            "autobatch_upstream_calls",
            "Calls to the upstream, retries and splits included; code 0 is no answer.",
            ["code"],
            registry=registry,
        )
        self.upstream_seconds = Histogram(
            "autobatch_upstream_call_seconds", "Duration of one call.", buckets=LATENCY_BUCKETS_S, registry=registry
        )
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
        self.held_inputs = Gauge("autobatch_held_inputs", "Inputs claimed and not yet sent.", registry=registry)
        self.in_flight = Gauge("autobatch_calls_in_flight", "Calls to the upstream.", registry=registry)
        self.upstream_excluded = Gauge(
            "autobatch_upstream_excluded",
            "1 while an upstream is not called, because it serves another model than the namespace's or has not said which.",
            ["upstream"],
            registry=registry,
        )
        self.upstream_on_duty = Gauge(
            "autobatch_upstream_on_duty",
            "1 while this batcher calls an upstream, 0 while it stands by for another one that does.",
            ["upstream"],
            registry=registry,
        )
        self.tuned_law = Gauge(
            "autobatch_tuned_law",
            "1 for the law that explains what calls cost: padded, by inputs x longest input; summed, by the sum of lengths.",
            ["upstream", "law"],
            registry=registry,
        )
        self.calls_max, self.units_max, self.padding_max, self.fixed_seconds, self.unit_seconds, self.knee_units = (
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

    def note_tuning(self, upstream: str, tuner: Tuner) -> None:
        """Take note of how an upstream is called now, and why."""
        cost = tuner.cost
        for law in CostLaw:
            self.tuned_law.labels(upstream, law).set(law is cost.law)
        self.calls_max.labels(upstream).set(tuner.setting.calls)
        self.units_max.labels(upstream).set(tuner.setting.units_max or 0)
        self.padding_max.labels(upstream).set(tuner.shape.padding_max or 0)
        self.fixed_seconds.labels(upstream).set(cost.flat_s)
        self.unit_seconds.labels(upstream).set(cost.per_unit_s)
        self.knee_units.labels(upstream).set(cost.knee_units)

    def note_batch(self, batch: Batch, inputs_max: int, now_ms: int, held: int) -> None:
        """Take note of a batch that leaves now, on Redis's clock, and of the inputs still held."""
        self.batches.labels(batch.reason).inc()
        inputs, units = batch.inputs, batch.units
        self.batch_inputs.observe(inputs)
        self.batch_jobs.observe(len(batch.jobs))
        self.fill.observe(inputs / inputs_max)
        if units:
            self.padding.observe(1 - batch.useful / units)
        self.queue_wait.observe((now_ms - batch.oldest_ms) / 1000)
        self.held_inputs.set(held)


class _OfSeveralModels:
    """The metrics of several models as one registry: each sample of a named model has its name as `model`."""

    def __init__(self, models: Sequence[tuple[str, Metrics]]) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        """Return each metric once, with the samples of all models."""
        found: dict[str, Metric] = {}
        for model, metrics in self._models:
            for metric in metrics.registry.collect():
                if model:
                    metric.samples = [each._replace(labels={**each.labels, "model": model}) for each in metric.samples]
                if metric.name in found:
                    found[metric.name].samples += metric.samples
                else:
                    found[metric.name] = metric
        return found.values()


def render(models: Sequence[tuple[str, Metrics]]) -> bytes:
    """Prometheus text of the models that one process serves, by name; the unnamed one's is empty."""
    return generate_latest(_OfSeveralModels(models))  # it only collects
