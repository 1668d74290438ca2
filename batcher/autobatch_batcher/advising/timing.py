"""Measure a server: single calls one after the other, then clients side by side. What is sent is made by the upstream's dialect."""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import cycle, zip_longest
from random import Random
from time import perf_counter, process_time
from urllib.parse import urlsplit

from autobatch_batcher.advising.measured import (
    CLIENTS,
    REFUSED_PAUSE_S,
    Measured,
    TimedCall,
    TimedLoad,
    clients_in_words,
    texts_in_words,
)
from autobatch_batcher.advising.sample_texts import SampleTexts, call_shapes, list_shape, shuffled
from autobatch_batcher.app import replicas_of
from autobatch_batcher.dialects.base import Answer
from autobatch_batcher.simulating.score import quantile
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.bell import pause
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.measuring.machine_use import read_core_ticks
from autobatch_shared.settings.definitions import BatcherSettings

LISTS_SIDE_BY_SIDE = (1, 2, 4)
# Single calls and clients come twice: noise shows, and a machine that becomes faster or slower does so for both alike.
ROUNDS = 2
# Of the whole time: for single calls, for lists side by side; the rest is for the clients.
CALLS_SHARE, LISTS_SHARE = 0.35, 0.1
FIRST_ROUND_SHARE = 0.5  # of the time for single calls: what is dearer than that is not tried
WARM_UP_CALLS = 5
UNCOUNTED = 0.2  # of the answers of a window, while which the clients fill the server
LENGTHENED = 2.0  # windows that one may take until each text was answered
DRAINS = 2.0  # windows that the last answers may take; more clients than that are simulated only
BUSY_LOOK_S = 0.5
NEVER_MADE = TimedCall((), ())
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Told = Callable[[str], None]


class MeasuringError(Exception):
    """A server cannot be measured; the text says why."""


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
    timer: "UpstreamTimer",
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


