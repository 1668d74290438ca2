"""The embedder's metrics, under TEI's names, so that a dashboard for TEI works for this server, too."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

DURATION_BUCKETS_S = [1.5e-5 * 1.5**step for step in range(35)]  # TEI's: 15 us to 14.6 s
BATCH_SIZE_BUCKETS = [2.0**step for step in range(13)]  # TEI's: 1 to 4096 inputs
BATCH_TOKENS_BUCKETS = [2.0**step for step in range(21)]  # TEI's: 1 to 1,048,576 tokens, padding not counted


class EmbedderMetrics:
    """One set of metrics in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self.requests = Counter("te_request_count", "Requests for vectors.", ["method"], registry=registry)
        self.successes = Counter("te_request_success", "Requests answered 200.", ["method"], registry=registry)
        self.failures = Counter("te_request_failure", "Inputs or requests refused or lost.", ["err"], registry=registry)
        self.inputs = Counter("te_embed_count", "Inputs admitted.", registry=registry)
        self.input_successes = Counter("te_embed_success", "Inputs answered with a vector.", registry=registry)
        self._queue_size = Gauge("te_queue_size", "Inputs waiting for their forward pass.", registry=registry)
        self.batch_size = _histogram(registry, "te_batch_next_size", "Inputs in a forward pass.", BATCH_SIZE_BUCKETS)
        self.batch_tokens = _histogram(
            registry, "te_batch_next_tokens", "Tokens in a forward pass.", BATCH_TOKENS_BUCKETS
        )
        self.duration_s = _seconds(registry, "te_request_duration", "The whole request.")
        self.tokenization_s = _seconds(registry, "te_request_tokenization_duration", "Until the ids were there.")
        self.queue_s = _seconds(registry, "te_request_queue_duration", "Waiting for the forward pass.")
        self.inference_s = _seconds(registry, "te_request_inference_duration", "The forward pass.")

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Read the queue's size from `waiting` at every scrape."""
        self._queue_size.set_function(waiting)

    def render(self) -> bytes:
        """The text for Prometheus."""
        # prometheus_client ends counters in _total and adds creation times; TEI's exporter does neither.
        lines = generate_latest(self.registry).splitlines(keepends=True)
        return b"".join(line.replace(b"_total", b"", 1) for line in lines if b"_created" not in line)


def _histogram(registry: CollectorRegistry, name: str, text: str, buckets: list[float]) -> Histogram:
    return Histogram(name, text, buckets=buckets, registry=registry)


def _seconds(registry: CollectorRegistry, name: str, text: str) -> Histogram:
    return _histogram(registry, name, f"{text} Seconds.", DURATION_BUCKETS_S)
