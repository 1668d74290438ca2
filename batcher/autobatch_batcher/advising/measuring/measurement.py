"""Measure a server in so many seconds: single calls one after the other, then clients side by side, all of it twice."""

import os
from contextlib import AsyncExitStack
from itertools import zip_longest
from urllib.parse import urlsplit

from autobatch_batcher.advising.measuring.measured import Measured, TimedCall, TimedLoad, texts_in_words
from autobatch_batcher.advising.measuring.sample_texts import SampleTexts, call_shapes, list_shape, shuffled
from autobatch_batcher.advising.measuring.upstream_timer import MeasuringError, Told, UpstreamTimer
from autobatch_batcher.app import replicas_of
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.bell import pause
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.measuring.machine_use import read_core_ticks
from autobatch_shared.settings.definitions import BatcherSettings

# Single calls and clients come twice: noise shows, and a machine that becomes faster or slower does so for both alike.
ROUNDS = 2
# Of the whole time: for single calls, for lists side by side; the rest is for the clients.
CALLS_SHARE, LISTS_SHARE = 0.35, 0.1
WARM_UP_CALLS = 5
BUSY_LOOK_S = 0.5
NEVER_MADE = TimedCall((), ())
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


async def measure(settings: BatcherSettings, texts: SampleTexts, seconds: float, told: Told) -> Measured:
    """Return what was measured of the first upstream of the settings, in about so many seconds.

    Args:
        settings: Its URL, its key, and how it is spoken to.
        texts: What is sent.
        seconds: How long.
        told: Is told what is done.

    Raises:
        MeasuringError: It cannot be reached, refuses us, or does not compute.
    """
    async with AsyncExitStack() as stack:
        replica = (await replicas_of(settings, stack))[0]
        busy_before = await _busy_before()
        await replica.prober.probe()
        if replica.standing.served is None:
            why = replica.standing.silence or replica.status(1, 0.0).fault or "it does not say what it serves"
            raise MeasuringError(f"{replica.name}: {why}")
        told(f"{replica.name} speaks {replica.dialect.kind}, model {replica.card.name or 'unnamed'}")
        timer = UpstreamTimer(replica, texts, settings.upstream_timeout_ms / 1000)
        return await measure_with(timer, replica, texts, seconds, told, busy_before=busy_before)


async def measure_with(
    timer: UpstreamTimer,
    replica: Replica,
    texts: SampleTexts,
    seconds: float,
    told: Told,
    *,
    busy_before: float | None = None,
) -> Measured:
    """Return what was measured of an upstream that has said what it serves: see `measure`."""
    for place in shuffled(0)[:WARM_UP_CALLS]:
        await timer.call((place,))
    per_token = await timer.characters_per_token()
    inputs_max, tokens_max = replica.limits.inputs_max, replica.limits.input_tokens_max
    shapes = call_shapes(texts, inputs_max)
    calls: list[TimedCall] = []
    loads: list[TimedLoad] = []
    round_s = seconds / ROUNDS
    for number in range(ROUNDS):
        told(f"single calls of up to {texts_in_words(inputs_max)}, {CALLS_SHARE * round_s:.0f} s")
        again = await timer.lone_calls(shapes[: len(calls) or None], CALLS_SHARE * round_s)
        calls = [
            TimedCall(first.lengths or second.lengths, (*first.seconds, *second.seconds))
            for first, second in zip_longest(calls, again, fillvalue=NEVER_MADE)
        ]
        for call in (calls[0], calls[-1]):
            told(f"  {call.in_words}")
        if not loads:  # half as long a window would have few answers
            loads = await timer.lists_side_by_side(list_shape(texts, inputs_max), LISTS_SHARE * seconds, told)
        loads += await timer.clients(number + 1, loads, (1 - CALLS_SHARE - LISTS_SHARE) * round_s, told)
    return Measured(
        url=replica.name,
        kind=replica.dialect.kind,
        model=replica.card.name,
        inputs_max=inputs_max,
        tokens_max=None if tokens_max == UNKNOWN_MAX else tokens_max,
        characters_per_token=per_token,
        texts=texts.about,
        texts_kind=texts.kind,
        lengths=tuple(texts.lengths),
        calls=tuple(calls),
        loads=tuple(loads),
        cores=os.cpu_count() if urlsplit(replica.name).hostname in LOOPBACK else None,
        pass_inputs_said=None if replica.card.pass_inputs_max == UNKNOWN_MAX else replica.card.pass_inputs_max,
        busy_before=busy_before,
    )


async def _busy_before() -> float | None:
    """Return the share of this machine's cores that others use before anything is sent."""
    before = read_core_ticks()
    await pause(BUSY_LOOK_S)
    after = read_core_ticks()
    return 1 - after.idle_share_since(before) if before and after else None
