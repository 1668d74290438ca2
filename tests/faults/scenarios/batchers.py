"""A batcher dies, or is paused for longer than its lease, at each step of its work; or two have one upstream's limit."""

from redis.asyncio import Redis

from tests.faults.campaign import Act, Scenario
from tests.faults.steps import STEPS, kill_batcher, lasts, stop
from tests.faults.upstream import PERMITS, PERMITS_LIMITED
from tests.faults.world import PAIR, World
from tests.support.waiting import wait_until

VICTIM = 1
BURST = 600
PAUSE_S = 3.5  # the lease is 2 s: the other batcher has its jobs when it resumes


def killed(step: str) -> Scenario:
    async def act(act: Act) -> None:
        await STEPS[step](act.world, VICTIM)
        await kill_batcher(act.world, VICTIM)

    return Scenario(f"batcher: kill -9 {step}", act, runs_max=2)


def paused(step: str) -> Scenario:
    async def act(act: Act) -> None:
        world = act.world
        await STEPS[step](world, VICTIM)
        relay = world.batcher_redis[VICTIM]
        pids = [world.batchers[VICTIM].pid]
        stop(pids)
        relay.forward.release()
        relay.backward.release()
        await world.behave("good")
        await lasts(PAUSE_S)
        stop(pids, go_on=True)
        if (
            step == "during the call"
        ):  # its answers arrived while it was paused, and the other batcher took over its jobs
            await wait_until(lambda: "replies_late" in world.batchers[VICTIM].output)

    return Scenario(f"batcher: SIGSTOP for {PAUSE_S} s {step}", act, runs_max=2)


async def share_a_limit(act: Act) -> None:
    """More waits than the upstream takes at once: each batcher alone would fill it."""
    world = act.world
    await world.behave("limited")
    await wait_until(lambda: all_know_permits(world, PERMITS_LIMITED))
    for number in range(BURST):
        act.load.send(f"one of a burst at {act.load.requests[-1].start_s}, number {number}")
    await lasts(2.0)
    await world.behave("good")
    await wait_until(lambda: all_know_permits(world, PERMITS))


async def all_know_permits(world: World, permits: int) -> bool:
    """Whether every batcher reports that its upstream takes so many inputs at once."""
    async with Redis.from_url(world.redis_url) as redis:
        reports = await redis.hvals("{autobatch}:batchers")
    return sum(b'"in_flight_inputs_max":%d' % permits in report for report in reports) == len(PAIR)


SCENARIOS = [
    *map(killed, STEPS),
    *map(paused, STEPS),
    Scenario(f"batchers: two, {PERMITS_LIMITED} inputs in flight at most, {BURST} at once", share_a_limit),
]
