"""What servers report: the parts of a request's time, sizes of batches, requests in flight. Pure."""

import re
from collections.abc import Iterable, Mapping

from autobatch_bench.load.outcome import percentile_ms

_HEADER = re.compile(rb"^server-timing:(.*?)\r?$", re.IGNORECASE | re.MULTILINE)
_PART = re.compile(rb"([\w-]+)\s*;\s*dur=([0-9.]+)")
_BUCKET = re.compile(r'^autobatch_batch_inputs_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)

_IN_FLIGHT = re.compile(r"^autobatch_in_flight_inputs (\S+)$", re.MULTILINE)

Buckets = dict[str, float]  # upper bound, as Prometheus writes it -> batches up to it


def parts_ms(head: bytes) -> dict[str, float]:
    """Return the parts that `server-timing: queue;dur=1.2, upstream;dur=3.4` names; none without the header."""
    found = _HEADER.search(head)
    return {name.decode(): float(ms) for name, ms in _PART.findall(found.group(1))} if found else {}


def median_parts_ms(heads: Iterable[bytes]) -> dict[str, float]:
    """Return the median of each part over many answers."""
    named: dict[str, list[float]] = {}
    for head in heads:
        for name, ms in parts_ms(head).items():
            named.setdefault(name, []).append(ms / 1000)
    return {name: percentile_ms(seconds, 0.5) for name, seconds in named.items()}


def batch_buckets(metrics: str) -> Buckets:
    """Read the histogram of batch sizes from a batcher's `/metrics`."""
    return {bound: float(count) for bound, count in _BUCKET.findall(metrics)}


def in_flight_inputs(metrics: str) -> float:
    """Read from a worker's `/metrics` how many inputs are in flight in all workers of its gunicorn."""
    found = _IN_FLIGHT.search(metrics)
    return float(found.group(1)) if found else 0.0


def batches_between(before: Mapping[str, float], after: Mapping[str, float]) -> Buckets:
    """Return how many batches fell into each bucket between the two readings.

    Not cumulated: `8` counts batches of more than the bound below, up to 8. Bounds above the largest batch are left out.
    """
    counts: Buckets = {}
    below = 0.0
    for bound, count in after.items():
        gained = count - before.get(bound, 0.0)
        counts[bound] = gained - below
        below = gained
    while counts and not counts[last := next(reversed(counts))]:
        del counts[last]
    return counts
