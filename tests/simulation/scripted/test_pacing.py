"""A burst of ten minutes' budget before a server that counts, in each way in which servers do."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from autobatch_batcher.tuning.pacing import Pacing
from autobatch_shared.contract.errors import AutobatchError
from tests.simulation.network import Network
from tests.simulation.processes import SimulatedBatcher, SimulatedWorker
from tests.simulation.redis_model.server import ModelServer
from tests.simulation.scripted.paid_upstream import PaidModelUpstream
from tests.simulation.timeline import Timeline
from tests.simulation.upstreams import BATCH_INPUTS_MAX
from tests.simulation.virtual import virtual
from tests.support.fake_upstream import tokens
from tests.support.servers.minute_counts import Bucket, Clock, FixedMinute, MinuteCount, SlidingMinute, best_s

MINUTES = 10
CALLS, TOKENS = 12, 2000  # in a minute
REQUEST_INPUTS = 2
READY_S = 2.0
PATIENCE_S = 7200.0
STEPS_MAX = 10_000_000

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
        took_s: Seconds until the upstream took its last call.
        refused: Calls that it refused.
        outcomes: What clients got.
    """

    took_s: float = 0.0
    refused: int = 0
    outcomes: list[str] = field(default_factory=list)


def play(
    timeline: Timeline,
    upstream: PaidModelUpstream,
    requests: Sequence[Sequence[str]],
    batchers: int,
    calls: int | None,
    tokens_max: int | None,
) -> Burst:
    """Let clients ask for everything at once, and wait until all is answered."""
    network, burst = Network(timeline, ModelServer(timeline)), Burst()
    for number in range(batchers):
        SimulatedBatcher(timeline, network, f"b{number}", [upstream], lambda name: Pacing(name, calls, tokens_max))
    worker = SimulatedWorker(timeline, network, "w1")
    timeline.run_until(timeline.now_s + READY_S)

    async def ask(texts: Sequence[str]) -> None:
        try:
            replies = await worker.ask(texts, PATIENCE_S)
            burst.outcomes.append(replies[0][0].fault or "right")
        except AutobatchError as error:
            burst.outcomes.append(error.code)

    began_s = timeline.now_s
    for texts in requests:
        worker.loop.create_task(ask(texts))
    timeline.run_until(began_s + PATIENCE_S, lambda: len(burst.outcomes) == len(requests))
    burst.took_s, burst.refused = upstream.answered_s - began_s, upstream.refused
    return burst


def requests_of(texts: int, seed: int = 1) -> list[list[str]]:
    """Return requests of texts of very different lengths."""
    chance = Random(seed)
    made = [" ".join(["word"] * chance.randint(1, 30) + [str(number)]) for number in range(texts)]
    return [made[at : at + REQUEST_INPUTS] for at in range(0, texts, REQUEST_INPUTS)]


@pytest.mark.parametrize("batchers", [1, 3])
@pytest.mark.parametrize("says", [True, False], ids=["headers", "silent"])
@pytest.mark.parametrize("counting", COUNTINGS)
@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_a_burst_takes_as_long_as_the_server_makes_it(kind: str, counting: str, says: bool, batchers: int) -> None:
    count, requests = COUNTINGS[counting], requests_of(MINUTES * CALLS * BATCH_INPUTS_MAX)
    calls, tokens_max = (CALLS, None) if kind == "requests" else (None, TOKENS)
    if kind == "tokens":
        total = 0
        requests = [each for each in requests if (total := total + sum(map(tokens, each))) <= MINUTES * TOKENS]
    limit = float(CALLS if kind == "requests" else TOKENS)
    clock = [0.0]
    at_best = [count(limit, lambda: clock[0])]
    used = (
        [[1.0]] * (MINUTES * CALLS)
        if kind == "requests"
        else [[float(sum(map(tokens, texts)))] for texts in requests]
    )
    best = best_s(at_best, used, lambda now_s: clock.__setitem__(0, now_s))
    timeline = Timeline(1, STEPS_MAX)
    with virtual(timeline):
        limits = {kind: count(limit, lambda: timeline.now_s)}
        timeline.now_s -= READY_S
        said = limits if says else {}
        if says and counting == "quantised":
            said = {kind: COUNTINGS["bucket"](limit, lambda: timeline.now_s)}
        upstream = PaidModelUpstream(timeline, limits, said)
        burst = play(timeline, upstream, requests, batchers, calls, tokens_max)
        timeline.close()
    log.warning("%s %s %s: %.1f of %.1f s, %d refused", kind, counting, says, burst.took_s, best, burst.refused)
    print(f"{kind} {counting} says={says} b={batchers}: {burst.took_s:.1f} of {best:.1f} = {burst.took_s/best:.3f}, {burst.refused} refused, calls {upstream.calls}")
    assert burst.outcomes == ["right"] * len(requests)
    assert burst.took_s <= 1.05 * best
