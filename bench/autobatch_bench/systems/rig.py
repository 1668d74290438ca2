"""Run load on the sides of a system, and keep every round: all commands measure with it."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import uvloop

from autobatch_bench.checking.checks import DIFFERENCE_MAX, Check, OracleCheck, SampledCheck, oracle_vectors
from autobatch_bench.comparing.rounds import Pair, Point, Round, summed_up
from autobatch_bench.load import burst, closed_loop, open_loop
from autobatch_bench.load.asking import TEI_LISTED, Form
from autobatch_bench.load.outcome import LoadOutcome
from autobatch_bench.load.plain_http import asker
from autobatch_bench.load.traffic import Endpoint, Traffic
from autobatch_bench.load.workloads import Workload, WorkloadKind, make, serials
from autobatch_bench.systems.neighbours import all_processes, cores_by_name
from autobatch_bench.systems.process_stats import cpu_seconds, ended
from autobatch_bench.systems.system import Side

WARM_UP_S, WARM_UP_CONCURRENCY = 0.5, 32

RunLoad = Callable[[Endpoint, Traffic], Awaitable[LoadOutcome]]
Measure = Callable[[str], Round]


class EndedError(Exception):
    """A process of the system ended while it was measured."""


class Rig:
    """Load on one system.

    Attributes:
        sides: By name; `direct` is the upstream itself.
        rounds: Every round so far.
    """

    def __init__(
        self,
        sides: Mapping[str, Side],
        *,
        is_fake: bool,
        told: Callable[[Round], None],
        repeat_share: float = 0.0,
        reference: str = "direct",
        forms: Mapping[str, Form] | None = None,
        difference_max: float = DIFFERENCE_MAX,
        differences_max: Mapping[str, float] | None = None,
    ) -> None:
        """Nothing is measured yet.

        Args:
            sides: Where load can go.
            is_fake: Whether the upstream answers with the oracle's vectors.
            told: Called with each round.
            repeat_share: Share of requests, 0 to 1, whose text was sent before.
            reference: The side that is asked for the vector of each text alone, where that is a real model.
            forms: How a side is asked that has not TEI's API.
            difference_max: What a component of a real model's vector may differ by, with other texts in the batch.
            differences_max: The same of single sides.
        """
        self.sides = sides
        self.rounds: list[Round] = []
        self._is_fake = is_fake
        self._told = told
        self._reference = reference
        self._forms = forms or {}
        self._difference_max = difference_max
        self._differences_max = differences_max or {}
        self._serials = serials(itertools.count(), repeat_share)

    def warm_up(self, workload: Workload | None = None) -> None:
        """Put load on every side for a moment, of short texts unless told: for connections, memory, the model's first passes."""
        for side in self.sides:
            self.closed(side, workload or make(WorkloadKind.SHORT), WARM_UP_CONCURRENCY, WARM_UP_S)

    def closed(self, side: str, workload: Workload, concurrency: int, seconds: float) -> Round:
        """Keep that many requests in flight."""

        def load(target: Endpoint, traffic: Traffic) -> Awaitable[LoadOutcome]:
            return closed_loop.run(target, traffic, concurrency=concurrency, seconds=seconds)

        return self._run(side, workload, f"{concurrency} in flight", load)

    def open(self, side: str, workload: Workload, per_second: float, seconds: float, seed: int) -> Round:
        """Let requests arrive at random, at this rate per second; the same seed gives the same arrivals."""

        def load(target: Endpoint, traffic: Traffic) -> Awaitable[LoadOutcome]:
            return open_loop.run(target, traffic, per_second=per_second, seconds=seconds, seed=seed)

        return self._run(side, workload, f"{per_second:,.0f} arrivals/s", load)

    def burst(
        self, side: str, workload: Workload, requests: int, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> Round:
        """Send that many at the same moment."""

        def load(target: Endpoint, traffic: Traffic) -> Awaitable[LoadOutcome]:
            return burst.run(target, traffic, requests=requests, meanwhile=meanwhile)

        return self._run(side, workload, f"{requests} at once", load)

    def beside(
        self, side: str, workload: Workload, concurrency: int, bulk: Workload, seconds: float
    ) -> tuple[Round, Round]:
        """Keep that many requests in flight, and add one client with `bulk` requests; return both rounds."""
        bulk_traffic = self._traffic(side, bulk)

        async def load(target: Endpoint, traffic: Traffic) -> LoadOutcome:
            singles, _ = await asyncio.gather(
                closed_loop.run(target, traffic, concurrency=concurrency, seconds=seconds),
                closed_loop.run(target, bulk_traffic, concurrency=1, seconds=seconds),
            )
            return singles

        singles = self._run(side, workload, f"{concurrency} in flight beside a bulk client", load)
        bulk_traffic.outcome.wrong += bulk_traffic.check.wrong_after_all()
        return singles, self._note(summed_up(side, bulk.name, "1 in flight", bulk_traffic.outcome, {}))

    def closed_loops(
        self, workloads: Sequence[Workload], concurrencies: Sequence[int], rounds: int, seconds: float
    ) -> dict[str, list[Point]]:
        """Measure every side with each workload and each number of requests in flight; by the workload's name."""

        def measured(workload: Workload, in_flight: int) -> Point:
            def measure(side: str) -> Round:
                return self.closed(side, workload, in_flight, seconds)

            return self.alternate(in_flight, tuple(self.sides), rounds, measure)

        points: dict[str, list[Point]] = {}
        for workload in workloads:
            self.warm_up(workload)
            points[workload.name] = [measured(workload, in_flight) for in_flight in concurrencies]
        return points

    def alternate(self, x: float | str, sides: Sequence[str], rounds: int, measure: Measure) -> Point:
        """Measure the sides in turn, for that many rounds; every other round in reverse order."""
        pairs: list[Pair] = []
        for number in range(rounds):
            order = sides if number % 2 == 0 else sides[::-1]
            pairs.append({side: measure(side) for side in order})
        return Point(x, pairs)

    def _run(self, side: str, workload: Workload, load_name: str, load: RunLoad) -> Round:
        if side in self._forms:
            workload = workload.in_form(self._forms[side])
        traffic = self._traffic(side, workload)
        ours = [pid for each in self.sides.values() for pids in each.pids.values() for pid in pids]
        others, began_s = all_processes(but=ours), time.monotonic()
        before = self._cpu_seconds(side)
        outcome: LoadOutcome = uvloop.run(_awaited(load(self.sides[side].target, traffic)))
        after = self._cpu_seconds(side)
        used = cores_by_name(others, all_processes(but=ours), time.monotonic() - began_s)
        outcome.wrong += traffic.check.wrong_after_all()
        return self._note(
            summed_up(
                side, workload.name, load_name, outcome, {role: after[role] - before[role] for role in before}, used
            )
        )

    def _cpu_seconds(self, side: str) -> dict[str, float]:
        pids = self.sides[side].pids
        if roles := ended(pids):
            raise EndedError(f"{', '.join(roles)} ended while it was measured ({side})")
        return cpu_seconds(pids)

    def _note(self, done: Round) -> Round:
        self.rounds.append(done)
        self._told(done)
        return done

    def _traffic(self, side: str, workload: Workload) -> Traffic:
        return Traffic(workload, self._serials, self._check(side, workload))

    def _check(self, side: str, workload: Workload) -> Check:
        if not self._is_fake:
            ask = asker(self.sides[self._reference].target, self._forms.get(self._reference, TEI_LISTED))
            return SampledCheck(workload, ask, self._differences_max.get(side, self._difference_max))
        if workload.path == "/embed" and not self.sides[side].is_peer:
            return OracleCheck(workload)  # a peer may print the numbers anew
        return SampledCheck(workload, oracle_vectors)


async def _awaited(outcome: Awaitable[LoadOutcome]) -> LoadOutcome:
    return await outcome
