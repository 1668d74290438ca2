"""A burst of ten minutes' budget before a server that counts, in each way in which servers do."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

import pytest

from autobatch_batcher.tuning.pacing import Pacing
from autobatch_shared.contract.errors import AutobatchError
from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.scripted.paid_upstream import PaidModelUpstream, SpanUpstream
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import BATCH_INPUTS_MAX
from tests.simulation.virtual import virtual
from tests.support.fake_upstream import tokens
from tests.support.paid.minute_counts import Bucket, Clock, FixedMinute, MinuteCount, SlidingMinute, best_s

MINUTES = 10
CALLS, TOKENS = 12, 2000  # in a minute
REQUEST_INPUTS = 2
SPANS = 6  # in a minute
UNCOUNTED_TOKENS = 12
READY_S = 1.0
LOWERED_S = 130.0
PATIENCE_S = 7200.0
STEPS_MAX = 10_000_000
REFUSED_MAX = 5  # until it is known that a server counts shorter spans

log = logging.getLogger(__name__)

Counting = Callable[[float, Clock], MinuteCount]
COUNTINGS: dict[str, Counting] = {
    "bucket": lambda limit, clock: Bucket(limit, clock=clock),
    "sliding": lambda limit, clock: SlidingMinute(limit, clock=clock),
    "fixed": lambda limit, clock: FixedMinute(limit, clock=clock, begun_s=25.0),
    "quantised": lambda limit, clock: Bucket(limit, clock=clock, burst_s=10.0),
}


@dataclass
class Burst:
    """What became of one.

    Attributes:
        took_s: Seconds from the beginning until the upstream took its last call.
        calls: Number of calls that it took.
        refused: Number of calls that it refused.
        outcomes: What clients got.
    """

    took_s: float = 0.0
    calls: int = 0
    refused: int = 0
    outcomes: list[str] = field(default_factory=list)


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def read(self) -> float:
        """Return the time."""
        return self._now_s

    def set(self, now_s: float) -> None:
        """Set it."""
        self._now_s = now_s


def play(
    upstream_at: Callable[[Timeline], PaidModelUpstream],
    requests: Sequence[Sequence[str]],
    batchers: int,
    calls: int | None,
    tokens_max: int | None,
) -> Burst:
    """Let clients ask for everything at once, and wait until all is answered.

    Args:
        upstream_at: Makes the upstream at the moment when they ask.
        requests: The texts of each.
        batchers: Number of batchers.
        calls: UPSTREAM_RPM.
        tokens_max: UPSTREAM_TPM.
    """
    timeline, burst = Timeline(1, STEPS_MAX), Burst()
    with virtual(timeline):
        _played(
            timeline, upstream_at(timeline), requests, batchers, lambda name: Pacing(name, calls, tokens_max), burst
        )
        timeline.close()
    return burst


def _played(
    timeline: Timeline,
    upstream: PaidModelUpstream,
    requests: Sequence[Sequence[str]],
    batchers: int,
    pacing: Callable[[str], Pacing],
    burst: Burst,
) -> None:
    network = Network(timeline, ModelServer(timeline))
    began_s = timeline.now_s
    for number in range(batchers):
        SimulatedBatcher(timeline, network, f"b{number}", [upstream], pacing)
    worker = SimulatedWorker(timeline, network, "w1")
    timeline.run_until(began_s + READY_S)

    async def ask(texts: Sequence[str]) -> None:
        try:
            replies = await worker.ask(texts, PATIENCE_S)
            burst.outcomes.append(replies[0][0].fault or "right")
        except AutobatchError as error:
            burst.outcomes.append(error.code)

    for texts in requests:
        worker.loop.create_task(ask(texts))
    timeline.run_until(began_s + PATIENCE_S, lambda: len(burst.outcomes) == len(requests))
    burst.took_s, burst.refused, burst.calls = upstream.answered_s - began_s, upstream.refused, upstream.calls


def requests_of(texts: int, seed: int = 1) -> list[list[str]]:
    """Return requests of texts of very different lengths."""
    chance = Random(seed)
    made = [" ".join(["word"] * chance.randint(1, 30) + [str(number)]) for number in range(texts)]
    return [made[at : at + REQUEST_INPUTS] for at in range(0, texts, REQUEST_INPUTS)]


@pytest.mark.parametrize(
    ("says", "batchers"), [(True, 1), (True, 3), (False, 1)], ids=["headers", "headers, 3 batchers", "silent"]
)
@pytest.mark.parametrize("counting", COUNTINGS)
@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_a_burst_takes_as_long_as_the_server_makes_it(kind: str, counting: str, batchers: int, *, says: bool) -> None:
    """One that says nothing is taken for one that slides. Each batcher but one may send a last call that is not full."""
    count, by_calls = COUNTINGS[counting], kind == "requests"
    limit = float(CALLS if by_calls else TOKENS)
    requests = requests_of((MINUTES * CALLS - (batchers - 1) * by_calls) * BATCH_INPUTS_MAX)
    clock = Time()
    used = [1.0] * (len(requests) * REQUEST_INPUTS // BATCH_INPUTS_MAX)
    if not by_calls:
        used = [float(sum(map(tokens, texts))) for texts in requests]
        used = used[: sum(total <= MINUTES * TOKENS for total in accumulate(used))]
        requests = requests[: len(used)]
    best = best_s([count(limit, clock.read)], [[each] for each in used], clock.set)
    if not says:
        clock.set(0.0)
        best = max(best, best_s([SlidingMinute(limit, clock=clock.read)], [[each] for each in used], clock.set))

    def upstream_at(timeline: Timeline) -> PaidModelUpstream:
        counts = {kind: count(limit, timeline.time_s)}
        said = {kind: Bucket(limit, clock=timeline.time_s)} if counting == "quantised" else counts
        return PaidModelUpstream(timeline, counts, said if says else {})

    burst = play(upstream_at, requests, batchers, CALLS if by_calls else None, None if by_calls else TOKENS)

    log.info("took %.1f s, at best %.1f, %d calls, %d refused", burst.took_s, best, burst.calls, burst.refused)
    assert burst.outcomes == ["right"] * len(requests)
    assert burst.took_s <= 1.05 * best
    assert burst.refused <= (REFUSED_MAX if counting == "quantised" else 0.05 * burst.calls)


@pytest.mark.parametrize("batchers", [1, 3])
@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_what_is_left_of_a_span_is_not_taken_for_what_is_left_of_a_minute(kind: str, batchers: int) -> None:
    """A span has tokens for ten to twenty jobs, so refusals at the beginning cost some of it."""
    by_calls, clock = kind == "requests", Time()
    limit = (CALLS if by_calls else TOKENS) / SPANS
    requests = requests_of((MINUTES * CALLS - (batchers - 1) * by_calls) * BATCH_INPUTS_MAX)
    used = [1.0] * (len(requests) * REQUEST_INPUTS // BATCH_INPUTS_MAX)
    if not by_calls:
        used = [float(sum(map(tokens, texts))) for texts in requests]
        used = used[: sum(total <= MINUTES * TOKENS for total in accumulate(used))]
        requests = requests[: len(used)]
    best = best_s([FixedMinute(limit, 60.0 / SPANS, clock.read)], [[each] for each in used], clock.set)

    def upstream_at(timeline: Timeline) -> PaidModelUpstream:
        return SpanUpstream(timeline, {kind: FixedMinute(limit, 60.0 / SPANS, timeline.time_s)})

    burst = play(upstream_at, requests, batchers, CALLS if by_calls else None, None if by_calls else TOKENS)

    log.info("took %.1f s, at best %.1f, %d calls, %d refused", burst.took_s, best, burst.calls, burst.refused)
    assert burst.outcomes == ["right"] * len(requests)
    assert burst.took_s <= (1.05 if by_calls else 1.06) * best
    assert burst.refused <= (REFUSED_MAX if by_calls else 0.06 * burst.calls)


def test_a_few_tokens_that_no_claim_counts_cost_no_minute() -> None:
    """Those of questions about health, with texts whose tokens are guessed exactly: else each minute's last calls are refused."""
    text = "one two three four five six seven eight nine"
    requests = [[f"{text} {number}"] for number in range(100, 900)]  # 12 tokens each: 4.8 minutes' worth

    def upstream_at(timeline: Timeline) -> PaidModelUpstream:
        upstream = PaidModelUpstream(timeline, {"tokens": SlidingMinute(TOKENS, clock=timeline.time_s)}, {})
        assert upstream.use(1, UNCOUNTED_TOKENS)
        return upstream

    burst = play(upstream_at, requests, 1, None, TOKENS)

    log.info("took %.1f s, %d calls, %d refused", burst.took_s, burst.calls, burst.refused)
    assert burst.outcomes == ["right"] * len(requests)
    assert burst.refused == 0
    assert burst.took_s <= 1.05 * 60.0 * 4


