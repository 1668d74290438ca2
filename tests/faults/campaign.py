"""Run one scenario: steady load, the fault, and load until all is right again; then judge every answer."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.faults.load import SteadyLoad
from tests.faults.memory import grown
from tests.faults.outcome import AnswerKind, FaultRow, tally
from tests.faults.world import DEADLINE_S, World
from tests.support.servers.leaks import keys_without_ttl
from tests.support.waiting import wait_until

PER_SECOND = 320.0
LEAD_S = 0.7  # of right answers before the fault
TAIL_S = 1.0  # of right answers after it
RECOVERY_MAX_S = 3.0
ACT_MAX_S = 60.0  # a fault takes six seconds at most, on an idle machine
DEMANDED_NONE = (AnswerKind.WRONG, AnswerKind.LOST, AnswerKind.HUNG)


@dataclass(frozen=True)
class CampaignPace:
    """How much is sent, and how soon all has to be right again.

    Attributes:
        per_second: Requests.
        recovery_max_s: From the fault's end to the last request that does not get its vector.
        deadline_s: The workers' deadline of a request, in the world that is opened for it.
    """

    per_second: float = PER_SECOND
    recovery_max_s: float = RECOVERY_MAX_S
    deadline_s: float = DEADLINE_S


USUAL = CampaignPace()
# What is wrong, lost, hung or doubled is found on a machine that does much else, too: with less load, and time for all of it.
PATIENT = CampaignPace(per_second=60.0, recovery_max_s=20.0, deadline_s=25.0)


@dataclass(frozen=True)
class Act:
    """The arguments of a fault.

    Attributes:
        world: The processes.
        load: Running.
    """

    world: World
    load: SteadyLoad


@dataclass(frozen=True)
class Scenario:
    """One fault.

    Attributes:
        name: As the table shows it.
        act: Causes the fault and ends it; when it returns, the fault is over.
        errors: Statuses that the fault explains while it lasts.
        runs_max: How often one text may be computed because of it.
        cuts: Whether it kills what clients are connected to, so that they see the end of their connection.
        replicas: Upstreams in its world.
        servers: The kind of group that is Redis in its world; empty for one server.
        own_links: Whether each batcher has a way of its own to the upstreams in its world.
    """

    name: str
    act: Callable[[Act], Awaitable[None]]
    errors: frozenset[int] = frozenset()
    runs_max: int = 1
    cuts: bool = False
    replicas: int = 1
    servers: str = ""
    own_links: bool = False

    @property
    def world(self) -> tuple[int, str, bool]:
        """What its world is made of; those for which it is the same share one."""
        return self.replicas, self.servers, self.own_links


async def run(scenario: Scenario, world: World, memory_mb: dict[str, float], pace: CampaignPace = USUAL) -> FaultRow:
    """Run one scenario in a healthy world; it is healthy again afterwards, or the row has a complaint."""
    load = SteadyLoad(world.nginx_port, pace.per_second, world.deadline_s, cuts=scenario.cuts)
    loop = asyncio.get_running_loop()
    await world.computed_again()
    load.start()
    await wait_until(lambda: len(load.requests) > pace.per_second * LEAD_S)
    complaints = []
    try:
        async with asyncio.timeout(ACT_MAX_S):
            await scenario.act(Act(world, load))
    except (TimeoutError, AssertionError) as error:
        complaints.append(f"the fault could not be brought about: {error!r}")
        await world.heal()
    end_s = loop.time()
    await _until_right(load, end_s, pace.recovery_max_s)
    await load.stop()
    again = await world.computed_again()
    row = tally(scenario.name, load.requests, end_s, sum(count > scenario.runs_max for count in again.values()))
    row.complaints += complaints + await _missed(scenario, world, load, row, memory_mb, pace.recovery_max_s)
    return row


async def _until_right(load: SteadyLoad, end_s: float, recovery_max_s: float) -> None:
    """Return once every request of a whole TAIL_S has its vector, or when it is clear that recovery takes too long."""
    loop = asyncio.get_running_loop()

    def is_right() -> bool:
        now_s = loop.time()
        if now_s > end_s + recovery_max_s + 2 * TAIL_S:
            return True
        return now_s > end_s + TAIL_S and load.failures_since(max(end_s, now_s - TAIL_S)) == 0

    await wait_until(is_right)


async def _missed(
    scenario: Scenario,
    world: World,
    load: SteadyLoad,
    row: FaultRow,
    memory_mb: dict[str, float],
    recovery_max_s: float,
) -> list[str]:
    """Return the requirements, other than zero counts, that were missed."""
    missed = []
    unexplained = {r.status for r in load.requests if r.kind is AnswerKind.CLEAR} - scenario.errors
    if unexplained:
        missed.append(f"unexplained status {sorted(unexplained)}")
    if late := sum(r.kind is AnswerKind.CLEAR and r.end_s - r.start_s > world.deadline_s + 0.5 for r in load.requests):
        missed.append(f"{late} errors after their deadline")
    if row.recovery_s > recovery_max_s:
        missed.append("slow recovery")
    if keys := await keys_without_ttl(world.redis_url):
        missed.append(f"keys without TTL: {keys}")
    try:
        await wait_until(world.is_well)
    except AssertionError:
        missed.append("not well afterwards")
    if more := await _more_memory(world, memory_mb):
        missed.append(f"memory: {', '.join(more)}")
    return missed


async def _more_memory(world: World, before_mb: dict[str, float]) -> list[str]:
    """Return the processes that use more than before, and still do after the time to recover."""
    more: list[str] = []

    async def is_back() -> bool:
        more[:] = await grown(world, before_mb)
        return not more

    with suppress(AssertionError):
        await wait_until(is_back, RECOVERY_MAX_S)
    return more


def is_failed(row: FaultRow) -> bool:
    """Whether a requirement was missed."""
    return bool(row.complaints or row.doubled or any(row.counts[kind] for kind in DEMANDED_NONE))
