"""What is wrong with a fleet now, a sentence each: so that a glance is enough at three in the morning. Pure."""

from collections.abc import Iterator, Sequence

from autobatch_shared.watching.activity import RECENT_S
from autobatch_shared.watching.lines import NO_BATCHER
from autobatch_shared.watching.recent_requests import RecentRequests
from autobatch_shared.watching.view import (
    BatcherLine,
    Level,
    ModelLine,
    Trouble,
    UpstreamLine,
    WorkerLine,
)

PADDING_MAX = 0.5  # beyond it more is computed for nothing than for clients
DRAIN_MAX_S = 10.0
REDIS_SLOW_MS = 50.0
WAIT_TOLD = 0.2  # of the time
CLOCK_OFF_MS = 5000  # these three as in the alerts: see deploy/observability/alerts.yml
TOO_LONG_SHARE, ONE_KEY_SHARE = 0.02, 0.8  # of all requests
_ORDER: dict[Level, int] = {"bad": 0, "warn": 1, "good": 2}


def troubles_of(
    workers: Sequence[WorkerLine],
    batchers: Sequence[BatcherLine],
    upstreams: Sequence[UpstreamLine],
    models: Sequence[ModelLine],
    padding: float | None,
    asked: RecentRequests,
) -> list[Trouble]:
    """Return what is wrong, the worst first; `padding` is its share of the last batches, None of none."""
    found = [
        *_of_models(models),
        *_of_upstreams(upstreams),
        *_of_answers(asked),
        *_of_processes("batcher", batchers),
        *_of_processes("worker", workers),
        *_of_redis(workers),
        *_of_clocks(batchers, workers),
        *_of_padding(padding),
    ]
    return sorted(found, key=lambda each: _ORDER[each.level])


def _of_models(models: Sequence[ModelLine]) -> Iterator[Trouble]:
    if not models:
        yield Trouble("bad", "no batcher has reported: nothing can be answered")
    for model in models:
        of_model = f" of model {model.name}" if model.name else ""
        if model.level == "bad":
            means = "requests wait until their deadlines" if model.state == "no answer" else "nothing can be answered"
            yield Trouble("bad", f"{model.state}{of_model}: {means}{_left(model) if model.state == NO_BATCHER else ''}")
        if model.drain_s is not None and model.drain_s > DRAIN_MAX_S:
            yield Trouble("warn", f"backlog{of_model}: what waits takes {model.drain_s:.0f} s")
        if model.dead:
            yield Trouble("warn", f"{model.dead} jobs{of_model} were given up: see the dead list")


def _left(model: ModelLine) -> str:
    """What no batcher takes out of the queue, and how much of it no client waits for any more."""
    queued = model.queued + model.queued_bulk
    if not queued:
        return ""
    expired = "all" if model.expired >= queued else f"about {model.expired:,}" if model.expired else "none"
    return f"; {queued:,} texts stay in the queue, {expired} of them past their deadline"


def _of_upstreams(upstreams: Sequence[UpstreamLine]) -> Iterator[Trouble]:
    for upstream in upstreams:
        if upstream.state == "slow":
            yield Trouble(
                "warn", f"upstream {upstream.url} is slow: half of its calls take {_seconds(upstream)} or more"
            )
        elif upstream.level != "good":
            reason = f": {upstream.reason}" if upstream.reason else ""
            yield Trouble(upstream.level, f"upstream {upstream.url} is {upstream.state}{reason}")


def _seconds(upstream: UpstreamLine) -> str:
    return f"{(upstream.took.p50_ms or 0.0) / 1000:.1f} s"


def _of_answers(asked: RecentRequests) -> Iterator[Trouble]:
    if asked.failed:
        yield Trouble("bad", f"{asked.failed:,} of {asked.ended:,} requests failed in the last {RECENT_S} s")
    if asked.refused:
        yield Trouble("warn", f"{asked.refused:,} of {asked.ended:,} requests were refused in the last {RECENT_S} s")
        yield from _of_keys(asked)
    if asked.too_long > TOO_LONG_SHARE * asked.ended:
        yield Trouble(
            "warn", f"{asked.too_long:,} of {asked.ended:,} requests in the last {RECENT_S} s were too long (413)"
        )


def _of_keys(asked: RecentRequests) -> Iterator[Trouble]:
    whole = asked.by_key.total()
    for key, requests in asked.by_key.most_common(1):
        if requests > ONE_KEY_SHARE * whole and len(asked.by_key) > 1:
            yield Trouble(
                "warn", f"{requests / whole:.0%} of all requests are of API key {key}, while others are refused"
            )


def _of_processes(kind: str, lines: Sequence[WorkerLine] | Sequence[BatcherLine]) -> Iterator[Trouble]:
    silent = [line.id for line in lines if line.state == "silent"]
    if silent:
        yield Trouble("bad", f"{kind} {silent[0]} is silent" if len(silent) == 1 else _many_silent(kind, silent))
    for line in lines:
        if line.state == "strained":
            yield Trouble("warn", f"{kind} {line.id} {_strain(kind, line)}")


def _many_silent(kind: str, ids: Sequence[str]) -> str:
    return f"{len(ids)} {kind}s are silent: {', '.join(ids)}"


def _strain(kind: str, line: WorkerLine | BatcherLine) -> str:
    wanted, got = min(1.0, line.cpu_share + line.cpu_wait), line.cpu_share
    told = (
        f"uses {got:.0%} of a core" if line.cpu_wait < WAIT_TOLD else f"wants {wanted:.0%} of a core and gets {got:.0%}"
    )
    return f"{told}: {'its machine is full' if line.cpu_wait > got else f'start more {kind}s'}"


def _of_clocks(batchers: Sequence[BatcherLine], workers: Sequence[WorkerLine]) -> Iterator[Trouble]:
    live = [
        (f"{kind} {line.id}", line.clock_ahead_ms)
        for kind, lines in (("batcher", batchers), ("worker", workers))
        for line in lines
        if line.state != "silent"
    ]
    least_ms, most_ms = min((ms for _, ms in live), default=0), max((ms for _, ms in live), default=0)
    if len(live) > 1 and most_ms - least_ms < CLOCK_OFF_MS and min(abs(least_ms), abs(most_ms)) >= CLOCK_OFF_MS:
        order = "ahead of" if most_ms > 0 else "behind"  # of all alike: then it is the one that they are compared with
        yield Trouble("warn", f"Redis's clock is {_clock_seconds(most_ms)} {order} those of all {len(live)} processes")
        return
    for name, ahead_ms in live:
        if abs(ahead_ms) >= CLOCK_OFF_MS:
            order = "behind" if ahead_ms > 0 else "ahead of"
            yield Trouble("warn", f"clock of {name} is {_clock_seconds(ahead_ms)} {order} Redis's")


def _clock_seconds(ms: int) -> str:
    return f"{abs(ms) / 1000:,.0f} s"


def _of_redis(workers: Sequence[WorkerLine]) -> Iterator[Trouble]:
    """What all see who have time to look: one alone may be slow itself, or far away."""
    fastest_ms = min((worker.redis_ms for worker in workers if worker.state == "working"), default=0.0)
    if fastest_ms >= REDIS_SLOW_MS:
        yield Trouble("warn", f"Redis takes {fastest_ms:.0f} ms to answer")


def _of_padding(padding: float | None) -> Iterator[Trouble]:
    if padding is not None and padding > PADDING_MAX:
        yield Trouble("warn", f"{padding:.0%} of what upstreams compute is padding")
