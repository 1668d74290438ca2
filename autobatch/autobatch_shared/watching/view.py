"""The view of a fleet that `autobatch top` and `/dashboard` draw: values only, and words that both show."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an operator should know now, in one sentence."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of what one thing took: milliseconds that half of it took at most, and 99 of 100; None: there was none."""

    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ChartSecond:
    """One second of the chart.

    Attributes:
        at_s: Unix seconds of Redis's clock.
        answered: Texts that were answered in it.
        waiting: Texts that waited for their answer, the most seen in it.
        refused: Requests that were refused in it.
        failed: Requests that failed in it.
    """

    at_s: int
    answered: int
    waiting: int
    refused: int
    failed: int


@dataclass(frozen=True, slots=True)
class BatchPicture:
    """A batch that has been answered.

    Attributes:
        ended_ms: When, unix milliseconds of Redis's clock.
        batcher: Who sent it.
        upstream: The URL it was sent to.
        reason: Why it left when it did.
        inputs: Number of texts of its call.
        room: The most that its call could have.
        jobs: Number of jobs in it.
        padding: Share of it that is padding, 0 to 1.
        waited_ms: That its oldest job waited, before its call or between two.
        took_ms: That its calls took, those that failed included.
        failed: Number of jobs in it that got no good answer.
        units: What it cost, padding included; 0: not known.
    """

    ended_ms: int
    batcher: str
    upstream: str
    reason: str
    inputs: int
    room: int
    jobs: int
    padding: float
    waited_ms: int
    took_ms: float
    failed: int
    units: int


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One worker; `since_ms` is when its state began, or it was heard last where it is silent; 0: not known.

    It started `alive_ms` before it was heard last. Rates are of the last seconds. `cpu_wait` is the share of the time in which it had work and no core; Redis's clock is `clock_ahead_ms` ahead of its own.
    """

    id: str
    level: Level
    state: str
    since_ms: int
    alive_ms: int
    requests_per_s: float
    refused_per_s: float
    failed_per_s: float
    waiting: int
    cpu_share: float
    redis_ms: float
    took: Percentiles
    cpu_wait: float
    clock_ahead_ms: int


@dataclass(frozen=True, slots=True)
class BatcherLine:
    """One batcher of one model; `since_ms` and `alive_ms` as of a worker; `held` and `in_flight` are texts."""

    id: str
    model: str
    level: Level
    state: str
    since_ms: int
    alive_ms: int
    texts_per_s: float
    held: int
    in_flight: int
    cpu_share: float
    cpu_wait: float
    clock_ahead_ms: int


@dataclass(frozen=True, slots=True)
class UpstreamLine:
    """One upstream of one model, as all its batchers see it; `since_ms` is 0 where it is not known.

    Attributes:
        reason: Why it is not as it should be; empty: it is.
        failed: Why calls failed lately, and how many did; empty: none did.
        served: What it serves, in its own words.
        tuner: How it is called and what is tried, a sentence.
    """

    url: str
    model: str
    level: Level
    state: str
    reason: str
    failed: str
    since_ms: int
    served: str
    texts_per_s: float
    calls_per_s: float
    in_flight: int
    took: Percentiles
    tuner: str


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model of the namespace.

    Attributes:
        since_ms: When its state began: it was served first, its last upstream was lost, or its last batcher was heard last.
        name: Its name; empty: the unnamed one.
        served: What it is, in the upstream's words.
        queued: Texts that wait in its queue.
        queued_bulk: Texts that wait in its bulk queue.
        dead: Jobs that were given up.
        expired: Texts of those in both queues, about, whose deadline has passed, where no batcher takes them.
        drain_s: Seconds until what waits is answered; None: not known, because nothing waited lately.
    """

    name: str
    level: Level
    state: str
    since_ms: int
    served: str
    fingerprint: str
    dimension: int | None
    queued: int
    queued_bulk: int
    dead: int
    expired: int
    drain_s: float | None


@dataclass(frozen=True, slots=True)
class FleetView:
    """Everything that is shown.

    Attributes:
        now_ms: When it was true, unix milliseconds of Redis's clock.
        troubles: What is wrong, the worst first; none: all is well.
        requests_per_s: Requests with a good answer. This and the rates below: of the last seconds.
        texts_per_s: Texts answered.
        refused_per_s: Requests refused because too much waits, or nothing could answer.
        failed_per_s: Requests that failed.
        waiting: Texts of requests that wait for their answer now.
        took: What requests took, from their headers to their answer.
        queue: What part of that was the wait for a call.
        upstream: What part of it was the call.
        fill: Share of the room of the last batches that was used, 0 to 1; None of none.
        padding: Share of what the last batches cost that was padding, 0 to 1; None of none.
        clock_off_ms: How far the clock is ahead of Redis's that differs most of all workers' and batchers'; negative: behind it.
        chart: The last minute, the newest second last.
        batches: The last batches, the newest last.
    """

    now_ms: int
    troubles: list[Trouble]
    requests_per_s: float
    texts_per_s: float
    refused_per_s: float
    failed_per_s: float
    waiting: int
    took: Percentiles
    queue: Percentiles
    upstream: Percentiles
    fill: float | None
    padding: float | None
    clock_off_ms: int
    chart: list[ChartSecond]
    batches: list[BatchPicture]
    workers: list[WorkerLine]
    batchers: list[BatcherLine]
    upstreams: list[UpstreamLine]
    models: list[ModelLine]