@pytest.mark.parametrize("counting", ["bucket", "sliding", "fixed"])
@pytest.mark.parametrize("says", [True, False], ids=["headers", "silent"])
def test_a_lowered_limit_is_learnt(counting: str, *, says: bool) -> None:
    """Half of it from the third minute on."""
    count, requests, clock = COUNTINGS[counting], requests_of(MINUTES // 2 * CALLS * BATCH_INPUTS_MAX), Time()
    limit = count(CALLS, clock.read)

    def set_clock(now_s: float) -> None:
        clock.set(now_s)
        limit.limit = CALLS if now_s < LOWERED_S else CALLS / 2

    best = best_s([limit], [[1.0]] * (MINUTES // 2 * CALLS), set_clock)

    def upstream_at(timeline: Timeline) -> PaidModelUpstream:
        counts = {"requests": count(CALLS, timeline.time_s)}
        upstream = PaidModelUpstream(timeline, counts, None if says else {})
        timeline.after(LOWERED_S, setattr, counts["requests"], "limit", CALLS / 2)
        return upstream

    burst = play(upstream_at, requests, 1, CALLS, None)

    log.info("took %.1f s, at best %.1f, %d calls, %d refused", burst.took_s, best, burst.calls, burst.refused)
    assert burst.outcomes == ["right"] * len(requests)
    assert burst.took_s <= (1.05 if says else 1.1) * best
    assert burst.refused <= burst.calls / (10 if says else 2)


@pytest.mark.parametrize("counting", ["bucket", "sliding", "fixed"])
@pytest.mark.parametrize("says", [True, False], ids=["headers", "silent"])
def test_what_others_use_of_a_key_is_left_to_them(counting: str, *, says: bool) -> None:
    """They make a call whenever a minute allows half of its calls, and get it if there is one."""
    requests = requests_of(MINUTES // 2 * CALLS * BATCH_INPUTS_MAX)
    others: list[bool] = []

    def upstream_at(timeline: Timeline) -> PaidModelUpstream:
        upstream = PaidModelUpstream(
            timeline, {"requests": COUNTINGS[counting](CALLS, timeline.time_s)}, None if says else {}
        )
        for number in range(60 * MINUTES):
            timeline.after(number * 120.0 / CALLS, lambda: others.append(upstream.use(1, 1)))
        return upstream

    burst = play(upstream_at, requests, 1, CALLS, None)

    log.info(
        "took %.1f s, %d calls, %d refused, others %d of %d",
        burst.took_s,
        burst.calls,
        burst.refused,
        sum(others),
        len(others),
    )
    assert burst.outcomes == ["right"] * len(requests)
    assert burst.calls + sum(others) >= 0.95 * CALLS * burst.took_s / 60, "less than the server allows"
    assert burst.refused <= burst.calls * (0.1 if says else 1)