class UpstreamTimer:
    """Calls one upstream and takes the time.

    Args:
        replica: The upstream.
        texts: What is sent.
        timeout_s: The longest that a call may take.
        now_s: Returns the time.
        cpu_s: Returns the CPU time that this process has used.
    """

    def __init__(
        self,
        replica: Replica,
        texts: SampleTexts,
        timeout_s: float,
        now_s: Callable[[], float] = perf_counter,
        cpu_s: Callable[[], float] = process_time,
    ) -> None:
        self._now_s = now_s
        self._cpu_s = cpu_s
        self._replica = replica
        self._texts = texts
        self._timeout_s = timeout_s

    async def call(self, places: tuple[int, ...]) -> float:
        """Make one call with the texts of these places; return the seconds that it took.

        Raises:
            MeasuringError: It was not answered with status 200.
        """
        took_s, _ = await self._ask(places)
        return took_s

    async def read_call(self, places: tuple[int, ...]) -> float:
        """Make one call whose answer is read, too: in its own time, and not beside others, whose CPU time counts.

        Raises:
            MeasuringError: It was not answered with a vector for each text.
        """
        took_s, answer = await self._ask(places)
        try:
            self._replica.dialect.cut(answer, "/embed", len(places), ())
        except AutobatchError as exc:
            said = f"a call of {texts_in_words(len(places))} was not answered with vectors: {exc}"
            raise MeasuringError(f"{self._replica.name}: {said}") from exc
        return took_s

    async def _ask(self, places: tuple[int, ...]) -> tuple[float, Answer]:
        replica = self._replica
        post = replica.dialect.compose("/embed", [self._texts.text(place) for place in places], None)
        began_s = self._now_s()
        try:
            answer = await replica.ask(post, self._timeout_s)
        except AutobatchError as exc:
            raise MeasuringError(f"{replica.name}: a call of {texts_in_words(len(places))} failed: {exc}") from exc
        took_s = self._now_s() - began_s
        if answer.status != 200:
            raise MeasuringError(
                f"{replica.name}: a call of {texts_in_words(len(places))} was answered {answer.status}"
            )
        return took_s, answer

    async def characters_per_token(self) -> float | None:
        """Return how many characters of these texts a token is; None where the server does not count tokens."""
        replica = self._replica
        places = range(0, len(self._texts.lengths), 8)
        texts = [self._texts.text(place) for place in places]
        post = replica.dialect.ask_counts(texts[: replica.limits.inputs_max])
        if post is None:
            return None
        asked = places[: replica.limits.inputs_max]
        with suppress(AutobatchError):  # it is said of no figure that it is one
            answer = await replica.ask(post, self._timeout_s)
            if answer.status == 200:
                tokens = sum(replica.dialect.counts(answer, len(asked)))
                return sum(self._texts.lengths[place] for place in asked) / max(1, tokens)
        return None

    async def lone_calls(self, shapes: list[tuple[int, ...]], seconds: float) -> list[TimedCall]:
        """Return what each of these calls takes alone, over and over until the time is over; the dearest may be left out."""
        took_s: dict[tuple[int, ...], list[float]] = {}
        began_s = self._now_s()
        for shape in shapes:
            if took_s and self._now_s() - began_s > FIRST_ROUND_SHARE * seconds:
                break
            took_s[shape] = [await self.read_call(shape)]
        order = list(took_s)
        chance = Random(1)  # noqa: S311 - an order, no secrets
        while self._now_s() - began_s < seconds:
            chance.shuffle(order)
            for shape in order:
                took_s[shape].append(await self.read_call(shape))
                if self._now_s() - began_s > seconds:
                    break
        lengths = self._texts.lengths
        return [TimedCall(tuple(lengths[place] for place in shape), tuple(took)) for shape, took in took_s.items()]

    async def lists_side_by_side(self, shape: tuple[int, ...], seconds: float, told: Told) -> list[TimedLoad]:
        """Return what one, two and four calls of the same list do."""
        told(f"calls of {texts_in_words(len(shape))} side by side, {seconds:.0f} s")
        own_s = seconds / len(LISTS_SIDE_BY_SIDE)
        return [await self.load(clients, [shape], own_s) for clients in LISTS_SIDE_BY_SIDE]

    async def clients(self, seed: int, before: Sequence[TimedLoad], seconds: float, told: Told) -> list[TimedLoad]:
        """Return what clients get that send one text each, in the order of a seed; as far as earlier ones were answered in time."""
        loads: list[TimedLoad] = []
        own_s = seconds / len(CLIENTS)
        for clients in CLIENTS:
            rate = max((load.inputs_per_s for load in (*before, *loads) if load.is_single), default=0.0)
            if rate and clients / rate > DRAINS * own_s:
                told(f"{clients_in_words(clients)} are simulated only: their answers would take {clients / rate:.0f} s")
                continue
            told(f"{clients_in_words(clients)} directly, {own_s:.1f} s")
            loads.append(await self.load(clients, [(place,) for place in shuffled(seed)], own_s))
            told(f"  {loads[-1].in_words}")
        return loads

    async def load(self, clients: int, shapes: list[tuple[int, ...]], seconds: float) -> TimedLoad:
        """Return what so many clients get in so many seconds, each of which sends the next of these texts as soon as it is answered.

        It goes on for longer until each text was answered, up to LENGTHENED times as long: a few texts may be short ones by chance.

        Raises:
            MeasuringError: None was answered.
        """
        lengths = self._texts.lengths
        turns = cycle(shapes)
        texts = len(set(shapes))
        began_s = self._now_s()
        latencies_s: list[float] = []
        answered_s: list[float] = []
        failed, why = 0, ""

        def is_over() -> bool:
            long_s = self._now_s() - began_s
            return long_s >= LENGTHENED * seconds or (
                long_s >= seconds and len(answered_s) * (1 - UNCOUNTED) > texts + 1
            )

        before, cpu_before_s, connecting = read_core_ticks(), self._cpu_s(), 0

        async def ask() -> None:
            nonlocal failed, why, cpu_before_s, connecting
            while not is_over():
                shape = next(turns)
                try:
                    took_s = await self.call(shape)
                except MeasuringError as error:
                    failed, why = failed + 1, str(error)
                    await pause(REFUSED_PAUSE_S)
                    continue
                latencies_s.append(took_s)
                if not is_over():  # or this is the first that comes after the end
                    answered_s.append(self._now_s())
                    if len(answered_s) == clients:  # what connecting costs is not a request's
                        cpu_before_s, connecting = self._cpu_s(), len(latencies_s)

        await asyncio.gather(*(ask() for _ in range(clients)))
        after, cpu_after_s = read_core_ticks(), self._cpu_s()
        rate = steady_rate(answered_s, texts) or len(latencies_s) / (self._now_s() - began_s)
        latencies_s.sort()
        if not latencies_s:
            raise MeasuringError(f"{why}; and so all {failed} of {clients_in_words(clients)}")
        return TimedLoad(
            clients=clients,
            lists=tuple(tuple(lengths[place] for place in shape) for shape in shapes),
            inputs_per_s=rate * len(shapes[0]),
            is_whole=len(answered_s) * (1 - UNCOUNTED) > texts,
            p50_ms=1000 * quantile(latencies_s, 0.5),
            p99_ms=1000 * quantile(latencies_s, 0.99),
            failed=failed,
            idle=after.idle_share_since(before) if before and after else None,
            own_cpu_ms=1000 * (cpu_after_s - cpu_before_s) / max(1, len(latencies_s) - connecting),
        )


def steady_rate(answered_s: Sequence[float], texts: int) -> float:
    """Return the requests a second of whole cycles of so many texts, as far as there was one; 0: of fewer than two answers there is no rate.

    It begins and ends with an answer of a certain number, and not at a certain time: answers come together, and time would pass between
    the last of some and a window's end.

    Args:
        answered_s: When each was answered, in order.
        texts: In a cycle.
    """
    first = int(UNCOUNTED * len(answered_s))
    counted = len(answered_s) - 1 - first
    if counted < 1:
        return 0.0
    counted -= counted % texts if counted > texts else 0
    return counted / max(1e-9, answered_s[first + counted] - answered_s[first])


async def _busy_before() -> float | None:
    """Return the share of this machine's cores that others use before anything is sent."""
    before = read_core_ticks()
    await pause(BUSY_LOOK_S)
    after = read_core_ticks()
    return 1 - after.idle_share_since(before) if before and after else None
