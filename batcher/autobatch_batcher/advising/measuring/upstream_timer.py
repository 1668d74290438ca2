"""Make calls to one upstream and take the time: of single ones, and of clients side by side. What is sent is made by its dialect."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle
from random import Random
from time import perf_counter, process_time

from autobatch_batcher.advising.measuring.measured import (
    CLIENTS,
    REFUSED_PAUSE_S,
    TimedCall,
    TimedLoad,
    clients_in_words,
    texts_in_words,
)
from autobatch_batcher.advising.measuring.sample_texts import SampleTexts, shuffled
from autobatch_batcher.dialects.base import Answer
from autobatch_batcher.simulating.score import quantile
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.measuring.machine_use import read_core_ticks

LISTS_SIDE_BY_SIDE = (1, 2, 4)
FIRST_ROUND_SHARE = 0.5  # of the time for single calls: what is dearer than that is not tried
UNCOUNTED = 0.2  # of the answers of a window, while which the clients fill the server
LENGTHENED = 2.0  # windows that one may take until each text was answered
DRAINS = 2.0  # windows that the last answers may take; more clients than that are simulated only

Told = Callable[[str], None]


class MeasuringError(Exception):
    """A server cannot be measured; the text says why."""


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
        """Return what each of these calls takes alone, over and over until the time has passed; the dearest may be left out."""
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
        window = _Window(clients, len(set(shapes)), seconds, self._now_s, self._cpu_s)
        turns = cycle(shapes)

        async def ask() -> None:
            while not window.is_over:
                try:
                    took_s = await self.call(next(turns))
                except MeasuringError as error:
                    window.note_failure(error)
                    await pause(REFUSED_PAUSE_S)
                else:
                    window.note(took_s)

        await asyncio.gather(*(ask() for _ in range(clients)))
        lengths = self._texts.lengths
        return window.load([tuple(lengths[place] for place in shape) for shape in shapes])


class _Window:
    """What clients side by side get from now on, until its end.

    Args:
        clients: How many.
        texts: How many different requests they send in turn.
        seconds: Its length; up to LENGTHENED times that, until each text was answered.
        now_s: Returns the time.
        cpu_s: Returns the CPU time that this process has used.
    """

    def __init__(
        self, clients: int, texts: int, seconds: float, now_s: Callable[[], float], cpu_s: Callable[[], float]
    ) -> None:
        self._clients = clients
        self._texts = texts
        self._seconds = seconds
        self._now_s = now_s
        self._cpu_s = cpu_s
        self._latencies_s: list[float] = []  # also of answers that came after the end
        self._answered_s: list[float] = []
        self._failed, self._why = 0, ""
        self._ticks = read_core_ticks()
        self._cpu_began_s, self._connecting = cpu_s(), 0  # once all clients are connected, and the answers until then
        self._began_s = now_s()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        long_s = self._now_s() - self._began_s
        return long_s >= LENGTHENED * self._seconds or (long_s >= self._seconds and self._counted > self._texts + 1)

    @property
    def _counted(self) -> float:
        return len(self._answered_s) * (1 - UNCOUNTED)

    def note(self, took_s: float) -> None:
        """Take note of an answer that came now, after so many seconds."""
        self._latencies_s.append(took_s)
        if self.is_over:  # this is the first of its client that comes after the end
            return
        self._answered_s.append(self._now_s())
        if len(self._answered_s) == self._clients:  # what connecting costs is not a request's
            self._cpu_began_s, self._connecting = self._cpu_s(), len(self._latencies_s)

    def note_failure(self, error: MeasuringError) -> None:
        """Take note of a call that was not answered."""
        self._failed, self._why = self._failed + 1, str(error)

    def load(self, lists: list[tuple[int, ...]]) -> TimedLoad:
        """Return what was seen, now that all clients have ended; `lists` are the lengths of their requests.

        Raises:
            MeasuringError: None was answered.
        """
        ticks, cpu_ended_s = read_core_ticks(), self._cpu_s()
        latencies_s = sorted(self._latencies_s)
        rate = steady_rate(self._answered_s, self._texts) or len(latencies_s) / (self._now_s() - self._began_s)
        if not latencies_s:
            raise MeasuringError(f"{self._why}; and so all {self._failed} of {clients_in_words(self._clients)}")
        return TimedLoad(
            clients=self._clients,
            lists=tuple(lists),
            inputs_per_s=rate * len(lists[0]),
            is_whole=self._counted > self._texts,
            p50_ms=1000 * quantile(latencies_s, 0.5),
            p99_ms=1000 * quantile(latencies_s, 0.99),
            failed=self._failed,
            idle=ticks.idle_share_since(self._ticks) if self._ticks and ticks else None,
            own_cpu_ms=1000 * (cpu_ended_s - self._cpu_began_s) / max(1, len(latencies_s) - self._connecting),
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
